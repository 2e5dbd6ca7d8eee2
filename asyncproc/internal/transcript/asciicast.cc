#include "asyncproc/internal/transcript/asciicast.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/utf8.h"
#include "asyncproc/internal/transcript/asciicast_text.h"
#include "asyncproc/internal/transcript/json_members.h"
#include "asyncproc/internal/transcript/transcript_values.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {
namespace {

using Kind = TranscriptEvent::Kind;

constexpr int64_t kVersion = 2;
constexpr int64_t kVersion3 = 3;

// The library's own member of the header: {"terminal":false} for a child
// without a terminal, because an asciicast always has a terminal size.
constexpr char kOurs[] = "asyncproc";

class AsciicastWriter final : public TranscriptWriter {
 public:
  explicit AsciicastWriter(int64_t version) : version_(version) {}

  std::string Begin(const TranscriptHeader& header) override {
    const TerminalSize size = header.terminal.value_or(TerminalSize());
    OrderedJson line = {{"version", version_}};
    if (version_ == kVersion) {
      line["width"] = size.columns;
      line["height"] = size.rows;
    } else {
      line["term"] = {{"cols", size.columns}, {"rows", size.rows}};
    }
    line["timestamp"] = absl::ToUnixSeconds(header.start);
    line["command"] = ToUtf8(header.command);
    has_terminal_ = header.terminal.has_value();
    if (!has_terminal_) line[kOurs] = {{"terminal", false}};
    return absl::StrCat(FormatJson(line), "\n");
  }

  std::string Write(const TranscriptEvent& event) override {
    time_ = event.time;
    switch (event.kind) {
      case Kind::kIn:
        return IfAny("i", in_.Push(event.data));
      case Kind::kOut:
        return Shown(out_.Push(event.data));
      case Kind::kErr:
        return Shown(err_.Push(event.data));
      case Kind::kResize:
        return Line("r", FormatTerminalSize(event.size));
      case Kind::kInClosed:
      case Kind::kInBroken:
        return absl::StrCat(IfAny("i", in_.Finish()), Marker(event));
      case Kind::kOutClosed:
        return absl::StrCat(Shown(out_.Finish()), Marker(event));
      case Kind::kErrClosed:
        return absl::StrCat(Shown(err_.Finish()), Marker(event));
      case Kind::kExit:
        return absl::StrCat(End(), Marker(event));
      case Kind::kSignal:
      case Kind::kLetters:
      case Kind::kSent:
      case Kind::kReceived:
      case Kind::kMark:
        return Marker(event);
    }
    return "";  // There is no other kind.
  }

  std::string End() override {
    return absl::StrCat(IfAny("i", in_.Finish()), Shown(out_.Finish()),
                        Shown(err_.Finish()));
  }

 private:
  std::string Shown(const std::string& text) {
    return IfAny("o", has_terminal_
                          ? text
                          : absl::StrReplaceAll(text, {{"\n", "\r\n"}}));
  }

  std::string Marker(const TranscriptEvent& event) {
    return Line("m", FormatMarker(event));
  }

  // An incomplete character gives no text yet.
  std::string IfAny(absl::string_view code, const std::string& text) {
    return text.empty() ? "" : Line(code, text);
  }

  std::string Line(absl::string_view code, const std::string& text) {
    int64_t micros = absl::ToInt64Microseconds(time_);
    // Since version 3, a time is relative to the previous event.
    if (version_ != kVersion) {
      const int64_t before = std::exchange(written_micros_, micros);
      micros = std::max<int64_t>(0, micros - before);
    }
    return absl::StrFormat("[%d.%06d, \"%s\", %s]\n", micros / 1'000'000,
                           micros % 1'000'000, code,
                           FormatJson(OrderedJson(text)));
  }

  const int64_t version_;
  bool has_terminal_ = true;
  absl::Duration time_;
  int64_t written_micros_ = 0;
  Utf8Joiner in_;
  Utf8Joiner out_;
  Utf8Joiner err_;
};

int64_t CheckVersion(JsonMembers& members) {
  const Json* const version = members.Find("version");
  // Only a number is shown: another value may be nested deeply, and showing it
  // would need a stack as deep.
  if (version == nullptr || !version->is_number()) {
    members.Fail("has a \"version\" that is no number");
  } else if (!version->is_number_integer() ||
             (*version != kVersion && *version != kVersion3)) {
    members.Fail(absl::StrCat("is of asciicast version ",
                              Printable(version->dump()), "; only 1, ",
                              kVersion, " and ", kVersion3, " are known"));
  } else {
    return version->get<int64_t>();
  }
  return kVersion;
}

absl::StatusOr<absl::Duration> ReadTime(const Json& seconds) {
  if (!seconds.is_number()) {
    return absl::InvalidArgumentError("begins with no number");
  }
  const double micros = std::round(seconds.get<double>() * 1e6);
  if (!(micros >= 0) || micros > static_cast<double>(kMaxMicros)) {
    return absl::InvalidArgumentError(
        "has a time that is negative or too late");
  }
  return absl::Microseconds(static_cast<int64_t>(micros));
}

class AsciicastReader final : public TranscriptReader {
 public:
  absl::Status Begin(absl::string_view text,
                     TranscriptHeader* header) override {
    const absl::StatusOr<Json> line = ParseJson(text);
    if (!line.ok()) return line.status();
    JsonMembers members(*line);
    version_ = CheckVersion(members);
    ReadHeader(members, header);
    return members.status();
  }

  absl::StatusOr<bool> Read(absl::string_view text,
                            TranscriptEvent* event) override {
    if (text.empty()) return false;
    if (version_ == kVersion3 && text[0] == '#') return false;  // A comment.
    const absl::StatusOr<Json> line = ParseJson(text);
    if (!line.ok()) return line.status();
    if (!line->is_array() || line->size() != 3) {
      return absl::InvalidArgumentError(
          "is no array of a time, a code and what happened");
    }
    const absl::StatusOr<absl::Duration> time = ReadTime((*line)[0]);
    if (!time.ok()) return time.status();
    event->time = *time;
    if (version_ == kVersion3) {
      elapsed_ += *time;
      if (elapsed_ > absl::Microseconds(kMaxMicros)) {
        return absl::InvalidArgumentError(
            "has a time that is negative or too late");
      }
      event->time = elapsed_;
    }
    const auto* const code = (*line)[1].get_ptr<const std::string*>();
    if (code == nullptr) {
      return absl::InvalidArgumentError("has a code that is no string");
    }
    // Other codes exist, and more may be added.
    if (*code != "i" && *code != "o" && *code != "r" && *code != "m") {
      return false;
    }
    const auto* const data = (*line)[2].get_ptr<const std::string*>();
    if (data == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("has a \"", *code, "\" that is no string"));
    }
    absl::Status status = ReadEvent(code->front(), *data, event);
    if (!status.ok()) return status;
    return true;
  }

 private:
  void ReadHeader(JsonMembers& members, TranscriptHeader* header) {
    TerminalSize size;
    if (version_ == kVersion) {
      size = ReadSize(members, "width", "height");
    } else if (const Json* const term = members.Find("term")) {
      JsonMembers inner(*term);
      size = ReadSize(inner, "cols", "rows");
      members.Update(inner.status());
    } else {
      members.Fail("has no \"term\"");
    }
    // A member of this name may come from another program, with any content.
    if (const Json* const ours = members.Find(kOurs)) {
      has_terminal_ = JsonMembers(*ours).BoolOr("terminal", true);
    }
    if (has_terminal_) header->terminal = size;
    if (members.Has("command")) header->command = members.String("command");
    if (members.Has("timestamp")) {
      header->start = absl::FromUnixSeconds(
          members.Int("timestamp", -kMaxStartSeconds, kMaxStartSeconds));
    }
  }

  static TerminalSize ReadSize(JsonMembers& members, absl::string_view columns,
                               absl::string_view rows) {
    TerminalSize size;
    size.rows = static_cast<int>(members.Int(rows, 0, kMaxTerminalSize));
    size.columns = static_cast<int>(members.Int(columns, 0, kMaxTerminalSize));
    return size;
  }

  absl::Status ReadEvent(char code, const std::string& data,
                         TranscriptEvent* event) const {
    switch (code) {
      case 'i':
        event->kind = Kind::kIn;
        event->data = data;
        break;
      case 'o':
        event->kind = Kind::kOut;
        event->data =
            has_terminal_ ? data : absl::StrReplaceAll(data, {{"\r\n", "\n"}});
        break;
      case 'r':
        return ReadResize(data, event);
      case 'm':
        ParseMarker(data, event);
        break;
    }
    return absl::OkStatus();
  }

  static absl::Status ReadResize(absl::string_view data,
                                 TranscriptEvent* event) {
    const std::optional<TerminalSize> size = ParseTerminalSize(data);
    if (!size.has_value()) {
      return absl::InvalidArgumentError(
          "has a size that is not columns, \"x\" and rows");
    }
    event->kind = Kind::kResize;
    event->size = *size;
    return absl::OkStatus();
  }

  int64_t version_ = kVersion;
  absl::Duration elapsed_;  // For version 3.
  bool has_terminal_ = true;
};

}  // namespace

bool IsAsciicastV1(absl::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos || text[begin] != '{') return false;
  // The events are inside the object, after its other members.
  const absl::StatusOr<Json> object = ParseJson(text);
  if (!object.ok()) return false;
  const JsonMembers members(*object);
  const Json* const version = members.Find("version");
  return version != nullptr && *version == 1;
}

absl::Status ReadAsciicastV1(absl::string_view text, TranscriptHeader* header,
                             std::vector<TranscriptEvent>* events) {
  const absl::StatusOr<Json> object = ParseJson(text);
  if (!object.ok()) return object.status();
  JsonMembers members(*object);
  TerminalSize size;
  size.rows = static_cast<int>(members.Int("height", 0, kMaxTerminalSize));
  size.columns = static_cast<int>(members.Int("width", 0, kMaxTerminalSize));
  header->terminal = size;
  if (const Json* const command = members.Find("command");
      command != nullptr && command->is_string()) {
    header->command = command->get<std::string>();
  }
  if (!members.status().ok()) return members.status();
  const Json* const frames = members.Find("stdout");
  if (frames == nullptr || !frames->is_array()) {
    return absl::InvalidArgumentError("has no \"stdout\" that is an array");
  }
  absl::Duration elapsed;
  for (const Json& frame : *frames) {
    if (!frame.is_array() || frame.size() != 2 || !frame[1].is_string()) {
      return absl::InvalidArgumentError(
          "has a frame that is no array of a delay and a text");
    }
    const absl::StatusOr<absl::Duration> delay = ReadTime(frame[0]);
    if (!delay.ok()) return delay.status();
    elapsed += *delay;
    TranscriptEvent event;
    event.kind = Kind::kOut;
    event.time = elapsed;
    event.data = frame[1].get<std::string>();
    events->push_back(std::move(event));
  }
  return absl::OkStatus();
}

std::unique_ptr<TranscriptWriter> NewAsciicastWriter(int version) {
  return std::make_unique<AsciicastWriter>(version);
}

std::unique_ptr<TranscriptReader> NewAsciicastReader() {
  return std::make_unique<AsciicastReader>();
}

}  // namespace asyncproc::internal

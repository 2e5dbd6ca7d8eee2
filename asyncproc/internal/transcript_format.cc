#include "asyncproc/internal/transcript_format.h"

#include <signal.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/internal/utf8.h"
#include "nlohmann/json.hpp"

namespace asyncproc::internal {
namespace {

using Json = nlohmann::ordered_json;  // What is written keeps its order.
using Kind = TranscriptEvent::Kind;

constexpr int64_t kJsonLinesVersion = 1;
constexpr int64_t kAsciicastVersion = 2;

// A year that nobody needs to record beyond; far from where numbers overflow.
constexpr int64_t kMaxMicros = int64_t{1'000'000'000} * 1'000'000;
constexpr int64_t kMaxStartSeconds = 8'000'000'000;
constexpr int64_t kMaxSize = 65535;

constexpr absl::string_view kBase64 = "_base64";
constexpr absl::string_view kOurs = "asyncproc: ";

// What an error shows of a line.
constexpr size_t kShown = 60;

struct KindName {
  Kind kind;
  absl::string_view name;
};
constexpr KindName kKindNames[] = {
    {Kind::kIn, "in"},
    {Kind::kInClosed, "in_closed"},
    {Kind::kInBroken, "in_broken"},
    {Kind::kOut, "out"},
    {Kind::kOutClosed, "out_closed"},
    {Kind::kErr, "err"},
    {Kind::kErrClosed, "err_closed"},
    {Kind::kSignal, "signal"},
    {Kind::kResize, "resize"},
    {Kind::kLetters, "letters"},
    {Kind::kMark, "mark"},
    {Kind::kExit, "exit"},
};

absl::string_view NameOf(Kind kind) {
  for (const KindName& known : kKindNames) {
    if (known.kind == kind) return known.name;
  }
  return "";
}

std::optional<Kind> KindOf(absl::string_view name) {
  for (const KindName& known : kKindNames) {
    if (known.name == name) return known.kind;
  }
  return std::nullopt;
}

bool HasData(Kind kind) {
  return kind == Kind::kIn || kind == Kind::kOut || kind == Kind::kErr ||
         kind == Kind::kLetters || kind == Kind::kMark;
}

absl::string_view NameOf(TerminationScope scope) {
  switch (scope) {
    case TerminationScope::kChild:
      break;
    case TerminationScope::kGroup:
      return "group";
    case TerminationScope::kTree:
      return "tree";
  }
  return "child";
}

std::optional<TerminationScope> ScopeOf(absl::string_view name) {
  for (const TerminationScope scope :
       {TerminationScope::kChild, TerminationScope::kGroup,
        TerminationScope::kTree}) {
    if (NameOf(scope) == name) return scope;
  }
  return std::nullopt;
}

absl::Status Bad(absl::string_view why) {
  return absl::InvalidArgumentError(why);
}

std::string Dump(const Json& json) {
  // Nothing that is no UTF-8 gets here; should it, that is no reason to throw.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ToUtf8(absl::string_view bytes) {
  Utf8Joiner joiner;
  std::string text = joiner.Push(bytes);
  return text + joiner.Finish();
}

absl::StatusOr<Json> ParseLine(absl::string_view line) {
  Json json = Json::parse(line.begin(), line.end(), /*cb=*/nullptr,
                          /*allow_exceptions=*/false);
  if (!json.is_discarded()) return json;
  return Bad(absl::StrCat("is no JSON, or not all of it: ",
                          absl::CHexEscape(line.substr(0, kShown)),
                          line.size() > kShown ? "..." : ""));
}

// The member `key` of an object; null when it is not there.
const Json* Find(const Json& object, absl::string_view key) {
  const auto it = object.find(std::string(key));
  return it == object.end() ? nullptr : &*it;
}

// Those that are not there, or not what they should be, are errors.
absl::StatusOr<int64_t> GetInt(const Json& object, absl::string_view key,
                               int64_t min, int64_t max) {
  const Json* const value = Find(object, key);
  if (value == nullptr) return Bad(absl::StrCat("has no \"", key, "\""));
  const auto* const number = value->get_ptr<const Json::number_integer_t*>();
  const bool too_large =
      value->is_number_unsigned() &&
      *value->get_ptr<const Json::number_unsigned_t*>() > INT64_MAX;
  if (number == nullptr || too_large || *number < min || *number > max) {
    return Bad(absl::StrCat("\"", key, "\" is no whole number from ", min,
                            " to ", max));
  }
  return *number;
}

absl::StatusOr<std::string> GetString(const Json& object,
                                      absl::string_view key) {
  const Json* const value = Find(object, key);
  if (value == nullptr) return Bad(absl::StrCat("has no \"", key, "\""));
  const auto* const text = value->get_ptr<const std::string*>();
  if (text == nullptr) return Bad(absl::StrCat("\"", key, "\" is no string"));
  return *text;
}

absl::StatusOr<std::string> GetBytes(const Json& object,
                                     absl::string_view key) {
  const std::string encoded_key = absl::StrCat(key, kBase64);
  if (Find(object, encoded_key) == nullptr) return GetString(object, key);
  absl::StatusOr<std::string> encoded = GetString(object, encoded_key);
  if (!encoded.ok()) return encoded;
  std::string bytes;
  if (!absl::Base64Unescape(*encoded, &bytes)) {
    return Bad(absl::StrCat("\"", encoded_key, "\" is no base64"));
  }
  return bytes;
}

void PutBytes(Json& object, absl::string_view key, absl::string_view bytes) {
  if (IsUtf8(bytes)) {
    object[std::string(key)] = std::string(bytes);
  } else {
    object[absl::StrCat(key, kBase64)] = absl::Base64Escape(bytes);
  }
}

absl::StatusOr<TerminalSize> GetSize(const Json& object,
                                     absl::string_view rows_key,
                                     absl::string_view columns_key) {
  const absl::StatusOr<int64_t> rows = GetInt(object, rows_key, 0, kMaxSize);
  if (!rows.ok()) return rows.status();
  const absl::StatusOr<int64_t> columns =
      GetInt(object, columns_key, 0, kMaxSize);
  if (!columns.ok()) return columns.status();
  return TerminalSize{static_cast<int>(*rows), static_cast<int>(*columns)};
}

// ---- How a child ended.

void PutUsage(Json& object, const ResourceUsage& usage) {
  object["user_us"] = absl::ToInt64Microseconds(usage.user_time);
  object["system_us"] = absl::ToInt64Microseconds(usage.system_time);
  object["wall_us"] = absl::ToInt64Microseconds(usage.wall_time);
  object["max_rss_bytes"] = usage.max_rss_bytes;
}

void PutExit(Json& object, const TranscriptEvent& event) {
  if (!event.status.has_value()) {
    PutBytes(object, "unknown", event.data);
    return;
  }
  const ExitStatus& status = *event.status;
  if (status.exited()) {
    object["code"] = status.exit_code();
  } else {
    object["signal"] = status.term_signal();
    if (status.core_dumped()) object["core_dumped"] = true;
  }
  if (!status.output_complete()) object["output_complete"] = false;
  PutUsage(object, status.usage());
}

bool GetFlag(const Json& object, absl::string_view key, bool otherwise) {
  const Json* const value = Find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>()
                                                 : otherwise;
}

absl::StatusOr<ResourceUsage> GetUsage(const Json& object) {
  ResourceUsage usage;
  const std::pair<absl::string_view, absl::Duration*> times[] = {
      {"user_us", &usage.user_time},
      {"system_us", &usage.system_time},
      {"wall_us", &usage.wall_time}};
  for (const auto& [key, time] : times) {
    if (Find(object, key) == nullptr) continue;
    const absl::StatusOr<int64_t> micros = GetInt(object, key, 0, kMaxMicros);
    if (!micros.ok()) return micros.status();
    *time = absl::Microseconds(*micros);
  }
  if (Find(object, "max_rss_bytes") != nullptr) {
    const absl::StatusOr<int64_t> bytes =
        GetInt(object, "max_rss_bytes", 0, INT64_MAX);
    if (!bytes.ok()) return bytes.status();
    usage.max_rss_bytes = *bytes;
  }
  return usage;
}

absl::Status GetExit(const Json& object, TranscriptEvent* event) {
  if (Find(object, "code") != nullptr) {
    const absl::StatusOr<int64_t> code = GetInt(object, "code", 0, 255);
    if (!code.ok()) return code.status();
    event->status = ExitStatus::Exited(static_cast<int>(*code));
  } else if (Find(object, "signal") != nullptr) {
    const absl::StatusOr<int64_t> signal =
        GetInt(object, "signal", 1, SIGRTMAX);
    if (!signal.ok()) return signal.status();
    event->status = ExitStatus::Signaled(static_cast<int>(*signal),
                                         GetFlag(object, "core_dumped", false));
  } else {
    absl::StatusOr<std::string> unknown = GetBytes(object, "unknown");
    if (!unknown.ok()) {
      return Bad("has no \"code\", \"signal\" or \"unknown\"");
    }
    event->data = *std::move(unknown);
    return absl::OkStatus();
  }
  event->status->set_output_complete(GetFlag(object, "output_complete", true));
  absl::StatusOr<ResourceUsage> usage = GetUsage(object);
  if (!usage.ok()) return usage.status();
  event->status->set_usage(*usage);
  return absl::OkStatus();
}

// ---- JSON lines.

class JsonLinesWriter final : public TranscriptWriter {
 public:
  std::string Begin(const TranscriptHeader& header) override {
    Json line = {{"transcript", kJsonLinesVersion}};
    PutBytes(line, "command", header.command);
    line["start_us"] = absl::ToUnixMicros(header.start);
    if (header.terminal.has_value()) {
      line["terminal"] = {{"rows", header.terminal->rows},
                          {"columns", header.terminal->columns}};
    }
    return absl::StrCat(Dump(line), "\n");
  }

  std::string Write(const TranscriptEvent& event) override {
    Json line = {{"us", absl::ToInt64Microseconds(event.time)},
                 {"event", std::string(NameOf(event.kind))}};
    if (HasData(event.kind)) PutBytes(line, "data", event.data);
    switch (event.kind) {
      case Kind::kSignal:
        line["signal"] = event.signal;
        line["scope"] = std::string(NameOf(event.scope));
        break;
      case Kind::kResize:
        line["rows"] = event.size.rows;
        line["columns"] = event.size.columns;
        break;
      case Kind::kExit:
        PutExit(line, event);
        break;
      default:
        break;
    }
    return absl::StrCat(Dump(line), "\n");
  }
};

class JsonLinesReader final : public TranscriptReader {
 public:
  static absl::Status ReadHeader(const Json& line, TranscriptHeader* header) {
    const absl::StatusOr<int64_t> version =
        GetInt(line, "transcript", kJsonLinesVersion, kJsonLinesVersion);
    if (!version.ok()) return version.status();
    absl::StatusOr<std::string> command = GetBytes(line, "command");
    if (!command.ok()) return command.status();
    header->command = *std::move(command);
    const absl::StatusOr<int64_t> start =
        GetInt(line, "start_us", -kMaxStartSeconds * 1'000'000,
               kMaxStartSeconds * 1'000'000);
    if (!start.ok()) return start.status();
    header->start = absl::FromUnixMicros(*start);
    const Json* const terminal = Find(line, "terminal");
    if (terminal == nullptr) return absl::OkStatus();
    if (!terminal->is_object()) return Bad("\"terminal\" is no object");
    const absl::StatusOr<TerminalSize> size =
        GetSize(*terminal, "rows", "columns");
    if (!size.ok()) return size.status();
    header->terminal = *size;
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Read(absl::string_view text,
                            TranscriptEvent* event) override {
    if (text.empty()) return false;
    const absl::StatusOr<Json> line = ParseLine(text);
    if (!line.ok()) return line.status();
    if (!line->is_object()) return Bad("is no object");
    const absl::StatusOr<int64_t> micros = GetInt(*line, "us", 0, kMaxMicros);
    if (!micros.ok()) return micros.status();
    event->time = absl::Microseconds(*micros);
    const absl::StatusOr<std::string> name = GetString(*line, "event");
    if (!name.ok()) return name.status();
    const std::optional<Kind> kind = KindOf(*name);
    if (!kind.has_value()) {
      return Bad(absl::StrCat("knows no event \"",
                              absl::CHexEscape(name->substr(0, kShown)), "\""));
    }
    event->kind = *kind;
    if (absl::Status status = ReadRest(*line, event); !status.ok()) {
      return status;
    }
    return true;
  }

 private:
  static absl::Status ReadRest(const Json& line, TranscriptEvent* event) {
    if (HasData(event->kind)) {
      absl::StatusOr<std::string> data = GetBytes(line, "data");
      if (!data.ok()) return data.status();
      event->data = *std::move(data);
    } else if (event->kind == Kind::kSignal) {
      return ReadSignal(line, event);
    } else if (event->kind == Kind::kResize) {
      const absl::StatusOr<TerminalSize> size =
          GetSize(line, "rows", "columns");
      if (!size.ok()) return size.status();
      event->size = *size;
    } else if (event->kind == Kind::kExit) {
      return GetExit(line, event);
    }
    return absl::OkStatus();
  }

  static absl::Status ReadSignal(const Json& line, TranscriptEvent* event) {
    const absl::StatusOr<int64_t> signal = GetInt(line, "signal", 1, SIGRTMAX);
    if (!signal.ok()) return signal.status();
    event->signal = static_cast<int>(*signal);
    const absl::StatusOr<std::string> name = GetString(line, "scope");
    if (!name.ok()) return name.status();
    const std::optional<TerminationScope> scope = ScopeOf(*name);
    if (!scope.has_value()) {
      return Bad("\"scope\" is not \"child\", \"group\" or \"tree\"");
    }
    event->scope = *scope;
    return absl::OkStatus();
  }
};

// ---- asciicast v2.

// Of what has no event of its own there, the text of a marker; and back. No
// mark of a program's own begins with kOurs: that one is written as ours.
std::string LabelOf(const TranscriptEvent& event) {
  switch (event.kind) {
    case Kind::kMark:
      return absl::StartsWith(event.data, kOurs)
                 ? absl::StrCat(kOurs, "mark ", ToUtf8(event.data))
                 : ToUtf8(event.data);
    case Kind::kLetters:
      return absl::StrCat(kOurs, "letters ", ToUtf8(event.data));
    case Kind::kSignal:
      return absl::StrCat(kOurs, "signal ", event.signal, " ",
                          NameOf(event.scope));
    case Kind::kExit:
      break;
    default:
      return absl::StrCat(kOurs, NameOf(event.kind));
  }
  if (!event.status.has_value()) {
    return absl::StrCat(kOurs, "unknown ", ToUtf8(event.data));
  }
  if (event.status->exited()) {
    return absl::StrCat(kOurs, "exit ", event.status->exit_code());
  }
  return absl::StrCat(kOurs,
                      event.status->core_dumped() ? "core_dumped " : "killed ",
                      event.status->term_signal());
}

bool InRange(absl::string_view text, int min, int max, int* number) {
  return absl::SimpleAtoi(text, number) && *number >= min && *number <= max;
}

// False: it is none of ours.
bool ReadOurs(absl::string_view text, TranscriptEvent* event) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(' ', 1));
  const auto& [word, rest] = parts;
  int number = 0;
  if (word == "mark" || word == "letters") {
    event->kind = *KindOf(word);
    event->data = std::string(rest);
  } else if (word == "signal") {
    const std::pair<absl::string_view, absl::string_view> signal =
        absl::StrSplit(rest, absl::MaxSplits(' ', 1));
    const std::optional<TerminationScope> scope = ScopeOf(signal.second);
    if (!InRange(signal.first, 1, SIGRTMAX, &number) || !scope.has_value()) {
      return false;
    }
    event->kind = Kind::kSignal;
    event->signal = number;
    event->scope = *scope;
  } else if (word == "exit" && InRange(rest, 0, 255, &number)) {
    event->kind = Kind::kExit;
    event->status = ExitStatus::Exited(number);
  } else if ((word == "killed" || word == "core_dumped") &&
             InRange(rest, 1, SIGRTMAX, &number)) {
    event->kind = Kind::kExit;
    event->status = ExitStatus::Signaled(number, word == "core_dumped");
  } else if (word == "unknown") {
    event->kind = Kind::kExit;
    event->data = std::string(rest);
  } else if (absl::EndsWith(word, "_closed") || word == "in_broken") {
    const std::optional<Kind> kind = KindOf(text);
    if (!kind.has_value()) return false;
    event->kind = *kind;
  } else {
    return false;
  }
  return true;
}

class AsciinemaWriter final : public TranscriptWriter {
 public:
  std::string Begin(const TranscriptHeader& header) override {
    const TerminalSize size = header.terminal.value_or(TerminalSize());
    Json line = {{"version", kAsciicastVersion},
                 {"width", size.columns},
                 {"height", size.rows},
                 {"timestamp", absl::ToUnixSeconds(header.start)},
                 {"command", ToUtf8(header.command)}};
    has_terminal_ = header.terminal.has_value();
    if (!has_terminal_) line["asyncproc"] = {{"terminal", false}};
    return absl::StrCat(Dump(line), "\n");
  }

  std::string Write(const TranscriptEvent& event) override {
    time_ = event.time;
    switch (event.kind) {
      case Kind::kIn:
        return Line("i", in_.Push(event.data));
      case Kind::kOut:
        return Shown(out_.Push(event.data));
      case Kind::kErr:
        return Shown(err_.Push(event.data));
      case Kind::kResize:
        return Line("r",
                    absl::StrCat(event.size.columns, "x", event.size.rows));
      case Kind::kExit:
        return absl::StrCat(End(), Label(event));
      case Kind::kOutClosed:
        return absl::StrCat(Shown(out_.Finish()), Label(event));
      case Kind::kErrClosed:
        return absl::StrCat(Shown(err_.Finish()), Label(event));
      case Kind::kInClosed:
      case Kind::kInBroken:
        return absl::StrCat(Line("i", in_.Finish()), Label(event));
      default:
        return Label(event);
    }
  }

  std::string End() override {
    return absl::StrCat(Line("i", in_.Finish()), Shown(out_.Finish()),
                        Shown(err_.Finish()));
  }

 private:
  std::string Shown(const std::string& text) const {
    return Line("o", has_terminal_
                         ? text
                         : absl::StrReplaceAll(text, {{"\n", "\r\n"}}));
  }

  // What is not there yet is no event.
  std::string Line(absl::string_view code, const std::string& text) const {
    return text.empty() ? "" : Event(code, text);
  }

  std::string Label(const TranscriptEvent& event) const {
    return Event("m", LabelOf(event));
  }

  std::string Event(absl::string_view code, const std::string& text) const {
    const int64_t micros = absl::ToInt64Microseconds(time_);
    return absl::StrFormat("[%d.%06d, \"%s\", %s]\n", micros / 1'000'000,
                           micros % 1'000'000, code, Dump(Json(text)));
  }

  bool has_terminal_ = true;
  absl::Duration time_;
  Utf8Joiner in_;
  Utf8Joiner out_;
  Utf8Joiner err_;
};

class AsciinemaReader final : public TranscriptReader {
 public:
  absl::Status ReadHeader(const Json& line, TranscriptHeader* header) {
    const Json* const version = Find(line, "version");
    if (!version->is_number_integer() || *version != kAsciicastVersion) {
      return Bad(absl::StrCat("is of asciicast version ",
                              Dump(*version).substr(0, kShown),
                              "; only 2 is known"));
    }
    const absl::StatusOr<TerminalSize> size = GetSize(line, "height", "width");
    if (!size.ok()) return size.status();
    if (const Json* const ours = Find(line, "asyncproc");
        ours != nullptr && ours->is_object()) {
      has_terminal_ = GetFlag(*ours, "terminal", true);
    }
    if (has_terminal_) header->terminal = *size;
    if (Find(line, "command") != nullptr) {
      absl::StatusOr<std::string> command = GetString(line, "command");
      if (!command.ok()) return command.status();
      header->command = *std::move(command);
    }
    if (Find(line, "timestamp") == nullptr) return absl::OkStatus();
    const absl::StatusOr<int64_t> timestamp =
        GetInt(line, "timestamp", -kMaxStartSeconds, kMaxStartSeconds);
    if (!timestamp.ok()) return timestamp.status();
    header->start = absl::FromUnixSeconds(*timestamp);
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Read(absl::string_view text,
                            TranscriptEvent* event) override {
    if (text.empty()) return false;
    const absl::StatusOr<Json> line = ParseLine(text);
    if (!line.ok()) return line.status();
    if (!line->is_array() || line->size() != 3) {
      return Bad("is no array of a time, a code and what happened");
    }
    if (!(*line)[0].is_number()) return Bad("begins with no number");
    const double micros = std::round((*line)[0].get<double>() * 1e6);
    if (!(micros >= 0) || micros > static_cast<double>(kMaxMicros)) {
      return Bad("has a time that is negative or too late");
    }
    event->time = absl::Microseconds(static_cast<int64_t>(micros));
    const auto* const code = (*line)[1].get_ptr<const std::string*>();
    if (code == nullptr) return Bad("has a code that is no string");
    const auto* const data = (*line)[2].get_ptr<const std::string*>();
    if (*code == "i" || *code == "o" || *code == "m" || *code == "r") {
      if (data == nullptr) {
        return Bad(absl::StrCat("has a \"", *code, "\" that is no string"));
      }
      return ReadEvent((*code)[0], *data, event);
    }
    return false;
  }

 private:
  absl::StatusOr<bool> ReadEvent(char code, const std::string& data,
                                 TranscriptEvent* event) const {
    switch (code) {
      case 'i':
        event->kind = Kind::kIn;
        event->data = data;
        return true;
      case 'o':
        event->kind = Kind::kOut;
        event->data =
            has_terminal_ ? data : absl::StrReplaceAll(data, {{"\r\n", "\n"}});
        return true;
      case 'r':
        return ReadResize(data, event);
      default:
        break;
    }
    absl::string_view label = data;
    if (!absl::ConsumePrefix(&label, kOurs) || !ReadOurs(label, event)) {
      event->kind = Kind::kMark;
      event->data = data;
    }
    return true;
  }

  static absl::StatusOr<bool> ReadResize(absl::string_view data,
                                         TranscriptEvent* event) {
    const std::pair<absl::string_view, absl::string_view> size =
        absl::StrSplit(data, absl::MaxSplits('x', 1));
    event->kind = Kind::kResize;
    if (!InRange(size.first, 0, kMaxSize, &event->size.columns) ||
        !InRange(size.second, 0, kMaxSize, &event->size.rows)) {
      return Bad("has a size that is not columns, \"x\" and rows");
    }
    return true;
  }

  bool has_terminal_ = true;
};

}  // namespace

std::unique_ptr<TranscriptWriter> NewJsonLinesWriter() {
  return std::make_unique<JsonLinesWriter>();
}

std::unique_ptr<TranscriptWriter> NewAsciinemaWriter() {
  return std::make_unique<AsciinemaWriter>();
}

absl::StatusOr<std::unique_ptr<TranscriptReader>> TranscriptReader::Begin(
    absl::string_view text, TranscriptHeader* header) {
  const absl::StatusOr<Json> line = ParseLine(text);
  if (!line.ok()) return line.status();
  if (!line->is_object() || (Find(*line, "transcript") == nullptr &&
                             Find(*line, "version") == nullptr)) {
    return Bad("is no header of a transcript, nor of an asciicast");
  }
  if (Find(*line, "transcript") != nullptr) {
    absl::Status status = JsonLinesReader::ReadHeader(*line, header);
    if (!status.ok()) return status;
    return std::make_unique<JsonLinesReader>();
  }
  auto reader = std::make_unique<AsciinemaReader>();
  if (absl::Status status = reader->ReadHeader(*line, header); !status.ok()) {
    return status;
  }
  return reader;
}

}  // namespace asyncproc::internal

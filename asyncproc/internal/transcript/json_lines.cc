#include "asyncproc/internal/transcript/json_lines.h"

#include <signal.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/transcript/json_members.h"
#include "asyncproc/internal/transcript/transcript_values.h"
#include "asyncproc/termination.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {
namespace {

using Kind = TranscriptEvent::Kind;

constexpr int64_t kVersion = 1;
constexpr int64_t kMaxStartMicros = kMaxStartSeconds * 1'000'000;

// ---- Writing

void PutSize(OrderedJson& object, const TerminalSize& size) {
  object["rows"] = size.rows;
  object["columns"] = size.columns;
}

void PutUsage(OrderedJson& object, const ResourceUsage& usage) {
  object["user_us"] = absl::ToInt64Microseconds(usage.user_time);
  object["system_us"] = absl::ToInt64Microseconds(usage.system_time);
  object["wall_us"] = absl::ToInt64Microseconds(usage.wall_time);
  object["max_rss_bytes"] = usage.max_rss_bytes;
}

void PutExit(OrderedJson& object, const TranscriptEvent& event) {
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

void PutEvent(OrderedJson& object, const TranscriptEvent& event) {
  switch (event.kind) {
    case Kind::kIn:
    case Kind::kOut:
    case Kind::kErr:
    case Kind::kLetters:
    case Kind::kSent:
    case Kind::kReceived:
    case Kind::kMark:
      PutBytes(object, "data", event.data);
      break;
    case Kind::kSignal:
      object["signal"] = event.signal;
      object["scope"] = std::string(NameOf(event.scope));
      break;
    case Kind::kResize:
      PutSize(object, event.size);
      break;
    case Kind::kExit:
      PutExit(object, event);
      break;
    case Kind::kInClosed:
    case Kind::kInBroken:
    case Kind::kOutClosed:
    case Kind::kErrClosed:
      break;
  }
}

class JsonLinesWriter final : public TranscriptWriter {
 public:
  std::string Begin(const TranscriptHeader& header) override {
    OrderedJson line = {{"transcript", kVersion}};
    PutBytes(line, "command", header.command);
    line["start_us"] = absl::ToUnixMicros(header.start);
    if (header.terminal.has_value()) {
      PutSize(line["terminal"], *header.terminal);
    }
    return absl::StrCat(FormatJson(line), "\n");
  }

  std::string Write(const TranscriptEvent& event) override {
    OrderedJson line = {{"us", absl::ToInt64Microseconds(event.time)},
                        {"event", std::string(NameOf(event.kind))}};
    PutEvent(line, event);
    return absl::StrCat(FormatJson(line), "\n");
  }
};

// ---- Reading

absl::Duration GetMicros(JsonMembers& members, absl::string_view key) {
  return absl::Microseconds(members.Int(key, 0, kMaxMicros));
}

int GetSignal(JsonMembers& members) {
  return static_cast<int>(members.Int("signal", 1, SIGRTMAX));
}

TerminalSize GetSize(JsonMembers& members) {
  TerminalSize size;
  size.rows = static_cast<int>(members.Int("rows", 0, kMaxTerminalSize));
  size.columns = static_cast<int>(members.Int("columns", 0, kMaxTerminalSize));
  return size;
}

Kind GetKind(JsonMembers& members) {
  const std::string name = members.String("event");
  const std::optional<Kind> kind = KindOf(name);
  if (!kind.has_value()) {
    members.Fail(absl::StrCat("knows no event \"", Excerpt(name), "\""));
  }
  return kind.value_or(Kind::kMark);
}

TerminationScope GetScope(JsonMembers& members) {
  const std::optional<TerminationScope> scope =
      ScopeOf(members.String("scope"));
  if (!scope.has_value()) {
    members.Fail("\"scope\" is not \"child\", \"group\" or \"tree\"");
  }
  return scope.value_or(TerminationScope::kChild);
}

// Each member may be missing.
ResourceUsage GetUsage(JsonMembers& members) {
  const auto micros = [&members](absl::string_view key) {
    return absl::Microseconds(members.IntOr(key, 0, kMaxMicros, 0));
  };
  ResourceUsage usage;
  usage.user_time = micros("user_us");
  usage.system_time = micros("system_us");
  usage.wall_time = micros("wall_us");
  usage.max_rss_bytes = members.IntOr("max_rss_bytes", 0, INT64_MAX, 0);
  return usage;
}

void GetExit(JsonMembers& members, TranscriptEvent* event) {
  if (members.Has("code")) {
    event->status = ExitStatus::Exited(
        static_cast<int>(members.Int("code", 0, kMaxExitCode)));
  } else if (members.Has("signal")) {
    event->status = ExitStatus::Signaled(GetSignal(members),
                                         members.BoolOr("core_dumped", false));
  } else if (members.HasBytes("unknown")) {
    event->data = members.Bytes("unknown");
    return;
  } else {
    members.Fail("has no \"code\", \"signal\" or \"unknown\"");
    return;
  }
  event->status->set_output_complete(members.BoolOr("output_complete", true));
  event->status->set_usage(GetUsage(members));
}

void GetEvent(JsonMembers& members, TranscriptEvent* event) {
  event->time = GetMicros(members, "us");
  event->kind = GetKind(members);
  switch (event->kind) {
    case Kind::kIn:
    case Kind::kOut:
    case Kind::kErr:
    case Kind::kLetters:
    case Kind::kSent:
    case Kind::kReceived:
    case Kind::kMark:
      event->data = members.Bytes("data");
      break;
    case Kind::kSignal:
      event->signal = GetSignal(members);
      event->scope = GetScope(members);
      break;
    case Kind::kResize:
      event->size = GetSize(members);
      break;
    case Kind::kExit:
      GetExit(members, event);
      break;
    case Kind::kInClosed:
    case Kind::kInBroken:
    case Kind::kOutClosed:
    case Kind::kErrClosed:
      break;
  }
}

void GetHeader(JsonMembers& members, TranscriptHeader* header) {
  members.Int("transcript", kVersion, kVersion);
  header->command = members.Bytes("command");
  header->start = absl::FromUnixMicros(
      members.Int("start_us", -kMaxStartMicros, kMaxStartMicros));
  if (const Json* const object = members.ObjectIfAny("terminal")) {
    JsonMembers terminal(*object);
    header->terminal = GetSize(terminal);
    members.Update(terminal.status());
  }
}

class JsonLinesReader final : public TranscriptReader {
 public:
  absl::Status Begin(absl::string_view text,
                     TranscriptHeader* header) override {
    const absl::StatusOr<Json> line = ParseJson(text);
    if (!line.ok()) return line.status();
    JsonMembers members(*line);
    GetHeader(members, header);
    return members.status();
  }

  absl::StatusOr<bool> Read(absl::string_view text,
                            TranscriptEvent* event) override {
    if (text.empty()) return false;
    const absl::StatusOr<Json> line = ParseJson(text);
    if (!line.ok()) return line.status();
    if (!line->is_object()) return absl::InvalidArgumentError("is no object");
    JsonMembers members(*line);
    GetEvent(members, event);
    if (!members.status().ok()) return members.status();
    return true;
  }
};

}  // namespace

std::unique_ptr<TranscriptWriter> NewJsonLinesWriter() {
  return std::make_unique<JsonLinesWriter>();
}

std::unique_ptr<TranscriptReader> NewJsonLinesReader() {
  return std::make_unique<JsonLinesReader>();
}

}  // namespace asyncproc::internal

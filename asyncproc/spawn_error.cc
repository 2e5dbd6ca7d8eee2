#include "asyncproc/spawn_error.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace asyncproc {
namespace {

constexpr absl::string_view kPayloadUrl = "asyncproc/SpawnFailure";

}  // namespace

absl::string_view SpawnStageName(SpawnStage stage) {
  switch (stage) {
    case SpawnStage::kNone:
      return "none";
    case SpawnStage::kPipe:
      return "pipe";
    case SpawnStage::kOpen:
      return "open";
    case SpawnStage::kThread:
      return "thread";
    case SpawnStage::kClone:
      return "clone";
    case SpawnStage::kSession:
      return "setsid";
    case SpawnStage::kProcessGroup:
      return "setpgid";
    case SpawnStage::kTerminal:
      return "terminal";
    case SpawnStage::kDescriptors:
      return "descriptors";
    case SpawnStage::kClose:
      return "close";
    case SpawnStage::kRlimits:
      return "setrlimit";
    case SpawnStage::kNice:
      return "nice";
    case SpawnStage::kGroups:
      return "setgroups";
    case SpawnStage::kGroup:
      return "setgid";
    case SpawnStage::kUser:
      return "setuid";
    case SpawnStage::kDirectory:
      return "chdir";
    case SpawnStage::kParentDeath:
      return "die_with_parent";
    case SpawnStage::kSignals:
      return "signals";
    case SpawnStage::kExec:
      return "exec";
  }
  return "unknown";
}

std::ostream& operator<<(std::ostream& out, SpawnStage stage) {
  return out << SpawnStageName(stage);
}

std::optional<SpawnFailure> GetSpawnFailure(const absl::Status& status) {
  const std::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  const std::string text(*payload);
  const std::pair<absl::string_view, absl::string_view> fields =
      absl::StrSplit(text, ' ');
  int stage;
  SpawnFailure failure;
  if (!absl::SimpleAtoi(fields.first, &stage) ||
      !absl::SimpleAtoi(fields.second, &failure.error_number)) {
    return std::nullopt;
  }
  failure.stage = static_cast<SpawnStage>(stage);
  return failure;
}

void SetSpawnFailure(const SpawnFailure& failure, absl::Status* status) {
  status->SetPayload(
      kPayloadUrl, absl::Cord(absl::StrCat(static_cast<int>(failure.stage), " ",
                                           failure.error_number)));
}

}  // namespace asyncproc

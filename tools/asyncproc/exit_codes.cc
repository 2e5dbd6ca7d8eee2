#include "tools/asyncproc/exit_codes.h"

#include "asyncproc/spawn_error.h"

namespace asyncproc::cli {

int ExitCodeOfFailedStart(const absl::Status& status) {
  const auto failure = GetSpawnFailure(status);
  // A failure before exec is the tool's own.
  if (!failure.has_value() || failure->stage != SpawnStage::kExec) {
    return kOwnFailure;
  }
  return absl::IsNotFound(status) ? kNotFound : kNotExecutable;
}

}  // namespace asyncproc::cli

#ifndef ASYNCPROC_SPAWN_ERROR_H_
#define ASYNCPROC_SPAWN_ERROR_H_

#include <optional>
#include <ostream>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace asyncproc {

// The step at which starting a child failed.
enum class SpawnStage {
  kNone,          // It did not fail.
  kPipe,          // Making a pipe or an event descriptor, in the host.
  kOpen,          // Opening a file that a stream was redirected to.
  kThread,        // Starting a thread of the host for the child.
  kClone,         // Making the process.
  kSession,       // setsid
  kProcessGroup,  // setpgid
  kTerminal,      // Making a pseudo-terminal, in the host, or making it the
                  // controlling one, in the child.
  kDescriptors,   // Putting descriptors at their numbers in the child.
  kClose,         // Closing all other descriptors.
  kRlimits,       // setrlimit
  kNice,          // setpriority
  kGroup,         // setgid
  kGroups,        // setgroups
  kUser,          // setuid
  kDirectory,     // chdir
  kParentDeath,   // Asking to be ended with the host.
  kSignals,       // Resetting signals.
  kExec,          // execve
};

// "pipe", "setuid", "exec" ...: the name in messages.
absl::string_view SpawnStageName(SpawnStage stage);

std::ostream& operator<<(std::ostream& out, SpawnStage stage);

// Data of the status of a failed start, beyond its code and message:
//
//   auto process = asyncproc::Process::Spawn(command);
//   if (auto failure = asyncproc::GetSpawnFailure(process.status())) {
//     if (failure->stage == asyncproc::SpawnStage::kExec &&
//         failure->error_number == ENOEXEC) ...
//   }
struct SpawnFailure {
  SpawnStage stage = SpawnStage::kNone;
  int error_number = 0;  // An errno.
};

// Returns nothing when `status` is not that of a failed start.
std::optional<SpawnFailure> GetSpawnFailure(const absl::Status& status);

// Adds `failure` to `status`. For this library's own use and for test doubles.
void SetSpawnFailure(const SpawnFailure& failure, absl::Status* status);

}  // namespace asyncproc

#endif  // ASYNCPROC_SPAWN_ERROR_H_

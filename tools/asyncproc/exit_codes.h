#ifndef ASYNCPROC_TOOLS_ASYNCPROC_EXIT_CODES_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_EXIT_CODES_H_

#include "absl/status/status.h"
#include "asyncproc/exit_status.h"

namespace asyncproc::cli {

// What the tool itself ends with: as the timeout of coreutils and the parallel
// of GNU do. Any other is that of the command.
enum ExitCode : int {
  kSuccess = 0,
  kTimedOut = 124,       // A time limit ended the command.
  kOwnFailure = 125,     // The tool failed: a wrong option, say.
  kNotExecutable = 126,  // The command is there, but cannot be run.
  kNotFound = 127,       // There is no such command.
  kSignalBase = 128,     // Plus the signal that killed the command.
};

// That of a command that ended by itself: its own, or 128 + the signal.
inline int ExitCodeOf(const ExitStatus& status) { return status.ShellCode(); }

// That of a command that was not started, by the error of Process::Spawn.
int ExitCodeOfFailedStart(const absl::Status& status);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_EXIT_CODES_H_

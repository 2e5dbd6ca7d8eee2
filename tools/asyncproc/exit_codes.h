#ifndef ASYNCPROC_TOOLS_ASYNCPROC_EXIT_CODES_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_EXIT_CODES_H_

#include "absl/status/status.h"
#include "asyncproc/exit_status.h"

namespace asyncproc::cli {

// The exit statuses of the tool itself, as those of timeout (coreutils) and GNU
// parallel. Any other status is that of the command.
enum ExitCode : int {
  kSuccess = 0,
  kTimedOut = 124,       // A time limit ended the command.
  kOwnFailure = 125,     // The tool failed: a wrong option, say.
  kNotExecutable = 126,  // The command exists but cannot be run.
  kNotFound = 127,       // The command does not exist.
  kSignalBase = 128,     // Plus the signal that killed the command.
};

// The status of a command that ended by itself: its own, or 128 + the signal.
inline int ExitCodeOf(const ExitStatus& status) { return status.ShellCode(); }

// The status of a command that did not start, by the error of Process::Spawn.
int ExitCodeOfFailedStart(const absl::Status& status);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_EXIT_CODES_H_

#ifndef ASYNCPROC_INTERNAL_PROC_SIGNAL_ACTION_H_
#define ASYNCPROC_INTERNAL_PROC_SIGNAL_ACTION_H_

#include <sys/types.h>

namespace asyncproc::internal {

// The reaction of another process to a signal.
enum class SignalAction {
  kUnknown,  // No such signal or process, or not visible to this process.
  kDefault,
  kIgnored,
  kCaught,   // By a handler.
  kBlocked,  // By a handler, which may be running: it blocks further ones.
  kPending,  // One is still to be taken.
};

SignalAction ReadSignalAction(pid_t pid, int signal);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_SIGNAL_ACTION_H_

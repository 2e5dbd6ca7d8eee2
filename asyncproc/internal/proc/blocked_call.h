#ifndef ASYNCPROC_INTERNAL_PROC_BLOCKED_CALL_H_
#define ASYNCPROC_INTERNAL_PROC_BLOCKED_CALL_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace asyncproc::internal {

// The system call that blocks a thread of another process.
struct BlockedCall {
  enum class Kind {
    kRead,   // From `fds`; poll and similar calls have several.
    kWrite,  // To `fds`.
    kChild,
    kSleep,
    kLock,  // Of the process itself: usually another thread holds it.
    kFileLock,
    kSignal,
    kConnection,  // Accepting or making a connection on `fds`.
    kOpen,
    kEvent,  // Of epoll, or of a poll with unreadable descriptors.
    kOther,
  };

  Kind kind = Kind::kOther;
  std::vector<int> fds;
  pid_t child = 0;   // kChild: the child it waits for, if a specific one.
  long number = -1;  // As in <sys/syscall.h>.
};

// Returns nothing when the thread is in no system call, is not visible to this
// process, or does not exist.
std::optional<BlockedCall> ReadBlockedCall(pid_t pid, pid_t thread);

// The kernel function in which the process waits; "" for none, or when it is
// not visible to this process.
std::string ReadWaitChannel(pid_t pid);

// The process that traces `pid`, such as a debugger; 0: none.
pid_t ReadTracer(pid_t pid);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_BLOCKED_CALL_H_

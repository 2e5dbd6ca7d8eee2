#ifndef ASYNCPROC_INTERNAL_PROC_BLOCKED_CALL_H_
#define ASYNCPROC_INTERNAL_PROC_BLOCKED_CALL_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace asyncproc::internal {

// The system call in which a thread of another process waits.
struct BlockedCall {
  enum class Kind {
    kRead,   // From `fds`, of which poll and the like have several.
    kWrite,  // To `fds`.
    kChild,
    kSleep,
    kLock,  // Of its own: for another thread, as a rule.
    kFileLock,
    kSignal,
    kConnection,  // To come, or to be made, on `fds`.
    kOpen,
    kEvent,  // Of epoll, or of a poll whose descriptors we may not see.
    kOther,
  };

  Kind kind = Kind::kOther;
  std::vector<int> fds;
  pid_t child = 0;   // kChild: the one it waits for, if that is a certain one.
  long number = -1;  // As in <sys/syscall.h>.
};

// Nothing when it waits in no call, or we may not see it, or there is no such
// thread.
std::optional<BlockedCall> ReadBlockedCall(pid_t pid, pid_t thread);

// Its threads, the first one first.
std::vector<pid_t> ListThreads(pid_t pid);

// What its descriptor leads to, as "pipe:[123]" or a path; "": nothing, or we
// may not see it.
std::string DescriptorTarget(pid_t pid, int fd);

// The kernel's function that it waits in; "": none, or we may not see it.
std::string ReadWaitChannel(pid_t pid);

// Who traces it, a debugger say; 0: nobody.
pid_t ReadTracer(pid_t pid);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_BLOCKED_CALL_H_

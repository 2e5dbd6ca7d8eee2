#ifndef ASYNCPROC_TOOLS_ASYNCPROC_GUARD_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_GUARD_H_

#include <sys/types.h>

#include <string>

#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// The environment variable by which processes of a run of the tool are known,
// and what is in its value.
inline constexpr char kMarkVariable[] = "ASYNCPROC_MARK";

// Sends `signal` to `pid`, if it is a process that has `mark` in kMarkVariable
// of the environment that it was started with. REQUIRES: ProcIsOurs().
void SignalMarked(pid_t pid, const std::string& mark, int signal);

// A small process that waits for the end of this one. When the tool is killed
// by SIGKILL, so that it can end nothing itself, the guard ends every process
// that has `mark` in kMarkVariable: by SIGTERM, and after a second by SIGKILL.
// A process that has cleared its environment, or whose environment may not be
// read, is not found.
//
// Ownership: the destructor dismisses the guard, which then touches nothing,
// and waits for its end, which takes microseconds.
class Guard {
 public:
  // Without a guard when there is no further process to be had, or when this
  // is process 1: the kernel ends all others with that one.
  // REQUIRES: there is no other thread.
  explicit Guard(std::string mark);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // 0: there is no guard.
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  UniqueFd lifeline_;  // The guard notices that it is closed.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_GUARD_H_

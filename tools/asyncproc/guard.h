#ifndef ASYNCPROC_TOOLS_ASYNCPROC_GUARD_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_GUARD_H_

#include <sys/types.h>

#include <string>

#include "tools/asyncproc/control_group.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// The environment variable whose value has the mark of each run of the tool
// that the process belongs to.
inline constexpr char kMarkVariable[] = "ASYNCPROC_MARK";

// Sends `signal` to `pid` if that process was started with `mark` in the
// variable kMarkVariable. REQUIRES: ProcIsOurs().
void SignalMarked(pid_t pid, const std::string& mark, int signal);

// A small process that waits for the end of this one. If the tool is killed by
// SIGKILL, so that it cannot end its processes itself, the guard ends every
// process that has `mark` in kMarkVariable: by SIGTERM, and after a second by
// SIGKILL. The guard does not find a process that has cleared its environment,
// or whose environment it may not read; a ControlGroup has these processes,
// too.
//
// Ownership: the destructor dismisses the guard, which then signals no process,
// and waits for its end, which takes microseconds.
class Guard {
 public:
  // Starts no guard if the system has no room for a process, or if this is
  // process 1, whose end makes the kernel kill all others.
  // `group`: the control group of the tool, or null; used by this call alone.
  // REQUIRES: there is no other thread.
  Guard(std::string mark, const ControlGroup* group);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // The guard ends and signals no process any more.
  void Dismiss();

  // 0: there is no guard.
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  bool dismissed_ = false;
  UniqueFd lifeline_;  // Its end-of-file tells the guard that the tool is gone.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_GUARD_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_JOB_CONTROL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_JOB_CONTROL_H_

#include <sys/types.h>

#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// What a shell does for its jobs, as far as the tool has to do it for a
// command.

// Stops this process as Ctrl-Z does, and returns when it is continued. Does
// nothing where no shell could continue it: the kernel knows.
// REQUIRES: SIGTSTP is blocked in every thread, and has its default action.
void StopSelf();

// Lends the terminal to the process group of a command, so that the command may
// read what is typed, and gets Ctrl-C and Ctrl-Z.
//
// Thread safety: as a struct. Ownership: the destructor takes the terminal
// back.
class Foreground {
 public:
  Foreground();
  ~Foreground() { TakeBack(); }
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;

  // Whether the process group of the tool has the terminal now.
  bool ours() const;

  // Gives the terminal to `group`, if it is ours, and continues the group,
  // which may have tried to read already.
  void Lend(pid_t group);
  // Does nothing unless it is lent.
  void TakeBack();
  bool lent() const { return group_ != 0; }

 private:
  void Set(pid_t group) const;

  const UniqueFd terminal_;
  pid_t group_ = 0;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_JOB_CONTROL_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_JOB_CONTROL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_JOB_CONTROL_H_

#include <sys/types.h>

#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// The part of a shell's job control that the tool does for a command.

// Stops this process as Ctrl-Z does, and returns when it is continued: at once
// if a SIGCONT is pending. Does nothing where no shell could continue the
// process: the kernel knows that.
// REQUIRES: SIGTSTP is blocked in every thread, and has its default action.
void StopSelf();

// Whether `terminal` is the terminal of this session, and another process group
// is its foreground group: a shell, say.
bool InBackground(int terminal);

// Lends the terminal to the process group of a command, so that the command may
// read from the terminal, and receives Ctrl-C and Ctrl-Z.
//
// Thread safety: as a struct. Ownership: the destructor takes the terminal
// back.
class Foreground {
 public:
  Foreground();
  ~Foreground() { TakeBack(); }
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;

  // Whether the tool has a terminal.
  bool HasTerminal() const { return terminal_.valid(); }
  // Whether the process group of the tool is the terminal's foreground group.
  bool ours() const;

  // Makes `group` the foreground group if the tool's own group is, and
  // continues `group`, which SIGTTIN may have stopped by now.
  void Lend(pid_t group);
  // Does nothing unless the terminal is lent.
  void TakeBack();
  bool lent() const { return group_ != 0; }

 private:
  void Set(pid_t group) const;

  const UniqueFd terminal_;
  pid_t group_ = 0;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_JOB_CONTROL_H_

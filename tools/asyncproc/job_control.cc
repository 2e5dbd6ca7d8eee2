#include "tools/asyncproc/job_control.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tools/asyncproc/os/open_file.h"

namespace asyncproc::cli {

void StopSelf() {
  sigset_t pending;
  // A stop signal would discard the SIGCONT.
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGCONT) == 1) return;
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  pthread_sigmask(SIG_UNBLOCK, &stop, &before);
  // The signal is for this thread alone: a thread that reads a signalfd could
  // take a signal for the process before this thread stops.
  pthread_kill(pthread_self(), SIGTSTP);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool InBackground(int terminal) {
  const pid_t group = tcgetpgrp(terminal);
  return group > 0 && group != getpgrp();
}

Foreground::Foreground() : terminal_(OpenFile("/dev/tty", O_RDWR | O_NOCTTY)) {}

bool Foreground::ours() const {
  return terminal_.valid() && tcgetpgrp(terminal_.get()) == getpgrp();
}

void Foreground::Lend(pid_t group) {
  if (!ours()) return;
  group_ = group;
  Set(group);
  kill(-group, SIGCONT);
}

void Foreground::TakeBack() {
  if (!lent()) return;
  // Another program may have the terminal by now: the shell, if this job is in
  // its background.
  const pid_t holder = tcgetpgrp(terminal_.get());
  if (holder == group_ || (holder > 0 && kill(-holder, 0) != 0)) {
    Set(getpgrp());
  }
  group_ = 0;
}

// SIGTTOU stops a background process that calls tcsetpgrp, unless the signal is
// blocked.
void Foreground::Set(pid_t group) const {
  sigset_t output, before;
  sigemptyset(&output);
  sigaddset(&output, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &output, &before);
  tcsetpgrp(terminal_.get(), group);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace asyncproc::cli

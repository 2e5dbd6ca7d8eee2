#include "tools/asyncproc/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/os/proc.h"

namespace asyncproc::cli {

namespace {

constexpr absl::Duration kGentle = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr absl::Duration kPeriod = absl::Milliseconds(20);

// Closes all descriptors but `fd`, so that no reader waits for the guard.
void CloseAllBut(int fd) {
  const auto close_range = [](unsigned first, unsigned last) {
    return first > last || syscall(SYS_close_range, first, last, 0) == 0;
  };
  const auto kept = static_cast<unsigned>(fd);
  if ((kept == 0 || close_range(0, kept - 1)) && close_range(kept + 1, ~0U)) {
    return;
  }
  for (int open : ProcNumbers("/proc/self/fd")) {
    if (open != fd) close(open);
  }
}

void EndAllMarked(const std::string& mark) {
  const absl::Time start = MonotonicNow();
  bool asked = false;
  for (int without = 0; without < 2; absl::SleepFor(kPeriod)) {
    if (!ProcIsOurs() || MonotonicNow() - start > kPatience) return;
    const bool hard = MonotonicNow() - start > kGentle;
    bool found = false;
    for (int pid : ProcNumbers("/proc")) {
      if (pid == getpid() || !HasInEnvironment(pid, kMarkVariable, mark)) {
        continue;
      }
      found = true;
      if (!asked || hard) {
        SignalMarked(pid, mark, hard ? SIGKILL : SIGTERM);
        SignalMarked(pid, mark, SIGCONT);
      }
    }
    asked = asked || found;
    without = found ? 0 : without + 1;
  }
}

// REQUIRES: all signals are blocked.
[[noreturn]] void WatchAndEnd(int lifeline, const std::string& mark,
                              const ControlGroup* group) {
  // Out of reach of the terminal, and of a signal to the tool's group.
  setsid();
  prctl(PR_SET_NAME, "asyncproc-guard");
  CloseAllBut(lifeline);
  if (chdir("/") != 0) _exit(1);
  if (group != nullptr) group->Leave();
  char dismissal;
  ssize_t size;
  do {
    size = read(lifeline, &dismissal, 1);
  } while (size < 0 && errno == EINTR);
  if (size == 0) EndAllMarked(mark);
  if (size == 0 && group != nullptr) group->KillAll();
  _exit(0);
}

}  // namespace

// The descriptor keeps the process's number from reuse while the environment is
// read.
void SignalMarked(pid_t pid, const std::string& mark, int signal) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const bool unknown = !process.valid() && (errno == ENOSYS || errno == EPERM);
  if (!HasInEnvironment(pid, kMarkVariable, mark)) return;
  if (process.valid()) {
    syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
  } else if (unknown) {
    kill(pid, signal);
  }
}

Guard::Guard(std::string mark, const ControlGroup* group) {
  int ends[2];
  if (getpid() == 1 || pipe2(ends, O_CLOEXEC) != 0) return;
  UniqueFd lifeline(ends[0]);
  lifeline_.Reset(ends[1]);
  // A signal to the tool's group, such as SIGTTIN when the command reads from
  // the terminal in the background, must not stop or end the guard.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_ = fork();
  if (pid_ == 0) {
    lifeline_.Reset();
    WatchAndEnd(lifeline.get(), mark, group);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) pid_ = 0;
}

void Guard::Dismiss() {
  if (pid_ == 0 || std::exchange(dismissed_, true)) return;
  while (write(lifeline_.get(), "", 1) < 0 && errno == EINTR) {
  }
}

Guard::~Guard() {
  if (pid_ == 0) return;
  Dismiss();
  // No mask blocks SIGSTOP.
  kill(pid_, SIGCONT);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace asyncproc::cli

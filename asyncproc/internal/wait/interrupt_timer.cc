#include "asyncproc/internal/wait/interrupt_timer.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "absl/synchronization/mutex.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/per_process.h"

// Missing in older glibc.
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace asyncproc::internal {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(5);

// The signal only has to interrupt a system call.
void DoNothing(int) {}

bool IsOurs(int signal) {
  struct sigaction action;
  return sigaction(signal, nullptr, &action) == 0 &&
         (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == DoNothing;
}

bool IsUnused(int signal) {
  struct sigaction action;
  return sigaction(signal, nullptr, &action) == 0 &&
         (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

bool TakeSignal(int signal) {
  // No SA_RESTART, so that calls fail with EINTR. SA_ONSTACK, for small stacks.
  struct sigaction action = {};
  action.sa_handler = DoNothing;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, nullptr) == 0;
}

// Returns the signal in use; 0 when none is available. Searches from the high
// end: programs that use certain signals mostly count up from SIGRTMIN.
int ChooseSignal() {
  static PerProcess<absl::Mutex> mutex;
  static std::atomic<int> chosen{0};
  MutexLock lock(mutex.Get());
  // The host may have set its own handler since; the signal is the host's then.
  if (chosen != 0 && IsOurs(chosen)) return chosen;
  for (int signal = SIGRTMAX - 1; signal > SIGRTMIN; --signal) {
    if (IsUnused(signal) && TakeSignal(signal)) {
      chosen = signal;
      return signal;
    }
  }
  return 0;
}

itimerspec Schedule(absl::Time when) {
  itimerspec schedule = {};
  // Zero would disarm the timer.
  schedule.it_value = absl::ToTimespec(
      std::max(when - absl::UnixEpoch(), absl::Nanoseconds(1)));
  schedule.it_interval = absl::ToTimespec(kInterval);
  return schedule;
}

}  // namespace

absl::Status InterruptTimer::Start(absl::Time when) {
  signal_ = ChooseSignal();
  if (signal_ == 0) {
    return absl::ResourceExhaustedError(
        "the program uses all real-time signals: none is left for a timer");
  }
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signal_;
  event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
  if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) {
    return absl::ResourceExhaustedError(
        absl::ErrnoToStatus(errno, "cannot make a timer").message());
  }
  running_ = true;

  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, signal_);
  pthread_sigmask(SIG_UNBLOCK, &set, &before);
  unblocked_ = sigismember(&before, signal_) == 1;

  const itimerspec schedule = Schedule(when);
  if (timer_settime(timer_, TIMER_ABSTIME, &schedule, nullptr) != 0) {
    return absl::ErrnoToStatus(errno, "cannot set a timer");
  }
  return absl::OkStatus();
}

InterruptTimer::~InterruptTimer() {
  if (!running_) return;
  const int error = errno;
  timer_delete(timer_);
  // A signal in transit has arrived by now, since it was not blocked.
  if (unblocked_) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
  errno = error;
}

}  // namespace asyncproc::internal

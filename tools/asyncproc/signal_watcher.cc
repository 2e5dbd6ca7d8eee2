#include "tools/asyncproc/signal_watcher.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "tools/asyncproc/exit_codes.h"

namespace asyncproc::cli {

namespace {

bool IsIgnored(int signal) {
  struct sigaction action;
  return sigaction(signal, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

// The kernel itself sends other signals, too: SIGALRM of a timer, and SIGXCPU.
bool IsFromTerminal(const signalfd_siginfo& info) {
  switch (info.ssi_signo) {
    case SIGINT:
    case SIGQUIT:
    case SIGHUP:
    case SIGTSTP:
    case SIGCONT:
    case SIGWINCH:
      return info.ssi_code == SI_KERNEL;
    default:
      return false;
  }
}

}  // namespace

std::atomic<uint64_t> SignalWatcher::received_{0};

std::vector<int> SignalWatcher::EndingSignals() {
  std::vector<int> signals = {SIGINT,    SIGTERM, SIGHUP,   SIGQUIT, SIGUSR1,
                              SIGUSR2,   SIGALRM, SIGPROF,  SIGXCPU, SIGIO,
                              SIGVTALRM, SIGPWR,  SIGSTKFLT};
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
    signals.push_back(signal);
  }
  return signals;
}

absl::StatusOr<std::unique_ptr<SignalWatcher>> SignalWatcher::Start(
    std::vector<int> signals, Callback callback, Orphans* orphans) {
  sigset_t watched;
  sigemptyset(&watched);
  for (int signal : signals) {
    if (!IsIgnored(signal)) sigaddset(&watched, signal);
  }
  if (orphans != nullptr) sigaddset(&watched, SIGCHLD);
  sigset_t blocked = watched;
  sigaddset(&blocked, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  UniqueFd signal_fd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd.valid()) return absl::ErrnoToStatus(errno, "signalfd");
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  auto watcher = absl::WrapUnique(new SignalWatcher(
      std::move(signal_fd), std::move(stop), std::move(callback), orphans));
  auto thread =
      Thread::Start("signals", [self = watcher.get()] { self->Watch(); });
  if (!thread.ok()) return thread.status();
  watcher->thread_ = *std::move(thread);
  return watcher;
}

SignalWatcher::SignalWatcher(UniqueFd signals, UniqueFd stop, Callback callback,
                             Orphans* orphans)
    : signals_(std::move(signals)),
      stop_(std::move(stop)),
      callback_(std::move(callback)),
      orphans_(orphans) {}

SignalWatcher::~SignalWatcher() {
  eventfd_write(stop_.get(), 1);
  thread_.Join();
}

void SignalWatcher::Watch() {
  while (true) {
    const absl::Duration rest =
        orphans_ == nullptr ? absl::InfiniteDuration() : orphans_->Tick();
    const int timeout =
        rest == absl::InfiniteDuration()
            ? -1
            : static_cast<int>(absl::ToInt64Milliseconds(rest)) + 1;
    pollfd ready[] = {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(ready, 2, timeout);
    if (ready[1].revents != 0) return;
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number == SIGCHLD) {
        orphans_->OnChildSignal();
      } else {
        received_ |= uint64_t{1} << (number - 1);
        callback_({number, IsFromTerminal(info)});
      }
    }
  }
}

void EndBySignal(int code) {
  const int number = code - kSignalBase;
  const std::vector<int> ending = SignalWatcher::EndingSignals();
  if (std::find(ending.begin(), ending.end(), number) == ending.end() ||
      !SignalWatcher::HasReceived(number)) {
    return;
  }
  prctl(PR_SET_DUMPABLE, 0);  // No core file.
  signal(number, SIG_DFL);
  raise(number);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace asyncproc::cli

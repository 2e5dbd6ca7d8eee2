#include "tools/asyncproc/signal_watcher.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"

namespace asyncproc::cli {

namespace {

bool IsIgnored(int signal) {
  struct sigaction action;
  return sigaction(signal, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

std::vector<int> SignalWatcher::EndingSignals() {
  return {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
}

absl::StatusOr<std::unique_ptr<SignalWatcher>> SignalWatcher::Start(
    std::vector<int> signals, Callback callback) {
  sigset_t watched;
  sigemptyset(&watched);
  for (int signal : signals) {
    if (!IsIgnored(signal)) sigaddset(&watched, signal);
  }
  sigset_t blocked = watched;
  sigaddset(&blocked, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  const int signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd < 0) return absl::ErrnoToStatus(errno, "signalfd");
  const int stop = eventfd(0, EFD_CLOEXEC);
  if (stop < 0) {
    const int error = errno;
    close(signal_fd);
    return absl::ErrnoToStatus(error, "eventfd");
  }
  return absl::WrapUnique(
      new SignalWatcher(signal_fd, stop, std::move(callback)));
}

SignalWatcher::SignalWatcher(int signals, int stop, Callback callback)
    : signals_(signals),
      stop_(stop),
      callback_(std::move(callback)),
      thread_([this] { Watch(); }) {}

SignalWatcher::~SignalWatcher() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(signals_);
  close(stop_);
}

void SignalWatcher::Watch() {
  while (true) {
    pollfd ready[] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
    poll(ready, 2, -1);
    if (ready[1].revents != 0) return;
    signalfd_siginfo info;
    while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
      callback_({static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL});
    }
  }
}

}  // namespace asyncproc::cli

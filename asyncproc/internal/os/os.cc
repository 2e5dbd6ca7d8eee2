#include "asyncproc/internal/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "asyncproc/internal/os/per_process.h"

extern "C" int __clone(int (*entry)(void*), void* stack, int flags, void* arg,
                       ...);

namespace asyncproc::internal {
namespace {

std::atomic<Os*> replacement{nullptr};

// Returns null for "no limit". Otherwise at most a month, so that no kernel
// interface overflows: callers check their deadline again when they wake.
timespec* ToTimeout(absl::Time deadline, timespec* timeout) {
  if (deadline == absl::InfiniteFuture()) return nullptr;
  absl::Duration left = deadline - MonotonicNow();
  left = std::clamp(left, absl::ZeroDuration(), absl::Hours(24 * 30));
  *timeout = absl::ToTimespec(left);
  return timeout;
}

}  // namespace

int Os::Pipe2(int fds[2], int flags) { return pipe2(fds, flags); }

int Os::SocketPair(int fds[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

int Os::Open(const char* path, int flags, mode_t mode) {
  return open(path, flags, mode);
}

int Os::EventFd() { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int Os::TimerFd() {
  return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

int Os::Duplicate(int fd, int min) { return fcntl(fd, F_DUPFD_CLOEXEC, min); }

pid_t Os::Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
                int* pidfd) {
  return __clone(entry, stack_top, flags, arg, pidfd);
}

int Os::PidfdOpen(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

int Os::PidfdSendSignal(int pidfd, int signal) {
  return static_cast<int>(
      syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

int Os::Kill(pid_t pid, int signal) { return kill(pid, signal); }

int Os::Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
               rusage* usage) {
  return static_cast<int>(syscall(SYS_waitid, type, id, info, options, usage));
}

ssize_t Os::Read(int fd, void* data, size_t size) {
  return read(fd, data, size);
}

ssize_t Os::Write(int fd, const void* data, size_t size) {
  return write(fd, data, size);
}

ssize_t Os::WriteQuietly(int fd, const void* data, size_t size) {
  // As in <linux/fs.h> since Linux 6.18.
  constexpr int kNoSignal = 0x100;
  iovec vector = {const_cast<void*>(data), size};
  return pwritev2(fd, &vector, 1, -1, kNoSignal);
}

ssize_t Os::Send(int fd, const void* data, size_t size) {
  return send(fd, data, size, MSG_NOSIGNAL);
}

int Os::Poll(pollfd* fds, nfds_t count, absl::Time deadline) {
  timespec timeout;
  return ppoll(fds, count, ToTimeout(deadline, &timeout), nullptr);
}

int Os::EpollCreate() { return epoll_create1(EPOLL_CLOEXEC); }

int Os::EpollCtl(int epoll, int operation, int fd, epoll_event* event) {
  return epoll_ctl(epoll, operation, fd, event);
}

int Os::EpollWait(int epoll, epoll_event* events, int max,
                  absl::Time deadline) {
  // Milliseconds, rounded up: rounding down would spin during the last
  // millisecond.
  timespec timeout;
  int milliseconds = -1;
  if (ToTimeout(deadline, &timeout) != nullptr) {
    const absl::Duration left =
        std::min(absl::DurationFromTimespec(timeout), absl::Hours(24 * 20));
    milliseconds = static_cast<int>(
        absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
  }
  return epoll_wait(epoll, events, max, milliseconds);
}

int Os::ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                     void* (*entry)(void*), void* arg) {
  return pthread_create(thread, attributes, entry, arg);
}

Os& GetOs() {
  static PerProcess<Os> real;
  Os* os = replacement.load(std::memory_order_acquire);
  return os != nullptr ? *os : real.Get();
}

ScopedOs::ScopedOs(Os* os) { replacement.store(os, std::memory_order_release); }

ScopedOs::~ScopedOs() { replacement.store(nullptr, std::memory_order_release); }

absl::Time MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

absl::Time DeadlineAfter(absl::Duration timeout) {
  return timeout == absl::InfiniteDuration() ? absl::InfiniteFuture()
                                             : MonotonicNow() + timeout;
}

}  // namespace asyncproc::internal

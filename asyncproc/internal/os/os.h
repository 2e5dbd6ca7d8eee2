#ifndef ASYNCPROC_INTERNAL_OS_OS_H_
#define ASYNCPROC_INTERNAL_OS_OS_H_

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "absl/time/time.h"

namespace asyncproc::internal {

// The system calls that rarely fail, in one place where a test can make them
// fail. Unless noted, each method only makes its system call: it returns the
// call's result and sets errno.
//
// Thread safety: all methods may be called from any thread.
class Os {
 public:
  virtual ~Os() = default;

  virtual int Pipe2(int fds[2], int flags);
  // An AF_UNIX stream pair, closed on exec.
  virtual int SocketPair(int fds[2]);
  virtual int Open(const char* path, int flags, mode_t mode);
  virtual int EventFd();
  // For CLOCK_MONOTONIC, closed on exec.
  virtual int TimerFd();
  // F_DUPFD_CLOEXEC: the lowest free descriptor that is `min` or higher.
  virtual int Duplicate(int fd, int min);

  // glibc's clone(), under a name that the sanitizers do not intercept.
  virtual pid_t Clone(int (*entry)(void*), void* stack_top, int flags,
                      void* arg, int* pidfd);
  virtual int PidfdOpen(pid_t pid);
  virtual int PidfdSendSignal(int pidfd, int signal);
  virtual int Kill(pid_t pid, int signal);
  // The raw call, which unlike glibc's also gives the child's resource usage.
  virtual int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
                     rusage* usage);

  virtual ssize_t Read(int fd, void* data, size_t size);
  virtual ssize_t Write(int fd, const void* data, size_t size);
  // pwritev2 with RWF_NOSIGNAL: as write, but EPIPE comes without SIGPIPE.
  // Since Linux 6.18; EOPNOTSUPP or ENOSYS on older kernels, or when `fd` is
  // not a pipe.
  //
  // EPERM: a seccomp filter refuses pwritev2. Docker's profile returns EPERM
  // for every call that it does not list (moby/moby#42871). runc did so for
  // calls newer than itself, until it changed to ENOSYS
  // (opencontainers/runc#2151, #2737), and systemd's SystemCallFilter does so
  // by default. The kernel itself never refuses a write to a pipe with EPERM,
  // so the error says nothing about the pipe, and write() can write the same
  // bytes.
  virtual ssize_t WriteQuietly(int fd, const void* data, size_t size);
  // To a socket, without SIGPIPE.
  virtual ssize_t Send(int fd, const void* data, size_t size);
  // Waits until `deadline`, which may lie in the past or be infinite.
  virtual int Poll(pollfd* fds, nfds_t count, absl::Time deadline);
  virtual int EpollCreate();
  virtual int EpollCtl(int epoll, int operation, int fd, epoll_event* event);
  virtual int EpollWait(int epoll, epoll_event* events, int max,
                        absl::Time deadline);

  // As pthread_create: returns the error, and leaves errno alone.
  virtual int ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                           void* (*entry)(void*), void* arg);
};

// The Os in use: the real one, unless a test has replaced it.
Os& GetOs();

// Replaces the real Os during its own lifetime. For tests.
class ScopedOs {
 public:
  explicit ScopedOs(Os* os);
  ~ScopedOs();
  ScopedOs(const ScopedOs&) = delete;
  ScopedOs& operator=(const ScopedOs&) = delete;
};

// The time on the monotonic clock, which is never set. All deadlines of this
// library are points on it, as absl::Time so that InfiniteFuture and the like
// work.
absl::Time MonotonicNow();

// `timeout` from now, on MonotonicNow's clock; an infinite timeout stays
// infinite.
absl::Time DeadlineAfter(absl::Duration timeout);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_OS_OS_H_

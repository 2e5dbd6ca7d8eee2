#ifndef ASYNCPROC_TESTS_FAKE_OS_H_
#define ASYNCPROC_TESTS_FAKE_OS_H_

#include <errno.h>
#include <sched.h>

#include <atomic>

#include "asyncproc/internal/os/os.h"

namespace asyncproc {

// A kernel without pidfds, or a filter that refuses them.
class OsWithoutPidfds : public internal::Os {
 public:
  explicit OsWithoutPidfds(int error = ENOSYS) : error_(error) {}

  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    if ((flags & CLONE_PIDFD) != 0) return Fail();
    return Os::Clone(entry, stack_top, flags, arg, pidfd);
  }
  int PidfdOpen(pid_t) override { return Fail(); }

 private:
  int Fail() {
    errno = error_;
    return -1;
  }

  const int error_;
};

// A kernel without CLONE_PIDFD, but with pidfd_open.
class OsWithoutClonePidfd : public OsWithoutPidfds {
 public:
  int PidfdOpen(pid_t pid) override { return Os::PidfdOpen(pid); }
};

// Counts all signals, and the signals to a child that has been reaped. For one
// child at a time. `Base`: the Os that makes the calls.
template <typename Base = internal::Os>
class SignalCounter : public Base {
 public:
  int PidfdSendSignal(int pidfd, int signal) override {
    Count();
    return Base::PidfdSendSignal(pidfd, signal);
  }
  int Kill(pid_t pid, int signal) override {
    Count();
    return Base::Kill(pid, signal);
  }
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    const int result = Base::Waitid(type, id, info, options, usage);
    if (result == 0 && info->si_pid != 0 && (options & WEXITED) != 0 &&
        (options & WNOWAIT) == 0) {
      reaped_ = true;
    }
    return result;
  }

  int sent() const { return sent_; }
  int sent_to_reaped() const { return sent_to_reaped_; }
  void OnNextChild() { reaped_ = false; }

 private:
  void Count() {
    ++sent_;
    if (reaped_) ++sent_to_reaped_;
  }

  std::atomic<bool> reaped_{false};
  std::atomic<int> sent_{0};
  std::atomic<int> sent_to_reaped_{0};
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_FAKE_OS_H_

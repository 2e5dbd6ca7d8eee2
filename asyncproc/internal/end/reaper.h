#ifndef ASYNCPROC_INTERNAL_END_REAPER_H_
#define ASYNCPROC_INTERNAL_END_REAPER_H_

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/proc/proc_fs.h"

namespace asyncproc::internal {

// One child from its start until it has been reaped: the only place that reaps
// or signals it. Both happen under one lock, so that no signal goes to a number
// that the kernel may already have given to a stranger.
//
// The end of the child is known by its pidfd. Where there is none, or none that
// can be waited for (before Linux 5.4), a thread waits for it, without reaping,
// and calls `on_exit`.
//
// Thread safety: all methods may be called from any thread; none blocks but
// KillAndReap.
class Reaper {
 public:
  // `leads_group`: the child is the leader of a process group.
  // `on_exit` is called at most once, on a thread of the Reaper's own, and only
  // where exit_fd() is -1. It only takes note: a lock is held.
  // Errors: kResourceExhausted when that thread is needed and cannot be
  // started. The child is untouched by that; whoever started it must still end
  // it.
  static absl::StatusOr<std::unique_ptr<Reaper>> Create(
      pid_t pid, UniqueFd pidfd, bool leads_group,
      std::function<void()> on_exit);

  // REQUIRES: the child has ended, or exit_fd() is not -1, or it was let go.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  pid_t pid() const { return pid_; }

  // Becomes readable when the child has ended; -1 where on_exit tells.
  int exit_fd() const { return pidfd_.get(); }

  // Reaps the child if it has ended. Nothing while it runs. From then on always
  // the same: its status, or kDataLoss when somebody else has taken that (a
  // waitpid for any child, or SIGCHLD being ignored).
  //
  // kForget: nobody will ask for GroupLeftBehind, which takes a look at every
  // process that there is.
  enum class Group { kRemember, kForget };
  std::optional<absl::StatusOr<ExitStatus>> TryReap(
      Group group = Group::kRemember) ABSL_LOCKS_EXCLUDED(mu_);

  // Sends `signal` to the child.
  // Errors: kNotFound once it has ended; kPermissionDenied when it has changed
  // its identity; kInvalidArgument for a number that is no signal.
  absl::Status Signal(int signal) ABSL_LOCKS_EXCLUDED(mu_);

  bool leads_group() const { return leads_group_; }
  // Sends `signal` to the whole group that the child leads.
  // Errors: kNotFound when it leads none, and once it has been reaped: then the
  // number may be another group's.
  absl::Status SignalGroup(int signal) ABSL_LOCKS_EXCLUDED(mu_);
  // Once it has been reaped, the other members that its group had then, which
  // is the last moment at which its number was sure to be that group's.
  std::vector<ProcessStat> GroupLeftBehind() ABSL_LOCKS_EXCLUDED(mu_);

  // Whether it has been stopped, by SIGSTOP say, and not continued.
  bool IsStopped() ABSL_LOCKS_EXCLUDED(mu_);

  // Sends SIGKILL and waits until the child has been reaped: for the destructor
  // of whoever owns it. A child in an uninterruptible sleep delays this. False,
  // at once: we may not kill it, for it has another user's identity by now.
  bool KillAndReap() ABSL_LOCKS_EXCLUDED(mu_);

  // For a child that we may not kill: a thread that nobody waits for reaps it
  // when it has ended; `on_exit` is not called from now on. The last call.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting;

  Reaper(pid_t pid, UniqueFd pidfd, bool leads_group);

  std::optional<absl::StatusOr<ExitStatus>> TryReapLocked(
      Group group = Group::kRemember) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // By the pidfd, if there is one. What reaps needs the lock.
  int Waitid(siginfo_t* info, int options, rusage* usage) const;
  absl::Status CheckRunning() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SignalError(int signal) const;

  const pid_t pid_;
  const UniqueFd pidfd_;
  const bool leads_group_;
  const absl::Time start_;
  std::shared_ptr<Waiting> waiting_;  // Null where there is a pidfd.
  Thread waiter_;

  absl::Mutex mu_;
  std::optional<absl::StatusOr<ExitStatus>> result_ ABSL_GUARDED_BY(mu_);
  std::vector<ProcessStat> group_left_behind_ ABSL_GUARDED_BY(mu_);
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_END_REAPER_H_

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
  // Made before the child, so that a thread that cannot be started is found out
  // before there is a child. `leads_group`: the child will lead a process
  // group. `on_exit` is called at most once, on a thread of the Reaper's own,
  // and only where exit_fd() is -1. It must only take note: a lock is held.
  // Errors: kResourceExhausted when there is no descriptor for a pidfd, or the
  // thread is needed and cannot be started.
  static absl::StatusOr<std::unique_ptr<Reaper>> Create(
      bool leads_group, std::function<void()> on_exit);

  // The child has been started. `pidfd` may be invalid. Once.
  // Errors: kResourceExhausted when the kernel has pidfds, but no descriptor is
  // left for this one. The child is untouched then.
  // Without `pidfd`, one is opened by the number of the child. Where somebody
  // else has reaped the child before that, its status is lost, and no process
  // is signaled. One case is not noticed: the host has ignored SIGCHLD, and the
  // number already belongs to another child that the host itself has started.
  absl::Status Begin(pid_t pid, UniqueFd pidfd);

  // REQUIRES: the child was never started or has ended, or exit_fd() is not -1,
  // or Detach was called.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // Whether the kernel has pidfds that can be waited for.
  bool has_pidfds() const { return waiting_ == nullptr; }

  // Before anything that on_exit uses is gone: waits until it is not called any
  // more. REQUIRES: as the destructor.
  void JoinWaiter();
  // In a forked copy of the host: closes the descriptor, and nothing else.
  void CloseInForkedCopy() { pidfd_.Reset(); }

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
  // Errors: those of ListGroup: the search failed, and members may live.
  absl::StatusOr<std::vector<ProcessStat>> GroupLeftBehind()
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether it has been stopped, by SIGSTOP say, and not continued.
  bool IsStopped() ABSL_LOCKS_EXCLUDED(mu_);

  // Sends SIGKILL and waits until the child has been reaped: for the destructor
  // of its owner. A child in an uninterruptible sleep delays this. False: the
  // child cannot be killed, since it has another user's identity by now, or it
  // cannot be reaped, since its debugger has yet to let go of it.
  bool KillAndReap() ABSL_LOCKS_EXCLUDED(mu_);

  // For a child that KillAndReap left: a thread that nobody waits for reaps it
  // when it has ended; `on_exit` is not called from now on. The last call.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting;

  explicit Reaper(bool leads_group);

  std::optional<absl::StatusOr<ExitStatus>> TryReapLocked(
      Group group = Group::kRemember) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // By the pidfd, if there is one. What reaps needs the lock.
  int Waitid(siginfo_t* info, int options, rusage* usage) const;
  // Begin, for a child that somebody else has reaped.
  absl::Status BeginAfterTheEnd() ABSL_LOCKS_EXCLUDED(mu_);
  // For `result_`: somebody else has reaped the child.
  absl::Status StatusTaken() const;
  absl::Status CheckRunning() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SignalError(int signal) const;

  const bool leads_group_;
  std::shared_ptr<Waiting> waiting_;  // Null where the kernel has pidfds.
  Thread waiter_;

  // Constant after Begin.
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  absl::Time start_;

  absl::Mutex mu_;
  std::optional<absl::StatusOr<ExitStatus>> result_ ABSL_GUARDED_BY(mu_);
  absl::StatusOr<std::vector<ProcessStat>> group_left_behind_
      ABSL_GUARDED_BY(mu_) = std::vector<ProcessStat>();
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_END_REAPER_H_

#ifndef ASYNCPROC_INTERNAL_END_REAPER_H_
#define ASYNCPROC_INTERNAL_END_REAPER_H_

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/proc/proc_fs.h"

namespace asyncproc::internal {

// Holds one child from its start until it has been reaped. Only this class
// reaps or signals the child. Both happen under one lock, so that no signal
// goes to a process number that the kernel has already given to another
// process.
//
// A pidfd shows the exit of the child. Where the kernel has no pidfds, or none
// that can be waited for (before Linux 5.4), a thread waits for the child
// without reaping it, and calls `on_exit`.
//
// Thread safety: all methods may be called from any thread; only KillAndReap
// blocks.
class Reaper {
 public:
  // Called before the child is started, so that a failure to start the thread
  // shows before there is a child. `command`: for messages. `leads_group`: the
  // child will lead a process group. `on_exit` is called at most once, on a
  // thread of the Reaper, and only where exit_fd() is -1. A lock is held during
  // the call, so `on_exit` must only record the event. Errors:
  // kResourceExhausted when there is no descriptor for a pidfd, or the thread
  // is needed and cannot be started.
  static absl::StatusOr<std::unique_ptr<Reaper>> Create(
      const Command& command, bool leads_group, std::function<void()> on_exit);

  // Called once, after the child has been started. `pidfd` may be invalid.
  // Errors: kResourceExhausted when the kernel has pidfds, but no descriptor is
  // left for this one. The child is untouched then. Without `pidfd`, Begin
  // opens a pidfd by the number of the child. If another part of the program
  // has already reaped the child, its exit status is lost, and no process is
  // signaled. One case goes unnoticed: the host ignores SIGCHLD, and the number
  // already belongs to another child that the host itself has started.
  absl::Status Begin(pid_t pid, UniqueFd pidfd);

  // REQUIRES: the child was never started or has ended, or exit_fd() is not -1,
  // or Detach was called.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // Whether the kernel has pidfds that can be waited for.
  bool has_pidfds() const { return waiting_ == nullptr; }

  // Waits until no call of `on_exit` is running or can follow. Called before
  // any object that `on_exit` uses is destroyed. REQUIRES: as the destructor.
  void JoinWaiter();
  // In a forked copy of the host: closes the descriptor, and nothing else.
  void CloseInForkedCopy() { pidfd_.Reset(); }

  pid_t pid() const { return pid_; }
  // The command and the number of the child, for messages: "cat (pid 42)".
  std::string Name() const;

  // Becomes readable when the child has ended; -1 where `on_exit` is called
  // instead.
  int exit_fd() const { return pidfd_.get(); }

  // Reaps the child if it has ended. Returns nothing while the child runs, and
  // then always the same result: the exit status, or kDataLoss when another
  // caller took the status (a waitpid for any child, or SIGCHLD being ignored).
  //
  // kForget: GroupLeftBehind will not be called, so the search through all
  // processes is not needed.
  enum class Group { kRemember, kForget };
  std::optional<absl::StatusOr<ExitStatus>> TryReap(
      Group group = Group::kRemember) ABSL_LOCKS_EXCLUDED(mu_);

  // Sends `signal` to the child.
  // Errors, without the name of the child: kNotFound once the child has ended;
  // kPermissionDenied when it has changed its identity; kInvalidArgument for an
  // invalid signal number.
  absl::Status Signal(int signal) ABSL_LOCKS_EXCLUDED(mu_);

  bool leads_group() const { return leads_group_; }
  // Sends `signal` to the whole group that the child leads.
  // Errors: kNotFound when the child leads no group or has been reaped: the
  // number may belong to another group then.
  absl::Status SignalGroup(int signal) ABSL_LOCKS_EXCLUDED(mu_);
  // The other members that the child's group had when the child was reaped:
  // until then, the number was sure to belong to that group. Empty before.
  // Errors: those of ListGroup: the search failed, and members may live.
  absl::StatusOr<std::vector<ProcessStat>> GroupLeftBehind()
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the child has been stopped, for example by SIGSTOP, and not
  // continued.
  bool IsStopped() ABSL_LOCKS_EXCLUDED(mu_);

  // Sends SIGKILL and waits until the child has been reaped: for the destructor
  // of its owner. A child in an uninterruptible sleep delays this. False: the
  // child cannot be killed, since it now has another user's identity, or it
  // cannot be reaped within a second, since its debugger still holds it.
  bool KillAndReap() ABSL_LOCKS_EXCLUDED(mu_);

  // For a child that KillAndReap did not reap: a detached thread reaps the
  // child when it has ended; `on_exit` is not called from now on. No other call
  // may follow.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting;

  Reaper(const Command& command, bool leads_group);

  std::optional<absl::StatusOr<ExitStatus>> TryReapLocked(
      Group group = Group::kRemember) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits by the pidfd, if there is one. Reaping needs the lock.
  int Waitid(siginfo_t* info, int options, rusage* usage) const;
  // Begin, for a child that has already been reaped elsewhere.
  absl::Status BeginAfterTheEnd() ABSL_LOCKS_EXCLUDED(mu_);
  // The result when another part of the program has reaped the child.
  absl::Status StatusTaken() const;
  absl::Status CheckRunning() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string command_;  // For messages.
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

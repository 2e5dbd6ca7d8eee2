#ifndef ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_
#define ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// The processes that an escalation is to end: the child, and the processes of
// its scope as they are found in /proc. The search is repeated before each
// signal, and each process is held by a pidfd. Where no pidfd can be
// opened, or the search fails (see search_status), the group gets each signal
// as a whole as long as the child leads it; other processes are only named, or
// not known.
//
// Thread safety: none of its own.
class TerminationTargets {
 public:
  TerminationTargets(ChildProcess& child, TerminationScope scope);

  // Looks for processes of the scope that have come since.
  void Refresh();

  // Sends `signal`, and SIGCONT for those that are stopped, to all that live;
  // also to those that come while it does.
  void Signal(int signal);
  // Sends `signal` and no other.
  // Errors: kNotFound when no process was there to get it; kResourceExhausted
  // as search_status, after the signal was sent to all that are known.
  absl::Status Send(int signal);
  // Continues the processes that are stopped, so that they take the signal that
  // was sent before.
  void Continue();

  // Waits until all that are known have ended, or `deadline`. False: it was the
  // deadline, or a WaitScope.
  bool AwaitEnded(absl::Time deadline);

  // Whether the processes of the scope are known. kResourceExhausted, with the
  // reason, when the search failed: no descriptor was free, or there is no
  // /proc, or that of another PID namespace. Then processes of the scope
  // may live that are neither held nor named. OK again once a later search has
  // found all that there are.
  absl::Status search_status();

  // Of one of those, but for the child, that had not ended when it was last
  // looked for them: readable when it ends. -1 when there is none.
  int AnyPidfd() const {
    return targets_.empty() ? -1 : targets_.begin()->second.pidfd.get();
  }

  // Those, but for the child, that live.
  std::vector<Survivor> Survivors();

 private:
  struct Target {
    ProcessStat stat;
    UniqueFd pidfd;  // Not valid where none could be opened.
  };

  bool ChildLives();
  // Whether there can be other processes than the child.
  bool HasOthers();
  // Whether it is sure that the child's group has no member any more.
  bool GroupIsGone();
  // Whether members of the child's group may live that the search did not find.
  bool MayHaveUnknown();

  // `search`: also to those that come meanwhile. Whether it has reached them
  // all, each by its pidfd.
  bool SendToAll(const std::vector<int>& signals, bool search);
  // Has all of them stopped, also those that come meanwhile. Whether it has
  // reached them all.
  bool StopAll();
  // Whether all have obeyed a SIGSTOP before long, or ended.
  bool AwaitStopped();
  // Whether it has found any that it did not know.
  bool Find();
  bool Hold(const ProcessStat& stat);
  // Those of the scope that there are; but none that it has found before if
  // that was a moment ago.
  absl::StatusOr<std::vector<ProcessStat>> Look();
  // Those among `all` that belong to the scope through one that lives.
  std::vector<ProcessStat> Related(const std::vector<ProcessStat>& all);
  // Those among `all`, which is all that there are, that can never come to
  // belong to the scope.
  std::set<pid_t> Strangers(const std::vector<ProcessStat>& all,
                            const std::vector<ProcessStat>& related) const;
  void DropEnded();

  ChildProcess& child_;
  const TerminationScope scope_;
  std::map<pid_t, Target> targets_;  // Without the child.
  // Pids that need no other look: those of targets and strangers.
  std::set<pid_t> known_;
  absl::Time known_until_ = absl::InfinitePast();
  bool all_killed_ = false;  // And stopped before: there are no others.
  absl::Status search_;      // Of the last search that counts.
  // Whether the last signal has reached the group as a whole.
  bool group_reached_ = false;
  // How long to wait for members of the group after a failed search.
  absl::Time patience_ = absl::InfiniteFuture();
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_

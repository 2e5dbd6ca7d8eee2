#ifndef ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_
#define ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// Whom an escalation is to end: the child, and the processes of its scope as
// they are found. Those are found again before each signal, and held by pidfd;
// where there are none to be had, the group is reached as a whole, and all else
// is only told of.
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
  // Sends `signal` and no other. False when nobody was there to get it.
  bool Send(int signal);

  // Waits until all have ended, or `deadline`. False: it was the deadline, or a
  // WaitScope.
  bool AwaitEnded(absl::Time deadline);

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
    UniqueFd pidfd;  // Not valid where there is none to be had.
  };

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
  std::vector<ProcessStat> Look();
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
  // Whom there is no need to look at again: targets and strangers.
  std::set<pid_t> known_;
  absl::Time known_until_ = absl::InfinitePast();
  bool all_killed_ = false;  // And stopped before: there are no others.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_

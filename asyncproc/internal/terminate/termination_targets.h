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
// its scope, as found in /proc. The search is repeated before each signal, and
// each process is held by a pidfd, or, where descriptors are scarce, reached by
// one that is opened for each signal. If a pidfd cannot be opened, or the
// search fails (see search_status), each signal goes to the whole group as long
// as the child leads it; processes outside the group are only named, or remain
// unknown.
//
// Thread safety: none of its own.
class TerminationTargets {
 public:
  TerminationTargets(ChildProcess& child, TerminationScope scope);

  // Searches for new processes of the scope.
  void Refresh();

  // Sends `signal`, and SIGCONT for stopped processes, to all live targets. Of
  // processes that start during the call, only SIGKILL reaches all: another
  // signal may have a handler that starts them to clean up.
  void Signal(int signal);
  // Sends `signal` alone.
  // Errors: kNotFound when no target is alive; kResourceExhausted as
  // search_status, after the signal was sent to all known targets.
  absl::Status Send(int signal);
  // Continues the stopped processes, so that they take a signal sent before.
  void Continue();

  // Waits until all known targets have ended. False: `deadline` passed, or a
  // WaitScope ended the wait.
  bool AwaitEnded(absl::Time deadline);

  // Whether all processes of the scope are known. kResourceExhausted, with the
  // reason, when the search failed: no descriptor was free, /proc is missing,
  // or /proc belongs to another PID namespace. Processes of the scope may then
  // be alive that are neither held nor named. OK again once a later search has
  // found all processes.
  absl::Status search_status();

  // The pidfd of a target other than the child that had not ended in the last
  // check: readable when that target ends. -1 when there is none.
  int AnyPidfd() const {
    return targets_.empty() ? -1 : targets_.begin()->second.pidfd.get();
  }

  // The live targets other than the child.
  std::vector<Survivor> Survivors();

 private:
  struct Target {
    ProcessStat stat;
    UniqueFd pidfd;  // Not valid if no descriptor could be spared.
  };

  bool ChildLives();
  // Whether there can be other processes than the child.
  bool HasOthers();
  // Whether the child's group certainly has no members any more.
  bool GroupIsGone();
  // Whether live members of the child's group may exist that the search did not
  // find.
  bool MayHaveUnknown();

  // Sends by a pidfd. Returns whether a pidfd was to be had.
  static bool SendTo(const Target& target, int signal);
  // Returns whether the signals have reached all targets, each by a pidfd.
  bool SendToAll(const std::vector<int>& signals);
  // Stops all targets, including processes that start during the call. Returns
  // whether SIGSTOP has reached them all.
  bool StopAll();
  // Waits briefly. Returns whether all targets have stopped or ended.
  bool AwaitStopped();
  // Searches for targets. Returns whether it has found a new one.
  bool Find();
  bool Hold(const ProcessStat& stat);
  // Lists the processes of the scope. Shortly after a full search, known
  // processes are left out.
  absl::StatusOr<std::vector<ProcessStat>> Look();
  // The processes in `all` that belong to the scope through a live target.
  std::vector<ProcessStat> Related(const std::vector<ProcessStat>& all);
  // The processes in `all`, a complete list, that can never join the scope.
  std::set<pid_t> Strangers(const std::vector<ProcessStat>& all,
                            const std::vector<ProcessStat>& related) const;
  void DropEnded();

  ChildProcess& child_;
  const TerminationScope scope_;
  std::map<pid_t, Target> targets_;  // Excludes the child.
  // Pids that need no further check: targets and strangers.
  std::set<pid_t> known_;
  absl::Time known_until_ = absl::InfinitePast();
  bool all_killed_ = false;  // Each was stopped before: no new ones.
  absl::Status search_;      // OK, or why a search failed.
  // Whether the last signal was sent to the group as a whole.
  bool group_reached_ = false;
  // The time until which to wait for members of the group after a failed
  // search.
  absl::Time patience_ = absl::InfiniteFuture();
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TERMINATE_TERMINATION_TARGETS_H_

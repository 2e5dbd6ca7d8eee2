#include "asyncproc/internal/termination_targets.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <utility>

#include "asyncproc/internal/os.h"
#include "asyncproc/internal/wait.h"

namespace asyncproc::internal {
namespace {

// A group or tree that forks faster than it can be read is not chased for ever.
constexpr int kMostSearches = 20;

// How often to look whether a process has ended that there is no pidfd for.
constexpr absl::Duration kLookInterval = absl::Milliseconds(10);

// Whether the process that `stat` was read of is there no more: if its number
// had changed hands, the two times it started would differ.
bool IsGone(const ProcessStat& stat) {
  const std::optional<ProcessStat> now = ReadProcessStat(stat.pid);
  return !now.has_value() || now->start_time != stat.start_time ||
         now->state == 'Z' || now->state == 'X';
}

}  // namespace

TerminationTargets::TerminationTargets(ChildIo& child, TerminationScope scope)
    : child_(child), scope_(scope) {
  Refresh();
}

void TerminationTargets::Refresh() {
  if (scope_ == TerminationScope::kChild) return;
  for (const ProcessStat& stat : child_.reaper().GroupLeftBehind()) Hold(stat);
  Find();
}

bool TerminationTargets::Hold(const ProcessStat& stat) {
  if (stat.pid == child_.reaper().pid() || targets_.count(stat.pid) > 0) {
    return false;
  }
  Target target = {stat, UniqueFd(GetOs().PidfdOpen(stat.pid))};
  // Looked at after that was opened, it is what was opened.
  if (IsGone(stat)) return false;
  targets_[stat.pid] = std::move(target);
  return true;
}

bool TerminationTargets::Find() {
  DropEnded();
  bool found = false;
  for (const ProcessStat& stat : Related(ListProcesses())) {
    if (Hold(stat)) found = true;
  }
  return found;
}

std::vector<ProcessStat> TerminationTargets::Related(
    const std::vector<ProcessStat>& all) {
  // Only who lives now, after the list was read, lived when it was: the number
  // of any other may have become a stranger's, with children of its own.
  DropEnded();
  std::set<pid_t> parents;
  for (const auto& [pid, target] : targets_) parents.insert(pid);
  const pid_t leader = child_.reaper().pid();
  const bool child_lives = !child_.reaper().TryReap().has_value();
  if (child_lives) parents.insert(leader);
  bool group_lives = child_lives;
  for (const auto& [pid, target] : targets_) {
    if (target.stat.group == leader) group_lives = true;
  }

  std::vector<ProcessStat> related;
  const bool tree = scope_ == TerminationScope::kTree;
  for (size_t before = 0; before <= related.size();) {
    before = related.size() + 1;
    for (const ProcessStat& stat : all) {
      const bool of_tree = tree && parents.count(stat.parent) > 0;
      const bool of_group =
          child_.reaper().leads_group() && group_lives && stat.group == leader;
      if ((of_tree || of_group) && stat.state != 'Z' &&
          parents.insert(stat.pid).second) {
        related.push_back(stat);
      }
    }
  }
  return related;
}

void TerminationTargets::DropEnded() {
  std::vector<pollfd> fds;
  for (const auto& [pid, target] : targets_) {
    fds.push_back({target.pidfd.get(), POLLIN, 0});
  }
  if (GetOs().Poll(fds.data(), fds.size(), absl::InfinitePast()) < 0) return;
  size_t i = 0;
  for (auto it = targets_.begin(); it != targets_.end(); ++i) {
    const bool ended =
        fds[i].fd >= 0 ? fds[i].revents != 0 : IsGone(it->second.stat);
    it = ended ? targets_.erase(it) : std::next(it);
  }
}

void TerminationTargets::Signal(int signal) {
  if (signal != SIGKILL || scope_ == TerminationScope::kChild) {
    Refresh();
    SendToAll({signal, SIGCONT}, /*search=*/true);
    return;
  }
  // Who is stopped starts nobody, and is still there to find its children by;
  // who is killed first may have started one a moment ago that nobody knows.
  const bool found_all = SendToAll({SIGSTOP}, /*search=*/true);
  SendToAll({SIGKILL, SIGCONT}, /*search=*/false);
  all_killed_ = found_all;
}

bool TerminationTargets::Send(int signal) {
  Refresh();
  const bool child_lives = !child_.reaper().TryReap().has_value();
  if (!child_lives && targets_.empty()) return false;
  SendToAll({signal}, /*search=*/true);
  return true;
}

bool TerminationTargets::SendToAll(const std::vector<int>& signals,
                                   bool search) {
  std::set<pid_t> signaled;
  bool all_held = true;
  for (int searches = 0; searches < kMostSearches; ++searches) {
    for (const auto& [pid, target] : targets_) {
      if (!target.pidfd.valid()) all_held = false;
      if (!target.pidfd.valid() || !signaled.insert(pid).second) continue;
      for (int signal : signals) {
        GetOs().PidfdSendSignal(target.pidfd.get(), signal);
      }
    }
    // The child after those that were found through it: when it ends, its
    // children have no parent to be found by.
    Reaper& reaper = child_.reaper();
    if (signaled.insert(reaper.pid()).second) {
      for (int signal : signals) {
        // Those that cannot be held may at least be reached as a group.
        if (all_held || !reaper.SignalGroup(signal).ok()) {
          reaper.Signal(signal).IgnoreError();
        }
      }
    }
    if (scope_ == TerminationScope::kChild || !search || !Find()) {
      return all_held;
    }
  }
  return false;
}

bool TerminationTargets::AwaitEnded(absl::Time deadline) {
  const bool child_ended =
      child_.reaper().TryReap().has_value() || child_.AwaitEnded(deadline).ok();
  if (!child_ended) return false;
  if (scope_ == TerminationScope::kChild) return true;
  for (;;) {
    if (all_killed_) {
      DropEnded();  // None can have come since.
    } else {
      Refresh();
    }
    if (targets_.empty()) return true;
    if (MonotonicNow() >= deadline || !CheckWaitScopes().ok()) return false;
    const UniqueFd& pidfd = targets_.begin()->second.pidfd;
    const absl::Time next_look = NextLook(deadline);
    pollfd fd = {pidfd.get(), POLLIN, 0};
    GetOs().Poll(&fd, 1,
                 pidfd.valid()
                     ? next_look
                     : std::min(next_look, MonotonicNow() + kLookInterval));
  }
}

std::vector<Survivor> TerminationTargets::Survivors() {
  if (scope_ != TerminationScope::kChild) Find();
  std::vector<Survivor> survivors;
  for (const auto& [pid, target] : targets_) {
    survivors.push_back({pid, target.stat.command});
  }
  return survivors;
}

}  // namespace asyncproc::internal

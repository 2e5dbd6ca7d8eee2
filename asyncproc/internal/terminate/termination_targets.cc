#include "asyncproc/internal/terminate/termination_targets.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <utility>

#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {
namespace {

// A group or tree that forks faster than it can be read is not chased for ever.
constexpr int kMostSearches = 20;

// How long to wait for SIGSTOP to be obeyed, and how often to look.
constexpr absl::Duration kStopGrace = absl::Milliseconds(10);
constexpr absl::Duration kStopInterval = absl::Microseconds(50);

// How often to look whether a process has ended that there is no pidfd for.
constexpr absl::Duration kLookInterval = absl::Milliseconds(10);

// How long what was found out about a pid holds: too short a time for all other
// numbers to be used up, and for this one to become another process's.
constexpr absl::Duration kPidsLast = absl::Milliseconds(20);

// What has become of the process that `stat` was read of; 'X' when it is there
// no more: if its number had changed hands, the two times it started would
// differ.
char StateNow(const ProcessStat& stat) {
  const std::optional<ProcessStat> now = ReadProcessStat(stat.pid);
  return now.has_value() && now->start_time == stat.start_time ? now->state
                                                               : 'X';
}

bool IsEnd(char state) { return state == 'Z' || state == 'X'; }

bool IsGone(const ProcessStat& stat) { return IsEnd(StateNow(stat)); }

bool HasStopped(const ProcessStat& stat) {
  const char state = StateNow(stat);
  return IsEnd(state) || state == 'T' || state == 't';
}

}  // namespace

TerminationTargets::TerminationTargets(ChildProcess& child,
                                       TerminationScope scope)
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
  known_.insert(stat.pid);
  return true;
}

bool TerminationTargets::Find() {
  DropEnded();
  bool found = false;
  for (const ProcessStat& stat : Look()) {
    if (Hold(stat)) found = true;
  }
  return found;
}

std::vector<ProcessStat> TerminationTargets::Look() {
  if (MonotonicNow() < known_until_) {
    std::vector<ProcessStat> related = Related(ListProcesses(known_));
    if (MonotonicNow() < known_until_) return related;
  }
  known_until_ = MonotonicNow() + kPidsLast;
  const std::vector<ProcessStat> all = ListProcesses();
  std::vector<ProcessStat> related = Related(all);
  known_ = Strangers(all, related);
  for (const auto& [pid, target] : targets_) known_.insert(pid);
  return related;
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

std::set<pid_t> TerminationTargets::Strangers(
    const std::vector<ProcessStat>& all,
    const std::vector<ProcessStat>& related) const {
  const pid_t leader = child_.reaper().pid();
  std::set<pid_t> family = {leader};
  for (const auto& [pid, target] : targets_) family.insert(pid);
  for (const ProcessStat& stat : related) family.insert(stat.pid);
  std::set<pid_t> strangers = FindStrangers(all, family);
  if (!child_.reaper().leads_group()) return strangers;
  // Any other process of its session may join the group; but none can join the
  // session.
  std::set<pid_t> sessions;
  for (const ProcessStat& stat : all) {
    if (stat.pid == leader || stat.group == leader) {
      sessions.insert(stat.session);
    }
  }
  for (const ProcessStat& stat : all) {
    if (sessions.count(stat.session) > 0) strangers.erase(stat.pid);
  }
  return strangers;
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
  all_killed_ = StopAll();
  SendToAll({SIGKILL}, /*search=*/false);
}

bool TerminationTargets::StopAll() {
  for (int searches = 0; searches < kMostSearches; ++searches) {
    const bool all_held = SendToAll({SIGSTOP}, /*search=*/false);
    // Who was about to start another process does so before it obeys.
    const bool all_stopped = AwaitStopped();
    if (!Find()) return all_held && all_stopped;
  }
  return false;  // See kMostSearches.
}

bool TerminationTargets::AwaitStopped() {
  const absl::Time deadline = MonotonicNow() + kStopGrace;
  const auto await = [deadline](const auto& has_stopped) {
    while (!has_stopped()) {
      if (MonotonicNow() >= deadline) return false;
      GetOs().Poll(nullptr, 0, MonotonicNow() + kStopInterval);
    }
    return true;
  };
  for (const auto& [pid, target] : targets_) {
    const ProcessStat& stat = target.stat;
    if (!await([&stat] { return HasStopped(stat); })) return false;
  }
  Reaper& reaper = child_.reaper();
  return await(
      [&reaper] { return reaper.IsStopped() || reaper.TryReap().has_value(); });
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
  return false;  // See kMostSearches.
}

bool TerminationTargets::AwaitEnded(absl::Time deadline) {
  const bool child_ended = child_.reaper().TryReap().has_value() ||
                           child_.end().AwaitExit(deadline).ok();
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

#include "asyncproc/internal/terminate/termination_targets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/proc/signal_action.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {
namespace {

// Bounds the chase of a group or tree that forks faster than it can be read.
constexpr int kMostSearches = 20;

// The time for SIGSTOP to take effect, and the interval between checks.
constexpr absl::Duration kStopGrace = absl::Milliseconds(10);
constexpr absl::Duration kStopInterval = absl::Microseconds(50);

// The interval between checks of a process that has no pidfd.
constexpr absl::Duration kLookInterval = absl::Milliseconds(10);

// How long a result about a pid stays valid: too short for the kernel to use up
// all other numbers and give this one to another process.
constexpr absl::Duration kPidsLast = absl::Milliseconds(20);

// The time for the group to end after the child has ended, if its members
// cannot be searched for: no further signal can be sent to the group, since the
// number may belong to another group by then.
constexpr absl::Duration kBlindGrace = absl::Milliseconds(100);

// The number of descriptors that the pidfds of the targets leave free: the
// search reads files, and other threads of the host start children.
constexpr int kSpareDescriptors = 32;

// Whether `pidfd` is one of the last free descriptors.
bool IsScarce(int pidfd) {
  rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && pidfd >= 0 &&
         static_cast<rlim_t>(pidfd) + kSpareDescriptors >= limit.rlim_cur;
}

// Returns false if the lookup failed.
bool IsGone(const ProcessStat& stat) {
  const absl::StatusOr<ProcessStat> now = LookUpAgain(stat);
  return now.ok() ? now->HasEnded() : absl::IsNotFound(now.status());
}

bool IsStopped(const ProcessStat& stat) {
  const absl::StatusOr<ProcessStat> now = LookUpAgain(stat);
  return now.ok() ? HasStopped(*now) : absl::IsNotFound(now.status());
}

absl::string_view ScopeName(TerminationScope scope) {
  return scope == TerminationScope::kTree ? "tree" : "group";
}

// Whether a SIGSTOP is pending. Ask this before asking whether the process has
// stopped: it may stop in between.
bool WillStop(pid_t pid) {
  return ReadSignalAction(pid, SIGSTOP) == SignalAction::kPending;
}

}  // namespace

TerminationTargets::TerminationTargets(ChildProcess& child,
                                       TerminationScope scope)
    : child_(child), scope_(scope) {
  Refresh();
}

void TerminationTargets::Refresh() {
  if (!HasOthers()) return;
  const absl::StatusOr<std::vector<ProcessStat>> left_behind =
      child_.reaper().GroupLeftBehind();
  if (!left_behind.ok()) search_ = left_behind.status();
  for (const ProcessStat& stat :
       left_behind.value_or(std::vector<ProcessStat>())) {
    Hold(stat);
  }
  Find();
}

bool TerminationTargets::ChildLives() {
  return !child_.reaper().TryReap().has_value();
}

bool TerminationTargets::HasOthers() {
  return scope_ == TerminationScope::kTree ||
         (scope_ == TerminationScope::kGroup && child_.reaper().leads_group());
}

bool TerminationTargets::GroupIsGone() {
  Reaper& reaper = child_.reaper();
  // Signal 0 is not delivered: it only tests whether the number is in use.
  return reaper.leads_group() && GetOs().Kill(-reaper.pid(), 0) < 0 &&
         errno == ESRCH;
}

bool TerminationTargets::MayHaveUnknown() {
  return !search_.ok() && (scope_ == TerminationScope::kTree || !GroupIsGone());
}

absl::Status TerminationTargets::search_status() {
  if (!MayHaveUnknown()) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the other processes of its ", ScopeName(scope_),
      " could not be searched for, and may live: ", search_.message()));
}

bool TerminationTargets::Hold(const ProcessStat& stat) {
  if (stat.pid == child_.reaper().pid() || targets_.count(stat.pid) > 0) {
    return false;
  }
  Target target = {stat, AboveStdio(UniqueFd(GetOs().PidfdOpen(stat.pid)))};
  // If the process still exists after the pidfd was opened, the pidfd refers to
  // it.
  if (IsGone(stat)) return false;
  if (IsScarce(target.pidfd.get())) target.pidfd.Reset();
  targets_[stat.pid] = std::move(target);
  known_.insert(stat.pid);
  return true;
}

bool TerminationTargets::Find() {
  DropEnded();
  // Other targets are found through the live ones.
  if (targets_.empty() && !ChildLives()) return false;
  const absl::StatusOr<std::vector<ProcessStat>> related = Look();
  if (!related.ok()) {
    search_ = related.status();
    return false;
  }
  // While the child lives, a search finds all that a failed search missed.
  if (ChildLives()) search_ = absl::OkStatus();
  bool found = false;
  for (const ProcessStat& stat : *related) {
    if (Hold(stat)) found = true;
  }
  return found;
}

absl::StatusOr<std::vector<ProcessStat>> TerminationTargets::Look() {
  if (MonotonicNow() < known_until_) {
    const auto others = ListProcesses(known_);
    if (!others.ok()) return others.status();
    std::vector<ProcessStat> related = Related(*others);
    if (MonotonicNow() < known_until_) return related;
  }
  known_until_ = absl::InfinitePast();
  const absl::Time start = MonotonicNow();
  const auto all = ListProcesses();
  if (!all.ok()) return all.status();
  known_until_ = start + kPidsLast;
  std::vector<ProcessStat> related = Related(*all);
  known_ = Strangers(*all, related);
  for (const auto& [pid, target] : targets_) known_.insert(pid);
  return related;
}

std::vector<ProcessStat> TerminationTargets::Related(
    const std::vector<ProcessStat>& all) {
  // Only a target that is alive now, after the list was read, was alive during
  // the reading. The number of any other may belong to a stranger with its own
  // children.
  DropEnded();
  std::set<pid_t> parents;
  for (const auto& [pid, target] : targets_) parents.insert(pid);
  const pid_t leader = child_.reaper().pid();
  const bool child_lives = ChildLives();
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
      if ((of_tree || of_group) && !stat.HasEnded() &&
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
  // Any other process of the session may join the group, but no process can
  // join the session.
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
  // poll refuses more entries than RLIMIT_NOFILE.
  std::vector<pollfd> fds;
  for (const auto& [pid, target] : targets_) {
    if (target.pidfd.valid()) fds.push_back({target.pidfd.get(), POLLIN, 0});
  }
  if (GetOs().Poll(fds.data(), fds.size(), absl::InfinitePast()) < 0) return;
  auto fd = fds.begin();
  for (auto it = targets_.begin(); it != targets_.end();) {
    const Target& target = it->second;
    const bool ended =
        target.pidfd.valid() ? (fd++)->revents != 0 : IsGone(target.stat);
    it = ended ? targets_.erase(it) : std::next(it);
  }
}

void TerminationTargets::Signal(int signal) {
  if (signal != SIGKILL || !HasOthers()) {
    Refresh();
    SendToAll({signal, SIGCONT});
    return;
  }
  // A stopped process starts no children, and its existing children can be
  // found through it. A process killed at once may have a child that no search
  // has found.
  all_killed_ = StopAll();
  SendToAll({SIGKILL});
}

bool TerminationTargets::StopAll() {
  for (int searches = 0; searches < kMostSearches; ++searches) {
    const bool all_reached = SendToAll({SIGSTOP});
    // A process in the middle of a fork completes the fork before it stops.
    const bool all_stopped = AwaitStopped();
    if (!Find()) return all_reached && all_stopped && search_.ok();
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
    if (!await([&stat] { return IsStopped(stat); })) return false;
  }
  Reaper& reaper = child_.reaper();
  return await(
      [&reaper] { return reaper.IsStopped() || reaper.TryReap().has_value(); });
}

absl::Status TerminationTargets::Send(int signal) {
  Refresh();
  if (!ChildLives() && targets_.empty()) {
    const std::string cannot =
        absl::StrCat("cannot send ", SignalDescription(signal), " to ",
                     child_.reaper().Name(), ": it has ended");
    absl::Status status = search_status();
    if (!status.ok()) return Prefixed(cannot, status);
    return absl::NotFoundError(
        HasOthers() ? absl::StrCat(cannot, ", like all others of its ",
                                   ScopeName(scope_))
                    : cannot);
  }
  SendToAll({signal});
  // The whole group has received the signal, including unknown members.
  if (scope_ == TerminationScope::kGroup && group_reached_) {
    return absl::OkStatus();
  }
  return Prefixed(absl::StrCat(SignalDescription(signal), " was sent to ",
                               child_.reaper().Name()),
                  search_status());
}

void TerminationTargets::Continue() {
  for (const auto& [pid, target] : targets_) {
    const bool stops = WillStop(pid);
    const absl::StatusOr<ProcessStat> now = LookUpAgain(target.stat);
    if (!now.ok() || now->HasEnded()) continue;
    // Excludes processes stopped by their debugger.
    if (stops || (now->state != 't' && HasStopped(*now))) {
      SendTo(target, SIGCONT);
    }
  }
  Reaper& reaper = child_.reaper();
  if (!WillStop(reaper.pid()) && !reaper.IsStopped()) return;
  if (search_.ok() || !HasOthers() || !reaper.SignalGroup(SIGCONT).ok()) {
    reaper.Signal(SIGCONT).IgnoreError();
  }
}

bool TerminationTargets::SendTo(const Target& target, int signal) {
  if (target.pidfd.valid()) {
    GetOs().PidfdSendSignal(target.pidfd.get(), signal);
    return true;
  }
  const UniqueFd pidfd(GetOs().PidfdOpen(target.stat.pid));
  if (!pidfd.valid()) return errno == ESRCH;
  if (!IsGone(target.stat)) GetOs().PidfdSendSignal(pidfd.get(), signal);
  return true;
}

bool TerminationTargets::SendToAll(const std::vector<int>& signals) {
  bool all_reached = search_.ok();
  std::vector<const Target*> targets;
  for (const auto& [pid, target] : targets_) {
    if (!SendTo(target, 0)) all_reached = false;
    targets.push_back(&target);
  }
  // Parents come before their children: a shell whose child ends first
  // continues with its next command.
  std::sort(targets.begin(), targets.end(),
            [](const Target* a, const Target* b) {
              return std::make_pair(a->stat.start_time, a->stat.pid) <
                     std::make_pair(b->stat.start_time, b->stat.pid);
            });
  Reaper& reaper = child_.reaper();
  for (int signal : signals) {
    // Processes that no pidfd reaches, or that were not found, may still be
    // reached as a group.
    group_reached_ =
        !all_reached && HasOthers() && reaper.SignalGroup(signal).ok();
    if (!group_reached_) reaper.Signal(signal).IgnoreError();
  }
  for (const Target* target : targets) {
    for (int signal : signals) SendTo(*target, signal);
  }
  return all_reached;
}

bool TerminationTargets::AwaitEnded(absl::Time deadline) {
  const bool child_ended =
      !ChildLives() || child_.end().AwaitExit(deadline).ok();
  if (!child_ended) return false;
  if (!HasOthers()) return true;
  patience_ = std::min(patience_, MonotonicNow() + kBlindGrace);
  for (;;) {
    if (all_killed_) {
      DropEnded();  // No new ones can have started.
    } else {
      Refresh();
    }
    const bool gives_up = scope_ == TerminationScope::kTree ||
                          MonotonicNow() >= patience_ || !MayHaveUnknown();
    if (targets_.empty() && gives_up) return true;
    if (MonotonicNow() >= deadline || !CheckWaitScopes().ok()) return false;
    const int pidfd = AnyPidfd();
    const absl::Time next_look = NextLook(deadline);
    pollfd fd = {pidfd, POLLIN, 0};
    GetOs().Poll(&fd, 1,
                 pidfd >= 0
                     ? next_look
                     : std::min(next_look, MonotonicNow() + kLookInterval));
  }
}

std::vector<Survivor> TerminationTargets::Survivors() {
  if (HasOthers()) Find();
  std::vector<Survivor> survivors;
  for (const auto& [pid, target] : targets_) {
    survivors.push_back({pid, target.stat.command});
  }
  return survivors;
}

}  // namespace asyncproc::internal

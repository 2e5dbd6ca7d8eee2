#include "tools/asyncproc/orphans.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/os/mutex_lock.h"
#include "tools/asyncproc/os/proc.h"

namespace asyncproc::cli {

namespace {

// Listing all children takes a while: a busy pool does not do it for each
// signal.
constexpr absl::Duration kPeriod = absl::Milliseconds(50);
constexpr absl::Duration kGentle = absl::Seconds(1);
// After this time, the orphans of a job are left alone.
constexpr absl::Duration kJobPatience = absl::Seconds(10);

std::string RandomId() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    random = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  }
  return absl::StrCat(":", absl::Hex(random, absl::kZeroPad16), ".");
}

void Signal(pid_t pid, int signal) {
  kill(pid, signal);
  if (signal != SIGKILL) kill(pid, SIGCONT);
}

}  // namespace

Orphans::Orphans(std::unique_ptr<ControlGroup> group)
    : id_(RandomId()), group_(std::move(group)), guard_(id_, group_.get()) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void Orphans::Dismiss() {
  group_ = nullptr;
  guard_.Dismiss();
}

std::string Orphans::MarkOf(int64_t job) const {
  return absl::StrCat(id_, job, ":");
}

void Orphans::Mark(Command* command, int64_t job) const {
  // One asyncproc may run another: a process then belongs to both.
  const char* const outer = getenv(kMarkVariable);
  command->env.Set(kMarkVariable,
                   absl::StrCat(outer == nullptr ? "" : outer, MarkOf(job)));
}

Orphans::Birth::Birth(Orphans* orphans) ABSL_NO_THREAD_SAFETY_ANALYSIS
    : orphans_(orphans) {
  LockMutex(orphans->mu_, 0);
}

Orphans::Birth::~Birth() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  UnlockMutex(orphans_->mu_, 0);
}

void Orphans::Birth::Started(pid_t pid) { orphans_->own_.insert(pid); }

void Orphans::Ended(pid_t pid) {
  MutexLock lock(mu_);
  own_.erase(pid);
}

void Orphans::EndJob(int64_t job) {
  MutexLock lock(mu_);
  ending_.try_emplace(job, MonotonicNow());
  child_signal_ = true;
}

bool Orphans::HasEndedOrphan() {
  siginfo_t info;
  info.si_pid = 0;
  child_signal_ = false;
  // Without reaping: most children that end have a Process that reaps them.
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return false;
  if (info.si_pid == 0) return false;
  if (own_.count(info.si_pid) == 0 && info.si_pid != guard_.pid()) return true;
  child_signal_ = true;
  return false;
}

std::vector<pid_t> Orphans::Reap() {
  last_reaping_ = MonotonicNow();
  child_signal_ = false;
  std::vector<pid_t> left;
  for (pid_t pid : OwnChildren()) {
    if (own_.count(pid) > 0 || pid == guard_.pid()) continue;
    // Only this function reaps an orphan: until then no other process has its
    // number.
    if (waitpid(pid, nullptr, WNOHANG) != 0) {
      asked_.erase(pid);
    } else {
      left.push_back(pid);
    }
  }
  return left;
}

void Orphans::EndJobs(const std::vector<pid_t>& orphans) {
  const absl::Time now = MonotonicNow();
  for (auto job = ending_.begin(); job != ending_.end();) {
    const std::string mark = MarkOf(job->first);
    const absl::Duration elapsed = now - job->second;
    bool found = false;
    for (pid_t pid : orphans) {
      if (!HasInEnvironment(pid, kMarkVariable, mark)) continue;
      found = true;
      if (elapsed > kGentle) {
        Signal(pid, SIGKILL);
      } else if (asked_.insert(pid).second) {
        Signal(pid, SIGTERM);
      }
    }
    const bool over = !found || elapsed > kJobPatience;
    job = over ? ending_.erase(job) : std::next(job);
  }
}

absl::Duration Orphans::Tick() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (!TryLockMutex(mu_, 0)) return kPeriod;
  const absl::Duration rest = TickLocked();
  UnlockMutex(mu_, 0);
  return rest;
}

absl::Duration Orphans::TickLocked() {
  if (!child_signal_ && ending_.empty()) return absl::InfiniteDuration();
  const absl::Duration rest = last_reaping_ + kPeriod - MonotonicNow();
  if (rest > absl::ZeroDuration()) return rest;
  if (ending_.empty() && !waited_ && !HasEndedOrphan()) {
    waited_ = child_signal_;
    return waited_ ? kPeriod : absl::InfiniteDuration();
  }
  waited_ = false;
  EndJobs(Reap());
  return ending_.empty() ? absl::InfiniteDuration() : kPeriod;
}

std::vector<Survivor> Orphans::AwaitJobs(absl::Duration patience) {
  const absl::Time start = MonotonicNow();
  while (true) {
    {
      MutexLock lock(mu_);
      if (ending_.empty()) return {};
      const std::vector<pid_t> orphans = Reap();
      if (MonotonicNow() - start > patience) return SurvivorsOfJobs(orphans);
      EndJobs(orphans);
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
}

std::vector<Survivor> Orphans::SurvivorsOfJobs(
    const std::vector<pid_t>& orphans) const {
  std::vector<Survivor> survivors;
  for (const auto& [job, since] : ending_) {
    for (pid_t pid : orphans) {
      if (HasInEnvironment(pid, kMarkVariable, MarkOf(job))) {
        survivors.push_back({pid, ProcName(pid)});
      }
    }
  }
  return survivors;
}

void Orphans::SignalAll(int signal) const {
  if (!ProcIsOurs()) return;
  for (int pid : ProcNumbers("/proc")) {
    if (pid != getpid()) SignalMarked(pid, id_, signal);
  }
}

std::vector<Survivor> Orphans::EndAll(absl::Duration patience) {
  const absl::Time start = MonotonicNow();
  std::set<pid_t> asked;
  while (true) {
    std::vector<pid_t> left;
    {
      MutexLock lock(mu_);
      left = Reap();
      const bool hard = MonotonicNow() - start > kGentle;
      for (pid_t pid : left) {
        if (hard || asked.insert(pid).second) {
          Signal(pid, hard ? SIGKILL : SIGTERM);
        }
      }
    }
    if (left.empty() || MonotonicNow() - start > patience) {
      std::vector<Survivor> survivors;
      for (pid_t pid : left) survivors.push_back({pid, ProcName(pid)});
      return survivors;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
}

}  // namespace asyncproc::cli

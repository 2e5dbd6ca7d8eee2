#include "asyncproc/orphans.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/spawn/started_children.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::DeadlineAfter;
using internal::GetOs;
using internal::MonotonicNow;
using internal::MutexLock;
using internal::ProcessStat;
using internal::StartedChildren;

namespace {

// The interval at which the thread checks for a child that has ended.
constexpr absl::Duration kInterval = absl::Milliseconds(20);

// The pids of children of this library are skipped, except on one check of this
// many: an orphan may have received such a pid since.
constexpr int kLooksPerCloseLook = 50;

// The interval at which Terminate checks whether an orphan has ended.
constexpr absl::Duration kLookInterval = absl::Milliseconds(5);

// A process has only one subreaper flag.
std::atomic<bool> is_on{false};

// The pid of a child that has ended, without reaping it: 0 for none, -1 when
// there is no child at all. Of several, the kernel chooses one. Children that
// this library is just starting are not among them: see Spawn.
pid_t PeekEnded() {
  siginfo_t info = {};
  if (GetOs().Waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT, nullptr) <
      0) {
    return errno == ECHILD ? -1 : 0;
  }
  return info.si_pid;
}

// Reaps `pid` if it has ended, and returns it: 0 if it has not ended, -1 when
// it is no child of this process.
pid_t TryReap(pid_t pid) {
  siginfo_t info = {};
  if (GetOs().Waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG,
                     nullptr) < 0) {
    return errno == ECHILD ? -1 : 0;
  }
  return info.si_pid;
}

}  // namespace

// Shared by the OrphanAdoption and its thread.
class OrphanAdoption::Orphans {
 public:
  // Children of this process by pid, with the times when they started.
  using Children = std::map<pid_t, uint64_t>;

  explicit Orphans(std::optional<Children> before)
      : before_(std::move(before)) {}

  // Used by the OrphanAdoption alone.
  const internal::ForkStamp stamp;
  internal::Thread thread;
  bool was_subreaper = false;

  size_t reaped() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return reaped_;
  }

  // The body of the thread.
  void Run() {
    while (!stop_.WaitForNotificationWithTimeout(kInterval)) ReapEnded();
    while (!remaining_.empty()) {
      for (auto it = remaining_.begin(); it != remaining_.end();) {
        it = TryReap(*it) != 0 ? remaining_.erase(it) : std::next(it);
      }
      absl::SleepFor(kInterval);
    }
  }

  // The last call of the OrphanAdoption. Returns whether the thread has more to
  // do.
  bool Stop() {
    ReapEnded();
    if (const auto living = FindLiving(); living.ok()) {
      for (const ProcessStat& orphan : *living) remaining_.insert(orphan.pid);
    }
    const bool has_more = !remaining_.empty();
    stop_.Notify();
    return has_more;
  }

  void ReapEnded() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    const pid_t ended = PeekEnded();
    if (ended <= 0) return;
    if (!before_.has_value()) {
      if (!StartedChildren::Get().MayInclude(ended, std::nullopt)) Reap(ended);
      return;
    }
    const bool close_look = ++looks_ % kLooksPerCloseLook == 0;
    for (const ProcessStat& child : Find(close_look).value_or(NoChildren())) {
      if (child.HasEnded()) Reap(child.pid);
    }
  }

  absl::StatusOr<std::vector<ProcessStat>> FindLiving()
      ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    std::set<pid_t> ended;
    for (;;) {
      absl::StatusOr<std::vector<ProcessStat>> found =
          Find(/*close_look=*/true);
      if (!found.ok()) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "orphans could not be searched for: ", found.status().message()));
      }
      std::vector<ProcessStat> living;
      bool has_news = false;
      for (ProcessStat& child : *found) {
        if (child.HasEnded()) {
          has_news |= ended.insert(child.pid).second;
        } else {
          living.push_back(std::move(child));
        }
      }
      // An orphan that ended after its pid was listed may have left orphans,
      // which are not in the list.
      if (!living.empty() || !has_news) return living;
    }
  }

  // Does nothing when the orphan has gone.
  void Signal(const ProcessStat& orphan, int signal) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    // Orphans are reaped only under this lock: the pid cannot be reused now.
    siginfo_t info = {};
    if (GetOs().Waitid(P_PID, static_cast<id_t>(orphan.pid), &info,
                       WEXITED | WNOHANG | WNOWAIT, nullptr) < 0) {
      return;
    }
    GetOs().Kill(orphan.pid, signal);
    if (signal != SIGKILL) GetOs().Kill(orphan.pid, SIGCONT);
  }

 private:
  static std::vector<ProcessStat> NoChildren() { return {}; }

  // Another thread may have reaped `pid` by now: the child of a failed start.
  void Reap(pid_t pid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (TryReap(pid) == pid) ++reaped_;
  }

  // The adopted orphans, as far as they can be distinguished from other
  // children.
  absl::StatusOr<std::vector<ProcessStat>> Find(bool close_look)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!before_.has_value()) {
      absl::Status status = internal::CheckProc();
      return status.ok() ? absl::FailedPreconditionError(
                               "there was no /proc when the adoption began")
                         : status;
    }
    const absl::StatusOr<std::vector<pid_t>> pids = internal::ListChildren();
    if (!pids.ok()) return pids.status();
    std::vector<ProcessStat> orphans;
    for (pid_t pid : *pids) {
      if (!close_look && StartedChildren::Get().HasNumber(pid)) continue;
      absl::StatusOr<ProcessStat> stat = internal::LookUpProcess(pid);
      if (absl::IsNotFound(stat.status())) continue;
      if (!stat.ok()) return stat.status();
      const auto before = before_->find(pid);
      const bool was_there =
          before != before_->end() && before->second == stat->start_time;
      if (!was_there &&
          !StartedChildren::Get().MayInclude(pid, stat->start_time)) {
        orphans.push_back(*std::move(stat));
      }
    }
    return orphans;
  }

  const std::optional<Children> before_;  // Nothing: there was no /proc.
  absl::Notification stop_;
  std::set<pid_t> remaining_;  // Of the thread, once stop_ is notified.

  absl::Mutex mu_;
  size_t reaped_ ABSL_GUARDED_BY(mu_) = 0;
  int looks_ ABSL_GUARDED_BY(mu_) = 0;
};

absl::StatusOr<std::unique_ptr<OrphanAdoption>> OrphanAdoption::Start() {
  if (is_on.exchange(true)) {
    return absl::FailedPreconditionError("orphans are being adopted already");
  }
  absl::Cleanup failed = [] { is_on = false; };
  std::optional<Orphans::Children> before;
  if (const auto pids = internal::ListChildren(); pids.ok()) {
    before.emplace();
    for (pid_t pid : *pids) {
      const auto stat = internal::LookUpProcess(pid);
      if (stat.ok()) before->emplace(pid, stat->start_time);
    }
  } else if (PeekEnded() >= 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "orphans could not be told from the children that there are: ",
        pids.status().message()));
  }
  int subreaper = 0;
  if (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) != 0 ||
      prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return absl::ErrnoToStatus(errno, "cannot become a child subreaper");
  }
  auto orphans = std::make_shared<Orphans>(std::move(before));
  absl::StatusOr<internal::Thread> thread =
      internal::Thread::Start("asyncproc-orph", [orphans] { orphans->Run(); });
  if (!thread.ok()) {
    prctl(PR_SET_CHILD_SUBREAPER, subreaper);
    return thread.status();
  }
  orphans->thread = *std::move(thread);
  orphans->was_subreaper = subreaper != 0;
  std::move(failed).Cancel();
  return absl::WrapUnique(new OrphanAdoption(std::move(orphans)));
}

OrphanAdoption::OrphanAdoption(std::shared_ptr<Orphans> orphans)
    : orphans_(std::move(orphans)) {}

OrphanAdoption::~OrphanAdoption() {
  if (orphans_->stamp.IsForkedCopy()) {
    // The thread does not exist in the copy, and may have held the lock: the
    // state leaks.
    new std::shared_ptr<Orphans>(std::move(orphans_));
    is_on = false;
    return;
  }
  prctl(PR_SET_CHILD_SUBREAPER, orphans_->was_subreaper ? 1 : 0);
  if (orphans_->Stop()) {
    orphans_->thread.Detach();
  } else {
    orphans_->thread.Join();
  }
  is_on = false;
}

size_t OrphanAdoption::reaped() const { return orphans_->reaped(); }

absl::StatusOr<std::vector<Survivor>> OrphanAdoption::Living() {
  const auto living = orphans_->FindLiving();
  if (!living.ok()) return living.status();
  std::vector<Survivor> survivors;
  for (const ProcessStat& orphan : *living) {
    survivors.push_back({orphan.pid, orphan.command});
  }
  return survivors;
}

absl::StatusOr<std::vector<Survivor>> OrphanAdoption::Terminate(
    const Escalation& escalation) {
  if (absl::Status status = escalation.Validate(); !status.ok()) return status;
  for (const EscalationStep& step : escalation.steps) {
    if (step.signal == 0) continue;
    const absl::Time deadline = DeadlineAfter(step.grace);
    std::set<std::pair<pid_t, uint64_t>> signaled;
    for (;;) {
      const auto living = orphans_->FindLiving();
      if (!living.ok()) return living.status();
      if (living->empty()) {
        orphans_->ReapEnded();
        return std::vector<Survivor>();
      }
      for (const ProcessStat& orphan : *living) {
        if (signaled.insert({orphan.pid, orphan.start_time}).second) {
          orphans_->Signal(orphan, step.signal);
        }
      }
      const absl::Time now = MonotonicNow();
      if (now >= deadline) break;
      if (absl::Status status =
              internal::SleepUntil(std::min(deadline, now + kLookInterval));
          !status.ok()) {
        return status;
      }
    }
  }
  return Living();
}

}  // namespace asyncproc

#include "asyncproc/internal/spawn/started_children.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/per_process.h"

namespace asyncproc::internal {
namespace {

constexpr size_t kWorthPruning = 64;

// In the unit of the start time in /proc/PID/stat.
uint64_t TicksSinceBoot() {
  const auto ticks_per_second = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * ticks_per_second +
         static_cast<uint64_t>(now.tv_nsec) * ticks_per_second / 1'000'000'000;
}

bool IsChild(pid_t pid) {
  siginfo_t info;
  return GetOs().Waitid(P_PID, static_cast<id_t>(pid), &info,
                        WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0 ||
         errno != ECHILD;
}

}  // namespace

StartedChildren& StartedChildren::Get() {
  static PerProcess<StartedChildren> children;
  return children.Get();
}

StartedChildren::Start::Start() : begin_(TicksSinceBoot()) {
  StartedChildren& all = Get();
  MutexLock lock(all.mu_);
  all.starts_.insert(begin_);
}

StartedChildren::Start::~Start() {
  StartedChildren& all = Get();
  MutexLock lock(all.mu_);
  all.starts_.erase(all.starts_.find(begin_));
}

void StartedChildren::Start::Succeeded(pid_t pid) {
  const uint64_t end = TicksSinceBoot();
  StartedChildren& all = Get();
  MutexLock lock(all.mu_);
  all.children_[pid] = {begin_, end};
  if (all.children_.size() >= 2 * all.pruned_size_ + kWorthPruning) all.Prune();
}

void StartedChildren::Prune() {
  for (auto it = children_.begin(); it != children_.end();) {
    it = IsChild(it->first) ? std::next(it) : children_.erase(it);
  }
  pruned_size_ = children_.size();
}

bool StartedChildren::MayInclude(pid_t pid,
                                 std::optional<uint64_t> start_time) {
  MutexLock lock(mu_);
  if (const auto child = children_.find(pid); child != children_.end()) {
    const Period& period = child->second;
    // Otherwise, the number now belongs to an orphan.
    if (!start_time.has_value() ||
        (*start_time >= period.begin && *start_time <= period.end)) {
      return true;
    }
  }
  if (starts_.empty()) return false;
  return !start_time.has_value() || *start_time >= *starts_.begin();
}

bool StartedChildren::HasNumber(pid_t pid) {
  MutexLock lock(mu_);
  return children_.count(pid) > 0;
}

}  // namespace asyncproc::internal

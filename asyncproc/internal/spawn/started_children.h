#ifndef ASYNCPROC_INTERNAL_SPAWN_STARTED_CHILDREN_H_
#define ASYNCPROC_INTERNAL_SPAWN_STARTED_CHILDREN_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace asyncproc::internal {

// The children that this library has started. The adoption of orphans uses it
// to tell them from orphans: both are children of this process.
//
// Thread safety: all methods may be called from any thread.
class StartedChildren {
 public:
  // The instance of this process. That of a forked copy has no children at
  // first.
  static StartedChildren& Get();

  // A start in progress: from before the child exists until it is recorded
  // here.
  class Start {
   public:
    Start();
    ~Start();
    Start(const Start&) = delete;
    Start& operator=(const Start&) = delete;

    void Succeeded(pid_t pid);

   private:
    const uint64_t begin_;
  };

  // Whether `pid`, an ended and unreaped child of this process, may be a child
  // that this library has started or is starting now. `start_time`: of the
  // child, as in ProcessStat; nothing when unknown.
  bool MayInclude(pid_t pid, std::optional<uint64_t> start_time)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Looks up the number alone, which may belong to another process by now.
  bool HasNumber(pid_t pid) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // The bounds of the child's start time, in clock ticks since boot.
  struct Period {
    uint64_t begin;
    uint64_t end;
  };

  // Forgets children that have been reaped.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  std::map<pid_t, Period> children_ ABSL_GUARDED_BY(mu_);
  size_t pruned_size_ ABSL_GUARDED_BY(mu_) = 0;
  std::multiset<uint64_t> starts_ ABSL_GUARDED_BY(mu_);  // Start times.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_STARTED_CHILDREN_H_

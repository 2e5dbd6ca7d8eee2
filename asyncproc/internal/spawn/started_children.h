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

// The children that this library has started, so that the adoption of orphans
// can tell them from the orphans: both are children of this process.
//
// Thread safety: all methods may be called from any thread.
class StartedChildren {
 public:
  // The one of this process. A fork has a copy, with children that are not its
  // own; that does no harm.
  static StartedChildren& Get();

  // A start under way, from before there is a child until it is known here.
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

  // Whether `pid`, a child of this process that has ended and has not been
  // reaped, can be one that this library has started or is starting now.
  // `start_time`: of the child, as ProcessStat has it; nothing when unknown.
  bool MayInclude(pid_t pid, std::optional<uint64_t> start_time)
      ABSL_LOCKS_EXCLUDED(mu_);

  // By its number alone, which may be another process's by now.
  bool HasNumber(pid_t pid) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // When it was started, in clock ticks since boot: not before, not after.
  struct Period {
    uint64_t begin;
    uint64_t end;
  };

  StartedChildren() = default;

  // Forgets children that have been reaped.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  std::map<pid_t, Period> children_ ABSL_GUARDED_BY(mu_);
  size_t pruned_size_ ABSL_GUARDED_BY(mu_) = 0;
  std::multiset<uint64_t> starts_ ABSL_GUARDED_BY(mu_);  // When they began.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_STARTED_CHILDREN_H_

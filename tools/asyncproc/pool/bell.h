#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_BELL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_BELL_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tools/asyncproc/os/mutex_lock.h"

namespace asyncproc::cli {

// Wakes the thread that waits for it, now or at its next wait.
//
// Thread safety: any thread may call anything.
class Bell {
 public:
  void Ring() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    rung_ = true;
  }

  // Waits until the bell rings, has rung since the last wait, or the time is
  // up.
  void Wait(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    mu_.AwaitWithTimeout(absl::Condition(&rung_), timeout);
    rung_ = false;
  }

 private:
  absl::Mutex mu_;
  bool rung_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_BELL_H_

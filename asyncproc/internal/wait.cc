#include "asyncproc/internal/wait.h"

#include "asyncproc/internal/os.h"

namespace asyncproc::internal {

absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                   absl::Time deadline) {
  if (deadline == absl::InfiniteFuture()) {
    mu.Await(condition);
    return absl::OkStatus();
  }
  // A length, not a point: absl waits for that on a clock that nobody sets.
  if (mu.AwaitWithTimeout(condition, deadline - MonotonicNow())) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError("time is up");
}

}  // namespace asyncproc::internal

#ifndef ASYNCPROC_INTERNAL_WAIT_H_
#define ASYNCPROC_INTERNAL_WAIT_H_

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace asyncproc::internal {

// Waits until `condition` holds or `deadline`, a point on MonotonicNow's clock,
// has passed. The one place where a caller of this library blocks.
//
// Errors: kDeadlineExceeded, saying only that; the caller knows what it was
// for.
absl::Status Await(absl::Mutex& mu, const absl::Condition& condition,
                   absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_WAIT_H_

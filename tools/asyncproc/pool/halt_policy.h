#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_HALT_POLICY_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_HALT_POLICY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// When to give up the jobs that are left, as GNU parallel's --halt says it:
// "never", "soon,fail=1", "now,success=1", "now,done=10", "soon,fail=30%". A
// percentage is of all jobs, or of those known so far; as there, it counts from
// the third job on.
struct HaltPolicy {
  enum class When {
    kNever,
    kSoon,  // Starts no more, and waits for those that run.
    kNow,   // Ends those, too.
  };
  enum class What { kFail, kSuccess, kDone };

  When when = When::kNever;
  What what = What::kFail;
  int64_t count = 1;  // Or so many per cent.
  bool percent = false;

  // Errors: kInvalidArgument.
  static absl::StatusOr<HaltPolicy> Parse(absl::string_view text);

  // `total`: how many jobs there are, as far as it is known.
  bool Reached(int64_t failed, int64_t succeeded, int64_t total) const;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_HALT_POLICY_H_

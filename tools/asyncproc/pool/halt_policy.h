#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_HALT_POLICY_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_HALT_POLICY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// When to give up the remaining jobs, in the syntax of GNU parallel's --halt:
// "never", "soon,fail=1", "now,success=1", "now,done=10", "soon,fail=30%". A
// percentage is of all jobs, or of those known so far; as in parallel, it
// counts from the third job on.
struct HaltPolicy {
  enum class When {
    kNever,
    kSoon,  // Starts no more jobs, and waits for the running ones.
    kNow,   // Ends the running jobs, too.
  };
  enum class What { kFail, kSuccess, kDone };

  When when = When::kNever;
  What what = What::kFail;
  int64_t count = 1;  // Or a percentage.
  bool percent = false;

  // Errors: kInvalidArgument.
  static absl::StatusOr<HaltPolicy> Parse(absl::string_view text);

  // `total`: the number of jobs, as far as it is known.
  bool Reached(int64_t failed, int64_t succeeded, int64_t total) const;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_HALT_POLICY_H_

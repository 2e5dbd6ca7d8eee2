#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_COUNT_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_COUNT_H_

#include <sys/resource.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace asyncproc::cli {

// The most jobs that may run at once.
inline constexpr int64_t kMostJobs = 100000;

// The value of --jobs: "4", "+1" or "-1" (relative to the processors), "50%"
// (of the processors), "0" (as many as the descriptors allow), or "" (one for
// each processor). At least 1. Errors: kInvalidArgument.
absl::StatusOr<int64_t> ParseJobCount(const std::string& text);

// Raises the soft limit of descriptors, if `slots` jobs need more. Returns the
// old limit if it was raised: the jobs are to have that.
std::optional<rlimit> RaiseDescriptorLimit(int slots);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_JOB_COUNT_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_CLOCK_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_CLOCK_H_

#include <time.h>

#include "absl/time/time.h"

namespace asyncproc::cli {

// The time of a clock that is never set, for deadlines and elapsed times.
inline absl::Time MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::UnixEpoch() + absl::DurationFromTimespec(now);
}

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_CLOCK_H_

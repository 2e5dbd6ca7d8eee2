#include "asyncproc/internal/text/elapsed.h"

#include <algorithm>

namespace asyncproc::internal {

std::string FormatElapsed(absl::Duration elapsed) {
  // A caller may have given a negative timeout.
  elapsed = std::max(elapsed, absl::ZeroDuration());
  const absl::Duration unit = elapsed < absl::Milliseconds(10)
                                  ? absl::Microseconds(1)
                                  : absl::Milliseconds(1);
  return absl::FormatDuration(absl::Trunc(elapsed + unit / 2, unit));
}

}  // namespace asyncproc::internal

#ifndef ASYNCPROC_CHILD_LIMITS_H_
#define ASYNCPROC_CHILD_LIMITS_H_

#include "absl/time/time.h"
#include "asyncproc/termination.h"

namespace asyncproc {

// How long a child may take before a loop of many ends it. Plain fields; by
// default there is no limit.
struct ChildLimits {
  // From its start.
  absl::Duration timeout = absl::InfiniteDuration();
  // Without any output, since its start or its last output.
  absl::Duration idle_timeout = absl::InfiniteDuration();
  // How it is ended then.
  Escalation escalation = Escalation::Standard();

  bool unlimited() const {
    return timeout == absl::InfiniteDuration() &&
           idle_timeout == absl::InfiniteDuration();
  }
};

}  // namespace asyncproc

#endif  // ASYNCPROC_CHILD_LIMITS_H_

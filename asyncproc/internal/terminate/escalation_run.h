#ifndef ASYNCPROC_INTERNAL_TERMINATE_ESCALATION_RUN_H_
#define ASYNCPROC_INTERNAL_TERMINATE_ESCALATION_RUN_H_

#include <cstddef>
#include <optional>

#include "absl/time/time.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/terminate/termination_targets.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// An Escalation in progress. It never blocks: its owner calls Advance, and
// again when a target has ended or deadline() has passed, until the escalation
// is over.
//
// Thread safety: none of its own; other threads may use `child` meanwhile.
class EscalationRun {
 public:
  // `child` must outlive this object.
  EscalationRun(ChildProcess& child, Escalation escalation);

  // Takes the steps that are due. Returns true when the escalation is over: all
  // targets have ended, or the grace period of the last step has.
  bool Advance();

  // The time of the next step.
  absl::Time deadline() const { return deadline_; }
  TerminationTargets& targets() { return targets_; }
  // Whether all targets have ended.
  bool HaveEnded();
  absl::Duration elapsed() const;

  // The outcome of the escalation, without `status`.
  Termination Outcome();

 private:
  // Returns whether the step applied.
  bool Take(const EscalationStep& step);

  ChildProcess& child_;
  const Escalation escalation_;
  const absl::Time start_;
  TerminationTargets targets_;
  size_t next_ = 0;
  std::optional<size_t> last_taken_;
  absl::Time deadline_ = absl::InfinitePast();
  bool ended_ = false;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TERMINATE_ESCALATION_RUN_H_

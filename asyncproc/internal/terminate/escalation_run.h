#ifndef ASYNCPROC_INTERNAL_TERMINATE_ESCALATION_RUN_H_
#define ASYNCPROC_INTERNAL_TERMINATE_ESCALATION_RUN_H_

#include <cstddef>
#include <optional>

#include "absl/time/time.h"
#include "asyncproc/internal/io/child_process.h"
#include "asyncproc/internal/terminate/termination_targets.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// An Escalation under way. It blocks nowhere: whoever drives it calls Advance,
// again when a target has ended or deadline() has passed, until it is over.
//
// Thread safety: none of its own; `child` may be used by others meanwhile.
class EscalationRun {
 public:
  // `child` must outlive it.
  EscalationRun(ChildProcess& child, Escalation escalation);

  // Takes the steps that are due. True when it is over: all have ended, or the
  // grace of the last step has.
  bool Advance();

  // When the next step is due.
  absl::Time deadline() const { return deadline_; }
  TerminationTargets& targets() { return targets_; }
  // Whether all have ended.
  bool HaveEnded();
  absl::Duration elapsed() const;

  // What it did; `status` is not of its knowing.
  Termination Outcome();

 private:
  // Whether there was anything to do.
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

#include "asyncproc/internal/terminate/escalation_run.h"

#include <utility>

#include "asyncproc/internal/os/os.h"

namespace asyncproc::internal {

EscalationRun::EscalationRun(ChildProcess& child, Escalation escalation)
    : child_(child),
      escalation_(std::move(escalation)),
      start_(MonotonicNow()),
      targets_(child, escalation_.scope) {}

bool EscalationRun::Advance() {
  while (!HaveEnded()) {
    if (MonotonicNow() < deadline_) return false;
    if (next_ == escalation_.steps.size()) return true;
    const EscalationStep& step = escalation_.steps[next_];
    if (Take(step)) {
      last_taken_ = next_;
      deadline_ = DeadlineAfter(step.grace);
    }
    ++next_;
  }
  return true;
}

bool EscalationRun::HaveEnded() {
  if (!ended_) ended_ = targets_.AwaitEnded(absl::InfinitePast());
  return ended_;
}

absl::Duration EscalationRun::elapsed() const {
  return MonotonicNow() - start_;
}

bool EscalationRun::Take(const EscalationStep& step) {
  if (step.signal == 0) return child_.AbortInput();
  child_.NoteSignal(step.signal, escalation_.scope);
  targets_.Signal(step.signal);
  return true;
}

Termination EscalationRun::Outcome() {
  Termination outcome;
  if (ended_) {
    outcome.ended_by_step = last_taken_;
  } else {
    outcome.survivors = targets_.Survivors();
  }
  outcome.elapsed = elapsed();
  return outcome;
}

}  // namespace asyncproc::internal

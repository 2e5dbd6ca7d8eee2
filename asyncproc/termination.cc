#include "asyncproc/termination.h"

#include <signal.h>

#include "absl/strings/str_cat.h"

namespace asyncproc {

EscalationStep EscalationStep::CloseStdin(absl::Duration grace) {
  return {0, grace};
}

EscalationStep EscalationStep::Signal(int signal, absl::Duration grace) {
  return {signal, grace};
}

std::string EscalationStep::ToString() const {
  return signal == 0 ? "close stdin" : SignalDescription(signal);
}

Escalation Escalation::Standard(absl::Duration grace, TerminationScope scope) {
  Escalation standard;
  standard.scope = scope;
  if (grace != absl::ZeroDuration()) {
    standard.steps = {EscalationStep::CloseStdin(grace),
                      EscalationStep::Signal(SIGTERM, grace)};
  }
  standard.steps.push_back(EscalationStep::Signal(SIGKILL, absl::Seconds(10)));
  return standard;
}

absl::Status Escalation::Validate() const {
  if (steps.empty()) {
    return absl::InvalidArgumentError("an escalation needs a step");
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].signal < 0 || steps[i].signal > SIGRTMAX) {
      return absl::InvalidArgumentError(
          absl::StrCat("step ", i, " of the escalation: ", steps[i].signal,
                       " is not a signal"));
    }
    if (steps[i].grace < absl::ZeroDuration()) {
      return absl::InvalidArgumentError(
          absl::StrCat("step ", i, " of the escalation: the grace of ",
                       absl::FormatDuration(steps[i].grace), " is negative"));
    }
  }
  return absl::OkStatus();
}

}  // namespace asyncproc

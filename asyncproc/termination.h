#ifndef ASYNCPROC_TERMINATION_H_
#define ASYNCPROC_TERMINATION_H_

#include <sys/types.h>

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"

namespace asyncproc {

// One means of ending a child, and how long it is given to work.
struct EscalationStep {
  // Closes the child's stdin, and drops what was still to be written to it.
  // Skipped, grace and all, where stdin is not a pipe or is closed already.
  static EscalationStep CloseStdin(absl::Duration grace);
  // Sends `signal`; and SIGCONT, so that a stopped child takes it. The child
  // gets it last of its scope: a shell that waits for its own may have ended by
  // itself by then, and with another status.
  static EscalationStep Signal(int signal, absl::Duration grace);

  int signal = 0;  // 0: close stdin.
  absl::Duration grace;

  // "close stdin", "SIGTERM (terminated)".
  std::string ToString() const;
};

// Whom an escalation is to end.
enum class TerminationScope {
  kChild,
  // And every process of the group that the child leads (Command::process_group
  // is New, or new_session is set; else it is as kChild).
  kGroup,
  // And all its descendants, also those that have left its group or session,
  // but for those whose parent had ended before the escalation began and that
  // are in another group: see OrphanAdoption.
  kTree,
};

// How to end a child, as data: each step is taken when the grace of the one
// before is over, and the whole is over when all it is meant to end have ended.
//
//   using asyncproc::EscalationStep;
//   asyncproc::Escalation gentle;
//   gentle.steps = {EscalationStep::Signal(SIGINT, absl::Seconds(5)),
//                   EscalationStep::Signal(SIGKILL, absl::Seconds(1))};
//   gentle.scope = asyncproc::TerminationScope::kTree;
//   auto termination = process->Terminate(gentle);
struct Escalation {
  // Close stdin, SIGTERM, SIGKILL, with `grace` for each of the first two. A
  // grace of zero goes straight to SIGKILL.
  static Escalation Standard(absl::Duration grace = absl::Seconds(1),
                             TerminationScope scope = TerminationScope::kChild);

  std::vector<EscalationStep> steps;
  TerminationScope scope = TerminationScope::kChild;

  // Errors: kInvalidArgument for no step at all, a number that is no signal, or
  // a negative grace; it names the step.
  absl::Status Validate() const;
};

// A process that outlived an escalation.
struct Survivor {
  pid_t pid = 0;
  // As /proc has it: 15 characters at most, control characters made visible.
  std::string command;
};

// What an escalation did.
struct Termination {
  ExitStatus status = ExitStatus::Exited(0);  // Of the child itself.
  // The step, by its index, in whose grace the last target ended. Nothing when
  // all had ended before the first.
  std::optional<size_t> ended_by_step;
  // Processes of the scope that are still there, say because they belong to
  // another user.
  std::vector<Survivor> survivors;
  absl::Duration elapsed;
};

// What happens to a child that still runs when its Process is destroyed.
class OnDestroy {
 public:
  enum class Policy { kKill, kTerminate, kDetach };

  // SIGKILL, and reaped at once.
  static OnDestroy Kill() { return OnDestroy(Policy::kKill, {}); }
  // The destructor blocks for the escalation; what is left gets SIGKILL.
  static OnDestroy Terminate(Escalation escalation) {
    return OnDestroy(Policy::kTerminate, std::move(escalation));
  }
  // It runs on. Its stdin is closed once what was queued has been written, its
  // output is read and thrown away, and it is reaped when it ends, by a thread
  // that lives just so long.
  static OnDestroy Detach() { return OnDestroy(Policy::kDetach, {}); }

  Policy policy() const { return policy_; }
  const Escalation& escalation() const { return escalation_; }

 private:
  OnDestroy(Policy policy, Escalation escalation)
      : policy_(policy), escalation_(std::move(escalation)) {}

  Policy policy_;
  Escalation escalation_;
};

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

#endif  // ASYNCPROC_TERMINATION_H_

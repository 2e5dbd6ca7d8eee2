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

// One means of ending a child, and the grace period that follows it.
struct EscalationStep {
  // Closes the child's stdin, and drops bytes still queued for it. On a
  // terminal, types end-of-file (^D) twice instead. Skipped, with its grace
  // period, when stdin is neither a pipe nor a terminal, or is closed already.
  static EscalationStep CloseStdin(absl::Duration grace);
  // Sends `signal`; and SIGCONT, so that a stopped child takes it. The child
  // gets the signal first, and each parent before its children: a shell whose
  // child ended first would continue with its next command. A process that
  // starts after that, such as one that a handler of the signal starts to clean
  // up, gets only SIGKILL.
  static EscalationStep Signal(int signal, absl::Duration grace);

  int signal = 0;  // 0: close stdin.
  absl::Duration grace;

  // "close stdin", "SIGTERM (terminated)".
  std::string ToString() const;
};

// The processes that an escalation is to end.
enum class TerminationScope {
  kChild,
  // The child, and every process of the group that it leads
  // (Command::process_group is New, or new_session or pty is set; otherwise the
  // same as kChild).
  kGroup,
  // The child, and all its descendants, also outside of its group or session.
  // Descendants whose parent had ended before the escalation began are found
  // only in the group that the child leads (see kGroup). Of a child that leads
  // no group, as by default, no such descendant is found, not even in the
  // child's own group, where it looks like any process of the host: see
  // OrphanAdoption.
  kTree,
};

// How to end a child, as data: each step is taken when the grace period of the
// step before is over. The escalation is over as soon as all its targets have
// ended, and at the latest after the grace period of the last step.
//
//   using asyncproc::EscalationStep;
//   asyncproc::Escalation gentle;
//   gentle.steps = {EscalationStep::Signal(SIGINT, absl::Seconds(5)),
//                   EscalationStep::Signal(SIGKILL, absl::Seconds(1))};
//   gentle.scope = asyncproc::TerminationScope::kTree;
//   auto termination = process->Terminate(gentle);
struct Escalation {
  // Close stdin, SIGTERM, SIGKILL, with `grace` for each of the first two. A
  // grace of zero sends SIGKILL at once.
  static Escalation Standard(absl::Duration grace = absl::Seconds(1),
                             TerminationScope scope = TerminationScope::kChild);

  std::vector<EscalationStep> steps;
  TerminationScope scope = TerminationScope::kChild;

  // Errors: kInvalidArgument for an empty list of steps, an invalid signal
  // number, or a negative grace; the message names the step.
  absl::Status Validate() const;
};

// A process that outlived an escalation.
struct Survivor {
  pid_t pid = 0;
  // As in /proc: 15 characters at most, with control characters escaped.
  std::string command;
};

// The effect of an escalation.
struct Termination {
  ExitStatus status = ExitStatus::Exited(0);  // Of the child itself.
  // The index of a step: the last target ended in the grace period of that
  // step. Nothing when all targets had ended before the first step.
  std::optional<size_t> ended_by_step;
  // Processes of the scope that are still there, for example because they
  // belong to another user.
  std::vector<Survivor> survivors;
  absl::Duration elapsed;
};

// The treatment of a child when its Process is destroyed. Kill and Detach apply
// to a child that still runs.
class OnDestroy {
 public:
  enum class Policy { kKill, kTerminate, kDetach };

  // Sends SIGKILL, and reaps the child at once.
  static OnDestroy Kill() { return OnDestroy(Policy::kKill, {}); }
  // The destructor blocks for the escalation; all processes of its scope that
  // are left then get SIGKILL, and up to one second to end. This applies also
  // after the end of the child, to the processes that it has left behind in its
  // group, if the scope is kGroup or kTree.
  static OnDestroy Terminate(Escalation escalation) {
    return OnDestroy(Policy::kTerminate, std::move(escalation));
  }
  // Lets the child run on. Its stdin is closed after all queued bytes have been
  // written. Its further output is read and dropped, regardless of
  // Command::output_buffer, until the child has ended and its output has
  // settled (see Process::Wait). Its pipes are closed then: a process that it
  // leaves behind gets SIGPIPE when it writes to them. A cursor or tap that
  // outlives the Process gets the bytes that had arrived and then the end of
  // the stream, and an observer, such as a Recorder, is told that the output is
  // closed, and later of the exit. The threads of the Process run until the
  // pipes are closed; one of them reaps the child.
  static OnDestroy Detach() { return OnDestroy(Policy::kDetach, {}); }

  Policy policy() const { return policy_; }
  const Escalation& escalation() const { return escalation_; }

 private:
  OnDestroy(Policy policy, Escalation escalation)
      : policy_(policy), escalation_(std::move(escalation)) {}

  Policy policy_;
  Escalation escalation_;
};

// The time limits of a child of a ProcessPoller or Reactor, which ends the
// child at the first limit. Plain fields; by default there is no limit.
struct ChildLimits {
  // From the start of the child. Zero or less: the child is not started at all,
  // and the call returns kDeadlineExceeded.
  absl::Duration timeout = absl::InfiniteDuration();
  // Without any output, since the child's start or its last output. Positive;
  // otherwise the call returns kInvalidArgument.
  absl::Duration idle_timeout = absl::InfiniteDuration();
  // How the child is ended at a limit.
  Escalation escalation = Escalation::Standard();

  bool unlimited() const {
    return timeout == absl::InfiniteDuration() &&
           idle_timeout == absl::InfiniteDuration();
  }
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TERMINATION_H_

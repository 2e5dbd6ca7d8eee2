#include "asyncproc/internal/repl/stop_statement.h"

#include <signal.h>

#include <algorithm>
#include <limits>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/signal_action.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {
namespace {

// The first pause between two interrupts; each further pause is twice as long.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);

// Whether the next signal, sent now, has an effect and does not end the
// program; counts it. `late`: even a program that the signal may end is to
// receive one more.
bool MayInterrupt(Conversation& conversation, bool late) {
  const ReplInterrupt& interrupt = conversation.dialect().interrupt;
  Process* const process = conversation.process();
  const SignalAction action =
      process == nullptr ? SignalAction::kUnknown
                         : ReadSignalAction(process->pid(), interrupt.signal);
  // The signal reaches the commands that the program runs.
  if (action == SignalAction::kIgnored) return true;
  Conversation::Statement& statement = conversation.statement();
  // A handler that runs may restore the default action, as that of lua does.
  const bool catches =
      action == SignalAction::kCaught || action == SignalAction::kUnknown ||
      (action == SignalAction::kBlocked && statement.interrupts == 0);
  // Without a handler, the signal ends a program that may be about to answer,
  // or to set its handler, as node does when a statement begins.
  if (!catches && (statement.interrupts > 0 || !late)) return false;
  const int limit = interrupt.limit;
  const bool one_more = late && limit > 0 && statement.interrupts == limit;
  if (statement.interrupts >= limit && !one_more) return false;
  // A signal before the statement has begun may be lost, and count.
  const bool counts = limit < std::numeric_limits<int>::max();
  if (counts && MonotonicNow() < statement.sent + kFirstPause) return false;
  // The handler may have run, and the program be about to remove it, as node
  // does.
  const absl::Time now = MonotonicNow();
  if (now < statement.interrupted + kFirstPause) return false;
  ++statement.interrupts;
  statement.interrupted = now;
  return true;
}

// Waits for the completion of the last text sent. Errors: kDeadlineExceeded
// also when the program waits for more.
absl::Status AwaitAnswer(Conversation& conversation, absl::Time deadline) {
  const absl::StatusOr<Completion> completion =
      conversation.AwaitCompletion(deadline);
  if (!completion.ok()) return completion.status();
  if (conversation.statement().unfinished && completion->incomplete) {
    return absl::DeadlineExceededError("it waits for more");
  }
  return absl::OkStatus();
}

// Waits for the answer to an interrupt until `deadline`; then, on a channel,
// for the completion of an empty statement until `last`.
absl::Status AwaitReady(Conversation& conversation, absl::Time deadline,
                        absl::Time last) {
  const ReplDialect& dialect = conversation.dialect();
  if (!dialect.prompt.empty()) return conversation.AwaitLastPrompt(deadline);
  // The interrupt may have discarded the text sent before.
  if (conversation.by_marks() || !dialect.interrupt.text.empty()) {
    if (absl::Status status = conversation.Send(""); !status.ok()) {
      return status;
    }
  }
  absl::Status status = AwaitAnswer(conversation, deadline);
  if (!status.ok() || !dialect.channel || conversation.by_marks()) {
    return status;
  }
  // When an empty statement has been executed, no late signal is pending.
  status = conversation.Send("");
  return status.ok() ? AwaitAnswer(conversation, last) : status;
}

}  // namespace

absl::Status StopStatement(Conversation& conversation, absl::Time deadline) {
  const absl::Cleanup restore = [&conversation,
                                 drops = conversation.SetDropping(true)] {
    conversation.SetDropping(drops);
  };
  const ReplDialect& dialect = conversation.dialect();
  const absl::Duration patience = dialect.interrupt.patience;
  const absl::Time last = std::min(deadline, DeadlineAfter(patience));
  // The session is probably lost then: an interrupt beyond the limit does no
  // harm.
  const absl::Time late = MonotonicNow() + patience / 2;
  absl::Duration pause = kFirstPause;
  size_t left = 0;  // The number of abandon texts written.
  for (;;) {
    absl::Status status;
    // An abandon text is tried without an interrupt first.
    const bool leaves =
        conversation.statement().unfinished && !dialect.abandon.empty();
    if ((!leaves || left > dialect.abandon.size()) &&
        MayInterrupt(conversation, MonotonicNow() >= late)) {
      status = conversation.Interrupt();
    }
    // A stopped program can neither take a signal nor go on.
    conversation.child()
        .Signal(SIGCONT, TerminationScope::kGroup)
        .IgnoreError();
    if (leaves) {
      status = conversation.SendText(
          dialect.abandon[left++ % dialect.abandon.size()]);
    }
    if (!status.ok()) return status;
    const absl::Time next = std::min(last, MonotonicNow() + pause);
    status = AwaitReady(conversation, next, last);
    if (absl::Status ended = CheckWaitScopes(); !status.ok() && !ended.ok()) {
      return ended;
    }
    if (!absl::IsDeadlineExceeded(status) || MonotonicNow() >= last) {
      return status;
    }
    if (!dialect.interrupt.answer.empty() && conversation.WaitsForStdin()) {
      status = conversation.Type(dialect.interrupt.answer);
      if (!status.ok()) return status;
    }
    if (!leaves) pause *= 2;
  }
}

}  // namespace asyncproc::internal

#ifndef ASYNCPROC_REPL_H_
#define ASYNCPROC_REPL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "asyncproc/repl_dialects.h"
#include "re2/re2.h"

namespace asyncproc {

namespace internal {
class Channel;
class Conversation;
struct Completion;
}  // namespace internal

// The answer of a program to one statement.
struct Reply {
  // Without prompts. The "\r\n" that a terminal makes of "\n" is "\n" again.
  std::string out;
  std::string err;
  // Where the program reports it: for a shell, the exit status of the
  // statement; for other programs 0, or 1 for a statement that failed.
  std::optional<int> status;
  std::string prompt;  // The match of ReplDialect::prompt.
};

// A conversation with an interactive program: sends one statement, and returns
// its whole reply.
//
//   auto bc = asyncproc::Repl::Start(asyncproc::BcDialect());
//   if (!bc.ok()) return bc.status();
//   auto reply = (*bc)->Eval("2^100", absl::Seconds(5));
//   // reply->out == "1267650600228229401496703205376\n"
//
// A reply may have up to ReplDialect::reply_limit bytes, may end without a
// newline, and may contain any bytes. But for a prompt dialect the reply ends
// as soon as the output so far ends with the prompt: choose a prompt that no
// statement prints.
//
// Output that arrives between two statements, such as that of a background job,
// is the start of the next reply; a prompt dialect drops it.
//
// A statement may ask a question, which a function answers:
//
//   asyncproc::ReplDialect dialect = asyncproc::PythonDialect();
//   dialect.command.in = asyncproc::Stdio::Pipe();
//   auto python = asyncproc::Repl::Start(dialect);
//   if (!python.ok()) return python.status();
//   (*python)->set_on_question(
//       [](absl::string_view question) -> std::optional<std::string> {
//         if (question == "Your name? ") return "Ada\n";
//         return std::nullopt;
//       });
//   auto reply = (*python)->Eval("input('Your name? ')", absl::Seconds(5));
//   // reply->out == "Your name? 'Ada'\n"
//
// Thread safety: one thread at a time.
// Ownership: owns the child; the destructor does the same as that of Process,
// also in a forked copy of the host.
// Blocking: Start, Attach and Eval, up to their timeouts. After its timeout, a
// reply that is too long or an incomplete statement, Eval also waits for the
// program to answer its interrupt, for ReplInterrupt::patience at most.
// WithTimeout and CancellationScope end all of these waits; the next Eval then
// goes on with the interrupt. Close waits as Process::Terminate, and for a
// dialect with a channel one grace period longer. The destructor blocks as that
// of Process.
class Repl {
 public:
  // Errors: as Process::Spawn; kDeadlineExceeded when the program does not
  // answer in time, or kFailedPrecondition when it ends or waits for input
  // without an answer, with its output; kInvalidArgument for a dialect that has
  // no way to detect the end of a reply.
  static absl::StatusOr<std::unique_ptr<Repl>> Start(
      ReplDialect dialect, absl::Duration timeout = absl::Seconds(20));

  // The same with a child that has been started already and has not been used:
  // dialect.command is not used. With a ReplayProcess
  // (asyncproc/testing/replay_process.h), a recorded session gives its replies
  // again. kInvalidArgument for a Process and a dialect with a channel: the
  // channel is made before the child.
  static absl::StatusOr<std::unique_ptr<Repl>> Attach(
      ReplDialect dialect, std::unique_ptr<Child> child,
      absl::Duration timeout = absl::Seconds(20));

  ~Repl();

  // Returns the text that is written to stdin as the answer to `question`,
  // usually a line, or nothing if there is no answer. `question` is the output
  // of the statement, first stdout, then stderr, since its start or since the
  // previous answer; it may be empty.
  using AnswerQuestion =
      std::function<std::optional<std::string>(absl::string_view question)>;

  // From now on, Eval calls `answer` when the program, or a child for which it
  // waits, waits for its stdin in the middle of a statement. That is the case
  // if command.in is Stdio::Pipe(), which most dialects change to
  // Stdio::Null(), or Stdio::Socket(); not for sqlite3, psql and redis-cli,
  // which take commands from stdin. It shows within a second; a program that
  // waits for other things at the same time, as node mostly does, is not found
  // to wait. In a replay there is no program, so nothing asks.
  //
  // `answer` runs on the thread that calls Eval, and under no lock. It must not
  // call this Repl. The time that it takes is part of the time of Eval.
  void set_on_question(AnswerQuestion answer);

  // Returns the next line of a statement, without its end; nothing if there is
  // none; or an error.
  using NextLine = std::function<absl::StatusOr<std::optional<std::string>>()>;

  // From now on, Eval of a dialect with a continuation prompt calls `next` when
  // this prompt comes after the last line of the statement. Eval then writes
  // the next line, and so on until the statement is complete; the reply is that
  // to all lines. Without a next line, Eval writes an empty one, which ends a
  // block of python; if that completes nothing, the statement is incomplete. At
  // an error, the statement is interrupted, and Eval returns the error.
  //
  // `next` runs on the thread that calls Eval, and under no lock. It must not
  // call this Repl. The time that it takes is not part of the time of Eval.
  void set_on_incomplete(NextLine next);

  // Executes `statement`, of any number of lines, and waits for its reply.
  //
  // When the time is up, the statement is interrupted, and its further output
  // is dropped: it never becomes part of the next reply. Errors:
  // kDeadlineExceeded, with the output so far, and whether the session goes on;
  // if not, all further calls get kFailedPrecondition. kResourceExhausted,
  // likewise, for a reply longer than its limit. kInvalidArgument for an
  // incomplete statement (a `def` without its end): IsIncomplete is true for
  // this error, and the session goes on.
  // kUnimplemented for a byte that the dialect cannot carry: nothing was sent.
  // kInvalidArgument and kResourceExhausted as Process::Write, for a text that
  // the stdin of the program does not take: nothing was sent, and the session
  // goes on. The error of a later line of a prompt dialect gives the number of
  // lines that were sent; if they are not complete, they are interrupted. For
  // an answer to a question, the statement is interrupted.
  // kAborted, with the question, when set_on_question's function has no answer:
  // the statement is interrupted, as after its time.
  // kFailedPrecondition when the program has ended. kCancelled by a
  // CancellationScope: the statement runs on, and the next Eval interrupts it;
  // a scope that was canceled before the call sends nothing.
  absl::StatusOr<Reply> Eval(absl::string_view statement,
                             absl::Duration timeout);

  // Takes the output that belongs to no reply, such as that of a statement that
  // ended the program. Reply::out has no echo of the statement, but may end
  // with prompts of a program that is still running. Waits until the output
  // that was written before the call has arrived, for up to `timeout`.
  Reply TakeRest(absl::Duration timeout = absl::Seconds(1));

  // Ends the program: closes its input, then sends signals; see
  // Process::Terminate.
  absl::StatusOr<ExitStatus> Close(absl::Duration grace = absl::Seconds(1));

  Child& child() { return *child_; }
  // REQUIRES: the child is a Process, as after Start.
  Process& process();

 private:
  Repl(ReplDialect dialect, std::unique_ptr<Child> child, Process* process,
       std::unique_ptr<internal::Channel> channel);

  absl::Status Begin(absl::Time deadline);
  absl::StatusOr<Reply> TakeReply(internal::Completion completion,
                                  absl::Time deadline);
  bool IsIncompleteMessage(const Reply& reply) const;
  // The error for a statement that stdin refused.
  absl::Status NotSent(const internal::Completion& completion,
                       absl::string_view statement,
                       absl::string_view consequence);
  // Ends a statement early. Returns an error with `code` that names the reason,
  // `happened`, and whether the session goes on.
  absl::Status CutOff(absl::StatusCode code, absl::string_view statement,
                      absl::string_view happened, absl::Time deadline);
  // Interrupts the running statement, and drops its output. Errors:
  // kDeadlineExceeded, kCancelled: the next call may try again; else the
  // session is lost.
  absl::Status Recover(absl::Time deadline = absl::InfiniteFuture());
  absl::Status DropStale(absl::Time deadline);
  // The error for `why`, which happened at `where`: of a program that has
  // ended, its end. The session is lost, unless only its time is up.
  absl::Status Failed(const absl::Status& why, absl::string_view where);
  // For messages: "bc (pid 4711)".
  std::string Program() const;

  const ReplDialect dialect_;
  const std::unique_ptr<const RE2> incomplete_;  // Or null.
  const std::unique_ptr<Child> child_;
  Process* const process_;  // child_, if that is a Process; else null.
  const std::unique_ptr<internal::Conversation> conversation_;
  bool unanswered_ = false;  // A statement is still to be interrupted.
  bool stale_ = false;       // Output of an earlier statement is to be dropped.
  absl::Status broken_;      // Why the session cannot go on.
};

// Whether `status` is the error of Repl::Eval for an incomplete statement,
// whose rest may be in the next line. Other errors have the code
// kInvalidArgument, too, such as that for a line that is too long for a
// terminal.
bool IsIncomplete(const absl::Status& status);

}  // namespace asyncproc

#endif  // ASYNCPROC_REPL_H_

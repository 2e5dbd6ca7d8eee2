#ifndef ASYNCPROC_REPL_H_
#define ASYNCPROC_REPL_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "re2/re2.h"

namespace asyncproc {

namespace internal {
class Channel;
class StatementTemplate;
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

// How a statement that exceeds its time is stopped.
struct ReplInterrupt {
  // The signal for the child's process group, followed by SIGCONT. On a
  // terminal, where no channel is used, SIGINT is typed as Ctrl-C. 0: SIGCONT
  // alone.
  int signal = 2;  // SIGINT
  // Written to stdin after the signal.
  std::string text;
  // Written to stdin if the statement still waits for its stdin after that, as
  // a program does that continues its read after a signal.
  std::string answer;
  // How often the program itself may catch the signal while it does not answer:
  // some programs end at the second or third of a row. With a limit, the first
  // signal waits until the statement has run for 50 ms, since a program may
  // lose an earlier one; one more follows after half of the patience.
  // Further signals are sent only while the program ignores them, as it does
  // while it runs a command. 0: no other signals.
  int limit = std::numeric_limits<int>::max();
  // The time that the program has to answer. After that the session is lost.
  absl::Duration patience = absl::Seconds(5);
};

// How to talk to a program that reads statements and prints their results. The
// dialects of well-known programs are in repl_dialects.h. A new dialect:
//
//   asyncproc::ReplDialect dc;
//   dc.command = asyncproc::Command({"dc"});
//   dc.statement = "{statement}\n[{head}]n[{tail}]p\n";
//
// A dialect detects the end of a reply in one of three ways.
//
// *Marks*, the default. `statement` is written to stdin. It makes the program
// print {head} and {tail}, random letters, side by side on stdout, by two
// separate statements where the program has statements. The status, after a
// space, may follow, then a newline. An incomplete statement swallows the first
// of the two, so {head} is missing. Where `channel` is true, `statement` is
// written to descriptor 8 of the program instead, and stdin is left to the
// user's code.
//
// *Prompt*, where `prompt` is set. Each line of the statement is written to
// stdin, and its prompt awaited at the end of the output.
//
// *Channel*, where `channel` is true and `statement` has no {head}. The program
// has two more descriptors. It reads `statement` from descriptor 8, and writes
// a completion line to descriptor 9 as soon as it has executed the statement
// and flushed its output. stdin, which is empty unless command.in is changed,
// stdout and stderr are left to the user's code. A completion line is
//
//   ID done STATUS [STATE]     or     ID incomplete
//
// and a newline. ID is the statement's {id}; the first completion line, which
// the program writes when it is ready, has the ID 0. STATUS is a number, or
// "true" for a statement that failed and "false" for success. STATE is any
// text; it replaces {state} in the next statement. At end-of-file on descriptor
// 8 the program ends.
//
// In `statement` these words are replaced:
//   {statement}  the statement, byte for byte
//   {quoted}     the statement as one word of a shell
//   {quoted_test}  the same for a test of its syntax: a backslash that
//                continues the last line is replaced by text that is not
//                complete
//   {quoted_function}  as {quoted_test}: the statement as the body of a
//                function `asyncproc`
//   {quoted_capture}  the same for bash: the statement, followed by an
//                assignment of $?, $_ and PIPESTATUS to an array `asyncproc`
//   {quoted_fish}  the statement as one word of fish
//   {length}     the statement's size in bytes
//   {id}         a number, different for each statement
//   {status}     the STATUS of the completion line before, 0 at first
//   {state}      the STATE of the completion line before, ":" at first
//   {head}, {tail}  the halves of the mark
struct ReplDialect {
  // A wrapper (Command::Via) should exec the program, as `env` and `nice` do.
  // If it waits for the program, as `timeout` and `unshare -f` do, an
  // incomplete statement may not be recognized, and runs until its timeout. If
  // the program then has another process group, as by `setsid -w`, interrupts
  // do not arrive.
  Command command;

  // The program in messages, if it is not command.argv[0]: that may be a shell
  // that starts it.
  std::string name;

  // The text sent for a statement: see above. Not for a prompt dialect.
  std::string statement;

  // Written first, once: to the channel, or to stdin.
  std::string setup;

  // Written to stdin first, once, also where there is a channel.
  std::string typed;

  bool channel = false;

  // RE2 for the prompt, and for the prompt of a line that continues a
  // statement. Both are matched at the end of the output. If a prompt begins
  // with a newline, as by "(?:^|\n)> $", Reply::out ends before it.
  std::string prompt;
  std::string continuation;

  // Whether the program repeats each line that it reads, as line editing does
  // on a terminal. For a prompt dialect: the first line of an answer is dropped
  // if it equals the line that was sent.
  bool echoes = false;

  // Bytes that a statement may not have, because the program or its terminal
  // would change or interpret them. For a shell, NUL is always among them.
  std::string refused;

  // RE2 for the program's message about an incomplete statement. An incomplete
  // statement executes nothing: the message must be all that the program
  // writes, on one stream and without the white space at its end, or else the
  // statement counts as complete. A complete statement that fails and writes
  // nothing but such a message counts as incomplete.
  std::string incomplete;

  // Texts written one after the other, as statements are, until the program
  // answers, to leave an incomplete statement.
  std::vector<std::string> abandon;

  ReplInterrupt interrupt;

  // The most bytes of one reply, of both streams together: Eval keeps no more
  // in memory. If command.output_buffer is Unbounded, Start sets it to
  // BlockChild(reply_limit).
  size_t reply_limit = 64 << 20;
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
// Ownership: owns the child; the destructor does the same as that of Process.
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
  // answer in time, or kFailedPrecondition when it ends, with its output;
  // kInvalidArgument for a dialect that has no way to detect the end of a
  // reply.
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
  void set_on_question(AnswerQuestion answer) {
    answer_question_ = std::move(answer);
  }

  // Executes `statement`, of any number of lines, and waits for its reply.
  //
  // When the time is up, the statement is interrupted, and its further output
  // is dropped: it never becomes part of the next reply. Errors:
  // kDeadlineExceeded, with the output so far, and whether the session goes on;
  // if not, all further calls get kFailedPrecondition. kResourceExhausted,
  // likewise, for a reply longer than its limit. kInvalidArgument for an
  // incomplete statement (a `def` without its end): the session goes on.
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

  // Ends the program: closes its input, then sends signals; see
  // Process::Terminate.
  absl::StatusOr<ExitStatus> Close(absl::Duration grace = absl::Seconds(1));

  Child& child() { return *child_; }
  // REQUIRES: the child is a Process, as after Start.
  Process& process();

 private:
  // How a statement ended.
  struct Completion {
    bool incomplete = false;
    std::string status;  // As the program wrote it.
    std::string out;     // Of a mark or prompt dialect: the output before it.
    std::string prompt;
    // Why stdin did not take the statement, or the rest of it after `lines`.
    absl::Status refused;
    size_t lines = 0;
  };

  Repl(ReplDialect dialect, std::unique_ptr<Child> child);

  absl::Status Begin(absl::Time deadline);
  // Sends `statement`, and waits until it has been executed.
  absl::StatusOr<Completion> Execute(absl::string_view statement,
                                     absl::Time deadline);
  absl::StatusOr<Completion> ExecuteLines(absl::string_view statement,
                                          absl::Time deadline);
  // Sends the dialect's text for `statement`.
  absl::Status Send(absl::string_view statement);
  // Writes `text` to the channel if there is one, else to stdin.
  absl::Status SendText(absl::string_view text);
  absl::StatusOr<Completion> AwaitCompletion(absl::Time deadline);
  absl::StatusOr<Completion> AwaitLine(absl::Time deadline);
  // Errors: kResourceExhausted when the reply is too long already. If drops_ is
  // set, drops the output instead.
  absl::Status CheckLength();
  absl::StatusOr<Completion> AwaitMark(absl::Time deadline);
  absl::StatusOr<Completion> AwaitPrompt(absl::Time deadline);
  // Whether the child waits for more of a statement, on its stdin or channel.
  bool AsksForMore();
  // Whether the statement waits for its stdin, as far as statements have one.
  bool WaitsForStdin();
  // Counts in `asked` how often in a row the statement waited for its stdin. At
  // the second time, it answers the question. Errors: kAborted: no answer.
  absl::Status AnswerIfAsked(int* asked, absl::Time deadline);
  // The output of the statement since its start, or since the last answer.
  std::string Question();
  // Whether a program that was told on its stdin to read the channel has
  // stopped reading it, for example at a ".exit".
  bool HasLeft();
  absl::StatusOr<Reply> TakeReply(Completion completion, absl::Time deadline);
  bool IsIncompleteMessage(const Reply& reply) const;

  // The error for a statement that stdin refused.
  absl::Status NotSent(const Completion& completion,
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
  // Whether the next signal, sent now, has an effect and does not end the
  // program; counts it. `late`: even a program that the signal may end is to
  // receive one more.
  bool MayInterrupt(bool late);
  absl::Status Interrupt();
  // Writes `text` to stdin.
  absl::Status Type(absl::string_view text);
  // Waits for the answer to an interrupt until `deadline`; then, on a channel,
  // for the completion of an empty statement until `last`.
  absl::Status AwaitReady(absl::Time deadline, absl::Time last);
  // As AwaitCompletion. Errors: kDeadlineExceeded also when the program waits
  // for more.
  absl::Status AwaitAnswer(absl::Time deadline);
  // As OutputStream::Sync. Errors: as CheckLength.
  absl::Status Sync(OutputStream& stream, absl::Time deadline);
  absl::Status DropOutput(absl::Time deadline);
  // Drops the bytes that have arrived.
  void DropUnread();
  absl::Status DropStale(absl::Time deadline);

  // For messages: "bc (pid 4711)".
  std::string Program() const;
  // For messages: the unread output, quoted.
  std::string Written();
  std::string WrittenOrNothing();
  absl::Status Failed(const absl::Status& why, absl::string_view where);

  const ReplDialect dialect_;
  const bool by_marks_;
  const std::unique_ptr<Child> child_;
  Process* process_ = nullptr;  // child_, if that is a Process; else null.
  std::unique_ptr<internal::Channel> channel_;
  const std::unique_ptr<const internal::StatementTemplate> template_;
  const std::unique_ptr<const RE2> incomplete_;  // Or null.
  const Pattern at_end_;                         // Of a prompt dialect.
  Expect out_;
  AnswerQuestion answer_question_;  // Or null.

  uint64_t id_ = 0;       // Of the last statement.
  std::string head_;      // Its mark.
  std::string tail_;      //
  std::string received_;  // From the channel; not a whole line yet.
  std::string taken_;     // From stdout, of a mark dialect; no whole reply yet.
  std::optional<std::string> echo_;  // The last line, if it is repeated.
  size_t answered_out_ = 0;  // The bytes of the statement's output before
  size_t answered_err_ = 0;  // the last answer.
  std::string status_ = "0";
  std::string state_ = ":";
  bool unanswered_ = false;  // A statement is still to be interrupted.
  bool unfinished_ = false;  // That statement is not complete.
  int interrupts_ = 0;       // Of that statement; the program took them.
  absl::Time sent_;          // When that statement was sent.
  std::string no_answer_;    // Why the last question has no answer, or empty.
  bool drops_ = false;       // The output is dropped, not kept for a reply.
  bool stale_ = false;       // Output of an earlier statement is to be dropped.
  absl::Status broken_;      // Why the session cannot go on.
};

}  // namespace asyncproc

#endif  // ASYNCPROC_REPL_H_

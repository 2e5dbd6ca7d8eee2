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
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"

namespace asyncproc {

// What a program answered to one statement.
struct Reply {
  // Without prompts, and without the statement's echo. What a terminal makes of
  // "\n", "\r\n", is "\n" again.
  std::string out;
  std::string err;
  // Where the program tells: of a shell, the exit status of the statement; else
  // 0, and 1 for one that failed.
  std::optional<int> status;
  std::string prompt;  // What a ReplDialect::prompt matched.
};

// A text that nobody can guess, in two halves. A dialect makes the program
// print them side by side, from a text in which they do not stand so: what only
// echoes what it reads cannot be mistaken for one that has done what it was
// told.
struct ReplMarker {
  std::string head;
  std::string tail;
};

// How to talk to a program that reads statements and prints what comes of them.
// Those for well-known programs are in repl_dialects.h; a new one is ten lines:
//
//   asyncproc::ReplDialect dc;
//   dc.command = asyncproc::Command({"dc"});
//   dc.wrap = [](absl::string_view statement,
//                const asyncproc::ReplMarker& marker) {
//     return absl::StrCat(statement, "\n[", marker.head, "]n[", marker.tail,
//                         "]p\n");
//   };
struct ReplDialect {
  Command command;

  // Written first, once.
  std::string setup;

  // What to write so that the program executes `statement`, and then prints the
  // marker's head and tail on stdout: side by side, then maybe a space and the
  // statement's status (a number, or "true" for one that failed and "false"),
  // then a newline; and the same on stderr, if marks_err.
  std::function<std::string(absl::string_view statement,
                            const ReplMarker& marker)>
      wrap;
  bool marks_err = false;

  // For a program that cannot be made to print anything: RE2 for its prompt on
  // stdout. It is searched for where the output ends; a reply that looks the
  // same and a pause behind it can deceive it.
  std::string prompt;

  // Whether the program repeats on stdout, line by line, what it reads.
  bool echoes = false;

  // Refuses a statement that the program would wait for the rest of.
  std::function<absl::Status(absl::string_view statement)> check;

  // For a program that gives up at such a statement: RE2 for what it says of it
  // on stderr. What was complete before it may have been executed.
  std::string incomplete;

  // What ends a statement that takes too long: SIGINT to these.
  TerminationScope interrupted = TerminationScope::kChild;
};

// A conversation with an interactive program: one statement in, its whole reply
// out.
//
//   auto bc = asyncproc::Repl::Start(asyncproc::BcDialect());
//   if (!bc.ok()) return bc.status();
//   auto reply = (*bc)->Eval("2^100", absl::Seconds(5));
//   // reply->out == "1267650600228229401496703205376\n"
//
// A reply may be of any length, end without a newline, and contain anything, a
// prompt too.
//
// Thread safety: one thread at a time.
// Ownership: owns the child; the destructor does as that one's.
// Blocking: Start for as long as the program takes to start, 20 s at the most;
// Eval up to its timeout. Where a statement has to be interrupted, this one
// whose time is up or one before it that was canceled, Eval takes up to two
// more seconds for that, which no WithTimeout or CancellationScope shortens.
class Repl {
 public:
  // Errors: as Process::Spawn; kDeadlineExceeded when it does not answer, or
  // kFailedPrecondition when it ends, with what it said; kInvalidArgument for a
  // dialect that has neither or both of `wrap` and `prompt`.
  static absl::StatusOr<std::unique_ptr<Repl>> Start(ReplDialect dialect);

  // The same over a child that is there already, and that nobody has talked to:
  // dialect.command is not used. It need not be a Process: with a ReplayProcess
  // (asyncproc/testing/replay_process.h), a recorded session gives its replies
  // again.
  static absl::StatusOr<std::unique_ptr<Repl>> Over(
      ReplDialect dialect, std::unique_ptr<Child> child);

  // Executes `statement`, of one or more lines, and waits for its reply.
  //
  // When the time is up, the statement is interrupted, and all that it still
  // says is thrown away: it never becomes part of the next reply. Errors:
  // kDeadlineExceeded, with what had been said by then, and whether the session
  // goes on; if not, all further calls get kFailedPrecondition.
  // kInvalidArgument for a statement that is not complete (a `def` without its
  // end): the session goes on. kFailedPrecondition when the program has ended.
  // kCancelled by a CancellationScope: the statement runs on, and is
  // interrupted when the next one comes.
  absl::StatusOr<Reply> Eval(absl::string_view statement,
                             absl::Duration timeout);

  // Ends the program: its input first, then by signals; see Process::Terminate.
  absl::StatusOr<ExitStatus> Close(absl::Duration grace = absl::Seconds(1));

  Child& child() { return *child_; }
  // REQUIRES: made by Start.
  Process& process();

 private:
  Repl(ReplDialect dialect, std::unique_ptr<Child> child);

  absl::Status Begin();
  absl::StatusOr<Reply> EvalMarked(absl::string_view statement,
                                   absl::Time deadline);
  absl::StatusOr<Reply> EvalPrompted(absl::string_view statement,
                                     absl::Time deadline);
  // `out` without what the terminal, and a program that `echoes`, made of it.
  std::string AsWritten(std::string out, absl::string_view typed) const;
  // Waits for `marker` on a stream: what comes before it, and its status.
  absl::StatusOr<std::string> AwaitMarker(Expect& expect,
                                          const std::string& marker,
                                          absl::Time deadline,
                                          std::string* status);
  // Interrupts what runs, and throws away what it says. If that fails, the
  // session is lost: `why`.
  absl::Status Recover(absl::string_view why);
  absl::Status Resynchronize();
  // The prompt after an empty line; and, as it looks the same, that of the
  // interrupted statement: until there is silence.
  absl::Status AwaitLastPrompt(absl::Time deadline);
  // What it has said since the last reply, for a message.
  std::string Said();
  absl::Status Failed(const absl::Status& why, absl::string_view statement);

  const ReplDialect dialect_;
  const std::unique_ptr<Child> child_;
  Process* process_ = nullptr;  // The same, if Start has made it.
  Expect out_;
  Expect err_;
  bool unanswered_ = false;  // The end of a reply is still to come.
  absl::Status broken_;      // Why the session cannot go on.
};

}  // namespace asyncproc

#endif  // ASYNCPROC_REPL_H_

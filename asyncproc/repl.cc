#include "asyncproc/repl.h"

#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "absl/log/check.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/repl/channel.h"
#include "asyncproc/internal/repl/conversation.h"
#include "asyncproc/internal/repl/stop_statement.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/regex_options.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/regex_encoding.h"
#include "re2/re2.h"

namespace asyncproc {
namespace {

using internal::Completion;
using internal::Conversation;
using internal::DeadlineAfter;
using internal::IsRefusal;
using internal::MonotonicNow;

// The payload of the error for an incomplete statement.
constexpr absl::string_view kIncompleteUrl = "asyncproc/IncompleteStatement";

// The most bytes of a statement in an error message.
constexpr size_t kShown = 200;

// The beginning of a statement, quoted.
std::string Named(absl::string_view statement) {
  return absl::StrCat("\"", internal::Printable(statement.substr(0, kShown)),
                      statement.size() > kShown ? "..." : "", "\"");
}

bool IsGivenUp(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

// Whether the statement exceeded its time, or its reply is too long.
bool IsCutOff(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

std::string ProgramOf(const ReplDialect& dialect) {
  if (!dialect.name.empty()) return dialect.name;
  return dialect.command.argv.empty() ? "a program" : dialect.command.argv[0];
}

// For the message about a statement of several lines whose time is up: the line
// whose prompt did not come.
std::string AwaitedLine(const Conversation::Statement& statement) {
  if (statement.lines < 2) return "";
  return absl::StrCat(": no prompt came after line ", statement.lines_sent,
                      " of ", statement.lines);
}

absl::Status CheckDialect(const ReplDialect& dialect) {
  const int ways = (dialect.channel ? 1 : 0) + (dialect.prompt.empty() ? 0 : 1);
  if (ways > 1 || dialect.statement.empty() != !dialect.prompt.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot drive ", ProgramOf(dialect),
        ": a dialect needs either a statement, with or without a channel, or a "
        "prompt"));
  }
  for (const std::string* regex :
       {&dialect.prompt, &dialect.continuation, &dialect.incomplete}) {
    const RE2 parsed(*regex, internal::RegexOptions(RegexEncoding::kBytes));
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot drive ", ProgramOf(dialect), ": \"", *regex,
                       "\" is not a regular expression: ", parsed.error()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBytes(const ReplDialect& dialect,
                        absl::string_view statement) {
  const size_t at = statement.find_first_of(dialect.refused);
  if (at == absl::string_view::npos) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(ProgramOf(dialect), " cannot take the byte \"",
                   absl::CHexEscape(statement.substr(at, 1)),
                   "\", which is at offset ", at, " of ", Named(statement)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Repl>> Repl::Start(ReplDialect dialect,
                                                  absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  if (absl::Status status = CheckDialect(dialect); !status.ok()) return status;
  if (absl::Status status = internal::CheckWaitScopes(); !status.ok()) {
    return internal::Prefixed(
        absl::StrCat(ProgramOf(dialect), " was not started"), status);
  }
  std::unique_ptr<internal::Channel> channel;
  if (dialect.channel) {
    auto opened = internal::Channel::Open(&dialect.command);
    if (!opened.ok()) return opened.status();
    channel = *std::move(opened);
  }
  OutputBound& bound = dialect.command.output_buffer;
  if (bound.policy() == OutputBound::Policy::kUnbounded) {
    bound = OutputBound::BlockChild(dialect.reply_limit);
  }
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Spawn(dialect.command);
  if (!process.ok()) return process.status();
  if (channel != nullptr) channel->CloseChildEnd();
  Process* const started = process->get();
  auto repl = absl::WrapUnique(new Repl(std::move(dialect), *std::move(process),
                                        started, std::move(channel)));
  if (absl::Status status = repl->Begin(deadline); !status.ok()) return status;
  return repl;
}

absl::StatusOr<std::unique_ptr<Repl>> Repl::Attach(ReplDialect dialect,
                                                   std::unique_ptr<Child> child,
                                                   absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  if (absl::Status status = CheckDialect(dialect); !status.ok()) return status;
  auto* const process = dynamic_cast<Process*>(child.get());
  if (dialect.channel && !child->processes().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot attach to ", child->DebugString(),
                     ": a started Process has no private channel"));
  }
  auto repl = absl::WrapUnique(
      new Repl(std::move(dialect), std::move(child), process, nullptr));
  if (absl::Status status = repl->Begin(deadline); !status.ok()) return status;
  return repl;
}

Repl::Repl(ReplDialect dialect, std::unique_ptr<Child> child, Process* process,
           std::unique_ptr<internal::Channel> channel)
    : dialect_(std::move(dialect)),
      incomplete_(dialect_.incomplete.empty()
                      ? nullptr
                      : std::make_unique<RE2>(
                            dialect_.incomplete,
                            internal::RegexOptions(RegexEncoding::kBytes))),
      child_(std::move(child)),
      process_(process),
      conversation_(std::make_unique<Conversation>(dialect_, *child_, process_,
                                                   std::move(channel))) {}

Repl::~Repl() = default;

// The arguments of a process may hold the code of its dialect, which is of no
// use in a message.
std::string Repl::Program() const {
  if (child_->processes().empty()) {
    return absl::StrCat("replay of ", ProgramOf(dialect_));
  }
  if (process_ == nullptr) return child_->DebugString();
  return absl::StrCat(
      dialect_.name.empty() ? process_->command().argv[0] : dialect_.name,
      " (pid ", process_->pid(), ")");
}

void Repl::set_on_question(AnswerQuestion answer) {
  conversation_->set_answer_question(std::move(answer));
}

void Repl::set_on_incomplete(NextLine next) {
  if (next == nullptr) return conversation_->set_next_line(nullptr);
  conversation_->set_next_line(
      [this, next]() -> absl::StatusOr<std::optional<std::string>> {
        absl::StatusOr<std::optional<std::string>> line = next();
        if (!line.ok() || !line->has_value()) return line;
        absl::Status status = CheckBytes(dialect_, **line);
        if (!status.ok()) return status;
        return line;
      });
}

Process& Repl::process() {
  CHECK(process_ != nullptr) << "the Repl's child is no Process";
  return *process_;
}

absl::Status Repl::Begin(absl::Time deadline) {
  absl::Status status = conversation_->Type(dialect_.typed);
  if (status.ok() && !dialect_.setup.empty()) {
    status = conversation_->SendText(dialect_.setup);
  }
  // Our own programs write a ready line; other programs answer a statement.
  const bool answers = dialect_.prompt.empty() &&
                       (conversation_->by_marks() || !dialect_.setup.empty() ||
                        !dialect_.typed.empty());
  if (status.ok() && answers) status = conversation_->Send("");
  if (IsRefusal(status)) {
    return absl::Status(
        status.code(),
        absl::StrCat(Program(), " is not ready: ", status.message()));
  }
  if (status.ok()) status = conversation_->AwaitStart(deadline);
  if (status.ok() && conversation_->statement().unfinished) {
    return absl::FailedPreconditionError(absl::StrCat(
        Program(), " is not ready: it waits for input, but does not answer",
        conversation_->WrittenOrNothing()));
  }
  if (status.ok()) status = conversation_->DropOutput(deadline);
  if (status.ok()) return status;
  if (!IsGivenUp(status) && !IsCutOff(status)) {
    return Failed(status, "its start");
  }
  const std::string why =
      absl::IsCancelled(status)           ? "the wait was canceled"
      : absl::IsResourceExhausted(status) ? "it wrote too much"
      : dialect_.prompt.empty()           ? "it did not answer in time"
                                : absl::StrCat("its prompt /", dialect_.prompt,
                                               "/ did not come in time");
  return absl::Status(status.code(),
                      absl::StrCat(Program(), " is not ready: ", why,
                                   conversation_->WrittenOrNothing()));
}

absl::StatusOr<Reply> Repl::Eval(absl::string_view statement,
                                 absl::Duration timeout) {
  const absl::Time start = MonotonicNow();
  absl::Time deadline = DeadlineAfter(timeout);
  if (!broken_.ok()) return broken_;
  if (absl::Status ended = internal::CheckWaitScopes(); !ended.ok()) {
    return absl::Status(ended.code(),
                        absl::StrCat(Named(statement), " was not sent: ",
                                     ended.message(), "; the session goes on"));
  }
  if (absl::Status status = CheckBytes(dialect_, statement); !status.ok()) {
    return absl::Status(
        status.code(), absl::StrCat(status.message(), "; the session goes on"));
  }
  if (unanswered_) {
    if (absl::Status status = Recover(deadline); !status.ok()) {
      return broken_.ok() ? status : broken_;
    }
  }
  if (absl::Status status = DropStale(deadline); !status.ok()) return status;
  const auto incomplete = [&](absl::string_view consequence) {
    absl::Status status = absl::InvalidArgumentError(absl::StrCat(
        Program(), ": ", Named(statement), " is not complete", consequence));
    status.SetPayload(kIncompleteUrl, absl::Cord());
    return status;
  };
  unanswered_ = true;
  absl::StatusOr<Completion> completion =
      conversation_->Execute(statement, deadline);
  const absl::Duration waited = conversation_->statement().waited;
  deadline += waited;
  if (completion.ok()) {
    unanswered_ = conversation_->statement().unfinished;
  } else {
    completion = Failed(completion.status(), Named(statement));
  }
  const bool refused = completion.ok() && !completion->refused.ok();
  if (refused && completion->lines == 0) {
    return NotSent(*completion, statement, "; the session goes on");
  }
  if (completion.ok() && (completion->incomplete || refused)) {
    stale_ = true;
    const std::string written = conversation_->Written();
    const absl::Status left = unanswered_ ? Recover() : DropStale(deadline);
    const bool goes_on = left.ok() || IsGivenUp(left);
    const std::string consequence =
        goes_on ? "; the session goes on"
                : absl::StrCat(", and the session is lost", written);
    return refused ? NotSent(*completion, statement, consequence)
                   : incomplete(consequence);
  }
  absl::StatusOr<Reply> reply =
      completion.ok() ? TakeReply(*std::move(completion), deadline)
                      : completion.status();
  const std::string no_answer = conversation_->TakeNoAnswer();
  if (absl::IsCancelled(reply.status())) {
    return absl::CancelledError(
        absl::StrCat(Program(), ": ", Named(statement),
                     " was not done when the wait was canceled",
                     conversation_->WrittenOrNothing(),
                     "; the session goes on with the next statement"));
  }
  if (absl::IsInvalidArgument(reply.status()) && no_answer.empty()) {
    return incomplete("; the session goes on");
  }
  if (!IsCutOff(reply.status()) && no_answer.empty()) return reply;
  const absl::Duration taken = std::min(
      timeout,
      absl::Ceil(MonotonicNow() - start - waited, absl::Milliseconds(1)));
  return CutOff(
      reply.status().code(), statement,
      !no_answer.empty()
          ? absl::StrCat(" waited for its stdin, and ", no_answer)
      : absl::IsResourceExhausted(reply.status())
          ? absl::StrCat(" wrote more than the ", dialect_.reply_limit,
                         " bytes that a reply may have")
          : absl::StrCat(" was not done after ", absl::FormatDuration(taken),
                         AwaitedLine(conversation_->statement()),
                         conversation_->WaitsForStdin()
                             ? "; it waited for its stdin"
                             : ""),
      deadline);
}

absl::Status Repl::NotSent(const Completion& completion,
                           absl::string_view statement,
                           absl::string_view consequence) {
  const size_t lines = completion.lines;
  return absl::Status(
      completion.refused.code(),
      absl::StrCat(Program(), ": ",
                   lines == 0 ? "nothing"
                   : lines == 1
                       ? "only the first line"
                       : absl::StrCat("only the first ", lines, " lines"),
                   " of ", Named(statement), lines > 1 ? " were" : " was",
                   " sent: ", completion.refused.message(), consequence));
}

absl::Status Repl::CutOff(absl::StatusCode code, absl::string_view statement,
                          absl::string_view happened, absl::Time deadline) {
  const bool stopped =
      process_ != nullptr && Diagnose(*process_).activity == Activity::kStopped;
  const std::string written = conversation_->WrittenOrNothing();
  stale_ = true;
  const absl::Status recovered = unanswered_ ? Recover() : DropStale(deadline);
  const absl::StatusOr<ExitStatus> end = child_->Wait(WNOHANG);
  return absl::Status(
      code,
      absl::StrCat(
          Program(), ": ", Named(statement), happened,
          stopped ? "; the program was stopped by a signal" : "", written, "; ",
          recovered.ok() ? "it was interrupted, and the session goes on"
          : broken_.ok()
              ? "it is being interrupted; the session goes on with the "
                "next statement"
          : end.ok() ? absl::StrCat("the interrupt ended the program: ",
                                    end->ToString(), "; the session is lost")
                     : "it could not be interrupted, and the session is lost"));
}

absl::StatusOr<Reply> Repl::TakeReply(Completion completion,
                                      absl::Time deadline) {
  Reply reply;
  reply.out = std::move(completion.out);
  reply.prompt = std::move(completion.prompt);
  // The program wrote all of its reply before it reported the end.
  if (dialect_.channel && !conversation_->by_marks()) {
    if (absl::Status status = conversation_->Sync(child_->out(), deadline);
        !status.ok()) {
      return status;
    }
    reply.out = child_->out().Read();
  }
  if (absl::Status status = conversation_->Sync(child_->err(), deadline);
      !status.ok()) {
    return status;
  }
  reply.err = child_->err().Read();
  if (dialect_.command.pty.has_value()) {
    reply.out = absl::StrReplaceAll(reply.out, {{"\r\n", "\n"}});
  }
  int number;
  bool failed;
  if (absl::SimpleAtoi(completion.status, &number)) {
    reply.status = number;
  } else if (absl::SimpleAtob(completion.status, &failed)) {
    reply.status = failed ? 1 : 0;
  }
  if (reply.status != 0 && IsIncompleteMessage(reply)) {
    return absl::InvalidArgumentError("the statement is not complete");
  }
  return reply;
}

// A complete statement may show such a message, but most write more than that.
bool Repl::IsIncompleteMessage(const Reply& reply) const {
  if (incomplete_ == nullptr) return false;
  const Command& command = dialect_.command;
  const bool in_out = reply.status.has_value() || command.pty.has_value() ||
                      command.err.kind() == Stdio::Kind::kToStdout;
  if (!reply.out.empty() && (!in_out || !reply.err.empty())) return false;
  const absl::string_view written = reply.out.empty() ? reply.err : reply.out;
  return RE2::FullMatch(absl::StripTrailingAsciiWhitespace(written),
                        *incomplete_);
}

absl::Status Repl::DropStale(absl::Time deadline) {
  if (!stale_) return absl::OkStatus();
  absl::Status status = conversation_->DropOutput(deadline);
  if (status.ok()) stale_ = false;
  // Otherwise the next statement drops it.
  return IsGivenUp(status) ? absl::OkStatus() : status;
}

absl::Status Repl::Recover(absl::Time deadline) {
  const absl::Time patience = DeadlineAfter(dialect_.interrupt.patience);
  const absl::Status status = internal::StopStatement(*conversation_, deadline);
  if (status.ok()) {
    unanswered_ = false;
    stale_ = true;
    return DropStale(deadline);
  }
  if (absl::Status ended = internal::CheckWaitScopes(); !ended.ok()) {
    return ended;
  }
  const bool another = IsGivenUp(status) && deadline < patience;
  if (another) return status;
  Failed(status, "its interrupt").IgnoreError();
  if (broken_.ok()) {
    broken_ = absl::FailedPreconditionError(absl::StrCat(
        Program(), " did not answer an interrupt: the session is lost"));
  }
  return broken_;
}

Reply Repl::TakeRest(absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  for (OutputStream* stream : {&child_->out(), &child_->err()}) {
    conversation_->Sync(*stream, deadline).IgnoreError();
  }
  Reply rest;
  rest.out = conversation_->TakeUnread();
  rest.err = child_->err().Read();
  if (dialect_.command.pty.has_value()) {
    rest.out = absl::StrReplaceAll(rest.out, {{"\r\n", "\n"}});
  }
  return rest;
}

absl::StatusOr<ExitStatus> Repl::Close(absl::Duration grace) {
  broken_ = absl::FailedPreconditionError(
      absl::StrCat(Program(), ": the session has been closed"));
  if (dialect_.channel) {
    // End-of-file on the channel ends the program, or makes it read stdin
    // again.
    conversation_->CloseChannel();
    child_->CloseStdin().IgnoreError();
    absl::StatusOr<ExitStatus> status = child_->WaitFor(grace);
    if (!IsGivenUp(status.status())) return status;
  }
  absl::StatusOr<ExitStatus> status = child_->Terminate(grace);
  if (!IsGivenUp(status.status())) return status;
  // The message of the child quotes its output, with the marks.
  return absl::Status(
      status.status().code(),
      absl::StrCat(Program(), " has not been ended: ",
                   absl::IsCancelled(status.status()) ? "the wait was canceled"
                                                      : "time is up"));
}

absl::Status Repl::Failed(const absl::Status& why, absl::string_view where) {
  if (IsGivenUp(why) || IsCutOff(why) || conversation_->lacks_answer())
    return why;
  // A program that reads its stdin again ends at end-of-file.
  if (conversation_->HasLeft()) child_->CloseStdin().IgnoreError();
  // If the child has ended, that is the reason, regardless of `why`.
  const absl::StatusOr<ExitStatus> status =
      child_->WaitFor(dialect_.interrupt.patience);
  if (!status.ok()) {
    broken_ = absl::FailedPreconditionError(absl::StrCat(
        Program(), ": the session is lost at ", where, ": ", why.message()));
    return absl::IsDeadlineExceeded(status.status()) ? broken_
                                                     : status.status();
  }
  // The last lines may belong to earlier replies, and have their marks.
  const std::string said =
      unanswered_ ? conversation_->Written()
                  : absl::StrCat(child_->out().LastLines("stdout"),
                                 child_->err().LastLines("stderr"));
  broken_ = absl::FailedPreconditionError(absl::StrCat(
      Program(), " has ended at ", where, ": ", status->ToString(), said));
  return broken_;
}

bool IsIncomplete(const absl::Status& status) {
  return status.GetPayload(kIncompleteUrl).has_value();
}

}  // namespace asyncproc

#include "asyncproc/repl.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/log/check.h"
#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/proc/signal_action.h"
#include "asyncproc/internal/repl/channel.h"
#include "asyncproc/internal/repl/statement_template.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/regex_options.h"
#include "asyncproc/internal/wait/wait.h"
#include "re2/re2.h"

namespace asyncproc {
namespace {

using internal::DeadlineAfter;
using internal::MonotonicNow;

// The length of each half of a mark.
constexpr size_t kHalfMark = 16;

// The most bytes of an unfinished reply in an error message.
constexpr size_t kShown = 200;

// How long a program must be silent before its state is diagnosed, or before
// its prompt counts as the last one after an interrupt.
constexpr absl::Duration kSilence = absl::Milliseconds(50);
constexpr absl::Duration kPromptSilence = absl::Milliseconds(200);

// The end of a flood of output that may be the beginning of a prompt.
constexpr size_t kLongestPrompt = 4096;

// The first pause between two interrupts; each further pause is twice as long.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);

// The end of `text`, quoted.
std::string Shown(absl::string_view text) {
  return absl::StrCat("\"",
                      internal::Printable(text.substr(
                          text.size() - std::min(text.size(), kShown))),
                      "\"");
}

// The beginning of a statement, quoted.
std::string Named(absl::string_view statement) {
  return absl::StrCat("\"", internal::Printable(statement.substr(0, kShown)),
                      statement.size() > kShown ? "..." : "", "\"");
}

absl::Duration Until(absl::Time deadline) {
  return deadline == absl::InfiniteFuture() ? absl::InfiniteDuration()
                                            : deadline - MonotonicNow();
}

bool IsGivenUp(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

// The result of a wait that ended at the end of a slice of its time with
// `status`: OK if the wait is to go on.
absl::Status AfterSlice(const absl::Status& status, absl::Time deadline) {
  if (!absl::IsDeadlineExceeded(status)) return status;
  if (absl::Status ended = internal::CheckWaitScopes(); !ended.ok()) {
    return ended;
  }
  return MonotonicNow() >= deadline ? status : absl::OkStatus();
}

// Whether the statement exceeded its time, or its reply is too long.
bool IsCutOff(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
}

// Whether Write did not take a text, and nothing of it is sent.
bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
}

// Whether a process, or a child for which it waits, waits for `in`, the target
// of the program's stdin.
bool WaitsFor(const Diagnosis& found, const std::string& in) {
  if (found.activity == Activity::kReadingStdin) {
    return internal::DescriptorTarget(found.pid, STDIN_FILENO) == in;
  }
  return std::any_of(
      found.waits_for.begin(), found.waits_for.end(),
      [&](const Diagnosis& child) { return WaitsFor(child, in); });
}

std::string ProgramOf(const ReplDialect& dialect) {
  if (!dialect.name.empty()) return dialect.name;
  return dialect.command.argv.empty() ? "a program" : dialect.command.argv[0];
}

// Removes the echo of a line, if any, at the start of the output.
void ConsumeEcho(absl::string_view* out,
                 const std::optional<std::string>& line) {
  if (!line.has_value() || !absl::ConsumePrefix(out, *line)) return;
  // node ends the line before the terminal does: "\r\r\n".
  while (absl::ConsumePrefix(out, "\r")) {
  }
  absl::ConsumePrefix(out, "\n");
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
  return absl::UnimplementedError(absl::StrCat(
      ProgramOf(dialect), " cannot take the byte \"",
      absl::CHexEscape(statement.substr(at, 1)), "\", which is at offset ", at,
      " of ", Named(statement), "; the session goes on"));
}

// Matches a prompt, or that of a continued line, at the end of the output so
// far.
Pattern AtEnd(const ReplDialect& dialect) {
  return Pattern::Regex(absl::StrCat(
      "(?:(", dialect.prompt, ")",
      dialect.continuation.empty() ? "" : "|(?:" + dialect.continuation + ")",
      ")\\z"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Repl>> Repl::Start(ReplDialect dialect,
                                                  absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  if (absl::Status status = CheckDialect(dialect); !status.ok()) return status;
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
  auto repl =
      absl::WrapUnique(new Repl(std::move(dialect), *std::move(process)));
  repl->process_ = started;
  repl->channel_ = std::move(channel);
  if (absl::Status status = repl->Begin(deadline); !status.ok()) return status;
  return repl;
}

absl::StatusOr<std::unique_ptr<Repl>> Repl::Attach(ReplDialect dialect,
                                                   std::unique_ptr<Child> child,
                                                   absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  if (absl::Status status = CheckDialect(dialect); !status.ok()) return status;
  auto* const process = dynamic_cast<Process*>(child.get());
  if (dialect.channel && process != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot attach to ", process->DebugString(),
                     ": a started Process has no private channel"));
  }
  auto repl = absl::WrapUnique(new Repl(std::move(dialect), std::move(child)));
  repl->process_ = process;
  if (absl::Status status = repl->Begin(deadline); !status.ok()) return status;
  return repl;
}

Repl::Repl(ReplDialect dialect, std::unique_ptr<Child> child)
    : dialect_(std::move(dialect)),
      by_marks_(dialect_.prompt.empty() &&
                (!dialect_.channel ||
                 absl::StrContains(dialect_.statement, "{head}"))),
      child_(std::move(child)),
      template_(
          std::make_unique<internal::StatementTemplate>(dialect_.statement)),
      incomplete_(dialect_.incomplete.empty()
                      ? nullptr
                      : std::make_unique<RE2>(
                            dialect_.incomplete,
                            internal::RegexOptions(RegexEncoding::kBytes))),
      at_end_(AtEnd(dialect_)),
      out_(child_.get()) {
  out_.set_limit(dialect_.reply_limit);
}

Repl::~Repl() = default;

// The arguments of a process may hold the code of its dialect, which is of no
// use in a message.
std::string Repl::Program() const {
  if (process_ == nullptr) return child_->DebugString();
  return absl::StrCat(
      dialect_.name.empty() ? process_->command().argv[0] : dialect_.name,
      " (pid ", process_->pid(), ")");
}

Process& Repl::process() {
  CHECK(process_ != nullptr) << "the Repl's child is no Process";
  return *process_;
}

absl::Status Repl::Begin(absl::Time deadline) {
  absl::Status status = Type(dialect_.typed);
  if (status.ok() && !dialect_.setup.empty()) status = SendText(dialect_.setup);
  // Our own programs write a ready line; other programs answer a statement.
  const bool answers =
      dialect_.prompt.empty() &&
      (by_marks_ || !dialect_.setup.empty() || !dialect_.typed.empty());
  if (status.ok() && answers) status = Send("");
  if (IsRefusal(status)) {
    return absl::Status(
        status.code(),
        absl::StrCat(Program(), " is not ready: ", status.message()));
  }
  // The first completion belongs to no statement.
  if (status.ok()) {
    status = dialect_.prompt.empty() ? AwaitCompletion(deadline).status()
                                     : AwaitPrompt(deadline).status();
  }
  if (status.ok()) status = DropOutput(deadline);
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
  return absl::Status(
      status.code(),
      absl::StrCat(Program(), " is not ready: ", why, WrittenOrNothing()));
}

absl::StatusOr<Reply> Repl::Eval(absl::string_view statement,
                                 absl::Duration timeout) {
  const absl::Time start = MonotonicNow();
  const absl::Time deadline = DeadlineAfter(timeout);
  if (!broken_.ok()) return broken_;
  if (absl::Status ended = internal::CheckWaitScopes(); !ended.ok()) {
    return absl::Status(ended.code(),
                        absl::StrCat(Named(statement), " was not sent: ",
                                     ended.message(), "; the session goes on"));
  }
  if (absl::Status status = CheckBytes(dialect_, statement); !status.ok()) {
    return status;
  }
  if (unanswered_) {
    if (absl::Status status = Recover(deadline); !status.ok()) {
      return broken_.ok() ? status : broken_;
    }
  }
  if (absl::Status status = DropStale(deadline); !status.ok()) return status;
  const auto incomplete = [&](absl::string_view consequence) {
    return absl::InvalidArgumentError(absl::StrCat(
        Program(), ": ", Named(statement), " is not complete", consequence));
  };
  absl::StatusOr<Completion> completion = Execute(statement, deadline);
  const bool refused = completion.ok() && !completion->refused.ok();
  if (refused && completion->lines == 0) {
    return NotSent(*completion, statement, "; the session goes on");
  }
  if (completion.ok() && (completion->incomplete || refused)) {
    stale_ = true;
    const std::string written = Written();
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
  const std::string no_answer = std::exchange(no_answer_, "");
  if (absl::IsCancelled(reply.status())) {
    return absl::CancelledError(absl::StrCat(
        Program(), ": ", Named(statement),
        " was not done when the wait was canceled", WrittenOrNothing(),
        "; the session goes on with the next statement"));
  }
  if (absl::IsInvalidArgument(reply.status()) && no_answer.empty()) {
    return incomplete("; the session goes on");
  }
  if (!IsCutOff(reply.status()) && no_answer.empty()) return reply;
  const absl::Duration taken = std::min(
      timeout, absl::Ceil(MonotonicNow() - start, absl::Milliseconds(1)));
  return CutOff(
      reply.status().code(), statement,
      !no_answer.empty()
          ? absl::StrCat(" waited for its stdin, and ", no_answer)
      : absl::IsResourceExhausted(reply.status())
          ? absl::StrCat(" wrote more than the ", dialect_.reply_limit,
                         " bytes that a reply may have")
          : absl::StrCat(" was not done after ", absl::FormatDuration(taken),
                         WaitsForStdin() ? "; it waited for its stdin" : ""),
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
  const std::string written = WrittenOrNothing();
  stale_ = true;
  const absl::Status recovered = unanswered_ ? Recover() : DropStale(deadline);
  return absl::Status(
      code,
      absl::StrCat(
          Program(), ": ", Named(statement), happened,
          stopped ? "; the program was stopped by a signal" : "", written, "; ",
          recovered.ok() ? "it was interrupted, and the session goes on"
          : broken_.ok()
              ? "it is being interrupted; the session goes on with the "
                "next statement"
              : "it could not be interrupted, and the session is lost"));
}

std::string Repl::Question() {
  const std::string out =
      absl::StrCat(taken_, out_.buffer(), child_->out().Peek());
  const std::string err = child_->err().Peek();
  absl::string_view asked = out;
  if (answered_out_ > 0) {
    asked.remove_prefix(std::min(answered_out_, out.size()));
  } else {
    ConsumeEcho(&asked, echo_);
  }
  return absl::StrCat(asked, err.substr(std::min(answered_err_, err.size())));
}

bool Repl::WaitsForStdin() {
  return process_ != nullptr && dialect_.typed.empty() &&
         (dialect_.channel || !dialect_.prompt.empty()) &&
         process_->command().in.HasHostEnd() &&
         child_->Flush(absl::ZeroDuration()).ok() &&
         WaitsFor(Diagnose(*process_),
                  internal::DescriptorTarget(process_->pid(), STDIN_FILENO));
}

absl::Status Repl::AnswerIfAsked(int* asked, absl::Time deadline) {
  if (answer_question_ == nullptr || drops_ || !WaitsForStdin()) {
    *asked = 0;
    return absl::OkStatus();
  }
  // The program wrote its question, or its prompt, before it began to wait.
  for (OutputStream* stream : {&child_->out(), &child_->err()}) {
    if (absl::Status status = Sync(*stream, deadline); !status.ok()) {
      return status;
    }
  }
  if (++*asked < 2) return absl::OkStatus();
  *asked = 0;
  const std::string question = Question();
  const std::optional<std::string> answer = answer_question_(question);
  if (!answer.has_value()) {
    no_answer_ = absl::StrCat("there was no answer to ", Shown(question));
    return absl::AbortedError("no answer");
  }
  answered_out_ =
      taken_.size() + out_.buffer().size() + child_->out().Available();
  answered_err_ = child_->err().Available();
  absl::Status status = child_->Write(*answer);
  if (IsRefusal(status)) {
    no_answer_ = absl::StrCat("the answer to ", Shown(question),
                              " was refused: ", status.message());
  }
  return status;
}

std::string Repl::Written() {
  std::string out = absl::StrCat(taken_, out_.buffer(), child_->out().Peek());
  for (const std::string* half : {&head_, &tail_}) {
    if (!half->empty()) absl::StrReplaceAll({{*half, ""}}, &out);
  }
  const std::string err = child_->err().Peek();
  if (out.empty() && err.empty()) return "";
  return absl::StrCat("; it had written ", out.empty() ? "" : Shown(out),
                      out.empty() || err.empty() ? "" : ", ",
                      err.empty() ? "" : "on stderr ",
                      err.empty() ? "" : Shown(err));
}

std::string Repl::WrittenOrNothing() {
  const std::string written = Written();
  return written.empty() ? "; it had written nothing" : written;
}

absl::StatusOr<Repl::Completion> Repl::Execute(absl::string_view statement,
                                               absl::Time deadline) {
  unanswered_ = true;
  unfinished_ = false;
  interrupts_ = 0;
  sent_ = MonotonicNow();
  answered_out_ = 0;
  answered_err_ = 0;
  absl::StatusOr<Completion> completion;
  if (!dialect_.prompt.empty()) {
    completion = ExecuteLines(statement, deadline);
  } else if (absl::Status status = Send(statement); status.ok()) {
    completion = AwaitCompletion(deadline);
  } else if (IsRefusal(status)) {
    completion = Completion();
    completion->refused = status;
  } else {
    completion = status;
  }
  if (!completion.ok()) return Failed(completion.status(), Named(statement));
  if (unfinished_) {
    completion->incomplete = true;
  } else {
    unanswered_ = false;
  }
  return completion;
}

absl::Status Repl::Send(absl::string_view statement) {
  ++id_;
  if (by_marks_) {
    absl::StatusOr<std::string> letters = child_->DrawLetters(2 * kHalfMark);
    if (!letters.ok()) return letters.status();
    head_ = letters->substr(0, kHalfMark);
    tail_ = letters->substr(kHalfMark);
  }
  return SendText(
      template_->Fill({statement, id_, status_, state_, head_, tail_}));
}

absl::Status Repl::SendText(absl::string_view text) {
  if (!dialect_.channel) return child_->Write(text);
  // The note comes first: in a recording, the output of a statement must not
  // come before the statement.
  absl::Status status = child_->NoteSent(text);
  if (status.ok() && channel_ != nullptr) status = channel_->Send(text);
  return status;
}

absl::StatusOr<Repl::Completion> Repl::AwaitCompletion(absl::Time deadline) {
  return by_marks_ ? AwaitMark(deadline) : AwaitLine(deadline);
}

absl::Status Repl::CheckLength() {
  const size_t length = taken_.size() + out_.buffer().size() +
                        child_->out().Available() + child_->err().Available();
  if (length < dialect_.reply_limit) return absl::OkStatus();
  if (!drops_) return absl::ResourceExhaustedError("the reply is too long");
  DropUnread();
  return absl::OkStatus();
}

absl::StatusOr<Repl::Completion> Repl::AwaitLine(absl::Time deadline) {
  absl::Duration pause = kSilence;
  // How often in a row the program waited for more input, had left the channel,
  // or waited for its stdin.
  int more = 0, left = 0, asked = 0;
  for (;;) {
    const size_t newline = received_.find('\n');
    if (newline == std::string::npos) {
      if (absl::Status status = CheckLength(); !status.ok()) return status;
      std::string bytes;
      if (channel_ != nullptr) {
        const absl::Time slice = std::min(deadline, MonotonicNow() + pause);
        absl::StatusOr<std::string> got = channel_->Receive(slice);
        if (!got.ok()) {
          absl::Status status = AfterSlice(got.status(), deadline);
          if (status.ok()) status = AnswerIfAsked(&asked, deadline);
          if (!status.ok()) return status;
          pause = asked > 0 ? kSilence : std::min(2 * pause, absl::Seconds(1));
          more = AsksForMore() ? more + 1 : 0;
          left = HasLeft() ? left + 1 : 0;
          if (left == 2) {
            return absl::OutOfRangeError("the program reads its stdin again");
          }
          if (more < 2) continue;
          unfinished_ = true;
          return Completion{true, "", "", ""};
        }
        bytes = *std::move(got);
      }
      absl::StatusOr<std::string> noted =
          child_->NoteReceived(bytes, Until(deadline));
      if (!noted.ok()) return noted.status();
      if (noted->empty()) {
        return absl::OutOfRangeError("the private channel has been closed");
      }
      received_ += *noted;
      continue;
    }
    const std::string line = received_.substr(0, newline);
    received_.erase(0, newline + 1);
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 3));
    uint64_t id;
    // The completion of an earlier statement, which was interrupted late.
    if (!absl::SimpleAtoi(words[0], &id) || id != id_) continue;
    Completion completion;
    completion.incomplete = words.size() > 1 && words[1] == "incomplete";
    if (words.size() > 2) completion.status = words[2];
    if (!completion.status.empty()) status_ = completion.status;
    if (words.size() > 3) state_ = words[3];
    return completion;
  }
}

bool Repl::AsksForMore() {
  if (process_ == nullptr) return false;
  if (channel_ != nullptr) return channel_->IsAwaited(process_->pid());
  return child_->Flush(absl::ZeroDuration()).ok() &&
         Diagnose(*process_).activity == Activity::kReadingStdin;
}

bool Repl::HasLeft() {
  return process_ != nullptr && !dialect_.typed.empty() && interrupts_ == 0 &&
         Diagnose(*process_).activity == Activity::kReadingStdin;
}

absl::StatusOr<Repl::Completion> Repl::AwaitMark(absl::Time deadline) {
  // How often in a row the program waited for more input, or for its stdin.
  int more = 0, asked = 0;
  for (;;) {
    if (absl::Status status = CheckLength(); !status.ok()) return status;
    const absl::Time slice = std::min(deadline, MonotonicNow() + kSilence);
    absl::StatusOr<std::string> before = "";
    if (channel_ != nullptr) {
      if (absl::Status sent = channel_->Flush(slice); !sent.ok()) before = sent;
    }
    if (before.ok()) {
      // The first bytes wake this thread early: the rest usually follows at
      // once, and a processor that sleeps takes long to wake up.
      child_->out().AwaitSome(Until(slice)).IgnoreError();
      before = child_->out().ReadUntil(tail_, Until(slice));
    }
    if (before.ok()) {
      absl::StrAppend(&taken_, *before, tail_);
      absl::StatusOr<std::string> rest =
          child_->out().ReadLine(Until(deadline));
      if (!rest.ok()) return rest.status();
      if (!rest->empty() && !absl::StartsWith(*rest, " ")) {
        // An echo of the sent text.
        absl::StrAppend(&taken_, *rest, "\n");
        continue;
      }
      Completion completion;
      completion.out = std::exchange(taken_, "");
      completion.out.resize(completion.out.size() - kHalfMark);
      completion.status = std::string(absl::StripPrefix(*rest, " "));
      // An incomplete statement has swallowed the head, or repeats it. Another
      // process may have written between head and tail.
      const size_t head = completion.out.find(head_);
      if (head != std::string::npos) completion.out.erase(head, kHalfMark);
      completion.incomplete =
          head == std::string::npos || absl::StrContains(completion.out, head_);
      return completion;
    }
    if (absl::IsResourceExhausted(before.status())) {
      // The stream's bound is reached: makes room. The last bytes may be a part
      // of the mark.
      const size_t there = child_->out().Peek().size();
      if (there < kHalfMark) return before.status();
      absl::StatusOr<std::string> piece =
          child_->out().ReadSome(absl::ZeroDuration(), there - kHalfMark + 1);
      if (!piece.ok()) return piece.status();
      taken_ += *piece;
      continue;
    }
    if (absl::IsDataLoss(before.status())) {
      // The stream's bound has dropped a part of the reply.
      absl::StatusOr<std::string> piece =
          child_->out().ReadSome(absl::ZeroDuration());
      if (!piece.ok()) return piece.status();
      taken_ += *piece;
      continue;
    }
    absl::Status status = AfterSlice(before.status(), deadline);
    if (status.ok()) status = AnswerIfAsked(&asked, deadline);
    if (!status.ok()) return status;
    more = AsksForMore() ? more + 1 : 0;
    if (more == 2) {
      unfinished_ = true;
      return Completion{true, "", "", ""};
    }
  }
}

absl::StatusOr<Repl::Completion> Repl::AwaitPrompt(absl::Time deadline) {
  int asked = 0;  // How often in a row the program waited for its stdin.
  absl::StatusOr<Expected> found;
  for (;;) {
    const absl::Time slice =
        answer_question_ == nullptr
            ? deadline
            : std::min(deadline, MonotonicNow() + kSilence);
    found = out_.Await(at_end_, Until(slice));
    if (found.ok()) break;
    if (drops_ && absl::IsResourceExhausted(found.status())) {
      out_.TakeBuffer(kLongestPrompt);
      continue;
    }
    absl::Status status = AfterSlice(found.status(), deadline);
    if (status.ok()) status = AnswerIfAsked(&asked, deadline);
    if (!status.ok()) return status;
  }
  Completion completion;
  completion.incomplete = found->groups[0].empty();
  completion.out = std::move(found->before);
  completion.prompt = std::move(found->match);
  return completion;
}

absl::StatusOr<Repl::Completion> Repl::ExecuteLines(absl::string_view statement,
                                                    absl::Time deadline) {
  if (absl::Status status = DropOutput(deadline); !status.ok()) return status;
  absl::ConsumeSuffix(&statement, "\n");
  std::vector<absl::string_view> lines = absl::StrSplit(statement, '\n');
  Completion whole;
  const char* newline = "";  // To come before further output.
  for (size_t i = 0; i < lines.size(); ++i) {
    const absl::string_view line = lines[i];
    if (dialect_.echoes) echo_ = std::string(line);
    answered_out_ = 0;
    absl::Status status = child_->Write(absl::StrCat(line, "\n"));
    if (IsRefusal(status)) {
      whole.refused = status;
      whole.lines = i;
      return whole;
    }
    if (!status.ok()) return status;
    absl::StatusOr<Completion> completion = AwaitPrompt(deadline);
    if (!completion.ok()) return completion;
    absl::string_view answer = completion->out;
    ConsumeEcho(&answer, echo_);
    // A prompt that begins with a newline ends the line before it.
    const bool ends_line = absl::StartsWith(completion->prompt, "\n") ||
                           absl::StartsWith(completion->prompt, "\r\n");
    if (ends_line && dialect_.command.pty.has_value()) {
      absl::ConsumeSuffix(&answer, "\r");
    }
    if (!answer.empty()) {
      absl::StrAppend(&whole.out, newline, answer);
      newline = ends_line ? "\n" : "";
    }
    whole.prompt = completion->prompt;
    unfinished_ = completion->incomplete;
    // An empty line ends a block in python, and is harmless elsewhere.
    const bool ends_block = i + 1 == lines.size() && !line.empty();
    if (unfinished_ && ends_block) lines.push_back("");
  }
  return whole;
}

absl::StatusOr<Reply> Repl::TakeReply(Completion completion,
                                      absl::Time deadline) {
  Reply reply;
  reply.out = std::move(completion.out);
  reply.prompt = std::move(completion.prompt);
  // The program wrote all of its reply before it reported the end.
  if (dialect_.channel && !by_marks_) {
    if (absl::Status status = Sync(child_->out(), deadline); !status.ok()) {
      return status;
    }
    reply.out = child_->out().Read();
  }
  if (absl::Status status = Sync(child_->err(), deadline); !status.ok()) {
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
  absl::Status status = DropOutput(deadline);
  if (status.ok()) stale_ = false;
  // Otherwise the next statement drops it.
  return IsGivenUp(status) ? absl::OkStatus() : status;
}

absl::Status Repl::Sync(OutputStream& stream, absl::Time deadline) {
  for (;;) {
    const absl::Time slice = std::min(deadline, MonotonicNow() + kSilence);
    absl::Status status = stream.Sync(Until(slice));
    if (status.ok()) return status;
    // The bound of the stream may be reached.
    status = AfterSlice(status, deadline);
    if (status.ok()) status = CheckLength();
    if (!status.ok()) return status;
  }
}

absl::Status Repl::DropOutput(absl::Time deadline) {
  const absl::Cleanup restore = [this, drops = std::exchange(drops_, true)] {
    drops_ = drops;
  };
  for (OutputStream* stream : {&child_->out(), &child_->err()}) {
    if (absl::Status status = Sync(*stream, deadline); !status.ok()) {
      return status;
    }
  }
  DropUnread();
  return absl::OkStatus();
}

void Repl::DropUnread() {
  child_->out().Read();
  child_->err().Read();
  out_.TakeBuffer();
  taken_.clear();
}

absl::Status Repl::Type(absl::string_view text) {
  // The program of a channel may have no stdin.
  return text.empty() ? absl::OkStatus() : child_->Write(text);
}

bool Repl::MayInterrupt(bool late) {
  using internal::SignalAction;
  const SignalAction action =
      process_ == nullptr ? SignalAction::kUnknown
                          : internal::ReadSignalAction(
                                process_->pid(), dialect_.interrupt.signal);
  // The signal reaches the commands that the program runs.
  if (action == SignalAction::kIgnored) return true;
  const bool catches =
      action == SignalAction::kCaught || action == SignalAction::kUnknown;
  // Without a handler, a further signal would end a program that is about to
  // answer.
  if (interrupts_ > 0 && !catches) return false;
  const int limit = dialect_.interrupt.limit;
  const bool one_more = late && limit > 0 && interrupts_ == limit;
  if (interrupts_ >= limit && !one_more) return false;
  // A signal before the statement has begun may be lost, and count.
  const bool counts = limit < std::numeric_limits<int>::max();
  if (counts && MonotonicNow() < sent_ + kFirstPause) return false;
  ++interrupts_;
  return true;
}

absl::Status Repl::Interrupt() {
  if (dialect_.interrupt.signal == SIGINT && !dialect_.channel) {
    child_->Interrupt(TerminationScope::kGroup).IgnoreError();
  } else if (dialect_.interrupt.signal != 0) {
    child_->Signal(dialect_.interrupt.signal, TerminationScope::kGroup)
        .IgnoreError();
  }
  return Type(dialect_.interrupt.text);
}

absl::Status Repl::Recover(absl::Time deadline) {
  const absl::Cleanup restore = [this, drops = std::exchange(drops_, true)] {
    drops_ = drops;
  };
  const absl::Time patience = DeadlineAfter(dialect_.interrupt.patience);
  const absl::Time last = std::min(deadline, patience);
  // The session is probably lost then: an interrupt beyond the limit does no
  // harm.
  const absl::Time late = MonotonicNow() + dialect_.interrupt.patience / 2;
  absl::Duration pause = kFirstPause;
  size_t left = 0;  // The number of abandon texts written.
  absl::Status status;
  for (;;) {
    status = absl::OkStatus();
    // An abandon text is tried without an interrupt first.
    const bool leaves = unfinished_ && !dialect_.abandon.empty();
    if ((!leaves || left > dialect_.abandon.size()) &&
        MayInterrupt(MonotonicNow() >= late)) {
      status = Interrupt();
    }
    // A stopped program can neither take a signal nor go on.
    child_->Signal(SIGCONT, TerminationScope::kGroup).IgnoreError();
    if (leaves) {
      status = SendText(dialect_.abandon[left++ % dialect_.abandon.size()]);
    }
    if (!status.ok()) break;
    const absl::Time next = std::min(last, MonotonicNow() + pause);
    status = AwaitReady(next, last);
    if (absl::Status ended = internal::CheckWaitScopes();
        !status.ok() && !ended.ok()) {
      return ended;
    }
    if (!absl::IsDeadlineExceeded(status) || MonotonicNow() >= last) break;
    if (!dialect_.interrupt.answer.empty() && WaitsForStdin()) {
      if (status = Type(dialect_.interrupt.answer); !status.ok()) break;
    }
    if (!leaves) pause *= 2;
  }
  if (status.ok()) {
    unanswered_ = false;
    unfinished_ = false;
    stale_ = true;
    return DropStale(deadline);
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

absl::Status Repl::AwaitReady(absl::Time deadline, absl::Time last) {
  if (!dialect_.prompt.empty()) {
    // The last prompt is followed by silence.
    absl::Status status = AwaitPrompt(deadline).status();
    while (status.ok()) {
      const absl::StatusOr<Expected> more =
          out_.Await({at_end_, Pattern::Timeout()}, kPromptSilence);
      if (!more.ok()) return more.status();
      if (more->index == 1) return absl::OkStatus();
      if (MonotonicNow() >= deadline) {
        return absl::DeadlineExceededError("its prompt does not stop to come");
      }
    }
    return status;
  }
  // The interrupt may have discarded the text sent before.
  if (by_marks_ || !dialect_.interrupt.text.empty()) {
    if (absl::Status status = Send(""); !status.ok()) return status;
  }
  if (absl::Status status = AwaitAnswer(deadline); !status.ok()) return status;
  if (!dialect_.channel || by_marks_) return absl::OkStatus();
  // When an empty statement has been executed, no late signal is pending.
  if (absl::Status status = Send(""); !status.ok()) return status;
  return AwaitAnswer(last);
}

absl::Status Repl::AwaitAnswer(absl::Time deadline) {
  const absl::StatusOr<Completion> completion = AwaitCompletion(deadline);
  if (!completion.ok()) return completion.status();
  if (unfinished_ && completion->incomplete) {
    return absl::DeadlineExceededError("it waits for more");
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitStatus> Repl::Close(absl::Duration grace) {
  broken_ = absl::FailedPreconditionError(
      absl::StrCat(Program(), ": the session has been closed"));
  if (dialect_.channel) {
    // End-of-file on the channel ends the program, or makes it read stdin
    // again.
    channel_ = nullptr;
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
  if (IsGivenUp(why) || IsCutOff(why) || !no_answer_.empty()) return why;
  // A program that reads its stdin again ends at end-of-file.
  if (HasLeft()) child_->CloseStdin().IgnoreError();
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
      unanswered_ ? Written()
                  : absl::StrCat(child_->out().LastLines("stdout"),
                                 child_->err().LastLines("stderr"));
  broken_ = absl::FailedPreconditionError(absl::StrCat(
      Program(), " has ended at ", where, ": ", status->ToString(), said));
  return broken_;
}

}  // namespace asyncproc

#include "asyncproc/repl.h"

#include <algorithm>
#include <utility>
#include <vector>

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
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"
#include "re2/re2.h"

namespace asyncproc {
namespace {

using internal::DeadlineAfter;
using internal::MonotonicNow;

constexpr absl::Duration kStartPatience = absl::Seconds(20);
constexpr absl::Duration kRecoveryPatience = absl::Seconds(2);
constexpr int kInterrupts = 2;  // Within that time.
constexpr absl::Duration kSilence = absl::Milliseconds(200);

// Of a marker, each half.
constexpr size_t kHalfMarker = 16;

// What an error shows of a reply that did not end.
constexpr size_t kShown = 200;

// The end of `text`, quoted.
std::string Shown(absl::string_view text) {
  return absl::StrCat("\"",
                      absl::CHexEscape(text.substr(
                          text.size() - std::min(text.size(), kShown))),
                      "\"");
}

absl::Duration Until(absl::Time deadline) {
  return deadline == absl::InfiniteFuture() ? absl::InfiniteDuration()
                                            : deadline - MonotonicNow();
}

// Takes the lines of `statement` out of `text`, each where it stands first.
std::string WithoutEcho(absl::string_view text, absl::string_view statement) {
  std::vector<absl::string_view> echoed = absl::StrSplit(statement, '\n');
  size_t next = 0;
  std::string kept;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t size =
        newline == absl::string_view::npos ? text.size() : newline + 1;
    const absl::string_view line = text.substr(0, size);
    text.remove_prefix(size);
    const absl::string_view bare = absl::StripTrailingAsciiWhitespace(line);
    // Some repeat no empty lines.
    while (!bare.empty() && next < echoed.size() &&
           absl::StripTrailingAsciiWhitespace(echoed[next]).empty()) {
      ++next;
    }
    if (next < echoed.size() &&
        bare == absl::StripTrailingAsciiWhitespace(echoed[next])) {
      ++next;
    } else {
      absl::StrAppend(&kept, line);
    }
  }
  return kept;
}

absl::Status CheckDialect(const ReplDialect& dialect) {
  if ((dialect.wrap != nullptr) != dialect.prompt.empty()) {
    return absl::InvalidArgumentError(
        "a dialect needs a way to wrap statements, or a prompt, and not both");
  }
  return absl::OkStatus();
}

// Letters, which no program takes for anything but letters.
absl::StatusOr<ReplMarker> NewMarker(Child& child) {
  absl::StatusOr<std::string> letters = child.DrawLetters(2 * kHalfMarker);
  if (!letters.ok()) return letters.status();
  return ReplMarker{letters->substr(0, kHalfMarker),
                    letters->substr(kHalfMarker)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Repl>> Repl::Start(ReplDialect dialect) {
  if (absl::Status status = CheckDialect(dialect); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Spawn(dialect.command);
  if (!process.ok()) return process.status();
  Process* const started = process->get();
  absl::StatusOr<std::unique_ptr<Repl>> repl =
      Over(std::move(dialect), *std::move(process));
  if (repl.ok()) (*repl)->process_ = started;
  return repl;
}

absl::StatusOr<std::unique_ptr<Repl>> Repl::Over(ReplDialect dialect,
                                                 std::unique_ptr<Child> child) {
  if (absl::Status status = CheckDialect(dialect); !status.ok()) return status;
  auto repl = absl::WrapUnique(new Repl(std::move(dialect), std::move(child)));
  if (absl::Status status = repl->Begin(); !status.ok()) return status;
  return repl;
}

Repl::Repl(ReplDialect dialect, std::unique_ptr<Child> child)
    : dialect_(std::move(dialect)),
      child_(std::move(child)),
      out_(child_.get()),
      err_(&child_->err()) {}

Process& Repl::process() {
  CHECK(process_ != nullptr) << "the Repl has not started its child itself";
  return *process_;
}

absl::Status Repl::Begin() {
  const absl::Time deadline = DeadlineAfter(kStartPatience);
  absl::Status status = child_->Write(dialect_.setup);
  if (!status.ok()) return Failed(status, "its setup");
  if (dialect_.wrap != nullptr) {
    // What it says by way of greeting is no reply to anything.
    return EvalMarked("", deadline).status();
  }
  const auto prompt =
      out_.Await(Pattern::Regex(dialect_.prompt), kStartPatience);
  return prompt.ok() ? absl::OkStatus() : Failed(prompt.status(), "its start");
}

absl::StatusOr<Reply> Repl::Eval(absl::string_view statement,
                                 absl::Duration timeout) {
  if (!broken_.ok()) return broken_;
  if (dialect_.check != nullptr) {
    if (absl::Status status = dialect_.check(statement); !status.ok()) {
      return status;
    }
  }
  if (unanswered_ && !Recover("a statement was canceled").ok()) return broken_;
  const absl::Time start = MonotonicNow();
  const absl::Time deadline = DeadlineAfter(timeout);
  absl::StatusOr<Reply> reply = dialect_.wrap != nullptr
                                    ? EvalMarked(statement, deadline)
                                    : EvalPrompted(statement, deadline);
  if (!absl::IsDeadlineExceeded(reply.status())) return reply;
  // The time of this thread may have been up before that of this call.
  const absl::Duration taken = std::min(
      timeout, absl::Ceil(MonotonicNow() - start, absl::Milliseconds(1)));
  const std::string said = Said();
  const absl::Status recovered =
      Recover(absl::StrCat("\"", absl::CHexEscape(statement), "\" timed out"));
  return absl::DeadlineExceededError(absl::StrCat(
      "\"", absl::CHexEscape(statement), "\" was not done after ",
      absl::FormatDuration(taken), said, "; ",
      recovered.ok() ? "it was interrupted, and the session goes on"
                     : "it could not be interrupted, and the session is lost"));
}

std::string Repl::Said() {
  const std::string err = absl::StrCat(err_.buffer(), child_->err().Peek());
  return absl::StrCat("; it had said ", Shown(out_.buffer()),
                      err.empty() ? "" : ", on stderr ",
                      err.empty() ? "" : Shown(err));
}

absl::StatusOr<Reply> Repl::EvalMarked(absl::string_view statement,
                                       absl::Time deadline) {
  absl::StatusOr<ReplMarker> marker = NewMarker(*child_);
  if (!marker.ok()) return marker.status();
  const std::string text = dialect_.wrap(statement, *marker);
  unanswered_ = true;
  if (absl::Status status = child_->Write(text); !status.ok()) {
    return Failed(status, statement);
  }
  const std::string whole = absl::StrCat(marker->head, marker->tail);
  std::string status;
  absl::StatusOr<std::string> out = AwaitMarker(out_, whole, deadline, &status);
  if (!out.ok()) return Failed(out.status(), statement);
  Reply reply;
  reply.out = AsWritten(*std::move(out), text);
  if (dialect_.marks_err) {
    std::string ignored;
    absl::StatusOr<std::string> err =
        AwaitMarker(err_, whole, deadline, &ignored);
    if (!err.ok()) return Failed(err.status(), statement);
    reply.err = *std::move(err);
  } else if (absl::Status synced = child_->err().Sync(Until(deadline));
             synced.ok()) {
    // The program wrote it before it went on to the marker.
    reply.err = child_->err().Read();
  } else {  // The time was up just after the marker.
    return Failed(synced, statement);
  }
  unanswered_ = false;
  if (status == "incomplete" ||
      (!dialect_.incomplete.empty() &&
       RE2::PartialMatch(reply.err, dialect_.incomplete))) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CHexEscape(statement), "\" is not complete"));
  }
  int number;
  bool failed;
  if (absl::SimpleAtoi(status, &number)) {
    reply.status = number;
  } else if (absl::SimpleAtob(status, &failed)) {
    reply.status = failed ? 1 : 0;
  }
  return reply;
}

std::string Repl::AsWritten(std::string out, absl::string_view typed) const {
  if (dialect_.command.pty.has_value()) {
    out = absl::StrReplaceAll(out, {{"\r\n", "\n"}});
  }
  return dialect_.echoes ? WithoutEcho(out, typed) : out;
}

absl::StatusOr<std::string> Repl::AwaitMarker(Expect& expect,
                                              const std::string& marker,
                                              absl::Time deadline,
                                              std::string* status) {
  absl::StatusOr<Expected> found =
      expect.Await(Pattern::Literal(marker), Until(deadline));
  if (!found.ok()) return found.status();
  // Its line is on its way, whatever the time.
  absl::StatusOr<Expected> line =
      expect.Await(Pattern::Literal("\n"), kRecoveryPatience);
  if (!line.ok()) return line.status();
  *status = std::string(absl::StripAsciiWhitespace(line->before));
  return std::move(found->before);
}

absl::StatusOr<Reply> Repl::EvalPrompted(absl::string_view statement,
                                         absl::Time deadline) {
  unanswered_ = true;
  if (absl::Status status = child_->Write(absl::StrCat(statement, "\n"));
      !status.ok()) {
    return Failed(status, statement);
  }
  absl::StatusOr<Expected> prompt =
      out_.Await(Pattern::Regex(absl::StrCat("(?:", dialect_.prompt, ")\\z")),
                 Until(deadline));
  if (!prompt.ok()) return Failed(prompt.status(), statement);
  unanswered_ = false;
  Reply reply;
  reply.out = AsWritten(std::move(prompt->before), statement);
  reply.prompt = std::move(prompt->match);
  if (child_->err().Sync(Until(deadline)).ok()) {
    reply.err = child_->err().Read();
  }
  return reply;
}

absl::Status Repl::Recover(absl::string_view why) {
  absl::Status status = Resynchronize();
  if (!status.ok() && broken_.ok()) {
    broken_ = absl::FailedPreconditionError(
        absl::StrCat("the session is lost since ", why));
  }
  return status;
}

absl::Status Repl::Resynchronize() {
  // With its own time: without it, the session would be lost.
  const internal::WaitShield shield;
  absl::Status status;
  // The first may come before the program has begun with the statement.
  for (int i = 0; i < kInterrupts; ++i) {
    child_->Interrupt(dialect_.interrupted).IgnoreError();
    const absl::Time deadline = DeadlineAfter(kRecoveryPatience / kInterrupts);
    // A new marker: all before it is late.
    status = dialect_.wrap != nullptr ? EvalMarked("", deadline).status()
                                      : AwaitLastPrompt(deadline);
    if (!absl::IsDeadlineExceeded(status)) break;
  }
  return status;
}

absl::Status Repl::AwaitLastPrompt(absl::Time deadline) {
  absl::Status status = EvalPrompted("", deadline).status();
  while (status.ok() && MonotonicNow() < deadline) {
    const absl::StatusOr<Expected> more = out_.Await(
        {Pattern::Regex(dialect_.prompt), Pattern::Timeout()}, kSilence);
    if (!more.ok()) return more.status();
    if (more->index == 1) return absl::OkStatus();
  }
  status.Update(absl::DeadlineExceededError("its prompt comes and comes"));
  return status;
}

absl::StatusOr<ExitStatus> Repl::Close(absl::Duration grace) {
  broken_ = absl::FailedPreconditionError("the session has been closed");
  return child_->Terminate(grace);
}

absl::Status Repl::Failed(const absl::Status& why,
                          absl::string_view statement) {
  if (absl::IsDeadlineExceeded(why)) return why;
  // Whatever it looked like from here: if it has ended, that is what happened.
  const absl::StatusOr<ExitStatus> status = child_->WaitFor(kRecoveryPatience);
  if (!status.ok()) return why;
  broken_ = absl::FailedPreconditionError(absl::StrCat(
      child_->DebugString(), " has ended, by ", status->ToString(), ", at \"",
      absl::CHexEscape(statement), "\"", child_->out().LastLines("stdout"),
      child_->err().LastLines("stderr")));
  return broken_;
}

}  // namespace asyncproc

#include "asyncproc/internal/repl/conversation.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/regex_options.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {
namespace {

// The most bytes of an unfinished reply in an error message.
constexpr size_t kShown = 200;

// How long a program must be silent before its state is diagnosed.
constexpr absl::Duration kSilence = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);
// The same, before its prompt counts as the last one after an interrupt.
constexpr absl::Duration kPromptSilence = absl::Milliseconds(200);

// The end of a flood of output that may be the beginning of a prompt.
constexpr size_t kLongestPrompt = 4096;

// A line editor asks the terminal for the position of the cursor.
constexpr absl::string_view kAskPosition = "\x1b[6n";

// The end of `text`, quoted.
std::string Shown(absl::string_view text) {
  return absl::StrCat(
      "\"", Printable(text.substr(text.size() - std::min(text.size(), kShown))),
      "\"");
}

// Whether a process, or a child for which it waits, waits for `in`, the target
// of the program's stdin.
bool WaitsFor(const Diagnosis& found, const std::string& in) {
  if (found.activity == Activity::kReadingStdin) {
    return DescriptorTarget(found.pid, STDIN_FILENO) == in;
  }
  return std::any_of(
      found.waits_for.begin(), found.waits_for.end(),
      [&](const Diagnosis& child) { return WaitsFor(child, in); });
}

// The text of a line as a terminal shows it, after "\b" and "\r", and without
// blanks at the end. A character of UTF-8 has one column.
std::string Rendered(absl::string_view line) {
  std::vector<std::string> columns;
  size_t at = 0;
  for (const char c : line) {
    if (c == '\b') {
      if (at > 0) --at;
    } else if (c == '\r') {
      at = 0;
    } else if ((c & 0xC0) == 0x80 && at > 0) {
      columns[at - 1].push_back(c);
    } else {
      columns.resize(std::max(columns.size(), at + 1));
      columns[at++] = c;
    }
  }
  std::string text = absl::StrJoin(columns, "");
  text.resize(text.find_last_not_of(' ') + 1);
  return text;
}

// Removes the blanks with which zsh fills the last line of the output (option
// PROMPT_SP), to begin a new line for its prompt.
void ConsumePadding(absl::string_view* out, int columns) {
  const absl::string_view tail = out->substr(out->find_last_not_of(" \r") + 1);
  const size_t blanks = tail.find('\r');
  if (blanks != tail.npos && blanks >= static_cast<size_t>(columns) / 2) {
    out->remove_suffix(tail.size());
  }
}

bool BeginsLine(absl::string_view prompt) {
  return absl::StartsWith(prompt, "\n") || absl::StartsWith(prompt, "\r\n");
}

// RE2 for `prompt`, or that of a continued line, at the end of the output so
// far.
std::string AtEnd(const std::string& prompt, const std::string& continuation) {
  return absl::StrCat("(?:(", prompt, ")",
                      continuation.empty() ? "" : "|(?:" + continuation + ")",
                      ")\\z");
}

}  // namespace

bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
}

Conversation::Conversation(const ReplDialect& dialect, Child& child,
                           Process* process, std::unique_ptr<Channel> channel)
    : dialect_(dialect),
      child_(child),
      process_(process),
      by_marks_(
          dialect.prompt.empty() &&
          (!dialect.channel || absl::StrContains(dialect.statement, "{head}"))),
      channel_(std::move(channel)),
      template_(dialect.statement),
      at_prompt_(dialect.prompt, "", dialect.command.pty.has_value()),
      at_end_(dialect.prompt, dialect.continuation,
              dialect.command.pty.has_value()),
      out_(&child) {
  out_.set_limit(dialect.reply_limit);
}

// A line editor may write the last character of its prompt, or the place behind
// it, once more ("jshell>  \b", "Break 1 [2]> \b "), and may ask for the
// position of the cursor after its prompt.
Conversation::PromptAtEnd::PromptAtEnd(const std::string& prompt,
                                       const std::string& continuation,
                                       bool on_terminal)
    : regex_(AtEnd(prompt, continuation), RegexOptions(RegexEncoding::kBytes)),
      patterns_({Pattern::Regex(regex_.pattern())}) {
  if (!on_terminal) return;
  patterns_.push_back(Pattern::Regex("(?: \\x08|\\x08 )\\z"));
  patterns_.push_back(Pattern::Literal(std::string(kAskPosition)));
}

bool Conversation::PromptAtEnd::Accept(Expected* found,
                                       absl::string_view rest) const {
  if (found->index == 0) return true;
  const std::string text = found->before;
  absl::string_view parts[2];
  if (!rest.empty() ||
      !regex_.Match(text, 0, text.size(), RE2::UNANCHORED, parts, 2)) {
    return false;
  }
  found->before.resize(text.size() - parts[0].size());
  found->match = std::string(parts[0]);
  found->groups = {std::string(parts[1])};
  return true;
}

absl::StatusOr<Completion> Conversation::Execute(absl::string_view statement,
                                                 absl::Time deadline) {
  statement_ = Statement{MonotonicNow()};
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
  if (completion.ok() && statement_.unfinished) completion->incomplete = true;
  return completion;
}

absl::StatusOr<Completion> Conversation::ExecuteLines(
    absl::string_view statement, absl::Time deadline) {
  if (absl::Status status = DropOutput(deadline); !status.ok()) return status;
  absl::ConsumeSuffix(&statement, "\n");
  std::vector<std::string> lines = {std::string(statement)};
  if (!dialect_.whole) lines = absl::StrSplit(statement, '\n');
  Completion whole;
  const char* newline = "";  // To come before further output.
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string line = lines[i];
    if (dialect_.echoes) {
      echo_ = absl::StrReplaceAll(line, {{"\n", "\r\n"}});
      line_start_ = prompt_line_;
    }
    statement_.answered_out = 0;
    absl::Status status = AwaitReader(deadline);
    if (status.ok()) status = child_.Write(absl::StrCat(line, "\n"));
    if (IsRefusal(status)) {
      whole.refused = status;
      whole.lines = i;
      return whole;
    }
    statement_.lines_sent = i + 1;
    statement_.lines = lines.size();
    const absl::StatusOr<Completion> completion =
        status.ok() ? AwaitPrompt(at_end_, deadline)
                    : absl::StatusOr<Completion>(status);
    if (!completion.ok()) {
      taken_ = absl::StrCat(whole.out, newline);
      return completion;
    }
    absl::string_view answer = completion->out;
    ConsumeEcho(&answer);
    if (dialect_.command.pty.has_value()) {
      ConsumePadding(&answer, dialect_.command.pty->columns);
    }
    if (completion->incomplete) {
      // The prompt "   ...: " of ipython has blanks that "[.]{3}: $" lacks.
      answer = answer.substr(0, answer.find_last_not_of(' ') + 1);
    } else {
      absl::ConsumeSuffix(&answer, prompt_prefix_);
    }
    // A prompt that begins with a newline ends the line before it.
    const bool ends_line = BeginsLine(completion->prompt);
    if (ends_line && dialect_.command.pty.has_value()) {
      absl::ConsumeSuffix(&answer, "\r");
    }
    if (!answer.empty()) {
      absl::StrAppend(&whole.out, newline, answer);
      newline = ends_line ? "\n" : "";
    }
    whole.prompt = completion->prompt;
    statement_.unfinished = completion->incomplete;
    if (!statement_.unfinished || i + 1 < lines.size()) continue;
    const absl::Time before = MonotonicNow();
    absl::StatusOr<std::optional<std::string>> next = std::nullopt;
    if (next_line_ != nullptr) next = next_line_();
    const absl::Duration waited = MonotonicNow() - before;
    statement_.waited += waited;
    deadline += waited;
    if (!next.ok()) {
      whole.refused = next.status();
      whole.lines = i + 1;
      return whole;
    }
    // An empty line ends a block in python, and is harmless elsewhere.
    if (!next->has_value() && !line.empty()) *next = "";
    if (next->has_value()) lines.push_back(**std::move(next));
  }
  echo_.reset();  // Further output does not begin with an echo.
  return whole;
}

absl::Time Conversation::NextSlice(absl::Time deadline,
                                   absl::Duration pause) const {
  return has_ended_ ? MonotonicNow()
                    : std::min(deadline, MonotonicNow() + pause);
}

absl::Status Conversation::AfterSlice(const absl::Status& status,
                                      absl::Time deadline) {
  if (!absl::IsDeadlineExceeded(status)) return status;
  if (absl::Status ended = CheckWaitScopes(); !ended.ok()) return ended;
  if (has_ended_) return absl::OutOfRangeError("the program has ended");
  has_ended_ = child_.Wait(WNOHANG).ok();
  return has_ended_ || MonotonicNow() < deadline ? absl::OkStatus() : status;
}

absl::Status Conversation::Send(absl::string_view statement) {
  ++id_;
  if (by_marks_) {
    absl::StatusOr<std::string> letters = child_.DrawLetters(2 * kMarkLetters);
    if (!letters.ok()) return letters.status();
    head_ = letters->substr(0, kMarkLetters);
    tail_ = letters->substr(kMarkLetters);
  }
  return SendText(
      template_.Fill({statement, id_, status_, state_, head_, tail_}));
}

absl::Status Conversation::SendText(absl::string_view text) {
  if (!dialect_.channel) return child_.Write(text);
  // The note comes first: in a recording, the output of a statement must not
  // come before the statement.
  absl::Status status = child_.NoteSent(text);
  if (status.ok() && channel_ != nullptr) status = channel_->Send(text);
  return status;
}

absl::Status Conversation::Type(absl::string_view text) {
  // The program of a channel may have no stdin.
  return text.empty() ? absl::OkStatus() : child_.Write(text);
}

absl::Status Conversation::AwaitStart(absl::Time deadline) {
  if (dialect_.prompt.empty()) return AwaitCompletion(deadline).status();
  const absl::StatusOr<Completion> start = AwaitPrompt(at_prompt_, deadline);
  if (start.ok() && !BeginsLine(start->prompt)) {
    prompt_prefix_ = start->out.substr(start->out.rfind('\n') + 1);
  }
  return start.status();
}

absl::StatusOr<Completion> Conversation::AwaitCompletion(absl::Time deadline) {
  if (!dialect_.prompt.empty()) return AwaitPrompt(at_end_, deadline);
  return by_marks_ ? AwaitMark(deadline) : AwaitLine(deadline);
}

absl::StatusOr<Completion> Conversation::AwaitLine(absl::Time deadline) {
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
        const absl::Time slice = NextSlice(deadline, pause);
        absl::StatusOr<std::string> got = channel_->Receive(slice);
        if (!got.ok()) {
          absl::Status status = AfterSlice(got.status(), deadline);
          if (status.ok()) status = AnswerIfAsked(&asked, deadline);
          if (!status.ok()) return status;
          pause = asked > 0 ? kSilence : std::min(2 * pause, kLongestPause);
          more = AsksForMore() ? more + 1 : 0;
          left = HasLeft() ? left + 1 : 0;
          if (left == 2) {
            return absl::OutOfRangeError("the program reads its stdin again");
          }
          if (more < 2) continue;
          statement_.unfinished = true;
          return Completion{true, "", "", ""};
        }
        bytes = *std::move(got);
      }
      absl::StatusOr<std::string> noted =
          child_.NoteReceived(bytes, deadline - MonotonicNow());
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

absl::StatusOr<Completion> Conversation::AwaitMark(absl::Time deadline) {
  // How often in a row the program waited for more input, or for its stdin.
  int more = 0, asked = 0;
  for (;;) {
    if (absl::Status status = CheckLength(); !status.ok()) return status;
    const absl::Time slice = NextSlice(deadline, kSilence);
    absl::StatusOr<std::string> before = "";
    if (channel_ != nullptr) {
      if (absl::Status sent = channel_->Flush(slice); !sent.ok()) before = sent;
    }
    if (before.ok()) {
      // The first bytes wake this thread early: the rest usually follows at
      // once, and a processor that sleeps takes long to wake up.
      child_.out().AwaitSome(slice).IgnoreError();
      before = child_.out().ReadUntil(tail_, slice);
    }
    if (before.ok()) {
      absl::StrAppend(&taken_, *before, tail_);
      absl::StatusOr<std::string> rest = child_.out().ReadLine(deadline);
      if (!rest.ok()) return rest.status();
      if (!rest->empty() && !absl::StartsWith(*rest, " ")) {
        // An echo of the sent text.
        absl::StrAppend(&taken_, *rest, "\n");
        continue;
      }
      Completion completion;
      completion.out = std::exchange(taken_, "");
      completion.out.resize(completion.out.size() - kMarkLetters);
      completion.status = std::string(absl::StripPrefix(*rest, " "));
      // An incomplete statement has swallowed the head, or repeats it. Another
      // process may have written between head and tail.
      const size_t head = completion.out.find(head_);
      if (head != std::string::npos) completion.out.erase(head, kMarkLetters);
      completion.incomplete =
          head == std::string::npos || absl::StrContains(completion.out, head_);
      return completion;
    }
    if (absl::IsResourceExhausted(before.status())) {
      // The stream's bound is reached: makes room. The last bytes may be a part
      // of the mark.
      const size_t there = child_.out().Peek().size();
      if (there < kMarkLetters) return before.status();
      absl::StatusOr<std::string> piece =
          child_.out().ReadSome(absl::ZeroDuration(), there - kMarkLetters + 1);
      if (!piece.ok()) return piece.status();
      taken_ += *piece;
      continue;
    }
    if (absl::IsDataLoss(before.status())) {
      // The stream's bound has dropped a part of the reply.
      absl::StatusOr<std::string> piece =
          child_.out().ReadSome(absl::ZeroDuration());
      if (!piece.ok()) return piece.status();
      taken_ += *piece;
      continue;
    }
    absl::Status status = AfterSlice(before.status(), deadline);
    if (status.ok()) status = AnswerIfAsked(&asked, deadline);
    if (!status.ok()) return status;
    more = AsksForMore() ? more + 1 : 0;
    if (more == 2) {
      statement_.unfinished = true;
      return Completion{true, "", "", ""};
    }
  }
}

absl::StatusOr<Completion> Conversation::AwaitPrompt(const PromptAtEnd& at_end,
                                                     absl::Time deadline) {
  int asked = 0;  // How often in a row the program waited for its stdin.
  absl::Duration pause = kSilence;
  absl::StatusOr<Expected> found;
  for (;;) {
    const absl::Time slice = NextSlice(deadline, pause);
    if (answer_question_ == nullptr) pause = std::min(2 * pause, kLongestPause);
    found = out_.Await(at_end.patterns(), slice);
    if (found.ok()) {
      if (found->match == kAskPosition) {
        child_.Write("\x1b[1;1R").IgnoreError();
        found->match.clear();
      }
      found->before.insert(0, std::exchange(taken_, ""));
      if (at_end.Accept(&*found, out_.buffer()) && !IsRedrawn(*found)) break;
      taken_ = absl::StrCat(found->before, found->match);
      if (absl::Status status = CheckLength(); !status.ok()) return status;
      continue;
    }
    if (drops_ && absl::IsResourceExhausted(found.status())) {
      out_.TakeBuffer(kLongestPrompt);
      continue;
    }
    absl::Status status = AfterSlice(found.status(), deadline);
    if (status.ok()) status = AnswerIfAsked(&asked, deadline);
    if (!status.ok()) return status;
  }
  prompt_line_ = found->before.substr(found->before.rfind('\n') + 1);
  prompt_line_ += found->match;
  prompt_line_.erase(0, prompt_line_.rfind('\n') + 1);
  Completion completion;
  completion.incomplete = found->groups[0].empty();
  completion.out = std::move(found->before);
  completion.prompt = std::move(found->match);
  return completion;
}

absl::Status Conversation::AwaitLastPrompt(absl::Time deadline) {
  absl::Status status = AwaitPrompt(at_end_, deadline).status();
  while (status.ok()) {
    std::vector<Pattern> patterns = at_end_.patterns();
    patterns.push_back(Pattern::Timeout());
    const absl::StatusOr<Expected> more = out_.Await(patterns, kPromptSilence);
    if (!more.ok()) return more.status();
    if (more->match.empty()) return absl::OkStatus();
    if (MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError("its prompt does not stop to come");
    }
  }
  return status;
}

absl::Status Conversation::Interrupt() {
  if (dialect_.interrupt.signal == SIGINT && !dialect_.channel) {
    child_.Interrupt(TerminationScope::kGroup).IgnoreError();
  } else if (dialect_.interrupt.signal != 0) {
    child_.Signal(dialect_.interrupt.signal, TerminationScope::kGroup)
        .IgnoreError();
  }
  return Type(dialect_.interrupt.text);
}

absl::Status Conversation::CheckLength() {
  const size_t length = taken_.size() + out_.buffer().size() +
                        child_.out().Available() + child_.err().Available();
  if (length < dialect_.reply_limit) return absl::OkStatus();
  if (!drops_) return absl::ResourceExhaustedError("the reply is too long");
  DropUnread();
  return absl::OkStatus();
}

absl::Status Conversation::Sync(OutputStream& stream, absl::Time deadline) {
  for (;;) {
    const absl::Time slice = std::min(deadline, MonotonicNow() + kSilence);
    absl::Status status = stream.Sync(slice - MonotonicNow());
    if (status.ok()) return status;
    // The bound of the stream may be reached.
    status = AfterSlice(status, deadline);
    if (status.ok()) status = CheckLength();
    if (!status.ok()) return status;
  }
}

absl::Status Conversation::DropOutput(absl::Time deadline) {
  const absl::Cleanup restore = [this, drops = std::exchange(drops_, true)] {
    drops_ = drops;
  };
  for (OutputStream* stream : {&child_.out(), &child_.err()}) {
    if (absl::Status status = Sync(*stream, deadline); !status.ok()) {
      return status;
    }
  }
  DropUnread();
  return absl::OkStatus();
}

void Conversation::DropUnread() {
  child_.out().Read();
  child_.err().Read();
  out_.TakeBuffer();
  taken_.clear();
}

std::string Conversation::TakeUnread() {
  const std::string unread =
      absl::StrCat(out_.TakeBuffer(), child_.out().Read());
  absl::string_view answer = unread;
  ConsumeEcho(&answer);
  std::string out = absl::StrCat(std::exchange(taken_, ""), answer);
  RemoveMarks(&out);
  return out;
}

// Whether the terminal or a line editor echoes a line is certain only when the
// program waits for the line: many programs write their prompt, and turn off
// the echo of the terminal after that.
absl::Status Conversation::AwaitReader(absl::Time deadline) {
  if (!dialect_.echoes || process_ == nullptr || process_->pty() == nullptr) {
    return absl::OkStatus();
  }
  const absl::Time last = std::min(deadline, MonotonicNow() + patience_);
  for (absl::Duration pause = absl::Microseconds(50);; pause *= 2) {
    if (!process_->pty()->Echo().value_or(false) || WaitsForStdin()) {
      patience_ = kReaderPatience;
      return absl::OkStatus();
    }
    const absl::Time now = MonotonicNow();
    if (now >= last) break;
    absl::Status status = SleepUntil(std::min(last, now + pause));
    if (!status.ok()) return status;
  }
  patience_ /= 2;  // /proc may never show that this program reads.
  return absl::OkStatus();
}

bool Conversation::IsRedrawn(const Expected& found) const {
  return !drops_ && echo_.has_value() &&
         found.before.find_first_of("\b\r") != std::string::npos &&
         !absl::StrContains(found.before, '\n') &&
         !absl::StrContains(found.match, '\n');
}

// A line editor may go back over a line that it echoes, and write it again. A
// line that is too long for the terminal is shown in part, after a "<".
void Conversation::ConsumeEcho(absl::string_view* out) const {
  if (!echo_.has_value()) return;
  absl::string_view rest = *out;
  const bool begins = absl::ConsumePrefix(&rest, *echo_);
  absl::string_view first = out->substr(0, out->find('\n'));
  const size_t length = first.size();
  while (absl::ConsumeSuffix(&first, "\r")) {
  }
  if (first.find_first_of("\b\r") != first.npos) {
    const std::string shown = Rendered(absl::StrCat(line_start_, first));
    absl::string_view part = shown;
    if (shown == Rendered(absl::StrCat(line_start_, *echo_)) ||
        (absl::ConsumePrefix(&part, "<") && !part.empty() &&
         absl::EndsWith(*echo_, part))) {
      out->remove_prefix(length);
      absl::ConsumePrefix(out, "\n");
      return;
    }
  }
  if (!begins) return;
  *out = rest;
  // node ends the line before the terminal does: "\r\r\n".
  while (absl::ConsumePrefix(out, "\r")) {
  }
  absl::ConsumePrefix(out, "\n");
}

void Conversation::RemoveMarks(std::string* out) const {
  for (const std::string* half : {&head_, &tail_}) {
    if (!half->empty()) absl::StrReplaceAll({{*half, ""}}, out);
  }
}

std::string Conversation::Written() {
  std::string out = absl::StrCat(taken_, out_.buffer(), child_.out().Peek());
  RemoveMarks(&out);
  const std::string err = child_.err().Peek();
  if (out.empty() && err.empty()) return "";
  return absl::StrCat("; it had written ", out.empty() ? "" : Shown(out),
                      out.empty() || err.empty() ? "" : ", ",
                      err.empty() ? "" : "on stderr ",
                      err.empty() ? "" : Shown(err));
}

std::string Conversation::WrittenOrNothing() {
  const std::string written = Written();
  return written.empty() ? "; it had written nothing" : written;
}

bool Conversation::WaitsForStdin() {
  return process_ != nullptr && dialect_.typed.empty() &&
         (dialect_.channel || !dialect_.prompt.empty()) &&
         process_->command().in.HasHostEnd() &&
         child_.Flush(absl::ZeroDuration()).ok() &&
         WaitsFor(Diagnose(*process_),
                  DescriptorTarget(process_->pid(), STDIN_FILENO));
}

bool Conversation::AsksForMore() {
  if (process_ == nullptr) return false;
  if (channel_ != nullptr) return channel_->IsAwaited(process_->pid());
  return child_.Flush(absl::ZeroDuration()).ok() &&
         Diagnose(*process_).activity == Activity::kReadingStdin;
}

bool Conversation::HasLeft() {
  return process_ != nullptr && !dialect_.typed.empty() &&
         statement_.interrupts == 0 &&
         Diagnose(*process_).activity == Activity::kReadingStdin;
}

absl::Status Conversation::AnswerIfAsked(int* asked, absl::Time deadline) {
  if (answer_question_ == nullptr || drops_ || !WaitsForStdin()) {
    *asked = 0;
    return absl::OkStatus();
  }
  // The program wrote its question, or its prompt, before it began to wait.
  for (OutputStream* stream : {&child_.out(), &child_.err()}) {
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
  statement_.answered_out =
      taken_.size() + out_.buffer().size() + child_.out().Available();
  statement_.answered_err = child_.err().Available();
  absl::Status status = child_.Write(*answer);
  if (IsRefusal(status)) {
    no_answer_ = absl::StrCat("the answer to ", Shown(question),
                              " was refused: ", status.message());
  }
  return status;
}

std::string Conversation::Question() {
  const std::string out =
      absl::StrCat(taken_, out_.buffer(), child_.out().Peek());
  const std::string err = child_.err().Peek();
  absl::string_view asked = out;
  if (statement_.answered_out > 0) {
    asked.remove_prefix(std::min(statement_.answered_out, out.size()));
  } else {
    ConsumeEcho(&asked);
  }
  return absl::StrCat(
      asked, err.substr(std::min(statement_.answered_err, err.size())));
}

}  // namespace asyncproc::internal

#include "asyncproc/internal/transcript/asciicast_text.h"

#include <signal.h>

#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/text/utf8.h"
#include "asyncproc/internal/transcript/transcript_values.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {
namespace {

using Kind = TranscriptEvent::Kind;
using Halves = std::pair<absl::string_view, absl::string_view>;

constexpr absl::string_view kOurs = "asyncproc: ";

// Without a separator, the first half is the whole text.
Halves Cut(absl::string_view text, char separator) {
  return absl::StrSplit(text, absl::MaxSplits(separator, 1));
}

bool ParseInt(absl::string_view text, int64_t min, int64_t max, int* number) {
  return absl::SimpleAtoi(text, number) && *number >= min && *number <= max;
}

std::string FormatExit(const TranscriptEvent& event) {
  if (!event.status.has_value()) {
    return absl::StrCat(kOurs, "unknown ", ToUtf8(event.data));
  }
  if (event.status->exited()) {
    return absl::StrCat(kOurs, "exit ", event.status->exit_code());
  }
  return absl::StrCat(kOurs,
                      event.status->core_dumped() ? "core_dumped " : "killed ",
                      event.status->term_signal());
}

// ---- Parsers of the text after kOurs. Each returns whether the text matches,
// and otherwise leaves the event unchanged.

// "exit 0", "killed 9", "core_dumped 11", "unknown for this reason"
bool ParseExit(const Halves& words, TranscriptEvent* event) {
  const auto& [word, rest] = words;
  int number = 0;
  if (word == "exit" && ParseInt(rest, 0, kMaxExitCode, &number)) {
    event->status = ExitStatus::Exited(number);
  } else if ((word == "killed" || word == "core_dumped") &&
             ParseInt(rest, 1, SIGRTMAX, &number)) {
    event->status = ExitStatus::Signaled(number, word == "core_dumped");
  } else if (word == "unknown") {
    event->data = std::string(rest);
  } else {
    return false;
  }
  event->kind = Kind::kExit;
  return true;
}

// "signal 15 group"
bool ParseSignal(const Halves& words, TranscriptEvent* event) {
  const auto& [number, scope_name] = Cut(words.second, ' ');
  const std::optional<TerminationScope> scope = ScopeOf(scope_name);
  int signal = 0;
  if (words.first != "signal" || !ParseInt(number, 1, SIGRTMAX, &signal) ||
      !scope.has_value()) {
    return false;
  }
  event->kind = Kind::kSignal;
  event->signal = signal;
  event->scope = *scope;
  return true;
}

// "letters abcd", "mark asyncproc: something", "sent 1 3\\n1+1"
bool ParseData(const Halves& words, TranscriptEvent* event) {
  if (words.first == "sent" || words.first == "received") {
    event->kind = *KindOf(words.first);
    return absl::CUnescape(words.second, &event->data);
  }
  if (words.first != "letters" && words.first != "mark") return false;
  event->kind = *KindOf(words.first);
  event->data = std::string(words.second);
  return true;
}

// "in_closed", "in_broken", "out_closed", "err_closed"
bool ParseClosed(absl::string_view text, TranscriptEvent* event) {
  if (!absl::EndsWith(text, "_closed") && text != "in_broken") return false;
  const std::optional<Kind> kind = KindOf(text);
  if (!kind.has_value()) return false;
  event->kind = *kind;
  return true;
}

bool ParseOurs(absl::string_view text, TranscriptEvent* event) {
  const Halves words = Cut(text, ' ');
  return ParseData(words, event) || ParseSignal(words, event) ||
         ParseExit(words, event) || ParseClosed(text, event);
}

}  // namespace

std::string FormatTerminalSize(const TerminalSize& size) {
  return absl::StrCat(size.columns, "x", size.rows);
}

std::optional<TerminalSize> ParseTerminalSize(absl::string_view text) {
  const auto& [columns, rows] = Cut(text, 'x');
  TerminalSize size;
  if (!ParseInt(columns, 0, kMaxTerminalSize, &size.columns) ||
      !ParseInt(rows, 0, kMaxTerminalSize, &size.rows)) {
    return std::nullopt;
  }
  return size;
}

std::string FormatMarker(const TranscriptEvent& event) {
  switch (event.kind) {
    case Kind::kMark:
      return absl::StartsWith(event.data, kOurs)
                 ? absl::StrCat(kOurs, "mark ", ToUtf8(event.data))
                 : ToUtf8(event.data);
    case Kind::kLetters:
      return absl::StrCat(kOurs, "letters ", ToUtf8(event.data));
    case Kind::kSent:
    case Kind::kReceived:
      return absl::StrCat(kOurs, NameOf(event.kind), " ",
                          absl::CHexEscape(event.data));
    case Kind::kSignal:
      return absl::StrCat(kOurs, "signal ", event.signal, " ",
                          NameOf(event.scope));
    case Kind::kExit:
      return FormatExit(event);
    default:
      return absl::StrCat(kOurs, NameOf(event.kind));
  }
}

void ParseMarker(absl::string_view text, TranscriptEvent* event) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, kOurs) && ParseOurs(rest, event)) return;
  event->kind = Kind::kMark;
  event->data = std::string(text);
}

}  // namespace asyncproc::internal

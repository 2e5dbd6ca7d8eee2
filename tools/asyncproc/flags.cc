#include "tools/asyncproc/flags.h"

#include <signal.h>

#include <cmath>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/exit_status.h"

ABSL_FLAG(asyncproc::cli::TimeLimit, timeout, {},
          "End a command that has run for this long; 0 is no limit.");
ABSL_FLAG(
    asyncproc::cli::TimeLimit, idle_timeout, {},
    "End a command that has written to neither stream for this long; 0 is "
    "no limit.");
ABSL_FLAG(
    asyncproc::cli::EscalationSteps, escalate,
    (asyncproc::cli::EscalationSteps{
        {asyncproc::EscalationStep::Signal(SIGTERM, absl::Seconds(5)),
         asyncproc::EscalationStep::Signal(SIGKILL, absl::Seconds(10))}}),
    "The steps that end a command: each a signal or 'close' (its stdin), "
    "and before all but the first the grace period of the step before, as "
    "in close,1s:INT,2s:TERM,5s:KILL.");
ABSL_FLAG(asyncproc::cli::Scope, scope, {},
          "The processes that are ended: 'child' (the command alone), 'group' "
          "(its process group) or 'tree' (all processes that it has started).");
ABSL_FLAG(
    bool, cgroup, false,
    "Put all processes into a control group, so that none outlives a "
    "SIGKILL of asyncproc, not even one that has cleared its environment. "
    "asyncproc needs a cgroup of version 2 in which it may make another, "
    "and some 10 ms.");
ABSL_FLAG(
    asyncproc::cli::Pause, drain,
    (asyncproc::cli::Pause{absl::Milliseconds(200)}),
    "If another process still has the output open when the command has "
    "ended, print its output until it has written nothing for this long, or "
    "until 20 times this long is over.");
ABSL_FLAG(asyncproc::cli::ByteSize, keep_head, {},
          "Of each stream, print at most this much of the beginning, and the "
          "end that --keep-tail allows.");
ABSL_FLAG(asyncproc::cli::ByteSize, keep_tail, {},
          "Of each stream, print at most this much of the end, and the "
          "beginning that --keep-head allows. The end is printed when the "
          "command has ended, after a line with the number of bytes left out.");
ABSL_FLAG(bool, timestamps, false, "Begin each line with the time.");
ABSL_FLAG(
    std::string, report, "",
    "Report on stderr how the command ended: 'json' (one line) or 'text'.");
ABSL_FLAG(std::string, record, "",
          "Record both streams and the input, with times, to this file: as "
          "asciicast v3 if its name ends in .v3.cast, as v2 if it ends in "
          ".cast, else as JSON lines, which alone keep bytes that are not "
          "UTF-8; in the others they are U+FFFD. {host} stands for the name "
          "of the host.");
ABSL_FLAG(
    std::string, via, "",
    "Run the command by this program: 'srun -n1', 'nice'. {host} stands "
    "for one of --hosts. After 'ssh {host}' the command is quoted for the "
    "shell on the host, the connection is shared, the processes that it "
    "starts there are ended with it, and ssh asks for no password.");
ABSL_FLAG(std::vector<std::string>, hosts, {},
          "The hosts for --via, separated by commas.");

namespace asyncproc::cli {

namespace {

constexpr absl::string_view kTimes =
    "a time is a number of seconds, or like 500ms, 30s, 1h30m, 2d";

// "30", "1.5": seconds. "2d", "2d12h": days, which absl does not parse.
bool ParseTime(absl::string_view text, absl::Duration* duration) {
  // absl also takes signs, spaces, exponents, hexadecimal numbers and "inf".
  if (text.find_first_not_of("0123456789.dhmsun") != text.npos) return false;
  double seconds;
  if (absl::SimpleAtod(text, &seconds)) {
    *duration = absl::Seconds(seconds);
    return std::isfinite(seconds);
  }
  absl::Duration days;
  const size_t d = text.find('d');
  if (d != text.npos) {
    if (!absl::SimpleAtod(text.substr(0, d), &seconds)) return false;
    days = absl::Hours(24) * seconds;
    text.remove_prefix(d + 1);
    if (text.empty()) {
      *duration = days;
      return true;
    }
  }
  if (!absl::ParseDuration(text, duration)) return false;
  *duration += days;
  return true;
}

// One step, "TERM" or "close".
bool ParseStep(absl::string_view text, EscalationStep* step,
               std::string* error) {
  if (absl::EqualsIgnoreCase(text, "close")) {
    *step = EscalationStep::CloseStdin(absl::ZeroDuration());
    return true;
  }
  const int signal = SignalByName(text);
  if (signal == 0) {
    *error = absl::StrCat("'", text, "' is neither 'close' nor a signal");
    return false;
  }
  *step = EscalationStep::Signal(signal, absl::ZeroDuration());
  return true;
}

}  // namespace

bool AbslParseFlag(absl::string_view text, TimeSpan* span, std::string* error) {
  if (!ParseTime(text, &span->value)) {
    *error = std::string(kTimes);
    return false;
  }
  if (span->value > absl::ZeroDuration()) return true;
  *error = "it must be more than 0";
  return false;
}

std::string AbslUnparseFlag(const TimeSpan& span) {
  if (span.value == absl::InfiniteDuration()) return "";
  return absl::FormatDuration(span.value);
}

bool AbslParseFlag(absl::string_view text, TimeLimit* limit,
                   std::string* error) {
  if (!ParseTime(text, &limit->value)) {
    *error = absl::StrCat(kTimes, "; 0 is no limit");
    return false;
  }
  if (limit->value == absl::ZeroDuration()) {
    limit->value = absl::InfiniteDuration();
  }
  return true;
}

std::string AbslUnparseFlag(const TimeLimit& limit) {
  return AbslUnparseFlag(TimeSpan{limit.value});
}

bool AbslParseFlag(absl::string_view text, Pause* pause, std::string* error) {
  if (ParseTime(text, &pause->value)) return true;
  *error = absl::StrCat(kTimes, ", and may be 0");
  return false;
}

std::string AbslUnparseFlag(const Pause& pause) {
  return pause.value == absl::ZeroDuration()
             ? ""
             : absl::FormatDuration(pause.value);
}

bool AbslParseFlag(absl::string_view text, ByteSize* size, std::string* error) {
  size_t unit = 1;
  const absl::string_view letters = "KMG";
  if (!text.empty()) {
    const size_t letter = letters.find(absl::ascii_toupper(text.back()));
    if (letter != letters.npos) {
      unit = size_t{1} << (10 * (letter + 1));
      text.remove_suffix(1);
    }
  }
  uint64_t number;
  // absl also takes signs and spaces.
  if (text.find_first_not_of("0123456789") != text.npos ||
      !absl::SimpleAtoi(text, &number) || number >= ByteSize::kUnset / unit) {
    *error = "a size is a number of bytes, or like 64K, 1M, 2G";
    return false;
  }
  size->value = number * unit;
  return true;
}

std::string AbslUnparseFlag(const ByteSize& size) {
  return size.is_set() ? absl::StrCat(size.value) : "";
}

bool AbslParseFlag(absl::string_view text, EscalationSteps* steps,
                   std::string* error) {
  std::vector<EscalationStep> parsed;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    const size_t colon = part.rfind(':');
    const bool has_wait = colon != part.npos;
    EscalationStep step;
    if (!ParseStep(has_wait ? part.substr(colon + 1) : part, &step, error)) {
      return false;
    }
    if (has_wait && parsed.empty()) {
      *error = "the first step waits for nothing";
      return false;
    }
    if (!has_wait && !parsed.empty()) {
      *error = absl::StrCat("there is no grace period before ", part,
                            ": write 5s:", part, ", or 0:", part);
      return false;
    }
    if (has_wait && !ParseTime(part.substr(0, colon), &parsed.back().grace)) {
      *error = absl::StrCat("'", part.substr(0, colon), "' is not a time");
      return false;
    }
    parsed.push_back(step);
  }
  // The grace period of the last step: SIGKILL takes effect soon; after any
  // other signal there is no further step.
  parsed.back().grace = parsed.back().signal == SIGKILL
                            ? absl::Seconds(10)
                            : absl::InfiniteDuration();
  steps->steps = std::move(parsed);
  return true;
}

std::string AbslUnparseFlag(const EscalationSteps& steps) {
  std::string text;
  absl::Duration wait;
  for (const EscalationStep& step : steps.steps) {
    absl::StrAppend(
        &text, text.empty() ? "" : ",",
        text.empty() ? "" : absl::FormatDuration(wait), text.empty() ? "" : ":",
        step.signal == 0 ? "close"
                         : absl::StripPrefix(SignalName(step.signal), "SIG"));
    wait = step.grace;
  }
  return text;
}

bool AbslParseFlag(absl::string_view text, Scope* scope, std::string* error) {
  if (text == "child") {
    scope->value = TerminationScope::kChild;
  } else if (text == "group") {
    scope->value = TerminationScope::kGroup;
  } else if (text == "tree") {
    scope->value = TerminationScope::kTree;
  } else {
    *error = "a scope is child, group or tree";
    return false;
  }
  return true;
}

std::string AbslUnparseFlag(const Scope& scope) {
  switch (scope.value) {
    case TerminationScope::kChild:
      return "child";
    case TerminationScope::kGroup:
      return "group";
    case TerminationScope::kTree:
      return "tree";
  }
  return "";
}

int SignalByName(absl::string_view name) {
  int number;
  // absl also takes signs and spaces.
  if (name.find_first_not_of("0123456789") == name.npos &&
      absl::SimpleAtoi(name, &number)) {
    return number > 0 && number <= SIGRTMAX ? number : 0;
  }
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const std::string full = SignalName(signal);
    if (!absl::StartsWith(full, "SIG")) continue;
    if (absl::EqualsIgnoreCase(name, full) ||
        absl::EqualsIgnoreCase(name, full.substr(3))) {
      return signal;
    }
  }
  return 0;
}

Escalation EscalationFromFlags() {
  Escalation escalation;
  escalation.steps = absl::GetFlag(FLAGS_escalate).steps;
  escalation.scope = absl::GetFlag(FLAGS_scope).value;
  return escalation;
}

ChildLimits LimitsFromFlags() {
  ChildLimits limits;
  limits.timeout = absl::GetFlag(FLAGS_timeout).value;
  limits.idle_timeout = absl::GetFlag(FLAGS_idle_timeout).value;
  limits.escalation = EscalationFromFlags();
  return limits;
}

}  // namespace asyncproc::cli

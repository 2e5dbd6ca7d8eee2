#include "tools/asyncproc/replay.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/transcript.h"
#include "asyncproc/transcript_event.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/output.h"

ABSL_FLAG(double, speed, 1,
          "So many times as fast as it was; 0: all at once, as it is when "
          "stdout is no terminal.");
ABSL_FLAG(asyncproc::cli::TimeSpan, longest_pause, {},
          "Wait no longer than this between two pieces.");
ABSL_FLAG(bool, input, false,
          "Show what was written to the command, too. A terminal that echoes "
          "has shown it already.");

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Shows what a command has said, as it was recorded by --record, at the "
    "speed of then. FILE is either kind of recording: .cast, which asciinema "
    "shows too, or lines of JSON. Nothing is run. What asyncproc repl made a "
    "program say to know where a reply ends is left out.";

bool IsShown(const TranscriptEvent& event) {
  switch (event.kind) {
    case TranscriptEvent::Kind::kOut:
    case TranscriptEvent::Kind::kErr:
      return true;
    case TranscriptEvent::Kind::kIn:
      return absl::GetFlag(FLAGS_input);
    default:
      return false;
  }
}

// What to show of `event`. `marks`: the letters that a Repl has drawn; it makes
// the program say them, with a status, to know where a reply ends.
std::string Shown(const TranscriptEvent& event,
                  const std::vector<std::string>& marks) {
  std::string text = event.data;
  if (event.kind == TranscriptEvent::Kind::kIn) return text;
  for (const std::string& mark : marks) {
    for (size_t at = text.find(mark); at != std::string::npos;
         at = text.find(mark)) {
      const size_t newline = text.find('\n', at);
      text.erase(at, newline == std::string::npos ? newline : newline + 1 - at);
    }
  }
  // It makes the one of the other itself.
  if (isatty(STDOUT_FILENO) == 1) {
    absl::StrReplaceAll({{"\r\n", "\n"}}, &text);
  }
  return text;
}

absl::Status Show(const Transcript& transcript, double speed) {
  const absl::Duration longest = absl::GetFlag(FLAGS_longest_pause).value;
  absl::Duration shown_at;
  std::vector<std::string> marks;
  for (const TranscriptEvent& event : transcript.events) {
    if (event.kind == TranscriptEvent::Kind::kLetters) {
      marks.push_back(event.data);
    }
    if (!IsShown(event)) continue;
    if (speed > 0) {
      const absl::Duration pause = (event.time - shown_at) / speed;
      absl::SleepFor(std::min(pause, longest));
    }
    shown_at = event.time;
    if (absl::Status status = WriteAll(STDOUT_FILENO, Shown(event, marks));
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

int ReplayMain(const std::vector<std::string>& words) {
  if (words.size() != 1) {
    Complain("replay", "which recording? See asyncproc replay --help");
    return kOwnFailure;
  }
  double speed = absl::GetFlag(FLAGS_speed);
  if (!(speed >= 0)) {
    Complain("replay", "--speed cannot be negative");
    return kOwnFailure;
  }
  if (isatty(STDOUT_FILENO) != 1) speed = 0;
  const absl::StatusOr<Transcript> transcript = Transcript::Load(words[0]);
  if (!transcript.ok()) {
    Complain("replay", transcript.status().message());
    return kOwnFailure;
  }
  if (absl::Status status = Show(*transcript, speed); !status.ok()) {
    Complain("replay", status.message());
    return kOwnFailure;
  }
  return kSuccess;
}

}  // namespace

Subcommand ReplaySubcommand() {
  Subcommand replay;
  replay.name = "replay";
  replay.synopsis = "[--] FILE";
  replay.summary = "show a recording";
  replay.description = kDescription;
  replay.options = {
      {"How", {{"speed", "FACTOR"}, {"longest_pause", "TIME"}, {"input"}}}};
  replay.examples = {
      {"Twice as fast, and no pause longer than a second:",
       "asyncproc replay --speed 2 --longest-pause 1s session.cast"}};
  replay.word_ends_options = false;
  replay.main = ReplayMain;
  return replay;
}

}  // namespace asyncproc::cli

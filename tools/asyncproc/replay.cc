#include "tools/asyncproc/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/transcript.h"
#include "asyncproc/transcript_event.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/job_control.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/raw_mode.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/signal_watcher.h"

ABSL_FLAG(
    double, speed, 1,
    "The speed, as a factor of the recorded one; 0: without pauses, as if "
    "stdout is not a terminal.");
ABSL_FLAG(asyncproc::cli::TimeSpan, longest_pause, {},
          "The longest pause between two pieces of output.");
ABSL_FLAG(bool, input, false,
          "Also show the input of the command. If its terminal echoed the "
          "input, the output has it already.");

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Shows the output of a command that --record has recorded, at the "
    "recorded speed. FILE is a recording of any kind: .cast, of asciicast "
    "versions 1, 2 and 3, which asciinema shows too, or lines of JSON; - "
    "is stdin, which is read to its end first. A file that was cut off in its "
    "last line is shown up to "
    "that line. No command is run. The marks that asyncproc repl makes a "
    "program print at the end of a reply are left out.\n\n"
    "On a terminal, the space bar pauses and continues, . shows the next "
    "piece of output while playback is paused, and q or Ctrl-C ends playback. "
    "Other keys are read and ignored. If stdin is not a terminal, the keys "
    "are those of /dev/tty. A signal that ends programs ends playback, and the "
    "terminal is as it was.";

bool IsShown(const TranscriptEvent& event) {
  switch (event.kind) {
    case TranscriptEvent::Kind::kOut:
    case TranscriptEvent::Kind::kErr:
      return true;
    case TranscriptEvent::Kind::kIn:
    case TranscriptEvent::Kind::kSent:
      return absl::GetFlag(FLAGS_input);
    default:
      return false;
  }
}

// The halves of the marks of a Repl, each with whether it is the second one.
using Halves = std::map<absl::string_view, bool>;

Halves HalvesOfMarks(const Transcript& transcript) {
  Halves halves;
  for (const TranscriptEvent& event : transcript.events) {
    if (event.kind != TranscriptEvent::Kind::kLetters) continue;
    const absl::string_view mark = event.data;
    if (mark.size() != 2 * kMarkLetters) continue;
    halves[mark.substr(0, kMarkLetters)] = false;
    halves[mark.substr(kMarkLetters)] = true;
  }
  return halves;
}

// For each byte of `text`, whether it belongs to a mark, or follows one in its
// line: there the program reports a status.
std::vector<bool> FindMarks(absl::string_view text, const Halves& halves) {
  std::vector<bool> found(text.size());
  size_t letters = 0;  // In front of the end.
  for (size_t end = 1; end <= text.size(); ++end) {
    const char last = text[end - 1];
    letters = 'a' <= last && last <= 'p' ? letters + 1 : 0;
    if (letters < kMarkLetters) continue;
    const size_t begin = end - kMarkLetters;
    const auto half = halves.find(text.substr(begin, kMarkLetters));
    if (half == halves.end()) continue;
    const size_t newline =
        half->second ? std::min(text.find('\n', end), text.size() - 1) + 1
                     : end;
    std::fill(found.begin() + static_cast<ptrdiff_t>(begin),
              found.begin() + static_cast<ptrdiff_t>(newline), true);
  }
  return found;
}

// Removes the marks that a Repl has let the program print at the ends of
// replies. The pieces of a mark may be in several events of a stream.
void RemoveMarks(Transcript* transcript) {
  const Halves halves = HalvesOfMarks(*transcript);
  if (halves.empty()) return;
  for (const auto stream :
       {TranscriptEvent::Kind::kOut, TranscriptEvent::Kind::kErr}) {
    std::string text;
    for (const TranscriptEvent& event : transcript->events) {
      if (event.kind == stream) text += event.data;
    }
    const std::vector<bool> marks = FindMarks(text, halves);
    size_t at = 0;
    for (TranscriptEvent& event : transcript->events) {
      if (event.kind != stream) continue;
      std::string shown;
      for (const char c : event.data) {
        if (!marks[at++]) shown.push_back(c);
      }
      event.data = std::move(shown);
    }
  }
}

// The text of `event` for stdout.
std::string Shown(const TranscriptEvent& event) {
  const bool is_input = event.kind == TranscriptEvent::Kind::kIn ||
                        event.kind == TranscriptEvent::Kind::kSent;
  // A terminal makes the one of the other itself.
  return !is_input && isatty(STDOUT_FILENO) == 1
             ? absl::StrReplaceAll(event.data, {{"\r\n", "\n"}})
             : event.data;
}

// The signals that the tool has received. Thread safety: any thread may call
// anything.
class Signals {
 public:
  void Add(int signal) {
    if (signal == SIGTSTP || signal == SIGCONT) {
      suspend_ = signal == SIGTSTP;
    } else {
      ending_ = signal;
    }
    eventfd_write(wake_.get(), 1);
  }
  // 0: no signal ends the tool.
  int ending() const { return ending_; }
  // Whether SIGTSTP has come since the last call, and no SIGCONT after it.
  bool TakeSuspend() {
    eventfd_t count;
    eventfd_read(wake_.get(), &count);
    return suspend_.exchange(false);
  }
  // Readable when a signal has come.
  int wake() const { return wake_.get(); }

 private:
  const UniqueFd wake_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<int> ending_{0};
  std::atomic<bool> suspend_{false};
};

// The keys that a person presses during playback. They are read, so that the
// shell does not get them.
class Keys {
 public:
  // A signal ends or suspends a wait.
  Keys(bool wanted, Signals* signals) : signals_(signals) {
    if (!wanted) return;
    if (isatty(STDIN_FILENO) != 1) {
      terminal_ = OpenFile("/dev/tty", O_RDWR | O_NOCTTY);
      // In the background, the keys are those of the shell.
      if (tcgetpgrp(terminal_.get()) != getpgrp()) return;
      fd_ = terminal_.get();
    }
    Enter();
  }
  ~Keys() {
    if (has_keys_) tcflush(fd_, TCIFLUSH);
  }

  // Waits; longer while playback is paused. False: playback is to end.
  bool Wait(absl::Duration pause) {
    absl::Time end = MonotonicNow() + pause;
    while (true) {
      const absl::Duration left = end - MonotonicNow();
      if (!paused_ && left <= absl::ZeroDuration() && !HasKey(0)) {
        return signals_->ending() == 0;
      }
      const int timeout =
          paused_ ? -1
                  : static_cast<int>(absl::ToInt64Milliseconds(
                        std::clamp(left, absl::ZeroDuration(), absl::Hours(1)) +
                        absl::Microseconds(999)));
      if (!HasKey(timeout)) {
        if (signals_->ending() != 0) return false;
        if (signals_->TakeSuspend()) end += Suspend();
        continue;
      }
      const absl::Time before = MonotonicNow();
      switch (ReadKey()) {
        case ' ':
          paused_ = !paused_;
          // The rest of the pause.
          if (paused_) {
            left_ = end - before;
          } else {
            end = before + left_;
          }
          break;
        case '.':
          if (paused_) return true;
          break;
        case 'q':
          return false;
        default:
          break;
      }
    }
  }

 private:
  void Enter() {
    has_keys_ = mode_.Enter(fd_, RawMode::Keys::kNotSignals).ok();
  }

  // Gives the terminal to the shell, as it was, until the shell continues this
  // process. Returns how long that took.
  absl::Duration Suspend() {
    const absl::Time start = MonotonicNow();
    mode_.Leave();
    StopSelf();
    if (has_keys_) Enter();
    return MonotonicNow() - start;
  }

  bool HasKey(int timeout) {
    pollfd ready[] = {{has_keys_ ? fd_ : -1, POLLIN, 0},
                      {signals_->wake(), POLLIN, 0}};
    return poll(ready, 2, timeout) > 0 && ready[0].revents != 0;
  }

  char ReadKey() {
    char key = 0;
    const ssize_t size = read(fd_, &key, 1);
    // The terminal is gone.
    if (size == 0 || (size < 0 && errno != EINTR)) {
      has_keys_ = false;
      paused_ = false;
    }
    return key;
  }

  Signals* const signals_;
  UniqueFd terminal_;      // If stdin is not one.
  int fd_ = STDIN_FILENO;  // Gives the keys.
  RawMode mode_;
  bool has_keys_ = false;
  bool paused_ = false;
  absl::Duration left_;
};

// Plays until the end, or until a signal ends it.
void Show(const Transcript& transcript, double speed, Signals* signals) {
  const absl::Duration longest = absl::GetFlag(FLAGS_longest_pause).value;
  Keys keys(speed > 0, signals);
  absl::Duration shown_at;
  for (const TranscriptEvent& event : transcript.events) {
    if (!IsShown(event)) continue;
    if (speed > 0) {
      const absl::Duration pause =
          std::max(absl::ZeroDuration(), (event.time - shown_at) / speed);
      if (!keys.Wait(std::min(pause, longest))) return;
    }
    shown_at = event.time;
    // FinishOutput reports a failure.
    if (!Output::Stdout().Write(Shown(event)).ok()) return;
  }
}

absl::StatusOr<Transcript> Load(const std::string& path) {
  if (path != "-") return Transcript::Load(path);
  std::string text;
  std::string piece(1 << 16, '\0');
  for (;;) {
    const ssize_t size = read(STDIN_FILENO, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, "stdin");
    if (size == 0) break;
    text.append(piece, 0, static_cast<size_t>(size));
  }
  absl::StatusOr<Transcript> transcript = Transcript::Parse(text);
  if (transcript.ok()) return transcript;
  return absl::Status(transcript.status().code(),
                      absl::StrCat("stdin: ", transcript.status().message()));
}

int ReplayMain(const std::vector<std::string>& words) {
  if (words.size() != 1) {
    Complain(
        "replay",
        words.empty()
            ? "no recording is given; see asyncproc replay --help"
            : "only one recording can be shown; see asyncproc replay --help");
    return kOwnFailure;
  }
  double speed = absl::GetFlag(FLAGS_speed);
  if (!(speed >= 0)) {
    Complain("replay", "--speed cannot be negative");
    return kOwnFailure;
  }
  if (isatty(STDOUT_FILENO) != 1) speed = 0;
  absl::StatusOr<Transcript> transcript = Load(words[0]);
  if (!transcript.ok()) {
    Complain("replay", transcript.status().message());
    return kOwnFailure;
  }
  RemoveMarks(&*transcript);
  // The terminal is put back before the program ends or stops by a signal.
  Signals signals;
  std::vector<int> watched = SignalWatcher::EndingSignals();
  if (speed > 0) watched.insert(watched.end(), {SIGTSTP, SIGCONT});
  auto watcher = SignalWatcher::Start(
      watched,
      [&](const ReceivedSignal& received) { signals.Add(received.number); });
  if (!watcher.ok()) {
    Complain("replay", watcher.status().message());
    return kOwnFailure;
  }
  Show(*transcript, speed, &signals);
  if (signals.ending() != 0) return kSignalBase + signals.ending();
  return ExitCodeOfStdout();
}

}  // namespace

Subcommand ReplaySubcommand() {
  Subcommand replay;
  replay.name = "replay";
  replay.synopsis = "[--] FILE";
  replay.summary = "show a recording";
  replay.description = kDescription;
  replay.options = {
      {"Playback",
       {{"speed", "FACTOR", 's'}, {"longest_pause", "TIME", 'i'}, {"input"}}}};
  replay.exit_codes = {
      {"0", "the recording was shown, or q ended playback"},
      {"125",
       "asyncproc itself failed: a wrong option, no recording, output that "
       "cannot be written"},
      {"128+n",
       "signal n, as 130 for Ctrl-C, ended playback; 141: the reader of the "
       "output had gone"},
  };
  replay.examples = {
      {"Twice as fast, and no pause longer than a second:",
       "asyncproc replay --speed 2 --longest-pause 1s session.cast"}};
  replay.hints = {
      {"--idle-time-limit", "its name is --longest-pause"},
  };
  replay.word_ends_options = false;
  replay.main = ReplayMain;
  return replay;
}

}  // namespace asyncproc::cli

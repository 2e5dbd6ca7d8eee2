#ifndef ASYNCPROC_TRANSCRIPT_EVENT_H_
#define ASYNCPROC_TRANSCRIPT_EVENT_H_

#include <optional>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/terminal_size.h"
#include "asyncproc/termination.h"

namespace asyncproc {

// One event between a program and its child. See Transcript. A value.
struct TranscriptEvent {
  enum class Kind {
    kIn,         // `data` was written to stdin.
    kInClosed,   // End-of-file for stdin, after all written data.
    kInBroken,   // No process reads stdin any more.
    kOut,        // `data` came from stdout, or the terminal.
    kOutClosed,  // The end of stdout.
    kErr,        // The same of stderr.
    kErrClosed,
    kSignal,    // `signal` was sent to `scope`.
    kResize,    // The terminal was given another `size`.
    kLetters,   // `data` was drawn at random: see Child::DrawLetters.
    kSent,      // `data` was sent on the private channel of a Repl,
    kReceived,  // or received there.
    kMark,      // `data` is a label set by this program: Recorder::Mark.
    kExit,      // The child ended, by `status`.
  };

  Kind kind = Kind::kOut;
  // Since Transcript::start; whole microseconds.
  absl::Duration time;
  std::string data;  // Any bytes.
  int signal = 0;
  TerminationScope scope = TerminationScope::kChild;
  TerminalSize size;
  // Nothing when other code has taken the status; `data` then has the reason.
  std::optional<ExitStatus> status;

  // "in \"1+1\\n\"", "SIGINT (interrupt) to the child", for messages.
  std::string ToString() const;

  friend bool operator==(const TranscriptEvent& a, const TranscriptEvent& b);
  friend bool operator!=(const TranscriptEvent& a, const TranscriptEvent& b) {
    return !(a == b);
  }
  friend std::ostream& operator<<(std::ostream& out,
                                  const TranscriptEvent& event) {
    return out << event.ToString();
  }
};

// The recorded child, and the start of the recording.
struct TranscriptHeader {
  std::string command;  // The command line, as Command::DebugString has it.
  absl::Time start;     // Whole microseconds.
  // The size of the child's terminal at its start; nothing: it had none.
  std::optional<TerminalSize> terminal;

  friend bool operator==(const TranscriptHeader& a, const TranscriptHeader& b) {
    return a.command == b.command && a.start == b.start &&
           a.terminal == b.terminal;
  }
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TRANSCRIPT_EVENT_H_

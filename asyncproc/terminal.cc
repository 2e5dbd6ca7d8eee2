#include "asyncproc/terminal.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "asyncproc/internal/io/line_discipline.h"
#include "asyncproc/internal/io/stdin_writer.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {
namespace {

// The kernel does not report that a child changes its terminal.
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

}  // namespace

Terminal::Terminal(int master, internal::StdinWriter* input, std::string child)
    : master_(master), input_(input), child_(std::move(child)) {}

absl::Status Terminal::Failed(absl::string_view call, int error) const {
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot ", call, " of the terminal of ", child_));
}

absl::StatusOr<termios> Terminal::Settings() const {
  termios settings;
  if (tcgetattr(master_, &settings) < 0) {
    return Failed("read the settings", errno);
  }
  return settings;
}

absl::Status Terminal::SetSize(int rows, int columns) {
  if (rows < 0 || columns < 0 || rows > USHRT_MAX || columns > USHRT_MAX) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot set the size of the terminal of ", child_, " to ", rows,
        " rows and ", columns, " columns: both must be from 0 to ", USHRT_MAX));
  }
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  input_->NoteResize(rows, columns);
  if (ioctl(master_, TIOCSWINSZ, &size) < 0) {
    return Failed("set the size", errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<TerminalSize> Terminal::GetSize() const {
  winsize size = {};
  if (ioctl(master_, TIOCGWINSZ, &size) < 0) {
    return Failed("get the size", errno);
  }
  return TerminalSize{size.ws_row, size.ws_col};
}

absl::Status Terminal::SetEcho(bool echo) {
  absl::StatusOr<termios> settings = Settings();
  if (!settings.ok()) return settings.status();
  if (echo) {
    settings->c_lflag |= ECHO;
  } else {
    settings->c_lflag &= ~static_cast<tcflag_t>(ECHO);
  }
  if (tcsetattr(master_, TCSANOW, &*settings) < 0) {
    return Failed("set the echo", errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Terminal::Echo() const {
  absl::StatusOr<termios> settings = Settings();
  if (!settings.ok()) return settings.status();
  return (settings->c_lflag & ECHO) != 0;
}

absl::Status Terminal::AwaitEcho(bool echo, absl::Duration timeout) {
  const absl::Time deadline = internal::DeadlineAfter(timeout);
  for (;;) {
    const bool ended = input_->ChildHasExited();
    const absl::StatusOr<bool> now = Echo();
    if (!now.ok()) return now.status();
    if (*now == echo) return absl::OkStatus();
    if (ended) {
      return absl::FailedPreconditionError(
          absl::StrCat("the echo of the terminal of ", child_, " stays ",
                       *now ? "on" : "off", ": the child has ended"));
    }
    const absl::Duration left = deadline - internal::MonotonicNow();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat(
          "the echo of the terminal of ", child_, " is still ",
          *now ? "on" : "off", " after ", absl::FormatDuration(timeout)));
    }
    if (absl::Status status = internal::SleepUntil(
            internal::MonotonicNow() + std::min(left, kPollInterval));
        !status.ok()) {
      return status;
    }
  }
}

absl::Status Terminal::SendEof() {
  return internal::Prefixed(absl::StrCat("cannot type into ", child_),
                            input_->TypeEof());
}

absl::Status Terminal::SendInterrupt() { return SendControl(VINTR); }

absl::Status Terminal::SendQuit() { return SendControl(VQUIT); }

absl::Status Terminal::SendSuspend() { return SendControl(VSUSP); }

absl::Status Terminal::SendControl(int index) {
  absl::StatusOr<termios> settings = Settings();
  if (!settings.ok()) return settings.status();
  return internal::Prefixed(
      absl::StrCat("cannot type into ", child_),
      input_->TypeControl(internal::ControlCharacter(*settings, index)));
}

}  // namespace asyncproc

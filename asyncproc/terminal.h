#ifndef ASYNCPROC_TERMINAL_H_
#define ASYNCPROC_TERMINAL_H_

#include <termios.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/terminal_size.h"

namespace asyncproc {

namespace internal {
class StdinWriter;
}  // namespace internal

// The terminal of a child that was started with Command::pty, from the side of
// its user. The child's output arrives at Process::out, and the child takes
// bytes from Process::Write as typed input: see there.
//
//   asyncproc::Command command({"python3", "-q"});
//   command.pty = asyncproc::Pty{50, 132, /*echo=*/false};
//   auto python = asyncproc::Process::Spawn(command);
//   if (!python.ok()) return python.status();
//   absl::Status typed = (*python)->Write("while True: pass\n\n");
//   if (typed.ok()) typed = (*python)->pty()->SendInterrupt();
//
// A terminal is in canonical mode unless the child changes that (programs with
// line editing do): it passes on whole lines of at most 4,095 bytes, truncates
// longer lines, and acts on control characters, also those within data: "\x7f",
// the Backspace key, erases a character of UTF-8. It turns "\n" into "\r\n" in
// the output. The Enter key is "\r", which the terminal passes on as "\n";
// programs that read each key, such as redis-cli, may take "\n" for another
// key.
//
// Thread safety: any thread may call anything.
// Ownership: part of its Process.
// Blocking: only AwaitEcho blocks.
class Terminal {
 public:
  // Sets the size; the child gets SIGWINCH.
  absl::Status SetSize(int rows, int columns);
  // The current size: the child may have changed it.
  absl::StatusOr<TerminalSize> GetSize() const;

  absl::Status SetEcho(bool echo);
  // Errors: as tcgetattr.
  absl::StatusOr<bool> Echo() const;
  // Waits until the echo setting equals `echo`: programs that ask for a
  // password turn echo off first, and drop earlier typed input.
  // Errors: kDeadlineExceeded; kFailedPrecondition as soon as the child ends.
  absl::Status AwaitEcho(bool echo, absl::Duration timeout);

  // Types a control character, after all written data: end-of-file (^D; typed
  // twice if the line is not empty), interrupt (^C), quit (^\), and suspend
  // (^Z). The characters are those in the settings of the terminal; where a
  // setting is off, as in programs that read each key, the character is the one
  // in parentheses.
  //
  // The terminal sends the signal to its foreground process group at that
  // moment: wait until a shell has started a job, by a text that the job
  // writes. ^Z stops the jobs of a shell, and never the child itself, whose
  // process group is orphaned: the kernel then drops the signal unless the
  // child handles it. Process::Signal(SIGSTOP) stops the child.
  // Errors: as Process::Write.
  absl::Status SendEof();
  absl::Status SendInterrupt();
  absl::Status SendQuit();
  absl::Status SendSuspend();

 private:
  friend class Process;
  // `master` and `input` outlive this object. `child`: for messages.
  Terminal(int master, internal::StdinWriter* input, std::string child);

  // The error of a system call; `call`: the action, for the message.
  absl::Status Failed(absl::string_view call, int error) const;
  absl::StatusOr<termios> Settings() const;
  absl::Status SendControl(int index);

  const int master_;
  internal::StdinWriter* const input_;
  const std::string child_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TERMINAL_H_

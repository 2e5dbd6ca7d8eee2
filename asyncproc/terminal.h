#ifndef ASYNCPROC_TERMINAL_H_
#define ASYNCPROC_TERMINAL_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/terminal_size.h"

namespace asyncproc {

namespace internal {
class StdinWriter;
}  // namespace internal

// The terminal of a child that was started with Command::pty, from the side of
// whoever sits at it. What the child writes comes by Process::out, and what is
// written to Process::Write it takes for typed: see there.
//
//   asyncproc::Command command({"python3", "-q"});
//   command.pty = asyncproc::Pty{50, 132, /*echo=*/false};
//   auto python = asyncproc::Process::Spawn(command);
//   if (!python.ok()) return python.status();
//   absl::Status typed = (*python)->Write("while True: pass\n\n");
//   if (typed.ok()) typed = (*python)->pty()->SendInterrupt();
//
// A terminal is in canonical mode unless the child changes that (programs with
// line editing do): it hands over whole lines, of at most 4,095 bytes, cuts
// longer ones, and acts upon control characters: mind them in data. It turns
// "\n" into "\r\n" on the way out.
//
// Thread safety: any thread may call anything.
// Ownership: part of its Process.
// Blocking: only AwaitEcho blocks.
class Terminal {
 public:
  // The child is told by SIGWINCH.
  absl::Status SetSize(int rows, int columns);
  // As it is now: the child may have changed it.
  absl::StatusOr<TerminalSize> GetSize() const;

  absl::Status SetEcho(bool echo);
  // Errors: as tcgetattr.
  absl::StatusOr<bool> Echo() const;
  // Waits until echo is as said: programs that ask for a password turn it off
  // first, and drop what was typed before.
  // Errors: kDeadlineExceeded.
  absl::Status AwaitEcho(bool echo, absl::Duration timeout);

  // What a person types, behind what was written: the end of the input (^D;
  // where the line is not empty, it takes two), interrupt (^C), quit (^\), and
  // suspend (^Z). The characters are those that the terminal is set to.
  // Errors: as Process::Write.
  absl::Status SendEof();
  absl::Status SendInterrupt();
  absl::Status SendQuit();
  absl::Status SendSuspend();

 private:
  friend class Process;
  // `master` and `input` outlive it.
  Terminal(int master, internal::StdinWriter* input);

  absl::Status SendControl(int index);

  const int master_;
  internal::StdinWriter* const input_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TERMINAL_H_

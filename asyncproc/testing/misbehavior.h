#ifndef ASYNCPROC_TESTING_MISBEHAVIOR_H_
#define ASYNCPROC_TESTING_MISBEHAVIOR_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"

namespace asyncproc {

// A child that misbehaves on purpose, step by step: for tests of programs that
// drive children.
//
//   auto child = asyncproc::Misbehavior()
//                    .Ignore(SIGTERM)
//                    .Say("ready")
//                    .AwaitCue()           // A line on its stdin.
//                    .Dribble("caf\xC3\xA9\n", absl::Milliseconds(5))
//                    .Die(SIGSEGV)
//                    .Build();
//   if (!child.ok()) return child.status();
//   auto process = asyncproc::Process::Spawn(*child);
//
// After the last step the child ends, with exit status 0. Its output is not
// buffered; write "ready" where the test must know that a step is done.
//
// With Bazel, a test that depends on this library,
// @asyncproc//asyncproc/testing:misbehavior, has the program among its data,
// and Build finds it there. Otherwise set ASYNCPROC_MISBEHAVE to the path of
// the program, or pass the path to BuildWith. The program's source file
// describes its use by hand.
//
// A value. Thread safety: as an int.
class Misbehavior {
 public:
  // Write `text`: on stdout, with a newline; on stdout, without; on stderr,
  // with a newline. Any bytes, as long as the Command is not too long for the
  // system.
  Misbehavior& Say(absl::string_view text);
  Misbehavior& Print(absl::string_view text);
  Misbehavior& Complain(absl::string_view text);

  // Writes `text` on stdout, a byte at a time.
  Misbehavior& Dribble(absl::string_view text, absl::Duration pause);
  // The same, in pieces that end within the characters of UTF-8.
  Misbehavior& SplitUtf8(absl::string_view text, absl::Duration pause);
  // Writes `bytes` bytes on stdout, in lines of 63 "x"; 2 GiB at most.
  Misbehavior& Flood(size_t bytes);

  // Waits for a line or end-of-file on stdin.
  Misbehavior& AwaitCue();
  // Repeats its input, until end-of-file on stdin.
  Misbehavior& Echo();

  Misbehavior& CloseStdin();
  Misbehavior& CloseStdout();
  Misbehavior& CloseStderr();

  // Ignores `signal` from now on.
  Misbehavior& Ignore(int signal);
  // Leaves behind a process that holds stdout and stderr open for `time`.
  Misbehavior& LeavePipeHolder(absl::Duration time);

  Misbehavior& Sleep(absl::Duration time);
  // Sleeps forever.
  Misbehavior& Hang();
  // Ends at once.
  Misbehavior& Exit(int code);
  // Dies of `signal`, whether or not it was ignored; without a core dump.
  Misbehavior& Die(int signal);

  // Errors: kNotFound, with the places searched.
  absl::StatusOr<Command> Build() const;
  Command BuildWith(const std::string& path) const;

 private:
  Misbehavior& Add(std::string action);

  std::vector<std::string> actions_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_MISBEHAVIOR_H_

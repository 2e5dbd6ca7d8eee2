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

// A child that does what children do on bad days, one step after the other: to
// see what a program that drives a child makes of it.
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
// After the last step it ends, with exit status 0. What it says is not
// buffered; say "ready" where the test has to know that a step was done.
//
// With Bazel, a test that depends on this library,
// @asyncproc//asyncproc/testing:misbehavior, has the program among its data,
// and Build finds it there. Else set ASYNCPROC_MISBEHAVE to where it is, or
// pass that to BuildWith. The program tells at its top how to use it by hand.
//
// A value. Thread safety: as an int.
class Misbehavior {
 public:
  // On stdout, with a newline; without; on stderr, with a newline. Any bytes
  // but for those of a Command that is too long for the system.
  Misbehavior& Say(absl::string_view text);
  Misbehavior& Print(absl::string_view text);
  Misbehavior& Complain(absl::string_view text);

  // On stdout, a byte at a time.
  Misbehavior& Dribble(absl::string_view text, absl::Duration pause);
  // Likewise, in pieces that end within the characters of UTF-8.
  Misbehavior& SplitUtf8(absl::string_view text, absl::Duration pause);
  // So many bytes, in lines of 63 "x"; 2 GiB at the most.
  Misbehavior& Flood(size_t bytes);

  // Waits for a line on stdin, or its end.
  Misbehavior& AwaitCue();
  // Repeats what it reads, until the end of stdin.
  Misbehavior& Echo();

  Misbehavior& CloseStdin();
  Misbehavior& CloseStdout();
  Misbehavior& CloseStderr();

  // From now on.
  Misbehavior& Ignore(int signal);
  // Leaves a process behind that holds stdout and stderr open for `time`.
  Misbehavior& LeavePipeHolder(absl::Duration time);

  Misbehavior& Sleep(absl::Duration time);
  // For ever.
  Misbehavior& Hang();
  // At once.
  Misbehavior& Exit(int code);
  // Of that signal, whether or not it was ignored; without a core.
  Misbehavior& Die(int signal);

  // Errors: kNotFound, with where it was looked for.
  absl::StatusOr<Command> Build() const;
  Command BuildWith(const std::string& path) const;

 private:
  Misbehavior& Add(std::string action);

  std::vector<std::string> actions_;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_MISBEHAVIOR_H_

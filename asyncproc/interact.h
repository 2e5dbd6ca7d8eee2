#ifndef ASYNCPROC_INTERACT_H_
#define ASYNCPROC_INTERACT_H_

#include <unistd.h>

#include <optional>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/expect.h"

namespace asyncproc {

struct InteractOptions {
  // The user's terminal. What is no terminal is read and written as it is.
  int in = STDIN_FILENO;
  int out = STDOUT_FILENO;
  // What the user types to get out of it: ^]. Nullopt: nothing does.
  std::optional<char> escape = '\x1d';
  absl::Duration timeout = absl::InfiniteDuration();
};

// Why an Interact has returned.
enum class InteractionEnd {
  kEscape,      // The user has typed the escape character.
  kChildEnded,  // And all that it said has been shown.
  kUserEnded,   // The end of `in`, or the terminal is gone.
};

std::ostream& operator<<(std::ostream& out, InteractionEnd end);

struct Interaction {
  InteractionEnd end = InteractionEnd::kEscape;
  // What was typed behind the escape character: the child has not got it.
  std::string rest;
};

// Hands a child that has a terminal of its own (Command::pty) over to the user:
// log in by program, then let them type; and back, when they type ^].
//
//   asyncproc::Expect expect(ssh.get());
//   auto prompt =
//       expect.Await(asyncproc::Pattern::Literal("$ "), absl::Seconds(10));
//   if (!prompt.ok()) return prompt.status();
//   std::cout << prompt->match << "(^] ends this)\n" << std::flush;
//   auto interaction = asyncproc::Interact(expect);
//   if (!interaction.ok()) return interaction.status();
//   if (interaction->end == asyncproc::InteractionEnd::kEscape) ...
//
// Shows what `expect` still holds, then what the child says, as it comes. What
// the user types goes to the child byte by byte, control characters too: the
// user's terminal is in raw mode, and the child's terminal makes of ^C, ^D or
// ^Z what it always does. What the child does not take (a line that is too long
// for its terminal, see Terminal) is dropped, with a beep.
//
// The child's terminal gets the size of the user's. That is looked at again at
// every key and output, and five times a second; there is no handler of
// SIGWINCH, for signals are the program's own.
//
// However this returns, the user's terminal has its settings back as they were,
// and no byte is lost: what the child has said and was not shown stays in
// `expect`, and what was typed and not read stays in the terminal. What ends
// the program without returning, a signal say, leaves it raw (`stty sane`).
//
// The end of `in` alone does not end the child, nor its input: that is up to
// you (Process::CloseStdin), as is what it has yet to say.
//
// This is not a method of Expect because it is about the user's terminal, of
// which most who use Expect have none.
//
// Thread safety: as Expect; and nobody else should read `in` meanwhile.
// Blocking: until one of the InteractionEnds, or up to the timeout. Not also
// because the user's terminal takes no more (^S).
// Errors: kDeadlineExceeded, kCancelled: its own timeout, or a scope's (see
// WithTimeout). kFailedPrecondition when the child has no terminal, or `expect`
// was made without its Process. kInvalidArgument when `in` or `out` is not
// open. kResourceExhausted. What reading from `in` or the child fails with.
absl::StatusOr<Interaction> Interact(Expect& expect,
                                     const InteractOptions& options = {});

}  // namespace asyncproc

#endif  // ASYNCPROC_INTERACT_H_

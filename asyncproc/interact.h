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
  // The user's terminal. Pipes and files work too, without raw mode.
  int in = STDIN_FILENO;
  int out = STDOUT_FILENO;
  // The character that ends the interaction: ^]. Nullopt: no character does.
  std::optional<char> escape = '\x1d';
  absl::Duration timeout = absl::InfiniteDuration();
};

// The reason for which Interact has returned.
enum class InteractionEnd {
  kEscape,      // The user has typed the escape character.
  kChildEnded,  // And all its output has been shown.
  kUserEnded,   // End-of-file on `in`, or the terminal is gone.
};

std::ostream& operator<<(std::ostream& out, InteractionEnd end);

struct Interaction {
  InteractionEnd end = InteractionEnd::kEscape;
  // Input typed after the escape character, not sent to the child.
  std::string rest;
};

// Hands a child that has a terminal of its own (Command::pty) over to the user:
// the program logs in, the user types, and ^] returns control to the program.
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
// Shows the text that `expect` still holds, then the output of the child as it
// arrives. Input from the user goes to the child byte by byte, including
// control characters: the user's terminal is in raw mode, and the child's
// terminal interprets ^C, ^D and ^Z as usual. Input that the child does not
// accept (a line that is too long for its terminal, see Terminal) is dropped,
// with a beep.
//
// The child's terminal gets the size of the user's. Interact checks the size
// after every input and output, and five times a second. It has no handler for
// SIGWINCH, since signals belong to the program.
//
// When Interact returns, for any reason, the user's terminal has its previous
// settings and no byte is lost: output that was not shown stays in `expect`,
// and input that was not read stays in the terminal. If the program ends inside
// of Interact, for instance by a signal, the terminal stays raw (`stty sane`).
//
// End-of-file on `in` ends neither the child nor its input. The caller decides
// about both (Process::CloseStdin), and about the child's remaining output.
//
// Interact is not a method of Expect because it is about the user's terminal,
// and most users of Expect have none.
//
// Thread safety: as Expect; other code should not read `in` meanwhile.
// Blocking: until one of the InteractionEnds, or up to the timeout. A user's
// terminal that takes no output (^S) does not block it.
// Errors: kDeadlineExceeded, kCancelled: its own timeout, or a scope's (see
// WithTimeout). kFailedPrecondition if the child has no terminal, or `expect`
// was not made from a Process. kInvalidArgument if `in` or `out` is not open.
// kResourceExhausted. Errors of reading from `in` or the child.
absl::StatusOr<Interaction> Interact(Expect& expect,
                                     const InteractOptions& options = {});

}  // namespace asyncproc

#endif  // ASYNCPROC_INTERACT_H_

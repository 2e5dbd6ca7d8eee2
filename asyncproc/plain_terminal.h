#ifndef ASYNCPROC_PLAIN_TERMINAL_H_
#define ASYNCPROC_PLAIN_TERMINAL_H_

#include "asyncproc/command.h"

namespace asyncproc {

// `command` on a terminal at which nobody sits: for Expect, and for a Repl that
// goes by a prompt. Programs leave out what is for the eyes of people:
//
// - no echo of what is written, from the first byte on;
// - no pager that waits for a key (git, man, psql, systemctl: PAGER and its
//   relatives are cat);
// - no colours, and no line editing with sequences of its own, among them the
//   "\x1b[?2004h" that announces bracketed paste at each prompt (TERM is dumb,
//   NO_COLOR is set);
// - no words of PROMPT_COMMAND before each prompt;
// - no history that goes to a file of the user's (HISTFILE and its relatives
// are
//   empty or /dev/null, unless `command` sets them itself). Python before 3.13
//   has no variable for that: it writes ~/.python_history.
//
//   asyncproc::Command bash({"bash", "-i"});
//   bash.env.Set("PS1", "ready> ");   // And a prompt that nothing else prints.
//   auto process = asyncproc::Process::Spawn(asyncproc::OnPlainTerminal(bash));
//
// A command whose stdout or stderr is Stdio::LineBuffered keeps its streams as
// they are, and has the same variables: that is a terminal, too. The size of a
// terminal that it has already is kept. A program that edits
// lines echoes them by itself: see ReplDialect::echoes.
Command OnPlainTerminal(Command command);

}  // namespace asyncproc

#endif  // ASYNCPROC_PLAIN_TERMINAL_H_

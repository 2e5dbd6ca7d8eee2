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
// - no words of PROMPT_COMMAND before each prompt.
//
//   asyncproc::Command bash({"bash", "-i"});
//   bash.env.Set("PS1", "ready> ");   // And a prompt that nothing else prints.
//   auto process = asyncproc::Process::Spawn(asyncproc::OnPlainTerminal(bash));
//
// The size of a terminal that it has already is kept. A program that edits
// lines echoes them by itself: see ReplDialect::echoes.
Command OnPlainTerminal(Command command);

}  // namespace asyncproc

#endif  // ASYNCPROC_PLAIN_TERMINAL_H_

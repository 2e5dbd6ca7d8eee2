#ifndef ASYNCPROC_PLAIN_TERMINAL_H_
#define ASYNCPROC_PLAIN_TERMINAL_H_

#include "asyncproc/command.h"

namespace asyncproc {

// `command` on a terminal without a user: for Expect, and for a Repl with a
// prompt dialect. Programs leave out output that is meant for people:
//
// - no echo of written input, from the first byte on;
// - no pager that waits for a key (git, man, psql, systemctl: PAGER and similar
//   variables are cat);
// - no colours, and no line editing with escape sequences, such as the
//   "\x1b[?2004h" that announces bracketed paste at each prompt (TERM is dumb,
//   NO_COLOR and, for man, GROFF_NO_SGR are set). Some programs edit lines on
//   every terminal, and need an option: zsh +Z, which writes "\x1b[?2004h"
//   after its prompt otherwise; ksh93 +o emacs, which fills the line of its
//   prompt with blanks otherwise; and irb --nomultiline, which asks the
//   terminal for its cursor otherwise, and waits. fish has no such option;
// - no mark of zsh after output that does not end its line (PROMPT_EOL_MARK is
//   empty, unless `command` sets it);
// - no output of PROMPT_COMMAND before each prompt;
// - no history in a file of the user (HISTFILE and similar variables are empty
//   or /dev/null, unless `command` sets them itself). Some programs have no
//   variable for that: Python before 3.13 writes ~/.python_history, gnuplot
//   ~/.gnuplot_history, `php -a` ~/.php_history and irb ~/.irb_history.
//
//   asyncproc::Command bash({"bash", "--norc", "-i"});
//   bash.env.Set("PS1", "ready> ");   // And a prompt that nothing else prints.
//   auto process = asyncproc::Process::Spawn(asyncproc::OnPlainTerminal(bash));
//
// A command with stdout or stderr set to Stdio::LineBuffered keeps its streams,
// which are a terminal too, and gets the same variables. If `command` already
// has a terminal, the size of that terminal is kept: a line editor shows only a
// part of a line that is longer than the terminal is wide. A program that edits
// lines echoes them by itself: see ReplDialect::echoes.
Command OnPlainTerminal(Command command);

}  // namespace asyncproc

#endif  // ASYNCPROC_PLAIN_TERMINAL_H_

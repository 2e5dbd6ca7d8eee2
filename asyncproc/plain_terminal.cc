#include "asyncproc/plain_terminal.h"

#include <utility>

#include "asyncproc/pty.h"

namespace asyncproc {

Command OnPlainTerminal(Command command) {
  Pty pty = command.pty.value_or(Pty());
  pty.echo = false;
  command.pty = pty;
  command.env.Set("TERM", "dumb").Set("NO_COLOR", "1").Unset("PROMPT_COMMAND");
  for (const char* pager :
       {"PAGER", "GIT_PAGER", "MANPAGER", "PSQL_PAGER", "SYSTEMD_PAGER"}) {
    command.env.Set(pager, "cat");
  }
  return command;
}

}  // namespace asyncproc

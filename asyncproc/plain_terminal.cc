#include "asyncproc/plain_terminal.h"

#include <utility>

#include "asyncproc/command.h"

namespace asyncproc {

namespace {

// The variables that name the file of a program's history, each with the value
// for no file; and the mark of zsh after output that does not end its line.
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"HISTFILE", ""},
    {"LESSHISTFILE", "-"},
    {"MYSQL_HISTFILE", "/dev/null"},
    {"NODE_REPL_HISTORY", ""},
    {"PROMPT_EOL_MARK", ""},
    {"PSQL_HISTORY", "/dev/null"},
    {"PYTHON_HISTORY", "/dev/null"},
    {"SQLITE_HISTORY", "/dev/null"},
    {"fish_history", ""},
};

bool IsLineBuffered(const Stdio& stream) {
  return stream.kind() == Stdio::Kind::kLineBuffered;
}

}  // namespace

Command OnPlainTerminal(Command command) {
  if (!IsLineBuffered(command.out) && !IsLineBuffered(command.err)) {
    Pty pty = command.pty.value_or(Pty());
    pty.echo = false;
    command.pty = pty;
  }
  command.env.Set("TERM", "dumb").Set("NO_COLOR", "1").Unset("PROMPT_COMMAND");
  // For man: groff 1.23 writes colours for every terminal.
  command.env.Set("GROFF_NO_SGR", "1");
  for (const char* pager :
       {"PAGER", "GIT_PAGER", "MANPAGER", "PSQL_PAGER", "SYSTEMD_PAGER"}) {
    command.env.Set(pager, "cat");
  }
  for (const auto& [name, value] : kDefaults) {
    if (command.env.changes().count(name) == 0) command.env.Set(name, value);
  }
  return command;
}

}  // namespace asyncproc

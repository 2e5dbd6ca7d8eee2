#ifndef ASYNCPROC_REPL_DIALECTS_H_
#define ASYNCPROC_REPL_DIALECTS_H_

#include <string>
#include <vector>

#include "asyncproc/repl.h"

namespace asyncproc {

// The dialects of well-known programs. They are values, and may be changed
// before Repl::Start, for example dialect.command.working_directory. Each needs
// its program in PATH. None reads start files of the user or writes a history.
//
// By a private channel, which leaves stdin, stdout and stderr to the user:
//
// PythonDialect    python3. Statements are executed as at its prompt:
//                  expressions print their values and set _.
// NodeDialect      node. A statement is a script; its value is printed, unless
//                  it is undefined. Unlike node's prompt, it has no top-level
//                  await and no `_`, and takes {} for a block. import() needs
//                  node 20.12 or newer. Error.prepareStackTrace is set: it
//                  leaves out the frames of the dialect's program.
// ShDialect        sh, which may be dash, bash or busybox: Start fails with
//                  other shells. BashDialect: bash; ZshDialect: zsh. A
//                  statement is executed by eval. As in a script, ${x?message}
//                  ends bash and zsh; `return` outside a function ends sh and
//                  zsh. zsh reports an incomplete statement as a syntax error,
//                  except for a missing quote or end of a here-document, or a
//                  backslash at the end. In messages, dash and zsh count the
//                  lines of the statement, and bash and busybox those of the
//                  session. `trap` lists the dialect's own trap too.
//                  Descriptors that a statement opens stay open, except 8 and 9
//                  in sh and zsh: they hold the channel, and `exec 9>file` ends
//                  with its statement. So statements of bash must not redirect
//                  10 and 254, and those of sh and zsh 10 and 11. `set -x`
//                  shows the dialect's eval around each statement, a DEBUG trap
//                  runs for it, and in zsh for more of the dialect's commands;
//                  `set -v` and fish_trace show all of them.
// FishDialect      fish. A statement is executed by eval, in a block: a
//                  variable of `set -l` ends with it, and `begin; end` resets
//                  $status. `return` outside a function ends fish, and so does
//                  the 200th interrupt. An interrupt does not end its `read`:
//                  if stdin is a pipe, such a statement may end the session.
// RubyDialect      ruby. The value of a statement is printed as by irb, unless
//                  it is nil.
// LuaDialect       lua, from 5.1 on, and LuaJIT. A statement is a chunk, or a
//                  list of expressions, whose values are printed. Interrupts
//                  reach the main thread of lua alone: a coroutine that runs
//                  without end ends the session, and so does the 1000th
//                  interrupt. LuaJIT ignores them in a loop that it has
//                  compiled (jit.off() prevents that).
// GuileDialect     guile, GNU's Scheme. Values are printed as at its prompt,
//                  "$1 = 3"; its commands (",help") are unknown.
// OcamlDialect     ocaml, the interactive program of OCaml. A statement has any
//                  number of phrases; ";;" at its end may be missing. Values
//                  are in Reply::out, and errors in Reply::err.
// PerlDialect      perl. A statement is executed by eval. A variable of `my`
//                  ends with its statement.
// RDialect         R. Visible values and warnings are printed as at its prompt.
//                  traceback() has nothing to show, and showConnections() lists
//                  the channel.
// PrologDialect    swipl, SWI-Prolog. A statement is a query; its first answer
//                  is printed. A missing "." at the end is added.
// TclDialect       tclsh. An interrupt would end tclsh: a statement that times
//                  out ends the session, unless it reads stdin.
// GdbDialect       gdb, through its Python.
// Sqlite3Dialect   sqlite3. A missing ";" at the end is added. "near line" in
//                  messages counts the lines of the session. `.output FILE` and
//                  `.once FILE` end with their statement: put the statements
//                  whose output they take into the same Eval. `.echo on` shows
//                  the dialect's commands in replies.
// PsqlDialect      psql, PostgreSQL's, which connects according to `arguments`
//                  and the environment. Rows alone, their columns with |
//                  between; \pset changes that. A missing ";" at the end is
//                  added. Has a terminal, without which an interrupt ends psql:
//                  so errors are in Reply::out, with status 1. A statement
//                  without a closing parenthesis is dropped without an error.
//                  Each statement is followed by an empty one: \g alone repeats
//                  that. `\o FILE` ends with its statement, as .output of
//                  sqlite3. psql ends when its server does.
//
// By marks, without a terminal; statements of bc and dc come by a channel:
//
// BcDialect        GNU bc; long numbers on one line. Its stdin is a pipe, since
//                  read() never ends at end-of-file.
// DcDialect        GNU dc.
// RedisDialect     redis-cli, which connects according to `arguments`. One
//                  command per line. A command that times out ends the session,
//                  as with tclsh.
//
// An interrupt that arrives just as a statement begins or ends may end node.
// lua and sqlite3 ignore an interrupt while they run a program: a loop of lua
// that starts programs goes on, and ends the session. A read of stdin in R does
// not end by an interrupt: if stdin is a pipe, such a statement may end the
// session. In swipl, the first read of stdin after an interrupted one
// fails. In bash, bc, dc and tclsh, an interrupted read of stdin gets an empty
// line, in bc 0.
//
// The question of a statement is seen once it has been flushed, as input() of
// python and read_line of ocaml do. ruby, perl, lua, guile, swipl and tclsh
// write it at once if stdin is a pipe or socket.
//
// A program that a statement of R, swipl, tclsh, lua or ocaml starts inherits
// the private channel. If that program outlives the session, the end of the
// session is noticed only at the end of the program.
//
// Reply::status is the exit status of a shell's statement; for the other
// dialects with a private channel, except bc, dc and sqlite3, it is 1 for a
// statement that failed, else 0.
ReplDialect BcDialect();
ReplDialect DcDialect();
ReplDialect PythonDialect();
ReplDialect ShDialect();
ReplDialect BashDialect();
ReplDialect Sqlite3Dialect(const std::string& database = ":memory:");
ReplDialect FishDialect();
ReplDialect GdbDialect(const std::vector<std::string>& arguments = {});
ReplDialect GuileDialect();
ReplDialect OcamlDialect();
ReplDialect PsqlDialect(const std::vector<std::string>& arguments = {});
ReplDialect NodeDialect();
ReplDialect LuaDialect();
ReplDialect PerlDialect();
ReplDialect PrologDialect();
ReplDialect RDialect();
ReplDialect RedisDialect(const std::vector<std::string>& arguments = {});
ReplDialect RubyDialect();
ReplDialect TclDialect();
ReplDialect ZshDialect();

}  // namespace asyncproc

#endif  // ASYNCPROC_REPL_DIALECTS_H_

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
// NodeDialect      node. A statement is a script; its value is printed.
// ShDialect        sh; BashDialect: bash; ZshDialect: zsh. A statement is
//                  executed by eval. As in a script, ${x?message} ends bash and
//                  zsh. zsh reports an incomplete statement as a syntax error,
//                  except for a missing quote or end of a here-document.
// RubyDialect      ruby. The value of a statement is printed as by irb, unless
//                  it is nil.
// PerlDialect      perl. A statement is executed by eval. A variable of `my`
//                  ends with its statement.
// RDialect         R. Visible values are printed.
// PrologDialect    swipl, SWI-Prolog. A statement is a query; its first answer
//                  is printed. A missing "." at the end is added.
// TclDialect       tclsh. An interrupt would end tclsh: a statement that times
//                  out ends the session.
// GdbDialect       gdb, through its Python.
// Sqlite3Dialect   sqlite3. A missing ";" at the end is added. An incomplete
//                  statement is detected by its error, "incomplete input".
// PsqlDialect      psql, PostgreSQL's, which connects according to `arguments`
//                  and the environment. Rows alone, their columns with |
//                  between; \pset changes that. A missing ";" at the end is
//                  added. Has a terminal, without which an interrupt ends psql:
//                  so errors are in Reply::out, with status 1. A statement
//                  without a closing parenthesis is dropped without an error.
//                  psql ends when its server does.
//
// By marks, without a terminal:
//
// BcDialect        GNU bc; long numbers on one line.
// DcDialect        GNU dc.
// RedisDialect     redis-cli, which connects according to `arguments`. One
//                  command per line. A command that times out ends the session,
//                  as with tclsh.
//
// By their prompts:
//
// LuaDialect       lua. Its prompt is "<lua> ": no reply may pause after that
//                  text, and no other process may write to its output.
//
// An interrupt that arrives just as a statement begins or ends, or while lua
// waits for a child of its own, may end lua and node. sqlite3 is interrupted
// only once. A read of stdin in R does not end by an interrupt: if stdin is a
// pipe, such a statement may end the session. In swipl, the first read of stdin
// after an interrupted one fails. bc and dc have no stdin for statements: a
// read takes the mark.
//
// A program that a statement of R, swipl or tclsh starts inherits the private
// channel. If that program outlives the session, the end of the session is
// noticed only at the end of the program.
//
// Reply::status is the exit status of a shell's statement; for the other
// dialects with a private channel, except sqlite3, it is 1 for a statement that
// failed, else 0.
ReplDialect BcDialect();
ReplDialect DcDialect();
ReplDialect PythonDialect();
ReplDialect ShDialect();
ReplDialect BashDialect();
ReplDialect Sqlite3Dialect(const std::string& database = ":memory:");
ReplDialect GdbDialect(const std::vector<std::string>& arguments = {});
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

#ifndef ASYNCPROC_REPL_DIALECTS_H_
#define ASYNCPROC_REPL_DIALECTS_H_

#include <string>
#include <vector>

#include "asyncproc/repl.h"

namespace asyncproc {

// How to talk to well-known programs. They are values, to be changed as needed
// before Repl::Start: dialect.command.working_directory, say. Each needs its
// program in PATH. None reads start files of the user or writes a history.
//
// By a private channel, so that stdin, stdout and stderr are the user's:
//
// PythonDialect    python3. Statements are executed as at its prompt:
//                  expressions print what they are and set _.
// NodeDialect      node. A statement is a script; its value is printed.
// ShDialect        sh; BashDialect: bash; ZshDialect: zsh. A statement is the
//                  argument of eval. As in a script, ${x?message} ends bash
//                  and zsh. zsh reports a statement that is not complete as
//                  a syntax error, but for a missing quote.
// RubyDialect      ruby. The value of a statement is printed as by irb, but for
//                  nil.
// PerlDialect      perl. A statement is the argument of eval, without strict:
//                  a variable that a later statement needs is no `my`.
// RDialect         R. Visible values are printed.
// PrologDialect    swipl, SWI-Prolog. A statement is a query; its first answer
//                  is printed. A missing "." at the end is added.
// TclDialect       tclsh. It cannot be interrupted: a statement whose time is
//                  up costs the session.
// GdbDialect       gdb, through its Python.
// Sqlite3Dialect   sqlite3. A missing ";" at the end is added. A statement that
//                  is not complete is told by its error, "incomplete input".
// PsqlDialect      psql, PostgreSQL's, which connects as `arguments` and the
//                  environment say. Rows alone, their columns with | between;
//                  \pset changes that. A missing ";" at the end is added. Has
//                  a terminal, without which an interrupt ends it: so errors
//                  are in Reply::out, with status 1. A statement without a
//                  closing parenthesis is dropped without an error. psql ends
//                  when its server does.
//
// By marks, without a terminal:
//
// BcDialect        GNU bc; long numbers on one line.
// DcDialect        GNU dc.
// RedisDialect     redis-cli, connected as `arguments` say. One command on each
//                  line. It cannot be interrupted, as tclsh.
//
// By their prompts:
//
// LuaDialect       lua.
//
// Programs that a statement of R, swipl or tclsh starts inherit the private
// channel: one that outlives the session delays the news of its end.
//
// Reply::status is the exit status of a shell's statement; of the others with a
// private channel, but sqlite3, 1 for a statement that failed, else 0.
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

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
// ShDialect        sh; BashDialect: bash. A statement is what eval takes. As in
//                  a script, bash's ${x?message} ends the shell.
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
//
// By their prompts:
//
// LuaDialect       lua.
//
// Reply::status is the exit status of a shell's statement; of python, node, gdb
// and psql 1 for a statement that failed, else 0.
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

}  // namespace asyncproc

#endif  // ASYNCPROC_REPL_DIALECTS_H_

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
// ShDialect        sh; BashDialect: bash. A statement is executed by eval. As
//                  in a script, bash's ${x?message} ends the shell.
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
//
// By their prompts:
//
// LuaDialect       lua.
//
// Reply::status is the exit status of a shell's statement; for python, node,
// gdb and psql it is 1 for a statement that failed, else 0.
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

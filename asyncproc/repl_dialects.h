#ifndef ASYNCPROC_REPL_DIALECTS_H_
#define ASYNCPROC_REPL_DIALECTS_H_

#include <string>
#include <vector>

#include "asyncproc/repl.h"

namespace asyncproc {

// How to talk to well-known programs. What each Reply holds:
//
// BcDialect        GNU bc. out: the results, long numbers on one line.
//                  err: what it complains of.
// PythonDialect    python3 -i. Statements are executed as at its prompt, one
//                  after the other: expressions print what they are. err: the
//                  traceback of the one that failed, with status 1.
// ShDialect        sh; BashDialect: bash. A statement is what eval takes; its
//                  stdin is /dev/null. status: its exit status.
// Sqlite3Dialect   sqlite3. A missing ";" at the end is added.
// GdbDialect       gdb.
// PsqlDialect      psql, PostgreSQL's, which connects as `arguments` and the
//                  environment say. Rows alone, their columns with | between;
//                  \pset changes that. A missing ";" at the end is added. Has
//                  a terminal, without which an interrupt ends it: so errors
//                  are in out, with status 1.
// NodeDialect      node. A statement is a script; out: what it prints, and the
//                  value of its last expression. status 1: it threw.
//
// Each refuses a statement that its program would wait for the rest of, and
// each needs its program in PATH. They are values, to be changed as needed
// before Repl::Start: dialect.command.working_directory, say.
ReplDialect BcDialect();
ReplDialect PythonDialect();
ReplDialect ShDialect();
ReplDialect BashDialect();
ReplDialect Sqlite3Dialect(const std::string& database = ":memory:");
ReplDialect GdbDialect(const std::vector<std::string>& arguments = {});
ReplDialect PsqlDialect(const std::vector<std::string>& arguments = {});
ReplDialect NodeDialect();

}  // namespace asyncproc

#endif  // ASYNCPROC_REPL_DIALECTS_H_

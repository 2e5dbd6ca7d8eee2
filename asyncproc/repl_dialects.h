#ifndef ASYNCPROC_REPL_DIALECTS_H_
#define ASYNCPROC_REPL_DIALECTS_H_

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "asyncproc/command.h"

namespace asyncproc {

// The letters of each {head} and {tail} of a ReplDialect. A recording has both
// as one event of the kind kLetters.
inline constexpr size_t kMarkLetters = 16;

// How a statement that exceeds its time is stopped.
struct ReplInterrupt {
  // The signal for the child's process group, followed by SIGCONT. On a
  // terminal, where no channel is used, SIGINT is typed as Ctrl-C. 0: SIGCONT
  // alone. The signal would end a program that has no handler for it, and may
  // be about to set one: such a program gets it after half of the patience.
  int signal = 2;  // SIGINT
  // Written to stdin after the signal.
  std::string text;
  // Written to stdin if the statement still waits for its stdin after that, as
  // a program does that continues its read after a signal.
  std::string answer;
  // How often the program itself may catch the signal while it does not answer:
  // some programs end at the second or third of a row. With a limit, the first
  // signal waits until the statement has run for 50 ms, since a program may
  // lose an earlier one; one more follows after half of the patience.
  // Further signals are sent only while the program ignores them, as it does
  // while it runs a command. 0: no other signals.
  int limit = std::numeric_limits<int>::max();
  // The time that the program has to answer. After that the session is lost.
  absl::Duration patience = absl::Seconds(5);
};

// How to talk to a program that reads statements and prints their results. The
// dialects of well-known programs are below. A new dialect:
//
//   asyncproc::ReplDialect dc;
//   dc.command = asyncproc::Command({"dc"});
//   dc.statement = "{statement}\n[{head}]n[{tail}]p\n";
//
// A dialect detects the end of a reply in one of three ways.
//
// *Marks*, the default. `statement` is written to stdin. It makes the program
// print {head} and {tail}, random letters, side by side on stdout, by two
// separate statements where the program has statements. The status, after a
// space, may follow, then a newline. An incomplete statement swallows the first
// of the two, so {head} is missing. Where `channel` is true, `statement` is
// written to descriptor 8 of the program instead, and stdin is left to the
// user's code.
//
// *Prompt*, where `prompt` is set. Each line of the statement is written to
// stdin, and its prompt awaited at the end of the output; or all lines at once,
// and one prompt, where `whole` is true.
//
// *Channel*, where `channel` is true and `statement` has no {head}. The program
// has two more descriptors. It reads `statement` from descriptor 8, and writes
// a completion line to descriptor 9 as soon as it has executed the statement
// and flushed its output. stdin, which is empty unless command.in is changed,
// stdout and stderr are left to the user's code. A completion line is
//
//   ID done STATUS [STATE]     or     ID incomplete
//
// and a newline. ID is the statement's {id}; the first completion line, which
// the program writes when it is ready, has the ID 0. STATUS is a number, or
// "true" for a statement that failed and "false" for success. STATE is any
// text; it replaces {state} in the next statement. At end-of-file on descriptor
// 8 the program ends.
//
// In `statement` these words are replaced:
//   {statement}  the statement, byte for byte
//   {quoted}     the statement as one word of a shell
//   {quoted_test}  the same for a test of its syntax: a backslash that
//                continues the last line is replaced by text that is not
//                complete
//   {quoted_function}  as {quoted_test}: the statement as the body of a
//                function `asyncproc`
//   {quoted_capture}  the same for bash: the statement, followed by an
//                assignment of $?, $_ and PIPESTATUS to an array `asyncproc`
//   {quoted_fish}  the statement as one word of fish
//   {length}     the statement's size in bytes
//   {id}         a number, different for each statement
//   {status}     the STATUS of the completion line before, 0 at first
//   {state}      the STATE of the completion line before, ":" at first
//   {head}, {tail}  the halves of the mark
struct ReplDialect {
  // A wrapper (Command::Via) should exec the program, as `env` and `nice` do.
  // If it waits for the program, as `timeout` and `unshare -f` do, an
  // incomplete statement may not be recognized, and runs until its timeout. If
  // the program then has another process group, as by `setsid -w`, interrupts
  // do not arrive.
  Command command;

  // The program in messages, if it is not command.argv[0]: that may be a shell
  // that starts it.
  std::string name;

  // The text sent for a statement: see above. Not for a prompt dialect.
  std::string statement;

  // Written first, once: to the channel, or to stdin.
  std::string setup;

  // Written to stdin first, once, also where there is a channel.
  std::string typed;

  bool channel = false;

  // RE2 for the prompt, and for the prompt of a line that continues a
  // statement. Both are matched at the end of the output. If a prompt begins
  // with a newline, as by "(?:^|\n)> $", Reply::out ends before it. Text before
  // the first match on its line is dropped before each match: "[$] $" is enough
  // for the prompt "host$ ".
  std::string prompt;
  std::string continuation;

  // Of a prompt dialect: whether the lines of a statement are written at once.
  // For a program that prints no prompt for a line that does not end a
  // statement, as sbcl and clisp do.
  bool whole = false;

  // Whether the program repeats each line that it reads, as line editing does
  // on a terminal. For a prompt dialect: the first line of an answer is dropped
  // if it equals the line that was sent, or if a terminal would show the line
  // there, whole or the end of it after a "<". Before a line is sent to a
  // program on a terminal that echoes, the program has 0.2 s to begin to read:
  // many programs turn off the echo only after their prompt.
  bool echoes = false;

  // Bytes that a statement may not have, because the program or its terminal
  // would change or interpret them. For a shell, NUL is always among them.
  std::string refused;

  // RE2 for the program's message about an incomplete statement. An incomplete
  // statement executes nothing: the message must be all that the program
  // writes, on one stream and without the white space at its end, or else the
  // statement counts as complete. A complete statement that fails and writes
  // nothing but such a message counts as incomplete.
  std::string incomplete;

  // Texts written one after the other, as statements are, until the program
  // answers, to leave an incomplete statement.
  std::vector<std::string> abandon;

  ReplInterrupt interrupt;

  // The most bytes of one reply, of both streams together: Eval keeps no more
  // in memory. If command.output_buffer is Unbounded, Start sets it to
  // BlockChild(reply_limit).
  size_t reply_limit = 64 << 20;
};

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
//                  zsh. zsh takes a statement for complete that ends after
//                  `&&`, `|`, or the condition of a `while`. In messages, dash
//                  and zsh count the lines of the statement, and bash and
//                  busybox those of the session. `trap` lists the dialect's own
//                  trap too.
//                  Descriptors that a statement opens stay open, except 8 and 9
//                  in sh and zsh: they hold the channel, and `exec 9>file` ends
//                  with its statement. For that reason, statements of bash must
//                  not redirect 10 and 254, and those of sh and zsh 10 and 11.
//                  bash needs an RLIMIT_NOFILE of 255 or more. `set -x` shows
//                  the dialect's eval around each statement, a DEBUG trap runs
//                  for it, and in zsh for more of the dialect's commands; `set
//                  -v` and fish_trace show all of them.
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
//                  as with tclsh. The dialect's ECHO ends each reply, so MULTI,
//                  which queues it, ends the session (EVAL is a transaction,
//                  too), and so does a server that wants a password: set
//                  REDISCLI_AUTH.
//
// An interrupt that arrives just as a statement ends may end node.
// lua and sqlite3 ignore an interrupt while they run a program: a loop of lua
// that starts programs goes on, and ends the session. A read of stdin in R does
// not end by an interrupt: if stdin is a pipe, such a statement may end the
// session. In swipl, the first read of stdin after an interrupted one
// fails. In bash, bc, dc and tclsh, an interrupted read of stdin gets an empty
// line, in bc 0.
//
// The question of a statement is seen once the program has flushed it, as
// input() of python and read_line of ocaml do. ruby, perl, lua, guile, swipl
// and tclsh write it at once if stdin is a pipe or socket.
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

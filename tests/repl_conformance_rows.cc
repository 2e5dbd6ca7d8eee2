#include "tests/repl_conformance_rows.h"

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

StatementOf Around(std::string before, std::string after) {
  return [before, after](absl::string_view text) {
    return absl::StrCat(before, text, after);
  };
}

// The same with each newline of the text written as \n.
StatementOf AroundEscaped(std::string before, std::string after) {
  return [before, after](absl::string_view text) {
    return absl::StrCat(before, absl::StrReplaceAll(text, {{"\n", "\\n"}}),
                        after);
  };
}

Row Bc() {
  Row row;
  row.name = "bc";
  row.dialect = BcDialect;
  row.start_file = {"BC_ENV_ARGS", ".bcrc"};
  row.print = Around("", "");
  row.write = Around("print \"", "\"");
  row.megabyte = "10^999999";
  row.string = Around("/*", "*/");
  row.lines = "define f() {\n  return 4711\n}\nf()";
  row.wrong = "1 +* 2";
  row.incomplete = "define f(x) {\nreturn x";
  row.computes = "while (1) {}";
  row.floods = "while (1) 1";
  row.reads_stdin = "read()";
  // bc starts no other program, and has no redirection.
  return row;
}

Row Dc() {
  Row row;
  row.name = "dc";
  row.dialect = DcDialect;
  row.print = Around("", "p");
  row.write = Around("[", "]n");
  row.megabyte = "10 999999^p";
  row.string = Around("[", "]s_");
  row.refused = "[]";  // They must be balanced in a string.
  row.lines = "4700\n11\n+p";
  row.wrong = "Y";
  row.incomplete = "[abc";
  row.reads_stdin = "?";
  row.stops = "!kill -STOP $PPID";
  row.shell = Around("!", "");
  // An interrupt ends dc: so there is no statement without end.
  row.idle_interrupt = false;
  row.interrupts = false;
  return row;
}

Row Python() {
  Row row;
  row.name = "python";
  row.dialect = PythonDialect;
  row.start_file = {"PYTHONSTARTUP", ".pythonrc"};
  row.print = Around("print(", ")");
  row.write = AroundEscaped("print('", "', end='')");
  row.megabyte = "print('x' * 1000000)";
  row.string = Around("# ", "");
  row.refused = "\n\r";
  row.lines = "def f():\n  return 4711\n\nprint(f())";
  row.wrong = "1 +* 2";
  row.incomplete = "def f():";
  row.computes = "while True: pass";
  row.floods = "while True: print('x' * 99)";
  row.reads_stdin = "try: input()\nexcept EOFError: pass";
  row.closes_stdout = "import os; os.close(1)";
  row.discards_stdout = "import os; _ = os.dup2(os.open('/dev/null', 1), 1)";
  row.stops = "import os; os.kill(os.getpid(), 19)";
  row.forks = "import os; child = os.fork()";
  row.pid = "os.getpid()";
  row.shadows =
      "len = int = str = bytes = bytearray = type = getattr = vars = 1\n"
      "import builtins; builtins.exec = builtins.print = None";
  row.shell = Around("import os; _ = os.system('", "')");
  return row;
}

Row Shell(std::string name, ReplDialect (*dialect)()) {
  Row row;
  row.name = std::move(name);
  row.dialect = dialect;
  row.start_file = {"ENV", ".bashrc"};
  row.print = Around("echo ", "");
  row.write = Around("printf %s '", "'");
  row.megabyte = "printf '%01000000d\\n' 0";
  row.string = Around(": '", "'");
  row.refused = "'";
  row.lines = "for i in 4711\ndo\n  echo $i\ndone";
  row.wrong = "if ;";
  row.incomplete = "echo 'abc";
  row.computes = "while :; do :; done";
  row.floods = "yes";
  row.reads_stdin = "cat";
  row.closes_stdout = "exec >&-";
  row.discards_stdout = "exec >/dev/null";
  row.stops = "kill -STOP $$";
  row.shell = Around("", "");
  return row;
}

Row BashAsSh() {
  return Shell("bash_as_sh", [] {
    ReplDialect dialect = ShDialect();
    dialect.command.executable = "/bin/bash";
    return dialect;
  });
}

Row Bash() {
  Row row = Shell("bash", BashDialect);
  row.start_file = {"BASH_ENV", ".bashrc"};
  row.floods = "yes >&2";
  return row;
}

Row Fish() {
  Row row = Shell("fish", FishDialect);
  row.megabyte = "string repeat -n 1000000 x";
  row.lines = "for i in 4711\n  echo $i\nend";
  row.refused = "'\\";
  row.wrong = "echo )";
  row.computes = "while true; end";
  // fish has no redirection of its own stdout.
  row.closes_stdout = nullptr;
  row.discards_stdout = nullptr;
  row.stops = "kill -STOP $fish_pid";
  row.shell = Around("sh -c '", "'");
  return row;
}

Row Sqlite3() {
  Row row;
  row.name = "sqlite3";
  row.dialect = [] { return Sqlite3Dialect(); };
  row.print = Around("select ", "");
  row.write = AroundEscaped(".shell printf \"", "\"");
  row.megabyte = "select hex(zeroblob(500000))";
  row.string = Around("select '", "' where 0");
  row.refused = "'";
  row.lines = "select\n4711";
  row.wrong = "selec 1";
  row.incomplete = "select 'abc";
  row.computes =
      "with recursive c(x) as (select 1 union all select x+1 from c) "
      "select count(*) from c";
  row.floods =
      "with recursive n(i) as (select 1 union all select i from n) "
      "select i from n";
  // sqlite3 reads stdin for nothing but its prompt.
  // sqlite3 cannot close its stdout. `.output FILE` ends with its statement.
  row.discards_stdout = ".output /dev/null";
  row.stops = ".shell kill -STOP $PPID";
  row.shell = Around(".shell ", "");
  // At its prompt, sqlite3 ends by three interrupts.
  row.idle_interrupt = false;
  return row;
}

Row Gdb() {
  Row row;
  row.name = "gdb";
  row.dialect = [] { return GdbDialect(); };
  row.print = Around("output ", "\necho \\n");
  row.write = AroundEscaped("printf \"", "\"");
  row.megabyte = "python print('x' * 1000000)";
  row.string = Around("# ", "");
  row.refused = "\n\\\r";
  row.lines = "if 1\n  output 4711\n  echo \\n\nend";
  row.wrong = "nonsense";
  row.incomplete = "define f\necho hi\\n";
  row.computes = "while 1\nset $z = 1\nend";
  row.floods = "shell yes";
  // gdb itself reads stdin for nothing but its prompt.
  row.closes_stdout = "python import os; os.close(1)";
  row.discards_stdout = "python import os; os.dup2(os.open('/dev/null', 1), 1)";
  row.stops = "shell kill -STOP $PPID";
  row.forks = "python import os; child = os.fork()";
  row.pid = "python print(os.getpid())";
  row.shadows = "python len = int = str = bytes = bytearray = print = 1";
  row.shell = Around("shell ", "");
  return row;
}

Row Node() {
  Row row;
  row.name = "node";
  row.dialect = NodeDialect;
  row.print = Around("console.log(", ")");
  row.write = AroundEscaped("void process.stdout.write('", "')");
  row.megabyte = "console.log('x'.repeat(1000000))";
  row.string = Around("/*", "*/0;");
  row.lines = "function f() {\n  return 4711;\n}\nconsole.log(f())";
  row.wrong = "1 +* 2";
  row.incomplete = "function f() {";
  row.computes = "while (true) {}";
  row.floods = "while (true) console.log(1)";
  row.reads_stdin = "require('fs').readFileSync(0)";
  row.closes_stdout = "require('fs').closeSync(1)";
  // node has no redirection of its own stdout.
  row.stops = "process.kill(process.pid, 'SIGSTOP')";
  row.shell = Around("void require('child_process').execSync('",
                     "', {stdio: 'inherit'})");
  // As a script begins and ends, node has no handler for an interrupt.
  row.survives_late_interrupt = false;
  return row;
}

Row Lua() {
  Row row;
  row.name = "lua";
  row.dialect = LuaDialect;
  row.start_file = {"LUA_INIT_5_4", "@.lua"};
  row.print = Around("print(", ")");
  row.write = AroundEscaped("_ = io.write('", "')");
  row.megabyte = "print(string.rep('x', 1000000))";
  row.string = Around("--[[", "]]");
  row.lines = "local x = 4711\nprint(x)";
  row.wrong = "1 +* 2";
  row.incomplete = "f = function()";
  row.computes = "while true do end";
  row.floods = "while true do print(1) end";
  row.reads_stdin = "_ = io.read('a')";
  // lua does not close its stdout, and has no redirection of print.
  row.discards_stdout = "_ = io.output('/dev/null')";
  row.stops = "os.execute('kill -STOP $PPID')";
  // lua is interrupted once, and dash loses an interrupt that comes while it
  // starts a program.
  row.shell = Around("_ = os.execute([=[exec bash -c '", "']=])");
  return row;
}

// A dialect that goes by prompts, as a user describes one.
ReplDialect PromptDialect() {
  ReplDialect dialect;
  // The prompt of lua itself, "> ", may also be the end of a reply.
  dialect.command =
      Command({"lua", "-e", "_PROMPT, _PROMPT2 = '<lua> ', '<lua>> '", "-i"});
  dialect.command.process_group = ProcessGroup::New();
  dialect.command.env.Unset("LUA_INIT").Unset("LUA_INIT_5_4");
  // The line editing repeats each line, unchanged on a wide screen, and takes
  // control characters for commands.
  dialect.command.env.Set("TERM", "dumb").Set("COLUMNS", "32000");
  dialect.command.env.Set("INPUTRC", "/dev/null");
  dialect.echoes = true;
  for (char c = 0; c < ' '; ++c) {
    if (c != '\n') dialect.refused.push_back(c);
  }
  dialect.refused.push_back('\x7f');
  dialect.command.err = Stdio::ToStdout();
  dialect.prompt = "<lua> ";
  dialect.continuation = "<lua>> ";
  dialect.abandon = {")\n", "]]\n)\n"};
  return dialect;
}

Row LuaByPrompt() {
  Row row = Lua();
  row.name = "lua_by_prompt";
  row.dialect = PromptDialect;
  row.string = Around("_ = '", "'");
  row.refused = "'\\\n";
  // A line is a statement, unless it is not complete.
  row.lines = "do\n  local x = 4711\n  print(x)\nend";
  row.floods = "while true do print(#'x') end";  // The echo has no "1".
  row.reads_stdin = nullptr;  // It would take the next statement.
  // The prompt is not recognised while text of another process follows, and an
  // interrupt of a child of lua may end lua.
  row.stops = nullptr;
  row.shell = nullptr;
  // At its prompt, lua ends by an interrupt.
  row.survives_late_interrupt = false;
  row.idle_interrupt = false;
  return row;
}

Row Ruby() {
  Row row;
  row.name = "ruby";
  row.dialect = RubyDialect;
  row.print = Around("puts ", "");
  row.write = AroundEscaped("print \"", "\"");
  row.megabyte = "puts 'x' * 1000000";
  row.string = Around("# ", "");
  row.refused = "\n";
  row.lines = "def f\n  4711\nend\nputs f";
  row.wrong = "1 +* 2";
  row.incomplete = "def f";
  row.computes = "loop {}";
  row.floods = "loop { puts 1 }";
  row.reads_stdin = "$stdin.read";
  row.closes_stdout = "$stdout.close";
  row.discards_stdout = "$stdout.reopen('/dev/null'); nil";
  row.stops = "Process.kill(:STOP, Process.pid)";
  row.forks = "child = fork; nil";
  row.pid = "puts Process.pid";
  row.shell = Around("system('", "'); nil");
  return row;
}

Row Perl() {
  Row row;
  row.name = "perl";
  row.dialect = PerlDialect;
  row.print = Around("print ", ", qq(\n)");
  row.write = AroundEscaped("print \"", "\"");
  row.megabyte = "print 'x' x 1000000, qq(\n)";
  row.string = Around("'", "'");
  row.refused = "'\\";
  row.lines = "sub f {\n  return 4711;\n}\nprint f(), qq(\n)";
  row.wrong = "1 1";
  row.incomplete = "sub f {";
  row.computes = "1 while 1";
  row.floods = "print qq(1\n) while 1";
  row.reads_stdin = "<STDIN>";
  row.closes_stdout = "close STDOUT";
  row.discards_stdout = "open STDOUT, '>', '/dev/null'";
  row.stops = "kill 'STOP', $$";
  row.forks = "$child = fork";
  row.pid = "print \"$$\\n\"";
  row.shell = Around("system '", "'");
  return row;
}

Row Guile() {
  Row row;
  row.name = "guile";
  row.dialect = GuileDialect;
  row.print = Around("(begin (display ", ") (newline))");
  row.write = AroundEscaped("(display \"", "\")");
  row.megabyte = "(begin (display (make-string 1000000 #\\x)) (newline))";
  row.string = Around("; ", "");
  row.refused = "\n";
  row.lines = "(define (f)\n  4711)\n(begin (display (f)) (newline))";
  row.wrong = "(1 . )";
  row.incomplete = "(define (f)";
  row.computes = "(let loop () (loop))";
  row.floods = "(let loop () (display 1) (newline) (loop))";
  row.reads_stdin = "(define c (read-char))";
  row.closes_stdout = "(define c (close-port (current-output-port)))";
  row.discards_stdout =
      "(define p (set-current-output-port (open-output-file \"/dev/null\")))";
  row.stops = "(kill (getpid) SIGSTOP)";
  row.shell = Around("(define status (system \"", "\"))");
  return row;
}

Row Ocaml() {
  Row row;
  row.name = "ocaml";
  row.dialect = OcamlDialect;
  row.print = Around("print_endline \"", "\"");
  row.after = "- : unit = ()\n";
  row.write = AroundEscaped("print_string \"", "\"");
  row.megabyte = "print_endline (String.make 1000000 'x')";
  row.string = Around("(* ", " *)");
  row.refused = "\"";  // Strings in comments must be complete.
  row.lines = "print_endline\n  \"4711\"";
  row.wrong = ")";
  row.incomplete = "let f x =";
  row.computes = "while true do () done";
  row.floods = "while true do print_endline \"1\" done";
  row.reads_stdin = "read_line ()";
  row.closes_stdout = "close_out stdout";
  // ocaml has no redirection of its own stdout.
  row.stops = "Sys.command \"kill -STOP $PPID\"";
  row.shell = Around("Sys.command \"", "\"");
  return row;
}

Row R() {
  Row row;
  row.name = "r";
  row.dialect = RDialect;
  row.start_file = {"R_PROFILE_USER", ".Rprofile"};
  row.print = Around("cat(", ", '\n', sep = '')");
  row.write = AroundEscaped("cat('", "')");
  row.megabyte = "cat(strrep('x', 1000000), '\n', sep = '')";
  row.string = Around("# ", "");
  row.refused = "\n";
  row.lines = "f <- function() {\n  4711\n}\ncat(f(), '\n', sep = '')";
  row.wrong = "1 +* 2";
  row.incomplete = "f <- function() {";
  row.computes = "repeat {}";
  row.floods = "repeat cat(1, '\n')";
  row.reads_stdin = "readLines('stdin')";
  row.interrupts_reads = false;  // R reads on after a signal.
  // R does not close its stdout.
  row.discards_stdout = "sink('/dev/null')";
  row.stops = "invisible(tools::pskill(Sys.getpid(), 19))";
  row.shell = Around("invisible(system('", "'))");
  return row;
}

Row Prolog() {
  Row row;
  row.name = "prolog";
  row.dialect = PrologDialect;
  row.print = Around("writeln(", ")");
  row.after = "true.\n";
  row.write = AroundEscaped("write('", "')");
  row.megabyte = "format('~*c~n', [1000000, 0'x])";
  row.string = Around("/*", "*/");
  row.refused = "/";
  row.lines = "writeln(\n  4711\n)";
  row.wrong = "1 + * 2";
  row.incomplete = "writeln(";
  row.computes = "repeat, fail";
  row.floods = "repeat, writeln(1), fail";
  // The first read after an interrupted one fails.
  row.reads_stdin = "read(_)";
  row.closes_stdout = "close(user_output)";
  row.discards_stdout = "tell('/dev/null')";
  row.stops = "shell('kill -STOP $PPID')";
  row.forks = "fork(_)";
  row.pid = "shell('echo $PPID')";
  row.shell = Around("shell('", "')");
  return row;
}

Row Tcl() {
  Row row;
  row.name = "tcl";
  row.dialect = TclDialect;
  row.print = Around("puts ", "");
  row.write = AroundEscaped("puts -nonewline \"", "\"");
  row.megabyte = "puts [string repeat x 1000000]";
  row.string = Around("# ", "");
  row.refused = "\\\n";
  row.lines = "proc f {} {\n  return 4711\n}\nputs [f]";
  row.wrong = "nonsense";
  row.incomplete = "proc f {} {";
  row.reads_stdin = "gets stdin";
  row.closes_stdout = "close stdout";
  // tclsh has no redirection of its own stdout.
  row.stops = "exec kill -STOP [pid]";
  row.shadows = "rename set s; rename gets g; rename catch c; rename while w";
  row.shell = Around("exec sh -c {", "} >@stdout");
  // An interrupt ends tclsh: so there is no statement without end.
  row.idle_interrupt = false;
  row.interrupts = false;
  return row;
}

Row Psql() {
  Row row;
  row.name = "psql";
  row.server = StartPostgres;
  row.start_file = {"PSQLRC", ".psqlrc"};
  row.print = Around("select ", "");
  row.write = AroundEscaped("\\echo -n '", "'");
  row.megabyte = "select repeat('x', 1000000)";
  row.string = Around("select '", "' where false");
  row.refused = "'";
  row.lines = "select\n4711";
  row.wrong = "selec 1";
  row.incomplete = "select 'abc";
  row.computes = "do $$ begin loop end loop; end $$";
  row.floods = "\\! yes";
  // psql reads stdin for nothing but its prompt.
  // psql cannot close its stdout. `\o FILE` ends with its statement.
  row.discards_stdout = "\\o /dev/null";
  row.stops = "\\! kill -STOP $PPID";
  row.shell = Around("\\! ", "");
  // At rest, psql leaves the script of the channel at an interrupt.
  row.idle_interrupt = false;
  return row;
}

Row Redis() {
  Row row;
  row.name = "redis";
  row.server = StartRedis;
  row.print = Around("ECHO ", "");
  // redis-cli ends each reply with a newline: no `write`.
  row.megabyte = "EVAL \"return string.rep('x', 1000000)\" 0";
  row.string = Around("ECHO \"", "\"");
  row.refused = "\"\\\n";
  row.lines = "\n\nECHO 4711";  // A command has one line.
  row.wrong = "NONSENSE 1";
  // Each line is a whole command: no `incomplete`.
  // No redirection, and no command that runs other programs or stops redis-cli.
  // An interrupt ends redis-cli: so there is no statement without end.
  row.idle_interrupt = false;
  row.interrupts = false;
  return row;
}

}  // namespace

std::vector<Row> ConformanceRows() {
  return {Bc(),
          Dc(),
          Python(),
          Shell("sh", ShDialect),
          BashAsSh(),
          Bash(),
          Fish(),
          Sqlite3(),
          Gdb(),
          Node(),
          Lua(),
          LuaByPrompt(),
          Shell("zsh", ZshDialect),
          Ruby(),
          Perl(),
          R(),
          Prolog(),
          Tcl(),
          Guile(),
          Ocaml(),
          Psql(),
          Redis()};
}

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

ReplDialect ConformanceTest::Dialect() const {
  ReplDialect dialect =
      server_ != nullptr ? server_->Client() : GetParam().dialect();
  // On a busy machine, a program may need seconds for its answer.
  dialect.interrupt.patience = kNeverReached;
  return dialect;
}

void ConformanceTest::SetUp() {
  if (GetParam().server != nullptr) {
    std::string why;
    server_ = GetParam().server(&why);
    if (server_ == nullptr) GTEST_SKIP() << why;
  }
  auto repl = Repl::Start(Dialect(), kNeverReached);
  if (absl::IsNotFound(repl.status())) GTEST_SKIP() << repl.status();
  ASSERT_THAT(repl, IsOk());
  repl_ = *std::move(repl);
}

void ConformanceTest::ExpectToWork(Repl& repl) {
  auto reply = repl.Eval(GetParam().print("4711"), kNeverReached);
  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_EQ(reply->out, "4711\n" + GetParam().after);
}

std::string RowName(const testing::TestParamInfo<Row>& info) {
  return info.param.name;
}

}  // namespace asyncproc

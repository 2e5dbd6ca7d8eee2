#include "asyncproc/repl_dialects.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/repl/programs.h"

namespace asyncproc {
namespace {

const absl::string_view kNul("\0", 1);

// A command in its own process group, so that an interrupt reaches the child
// and the processes that it has started, and no others.
Command InOwnGroup(std::vector<std::string> argv,
                   const std::vector<std::string>& arguments = {}) {
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Command command(std::move(argv));
  command.process_group = ProcessGroup::New();
  return command;
}

// `interpreter` with `program` as a file, where it takes a program from a file
// alone.
std::vector<std::string> FromFile(absl::string_view interpreter,
                                  absl::string_view program) {
  return {"sh", "-c",
          absl::StrCat("exec ", interpreter, " /dev/fd/3 3<<end\n$1\nend\n"),
          "sh", std::string(program)};
}

// For our own programs, which read each statement after its length.
ReplDialect ByLength(Command command) {
  ReplDialect dialect;
  dialect.command = std::move(command);
  dialect.command.in = Stdio::Null();
  dialect.channel = true;
  dialect.statement = "{id} {length}\n{statement}";
  return dialect;
}

ReplDialect Shell(std::vector<std::string> argv, absl::string_view setup,
                  absl::string_view statement) {
  ReplDialect dialect;
  dialect.command = InOwnGroup(std::move(argv));
  dialect.command.env.Unset("ENV").Unset("BASH_ENV");
  dialect.command.in = Stdio::Null();
  dialect.channel = true;
  dialect.setup = std::string(setup);
  dialect.statement = std::string(statement);
  dialect.refused = std::string(kNul);
  // The messages of dash and busybox, which may have two; bash tells it by the
  // channel.
  dialect.incomplete =
      "(?i)(?:(?:^|\n).*: eval: .*(?:end of file unexpected|"
      "unterminated quoted string|EOF in backquote substitution|"
      "missing '[)}]+'|unexpected end of file|unexpected EOF).*)+";
  return dialect;
}

}  // namespace

ReplDialect BcDialect() {
  ReplDialect dialect;
  // Without -i, an interrupt ends bc; bc neither edits nor echoes a file that
  // it reads.
  // bc leaves a file at an error in a function: the next file is the same.
  dialect.command =
      InOwnGroup({"bc", "-q", "-i"}, std::vector<std::string>(16, "/dev/fd/8"));
  dialect.channel = true;
  dialect.command.env.Set("BC_LINE_LENGTH", "0").Unset("BC_ENV_ARGS");
  dialect.statement = "{statement}\nprint \"{head}\"\nprint \"{tail}\\n\"\n";
  dialect.refused = std::string(kNul);
  // To leave braces and parentheses, a string, and a comment.
  dialect.abandon = {"}\n", "", "\"\n", "*/\n", "}\n}\n", ""};
  dialect.interrupt.answer = "0\n";
  return dialect;
}

ReplDialect DcDialect() {
  ReplDialect dialect;
  dialect.command = InOwnGroup({"dc", "/dev/fd/8"});
  dialect.command.in = Stdio::Null();
  dialect.channel = true;
  dialect.command.env.Set("DC_LINE_LENGTH", "0");
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";
  dialect.refused = std::string(kNul);
  dialect.abandon = {"]s_\n", "]]s_\n", "]]]]s_\n"};
  dialect.interrupt.signal = 0;  // A signal would end dc.
  dialect.interrupt.answer = "\n";
  return dialect;
}

ReplDialect PythonDialect() {
  return ByLength(InOwnGroup(
      {"python3", "-q", "-c", std::string(internal::kPythonProgram)}));
}

ReplDialect NodeDialect() {
  return ByLength(
      InOwnGroup({"node", "-e", std::string(internal::kNodeProgram)}));
}

ReplDialect GdbDialect(const std::vector<std::string>& arguments) {
  ReplDialect dialect = ByLength(
      InOwnGroup({"gdb", "-q", "-nx", "-iex", "set confirm off", "-iex",
                  "set pagination off", "-iex", "set width 0", "-iex",
                  "set height 0", "-iex", "set style enabled off", "-iex",
                  "set debuginfod enabled off", "-iex", "set history save off"},
                 arguments));
  // In a variable: gdb does not take a program of several lines as an argument.
  dialect.command.argv.insert(
      dialect.command.argv.begin() + 1,
      {"-ex",
       "python exec(__import__('os').environ.pop('ASYNCPROC_GDB'), "
       "{'__builtins__': dict(vars(__import__('builtins')))})"});
  dialect.command.env.Set("ASYNCPROC_GDB", std::string(internal::kGdbProgram));
  return dialect;
}

ReplDialect GuileDialect() {
  return ByLength(
      InOwnGroup({"guile", "-q", "-c", std::string(internal::kGuileProgram)}));
}

ReplDialect OcamlDialect() {
  ReplDialect dialect = ByLength(InOwnGroup(
      FromFile("ocaml -noprompt -no-version -init", internal::kOcamlProgram)));
  dialect.name = "ocaml";
  return dialect;
}

ReplDialect ShDialect() {
  ReplDialect dialect =
      Shell({"sh", "-c", std::string(internal::kShStart), "sh"},
            internal::kShSetup, internal::kShStatement);
  for (const char* shell : {"BASH", "KSH", "POSH", "YASH", "ZSH"}) {
    dialect.command.env.Unset(absl::StrCat(shell, "_VERSION"));
  }
  return dialect;
}

ReplDialect BashDialect() {
  ReplDialect dialect = Shell({"bash", "--norc", "--noprofile", "/dev/fd/8"},
                              internal::kBashSetup, internal::kBashStatement);
  dialect.interrupt.answer = "\n";  // Its `read` goes on after a signal.
  dialect.incomplete.clear();       // Told by the channel.
  return dialect;
}

ReplDialect Sqlite3Dialect(const std::string& database) {
  ReplDialect dialect;
  // The interactive loop survives an interrupt, and sqlite3 neither edits nor
  // echoes the file that it reads.
  dialect.command =
      InOwnGroup({"sqlite3", "-interactive", "-init", "/dev/null", database});
  dialect.command.env.Set("TERM", "dumb").Set("INPUTRC", "/dev/null");
  dialect.command.env.Set("SQLITE_HISTORY", "/dev/null");
  dialect.typed = ".read /dev/fd/8\n";
  dialect.channel = true;
  dialect.statement =
      "{statement}\n;\n.output /dev/fd/9\n.print {id} done\n.output\n";
  dialect.refused = std::string(kNul);
  dialect.interrupt.text = "\n.read /dev/fd/8\n";
  // sqlite3 3.40 ends at the third signal of a row, and 3.46 at the second.
  dialect.interrupt.limit = 1;
  return dialect;
}

ReplDialect PsqlDialect(const std::vector<std::string>& arguments) {
  ReplDialect dialect;
  dialect.command = InOwnGroup({"psql", "-X", "-q", "-n", "-A", "-t", "-P",
                                "pager=off", "-v", "HISTFILE=/dev/null", "-v",
                                "PROMPT1=", "-v", "PROMPT2=", "-v", "PROMPT3="},
                               arguments);
  dialect.command.process_group = ProcessGroup::Inherit();
  dialect.command.pty = Pty{24, 80, /*echo=*/false};
  dialect.command.env.Set("TERM", "dumb").Set("INPUTRC", "/dev/null");
  // The interactive loop survives an interrupt.
  dialect.typed = "\\i /dev/fd/8\n";
  dialect.channel = true;
  dialect.statement =
      "\\r\n\\o\n\\unset LAST_ERROR_SQLSTATE\n{statement}\n;\n\\o /dev/fd/9\n"
      "\\if :{?LAST_ERROR_SQLSTATE}\n\\qecho {id} done 1\n"
      "\\else\n\\qecho {id} done 0\n\\endif\n\\o\n";
  dialect.refused = std::string(kNul);
  dialect.interrupt.text = "\n\\i /dev/fd/8\n";
  return dialect;
}

ReplDialect LuaDialect() {
  Command command =
      InOwnGroup({"lua", "-e", std::string(internal::kLuaProgram)});
  // Each serves until an interrupt.
  command.argv.insert(command.argv.end(), 1000, "-easyncproc()");
  // A script, after which arguments are no options of lua.
  command.argv.push_back("/dev/null");
  for (const char* version : {"", "_5_2", "_5_3", "_5_4", "_5_5"}) {
    command.env.Unset(absl::StrCat("LUA_INIT", version));
  }
  return ByLength(std::move(command));
}

ReplDialect PerlDialect() {
  return ByLength(
      InOwnGroup({"perl", "-e", std::string(internal::kPerlProgram)}));
}

ReplDialect PrologDialect() {
  Command command = InOwnGroup(
      {"swipl", "-q", "-f", "none", "-g",
       "getenv('ASYNCPROC_PROLOG', P), unsetenv('ASYNCPROC_PROLOG'), "
       "open_string(P, S), load_files(asyncproc, [stream(S)]), close(S), "
       "asyncproc:main"});
  command.env.Set("ASYNCPROC_PROLOG", std::string(internal::kPrologProgram));
  return ByLength(std::move(command));
}

ReplDialect RDialect() {
  ReplDialect dialect =
      ByLength(InOwnGroup({"R", "--no-echo", "--no-save", "--no-restore",
                           "--no-init-file", "--no-site-file", "--no-environ",
                           "-e", std::string(internal::kRProgram)}));
  dialect.refused = std::string(kNul);
  return dialect;
}

ReplDialect RubyDialect() {
  Command command =
      InOwnGroup({"ruby", "-e", std::string(internal::kRubyProgram)});
  command.env.Unset("RUBYOPT");
  return ByLength(std::move(command));
}

ReplDialect TclDialect() {
  ReplDialect dialect =
      ByLength(InOwnGroup(FromFile("tclsh", internal::kTclProgram)));
  dialect.name = "tclsh";
  dialect.interrupt.signal = 0;  // It would end it.
  dialect.interrupt.answer = "\n";
  return dialect;
}

ReplDialect ZshDialect() {
  ReplDialect dialect = Shell({"zsh", "-f", "/dev/fd/8"}, internal::kZshSetup,
                              internal::kZshStatement);
  dialect.incomplete.clear();  // Told by the channel.
  return dialect;
}

ReplDialect FishDialect() {
  // An interrupt kills fish unless it is interactive.
  Command command = InOwnGroup({"fish", "-i", "--no-config"});
  // Each serves until an interrupt.
  for (int i = 0; i < 200; ++i) {
    command.argv.push_back("-c");
    command.argv.push_back(std::string(internal::kFishProgram));
  }
  ReplDialect dialect;
  dialect.command = std::move(command);
  dialect.command.in = Stdio::Null();
  dialect.channel = true;
  dialect.statement = std::string(internal::kFishStatement);
  dialect.refused = std::string(kNul);
  return dialect;
}

ReplDialect RedisDialect(const std::vector<std::string>& arguments) {
  ReplDialect dialect;
  dialect.command = InOwnGroup({"redis-cli"}, arguments);
  dialect.command.env.Set("REDISCLI_RCFILE", "/dev/null");
  dialect.statement = "{statement}\nECHO {head}{tail}\n";
  dialect.refused = std::string(kNul);
  dialect.interrupt.signal = 0;  // It would end it.
  return dialect;
}

}  // namespace asyncproc

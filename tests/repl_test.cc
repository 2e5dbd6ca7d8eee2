#include "asyncproc/repl.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/repl_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

// A complete statement may show the message about incomplete ones.
TEST(IncompleteTest, HasWrittenNothingButTheMessage) {
  const std::string script = testing::TempDir() + "/incomplete.sql";
  std::ofstream(script) << "select 41;\nselect 42;\nselect (";
  const std::string incomplete = testing::TempDir() + "/whole_incomplete.sql";
  std::ofstream(incomplete) << "select (";
  struct {
    ReplDialect dialect;
    std::string statement;
    std::string out;
    std::string err;  // A part of it.
  } const cases[] = {
      {FishDialect(), "echo keep; fish -c begin; false", "keep\n",
       "Missing end"},
      {FishDialect(), "echo keep >&2; fish -c begin; false", "", "Missing end"},
      {FishDialect(), "fish -c begin; echo keep >&2; false", "", "keep"},
      {FishDialect(), "echo keep; echo 'fish: Missing end to balance'; false",
       "keep\nfish: Missing end to balance\n", ""},
      {FishDialect(), "echo 'fish: Missing end to balance'; echo keep; false",
       "fish: Missing end to balance\nkeep\n", ""},
      {ShDialect(), "echo keep; sh -c 'eval if'", "keep\n",
       "end of file unexpected"},
      {ShDialect(), "sh -c 'eval if'; echo keep >&2; false", "", "keep"},
      {Sqlite3Dialect(), ".read " + script, "41\n42\n", "incomplete input"},
      {Sqlite3Dialect(), ".read " + incomplete, "", "incomplete input"},
  };
  for (const auto& each : cases) {
    auto started = Repl::Start(each.dialect);
    if (absl::IsNotFound(started.status())) continue;  // Is not installed.
    ASSERT_THAT(started, IsOk());
    Repl& repl = **started;
    const Reply reply = MustEval(repl, each.statement);
    EXPECT_EQ(reply.out, each.out) << each.statement;
    EXPECT_THAT(reply.err, HasSubstr(each.err)) << each.statement;
  }
}

// Statements that a program considers incomplete, and complete statements that
// look incomplete.
TEST(IncompleteTest, DiffersFromACompleteStatement) {
  struct {
    ReplDialect dialect;
    std::vector<const char*> complete;
    std::vector<const char*> incomplete;
  } const cases[] = {
      {BcDialect(),
       {"define f(x) {\nreturn x }", "\"{\"", "1 /* { */"},
       {"define f(x) {", "\"abc", "/* 1", "for (i=0;i<2;i++)", "if (0)"}},
      {DcDialect(), {"[a]p", "1 2+p # ["}, {"[abc", "[a[b]"}},
      {PythonDialect(),
       {"def f():\n  return '{'", "'''\n('''", "x = (1 +\n2)"},
       {"def f():", "x = (1 +", "'''abc", "1 + \\", "@property"}},
      {ShDialect(),
       {"if :; then :; fi", "echo \"'\"", "cat <<E\nE", "f() { :; }",
        "echo $((1<<2)) '<<E'", "echo eval: end of file unexpected"},
       {"if :", "if :; then", "echo \"abc", "f() {", "case x in", "echo $(",
        "cat <<E", "cat <<E\n1\n", "echo `abc", "echo ${x", "echo $((1"}},
      {FishDialect(),
       {"begin; end", "echo 'fish: Missing end to balance this begin'"},
       {"begin", "if true", "echo \"abc", "echo (", "function f", "switch x",
        "for i in 1 2", "echo {a", "a |", "a &&", "echo a[", "echo \\", "and",
        "for i", "begin; echo >", "echo 1\nbegin\n  echo 2"}},
      {BashAsSh(),
       {"if :; then :; fi", "echo \"'\"", "cat <<E\nE", "f() { :; }",
        "echo $((1<<2)) '<<E'"},
       {"if :", "if :; then", "echo \"abc", "f() {", "case x in", "echo $(",
        "cat <<E", "cat <<E\n1\n", "[[ a == b &&"}},
      {ShAs("/bin/busybox"),
       {"if :; then :; fi", "echo \"'\"", "cat <<E\nE", "f() { :; }"},
       {"if :", "if :; then", "echo \"abc", "f() {", "case x in", "echo $(",
        "cat <<E", "cat <<E\n1\n"}},
      {BashDialect(),
       {"if :; then :; fi", "echo \"'\"", "cat <<E\nE", "f() { :; }",
        "echo $((1<<2)) '<<E'", "shopt -s extglob\necho !(a)",
        "bash -c 'eval if'", "echo eval: unexpected EOF"},
       {"if :", "if :; then", "echo \"abc", "f() {", "case x in", "echo $(",
        "cat <<E", "cat <<E\n1\n", "echo a\nif :", "[[ a == b &&"}},
      {ZshDialect(),
       {"cat <<E\nE", "echo $((1<<2)) '<<E'", "x='\"'; print ${(QX)x}",
        "echo )", "fi", "for", "for\n:", "[[ ]]", "echo >", "f() {\nfi",
        "false", "if :\nthen\n)"},
       {"echo 'a", "cat <<E", "cat <<E\n1\n", "f() {", "f() {\n:", "if :; then",
        "for i in 1; do\n:", "case x in", "case x in\na) :;;", "echo $(", "(",
        "[[ a == b &&", "x=(1", "f() { \"}"}},
      {PerlDialect(),
       {"my @x = [1,2);", "f({a=>1);", "if (1) { f([1); }", "<<E\nE\n"},
       {"my @x = [1,2", "f({a=>1", "sub f { f([1])", "'a", "<<E", "s/a/b"}},
      {GdbDialect(),
       {"if(0)\nprint 1\nend", "python print(1)", "py(print(1))",
        "define-prefix my", "python\nif(1): pass\nend"},
       {"if($x==1)", "while($x<2)\nif 1\nend", "while 1", "if\t1", "python",
        "document f"}},
      {PrologDialect(),
       {"X = [a, b]", "X = [a, b].", "X = [a b]", "X = [a).", "X = f([a)",
        "X = 0'( Y", "X = \"[\" Y", "/* [ */ X Y % (", "X = 'it''s [' Y",
        "X = 1 % one", "X = 1,,", "X = 1,."},
       {"X = 1,", "X = 1, % one", "X = [a, b", "X = [a, b\n% ]\n", "f({a, 0'}",
        "X = \"(\", (a", "f(['it''s', \"\\\"]\"", "writeln("}},
      {RubyDialect(),
       {"<<E\nE", "1 << 2", "eval('(')",
        "raise SyntaxError, 'unexpected end-of-input'"},
       {"<<E", "<<~E\n1"}},
      {Sqlite3Dialect(),
       {"select ';'", "select 1 -- '", "select 'it''s'",
        "select 'Parse error near line 1: incomplete input'",
        "create table t(x); create trigger x after insert on t begin select 1; "
        "end;"},
       {"select 'a", "select \"a"}},
      {NodeDialect(),
       {"function f() { return '{' }", "`a\n`", "/[(]/", "f('a' 'b')", "f(1;",
        "f(1 2\n)", "`${1 2", "/[*/", "'/*", "\"a", "@", "1 + \\"},
       {"function f() {", "`a", "f(1", "f(g(1 // x", "if (1) f(1\n", "`${1",
        "/* a", "f(/* a\n", "'a\\", "f(\"a\\"}},
      {LuaDialect(), {"f = function()\nend"}, {"f = function()", "x = {"}},
  };
  for (const auto& each : cases) {
    auto started = Repl::Start(each.dialect);
    if (absl::IsNotFound(started.status())) continue;  // Is not installed.
    ASSERT_THAT(started, IsOk());
    const std::unique_ptr<Repl> repl = *std::move(started);
    for (const char* statement : each.complete) {
      EXPECT_THAT(repl->Eval(statement, kNeverReached).status(), IsOk())
          << repl->process().command().argv[0] << ": " << statement;
    }
    for (const char* statement : each.incomplete) {
      const absl::Status status = repl->Eval(statement, kNeverReached).status();
      EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument))
          << repl->process().command().argv[0] << ": " << statement;
      EXPECT_TRUE(IsIncomplete(status)) << status;
    }
  }
}

// Without translations, the messages of a program are in English.
TEST(IncompleteTest, IsToldInEveryLanguageOfTheUser) {
  struct {
    ReplDialect dialect;
    std::vector<const char*> incomplete;
    const char* wrong;
    const char* language;  // Prints LANGUAGE.
  } const cases[] = {
      {BashDialect(), {"echo 'a", "if :", "cat <<E"}, "if ;", "echo $LANGUAGE"},
      {BashAsSh(), {"echo 'a", "if :", "cat <<E"}, "if ;", "echo $LANGUAGE"},
      {FishDialect(),
       {"echo 'a", "begin", "true |"},
       "echo )",
       "echo $LANGUAGE"},
      {RDialect(),
       {"x <- 'a", "c(1,"},
       "1 2  # INCOMPLETE_STRING",
       "cat(Sys.getenv('LANGUAGE'), '\\n', sep = '')"},
  };
  for (const char* language : {"de", "fr"}) {
    for (const auto& each : cases) {
      ReplDialect dialect = each.dialect;
      dialect.command.env.Set("LC_ALL", "C.UTF-8").Set("LANGUAGE", language);
      auto started = Repl::Start(dialect);
      if (absl::IsNotFound(started.status())) continue;  // Is not installed.
      ASSERT_THAT(started, IsOk());
      Repl& repl = **started;
      SCOPED_TRACE(absl::StrCat(dialect.command.argv[0], " in ", language));
      for (const char* statement : each.incomplete) {
        EXPECT_THAT(repl.Eval(statement, kNeverReached),
                    HasCode(absl::StatusCode::kInvalidArgument))
            << statement;
      }
      EXPECT_NE(MustEval(repl, each.wrong).status, 0);
      EXPECT_EQ(MustEval(repl, each.language).out,
                absl::StrCat(language, "\n"));
    }
  }
}

TEST(ReplTest, GoesOnWhereABoundDropsAPartOfAReply) {
  for (const OutputBound& bound :
       {OutputBound::HeadAndTail(1000), OutputBound::DropOldest(1000)}) {
    ReplDialect dialect = BcDialect();
    dialect.command.output_buffer = bound;
    auto bc = MustStart(dialect);

    EXPECT_LT(MustEval(*bc, "2^100000").out.size(), 30'000);
    EXPECT_EQ(MustEval(*bc, "1+1").out, "2\n");
  }
}

// The program answers each line with its last word, and sets its handler late.
TEST(ReplTest, InterruptsAProgramOnceItHasAHandler) {
  ReplDialect dialect;
  dialect.command = Command(
      {"python3", "-c",
       "import signal, sys, time\n"
       "for line in sys.stdin:\n"
       "  try:\n"
       "    if line.startswith('late'):\n"
       "      time.sleep(0.3)\n"
       "      signal.signal(signal.SIGINT, signal.default_int_handler)\n"
       "      time.sleep(1000)\n"
       "  except KeyboardInterrupt: pass\n"
       "  signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
       "  print(line.split()[-1], flush=True)\n"});
  dialect.statement = "{statement} {head}{tail}\n";
  auto repl = MustStart(dialect);

  const auto late = repl->Eval("late", kShort);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), HasSubstr("the session goes on"));
  EXPECT_EQ(MustEval(*repl, "x").out, "");
}

// The program reads the answer up to its "R": before its first prompt, as irb
// does, and after each prompt, as busybox does.
TEST(ReplTest, AnswersAProgramThatAsksForThePositionOfTheCursor) {
  ReplDialect dialect;
  dialect.command = Command(
      {"python3", "-c",
       "import sys, tty\n"
       "tty.setraw(0)\n"
       "def ask():\n"
       "  print(end='\\x1b[6n', flush=True)\n"
       "  answer = ''\n"
       "  while not answer.endswith('R'): answer += sys.stdin.read(1)\n"
       "  return repr(answer)\n"
       "first = ask()\n"
       "while True:\n"
       "  print(end='> ')\n"
       "  answer = ask()\n"
       "  print(sys.stdin.readline().strip(), first, answer, end='\\r\\n')\n"});
  dialect.command.pty = Pty();
  dialect.prompt = "> $";
  auto repl = MustStart(dialect);

  EXPECT_EQ(MustEval(*repl, "a").out, "a '\\x1b[1;1R' '\\x1b[1;1R'\n");
  EXPECT_EQ(MustEval(*repl, "b").out, "b '\\x1b[1;1R' '\\x1b[1;1R'\n");
}

// The handler restores the default action at its end, as that of lua does.
TEST(ReplTest, SendsNoSecondInterruptWhileTheHandlerOfTheFirstRuns) {
  ReplDialect dialect;
  dialect.command = Command(
      {"perl", "-e",
       "$| = 1;"
       "sub stop { select(undef, undef, undef, 0.3); $SIG{INT} = 'DEFAULT';"
       "           $stopped = 1; }"
       "while (print('> '), $line = <STDIN>) {"
       "  ($stopped, $SIG{INT}) = (0, \\&stop);"
       "  if ($line =~ /spin/) { 1 while !$stopped }"
       "  print \"done\\n\";"
       "}"});
  dialect.command.env.Set("PERL_SIGNALS", "unsafe");
  dialect.command.process_group = ProcessGroup::New();
  dialect.prompt = "> $";
  auto perl = MustStart(dialect);

  const auto late = perl->Eval("spin", kShort);

  EXPECT_THAT(late.status().message(), HasSubstr("the session goes on"));
  EXPECT_EQ(MustEval(*perl, "x").out, "done\n");
}

TEST(ReplTest, SendsNoSecondInterruptAtOnceForTheNextStatement) {
  ReplDialect dialect;
  dialect.command = Command(
      {"python3", "-c",
       "import signal, sys, time\n"
       "times = []\n"
       "signal.signal(signal.SIGINT,\n"
       "              lambda *_: times.append(time.monotonic()))\n"
       "while True:\n"
       "  print('> ', end='', flush=True)\n"
       "  if sys.stdin.readline() == 'spin\\n':\n"
       "    while not times: pass\n"
       "    time.sleep(0.02)\n"
       "  print(any(b - a < 0.02 for a, b in zip(times, times[1:])))\n"});
  dialect.command.process_group = ProcessGroup::New();
  dialect.prompt = "> $";
  auto python = MustStart(dialect);

  const auto late = WithTimeout(
      kShort, [&] { return python->Eval("spin", absl::InfiniteDuration()); });

  EXPECT_THAT(late.status().message(), HasSubstr("the session goes on"));
  EXPECT_EQ(MustEval(*python, "x").out, "False\n");
}

TEST(ReplTest, ReportsThatItsInterruptEndedTheProgram) {
  ReplDialect dialect;
  dialect.command =
      Command({"sh", "-c", "while read -r line; do eval \"$line\"; done"});
  dialect.command.process_group = ProcessGroup::New();
  dialect.statement = "{statement}\necho {head}{tail}\n";
  auto sh = MustStart(dialect);

  const auto late = sh->Eval("sleep 1000", kShort);
  const auto next = sh->Eval("echo", kNeverReached);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(
      late.status().message(),
      ContainsRegex("was not done after .*; the interrupt ended the program: "
                    "killed by SIGINT; the session is lost$"));
  EXPECT_THAT(next, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(next.status().message(),
              HasSubstr("has ended at its interrupt: killed by SIGINT"));
}

// Another process keeps the streams, and those of the channel, open.
TEST(ReplTest, NoticesTheEndOfAProgramThatLeavesAProcessBehind) {
  TemporaryDirectory directory;
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::string statement = absl::StrCat("cat ", fifo, " & exit 3");
  ReplDialect by_prompt;
  by_prompt.command = Command::Shell(
      "while printf '> ' && read -r line; do eval \"$line\"; done");
  by_prompt.prompt = "> $";
  ReplDialect on_terminal = by_prompt;
  on_terminal.command.pty = Pty{24, 80, /*echo=*/false};
  // The end of the terminal would end cat.
  on_terminal.command.argv.back() =
      absl::StrCat("trap '' HUP; ", on_terminal.command.argv.back());
  ReplDialect by_marks;
  by_marks.command = Command({"sh"});
  by_marks.statement = "{statement}\necho {head}{tail}\n";
  const std::vector<std::pair<ReplDialect, std::string>> sessions = {
      {by_prompt, statement},
      {on_terminal, statement},
      {by_marks, statement},
      {TclDialect(), absl::StrCat("exec cat ", fifo, " >@stdout &; exit 3")}};
  for (const auto& [dialect, command] : sessions) {
    auto repl = MustStart(dialect);

    const auto last = repl->Eval(command, kNeverReached);

    EXPECT_THAT(last, HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(last.status().message(), HasSubstr("exited with status 3"));
    // Ends cat.
    close(open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  }
}

TEST(ReplTest, StartsNothingUnderAScopeThatHasEndedBefore) {
  const CancellationToken token;
  token.Cancel();
  const CancellationScope scope(token);

  const auto started = Repl::Start(ShDialect());

  EXPECT_THAT(started, HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(started.status().message(), HasSubstr("sh was not started"));
}

TEST(ReplTest, NeverTakesALateAnswerForTheNextOne) {
  auto sh = MustStart(BashDialect());

  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(sh->Eval("trap 'echo late' INT; sleep 1000; echo later",
                         absl::Milliseconds(5)),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(MustEval(*sh, absl::StrCat("echo ", i)).out,
              absl::StrCat(i, "\n"));
  }
}

// Evaluates `statement`, which prints "started", until that text arrives.
absl::Status EvalUntilStarted(Repl& repl, absl::string_view statement) {
  const CancellationToken token;
  const auto tap = repl.child().out().AddTap([token](absl::string_view piece) {
    if (absl::StrContains(piece, "started")) token.Cancel();
  });
  EXPECT_THAT(tap, IsOk());
  const CancellationScope scope(token);
  return repl.Eval(statement, kNeverReached).status();
}

TEST(ReplTest, NeverTakesTheAnswerToACanceledStatementForTheNextOne) {
  auto sh = MustStart(ShDialect());

  EXPECT_THAT(EvalUntilStarted(*sh,
                               "trap 'echo late; echo late >&2' INT; "
                               "echo started; sleep 1000; echo later"),
              HasCode(absl::StatusCode::kCancelled));
  const Reply next = MustEval(*sh, "echo new");

  EXPECT_EQ(next.out, "new\n");
  EXPECT_EQ(next.err, "");
}

// The next statement waits for the answer to the interrupt first.
TEST(ReplTest, GoesOnAfterACancellationDuringAnInterrupt) {
  auto python = MustStart(PythonDialect());

  EXPECT_THAT(EvalUntilStarted(
                  *python,
                  "import signal, time\n"
                  "def report(*_): print('started', flush=True)\n"
                  "def obey(*_):\n"
                  "  signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                  "_ = signal.signal(signal.SIGINT, report)\n"
                  "_ = signal.signal(signal.SIGUSR1, obey)\n"
                  "report()\n"
                  "while True: time.sleep(1000)"),
              HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(EvalUntilStarted(*python, "1"),
              HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(python->process().Signal(SIGUSR1), IsOk());

  EXPECT_EQ(MustEval(*python, "1+1").out, "2\n");
}

TEST(ReplTest, ReportsWhenASessionIsLostToACanceledStatement) {
  auto python = MustStart(PythonDialect());

  EXPECT_THAT(
      EvalUntilStarted(*python,
                       "import signal, time\n"
                       "_ = signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
                       "print('started', flush=True)\n"
                       "time.sleep(1000)"),
      HasCode(absl::StatusCode::kCancelled));

  for (int i = 0; i < 2; ++i) {
    auto next = python->Eval("1", kNeverReached);
    EXPECT_THAT(next, HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(next.status().message(), HasSubstr("the session is lost"));
  }
}

TEST(ReplTest, ShowsTheOutputOfAStatementWithoutMarks) {
  auto sh = MustStart(ShDialect());
  MustEval(*sh, "echo earlier >&2");

  auto late = sh->Eval("echo now >&2; echo here; sleep 1000",
                       absl::Seconds(1) * kSlowness);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(),
              HasSubstr("it had written \"here\\n\", on stderr \"now\\n\"; "));
}

// The program ignores the first interrupt, as when an interrupt arrives before
// the statement runs.
TEST(ReplTest, InterruptsAgainWhenOneInterruptIsNotEnough) {
  auto python = MustStart(PythonDialect());
  MustEval(*python,
           "import signal, time\n"
           "def later(*_):\n"
           "  signal.signal(signal.SIGINT, signal.default_int_handler)\n"
           "_ = signal.signal(signal.SIGINT, later)");

  auto late = python->Eval("time.sleep(1000)", kShort);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), HasSubstr("the session goes on"));
  EXPECT_EQ(MustEval(*python, "1+1").out, "2\n");
}

// sqlite3 and lua ignore an interrupt while they run a command, and end by one
// too many.
TEST(ReplTest, InterruptsACommandAndTheStatementAfterIt) {
  auto sqlite3 = MustStart(Sqlite3Dialect());
  auto lua = MustStart(LuaDialect());

  EXPECT_THAT(sqlite3->Eval(".shell sleep 1000\n"
                            "with recursive r(i) as (select 1 union all "
                            "select i + 1 from r) select count(*) from r",
                            kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(lua->Eval("os.execute('sleep 1000') while true do end", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(MustEval(*sqlite3, "select 42").out, "42\n");
  EXPECT_EQ(MustEval(*lua, "6 * 7").out, "42\n");
}

TEST(ReplTest, ReportsWhenASessionIsLost) {
  ReplDialect dialect = PythonDialect();
  auto python = MustStart(dialect);
  MustEval(*python,
           "import signal, time\n"
           "_ = signal.signal(signal.SIGINT, signal.SIG_IGN)");

  auto late = python->Eval("time.sleep(1000)", kShort);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), HasSubstr("the session is lost"));
  EXPECT_THAT(python->Eval("1", kNeverReached),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(ReplTest, UsesThePromptWithoutAStatementTemplate) {
  ReplDialect dialect;
  dialect.command = Command({"python3", "-q"});
  dialect.command.env.Set("TERM", "dumb");
  dialect.command.pty = Pty{24, 200, /*echo=*/false};
  dialect.prompt = ">>> ";
  dialect.continuation = "\\.\\.\\. ";
  dialect.echoes = true;  // Line editing echoes on any terminal.
  auto python = MustStart(dialect);

  const Reply reply = MustEval(*python, "20+22");

  EXPECT_EQ(reply.out, "42\n");
  EXPECT_EQ(reply.prompt, ">>> ");
  EXPECT_THAT(python->Eval("while True: pass\n", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(MustEval(*python, "1+1").out, "2\n");
}

// The terminal's line ends are no part of the output, nor is the echo.
TEST(ReplTest, GivesTheOutputOfATerminalAlone) {
  struct {
    Command command;
    std::string prompt;
    const char* statement;
    const char* out;
  } const cases[] = {
      // node repeats "6*7\r\r\n".
      {Command({"node", "-i"}), "> $", "6*7", "42\n"},
      {Command({"lua", "-i"}), "(?:^|\n)> $", "print(42)", "42"},
      {Command({"lua", "-i"}), "(?:^|\n)> $", "x = 42", ""},
      {Command({"lua", "-i"}), "(?:^|\n)> $", "print(41)\nx = 1\nprint(42)",
       "41\n42"},
      {Command({"R", "--vanilla", "-q"}), "(?:^|\n)> $", "6*7", "[1] 42"},
      {Command({"R", "--vanilla", "-q"}), "(?:^|\n)> $", "cat('a\\n\\nb\\n')",
       "a\n\nb"},
  };
  for (const auto& each : cases) {
    ReplDialect dialect;
    dialect.command = OnPlainTerminal(each.command);
    dialect.prompt = each.prompt;
    dialect.echoes = true;
    auto started = Repl::Start(dialect);
    if (absl::IsNotFound(started.status())) continue;  // Is not installed.
    ASSERT_THAT(started, IsOk());
    EXPECT_EQ(MustEval(**started, each.statement).out, each.out)
        << each.command.argv[0] << ": " << each.statement;
  }
}

TEST(ReplTest, CallsAProgramByItsNameInErrors) {
  for (const auto& [dialect, name] :
       std::vector<std::pair<ReplDialect, std::string>>{
           {TclDialect(), "tclsh"}, {OcamlDialect(), "ocaml"}}) {
    auto started = Repl::Start(dialect);
    // sh reports a program that is not installed.
    if (!started.ok()) continue;
    Repl& repl = **started;
    EXPECT_THAT(repl.process().Signal(SIGKILL), IsOk());

    EXPECT_THAT(repl.Eval("1", kNeverReached).status().message(),
                testing::StartsWith(absl::StrCat(
                    name, " (pid ", repl.process().pid(), ") has ended")));
  }
}

TEST(ReplTest, TakesNoContinuationPromptForThePromptAtTheStart) {
  ReplDialect dialect;
  dialect.command = Command::Shell("printf 'more> '; cat");
  dialect.prompt = "foo> ";
  dialect.continuation = "> ";

  const absl::Status status = Repl::Start(dialect, kShort).status();

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(status.message(),
              testing::AllOf(HasSubstr("its prompt /foo> / did not come"),
                             HasSubstr("it had written \"more> \"")));
}

TEST(ReplTest, ReportsHowAProgramThatPromptsHasEnded) {
  ReplDialect dialect;
  dialect.command = Command::Shell("printf '> '; exit 3");
  dialect.prompt = "> ";
  auto gone = MustStart(dialect);
  ASSERT_THAT(gone->process().WaitFor(kNeverReached), IsOk());

  auto reply = gone->Eval("x", kNeverReached);

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(reply.status().message(), HasSubstr("exited with status 3"));
}

// After an interrupt, the program never stops printing its prompt.
ReplDialect RestlessDialect() {
  ReplDialect dialect;
  dialect.command = Command({"python3", "-c",
                             "import os, signal, time\n"
                             "def talk(*_):\n"
                             "  while True:\n"
                             "    os.write(1, b'> ')\n"
                             "    time.sleep(0.005)\n"
                             "signal.signal(signal.SIGINT, talk)\n"
                             "print('> ', end='', flush=True)\n"
                             "while True: signal.pause()\n"});
  dialect.prompt = "> ";
  dialect.interrupt.patience = absl::Seconds(1);
  return dialect;
}

TEST(ReplTest, GivesUpAProgramWhosePromptNeverStopsToCome) {
  auto restless = MustStart(RestlessDialect());

  auto late = restless->Eval("x", kShort);

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), HasSubstr("the session is lost"));
}

TEST(ReplTest, NewDialectsAreTenLines) {
  ReplDialect upper;
  upper.command = Command({"sed", "-u", "s/|//; s/a/A/g"});
  upper.statement = "{statement}\n{head}|{tail}\n";
  // s/a/A/g would change a marker that contains an "a".
  upper.command.argv[2] = "s/|//; s/zz/ZZ/g";
  auto sed = MustStart(upper);

  EXPECT_EQ(MustEval(*sed, "pizza").out, "piZZa\n");
}

TEST(ReplTest, FailsToStartWithTheOutputOfTheProgram) {
  ReplDialect dialect = ShDialect();
  dialect.command = Command::Shell("echo no license >&2; exit 2");

  auto repl = Repl::Start(dialect);

  EXPECT_THAT(repl, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(repl.status().message(), HasSubstr("no license"));
}

TEST(ReplTest, FailsToStartBashWithoutItsDescriptors) {
  ReplDialect dialect = BashDialect();
  dialect.command.rlimits[RLIMIT_NOFILE] = {254, 254};

  auto repl = Repl::Start(dialect);

  EXPECT_THAT(repl, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(repl.status().message(), HasSubstr("255 descriptors"));
}

// redis-cli runs without a server.
TEST(ReplTest, FailsToStartAProgramThatReadsButDoesNotAnswer) {
  ReplDialect dialect = RedisDialect();
  dialect.command.argv = {"redis-cli", "-p", "1"};

  auto repl = Repl::Start(dialect);

  EXPECT_THAT(repl, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(repl.status().message(), HasSubstr("Could not connect"));
}

TEST(ReplTest, RefusesADialectThatCannotTellTheEndOfAReply) {
  EXPECT_THAT(Repl::Start(ReplDialect{Command({"cat"})}),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ReplTest, TakesTheOutputOfAStatementThatEndsItsProgram) {
  for (const ReplDialect& dialect :
       {BashDialect(), PromptedDash(), BcDialect()}) {
    auto repl = MustStart(dialect);
    const bool is_bc = dialect.command.argv[0] == "bc";

    EXPECT_THAT(
        repl->Eval(is_bc ? "41+1\nquit" : "echo 42\nexit 3", kNeverReached),
        HasCode(absl::StatusCode::kFailedPrecondition));

    EXPECT_EQ(repl->TakeRest().out, "42\n");
    EXPECT_EQ(repl->TakeRest().out, "");
  }
}

}  // namespace
}  // namespace asyncproc

#include <signal.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/repl_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;
using testing::Not;

// Statements for each dialect, in its own language.
struct Case {
  const char* name;
  std::function<ReplDialect()> dialect;
  const char* sum;  // Evaluates to 42.
  const char* sum_reply;
  const char* set;  // Two statements: `get` uses the values of `set`.
  const char* get;
  const char* get_reply;
  const char* failing;  // Fails; `complaint` is a part of its error message.
  const char* complaint;
  const char* endless;  // Runs until it is interrupted.
  const char* incomplete;
  const char* exit;
};

std::vector<Case> Cases() {
  return {
      {"bc", BcDialect, "20+22", "42\n", "x=5\ny=6", "x*y", "30\n", "1/0",
       "Divide by zero", "while (1) {}", "define f(x) {\nreturn (x)", "quit"},
      {"dc", DcDialect, "20 22+p", "42\n", "5sx\n6sy", "lxly*p", "30\n",
       "0 1r/", "divide by zero", nullptr, "[abc", "q"},
      {"python", PythonDialect, "20+22", "42\n",
       "def double(x):\n    return 2 * x\n\nx = double(15)", "x", "30\n", "1/0",
       "ZeroDivisionError", "while True: pass", "def f():", "exit(3)"},
      {"sh", ShDialect, "echo $((20+22))", "42\n",
       "x=5\nf() { echo $((x*6)); }", "f", "30\n", "no-such-command",
       "not found", "while :; do :; done", "for i in 1 2; do\necho", "exit 3"},
      {"bash", BashDialect, "echo $((20+22))", "42\n",
       "x=5\nf() { echo $((x*6)); }", "f", "30\n", "no-such-command",
       "not found", "sleep 1000", "echo 'abc", "exit 3"},
      {"sqlite3", [] { return Sqlite3Dialect(); }, "select 20+22;", "42\n",
       "create table t(x);\ninsert into t values (5), (6)",
       "select sum(x) + 19 from t", "30\n", "select * from nope;",
       "no such table",
       "with recursive c(x) as (select 1 union all select x+1 from c) "
       "select count(*) from c;",
       "select 'abc", ".exit"},
      {"gdb", [] { return GdbDialect(); }, "print 20+22", "$1 = 42\n",
       "set $x = 5\nset $y = 6", "output $x*$y", "30", "print nope",
       "No symbol", "while 1\nset $z = 1\nend", "define f\necho hi\\n", "quit"},
      {"node", NodeDialect, "20+22", "42\n",
       "function f(x) {\n  return 6 * x;\n}\nvar x = 5;", "f(x)", "30\n",
       "nope()", "ReferenceError", "while (true) {}", "function f() {",
       "process.exit(3)"},
  };
}

class DialectTest : public testing::TestWithParam<Case> {};

TEST_P(DialectTest, AnswersStatements) {
  auto repl = MustStart(GetParam().dialect());

  const Reply reply = MustEval(*repl, GetParam().sum);

  EXPECT_EQ(reply.out, GetParam().sum_reply);
  EXPECT_EQ(reply.err, "");
}

TEST_P(DialectTest, KeepsVariables) {
  auto repl = MustStart(GetParam().dialect());

  MustEval(*repl, GetParam().set);

  EXPECT_EQ(MustEval(*repl, GetParam().get).out, GetParam().get_reply);
}

TEST_P(DialectTest, PairsStderrWithItsStatement) {
  auto repl = MustStart(GetParam().dialect());

  EXPECT_THAT(MustEval(*repl, GetParam().failing).err,
              HasSubstr(GetParam().complaint));
  const Reply next = MustEval(*repl, GetParam().sum);

  EXPECT_EQ(next.out, GetParam().sum_reply);
  EXPECT_EQ(next.err, "");
}

TEST_P(DialectTest, GoesOnAfterAStatementThatTookTooLong) {
  if (GetParam().endless == nullptr) GTEST_SKIP() << "an interrupt ends it";
  auto repl = MustStart(GetParam().dialect());

  auto late = repl->Eval(GetParam().endless, kShort);
  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), HasSubstr("the session goes on"));

  EXPECT_EQ(MustEval(*repl, GetParam().sum).out, GetParam().sum_reply);
}

TEST_P(DialectTest, GoesOnAfterTheTimeOfItsThreadWasUp) {
  if (GetParam().endless == nullptr) GTEST_SKIP() << "an interrupt ends it";
  auto repl = MustStart(GetParam().dialect());

  auto late = WithTimeout(kShort, [&] {
    return repl->Eval(GetParam().endless, absl::InfiniteDuration());
  });
  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), HasSubstr("the session goes on"));
  EXPECT_THAT(late.status().message(), Not(HasSubstr("inf")));

  EXPECT_EQ(MustEval(*repl, GetParam().sum).out, GetParam().sum_reply);
}

TEST_P(DialectTest, RefusesAnIncompleteStatementAndGoesOn) {
  auto repl = MustStart(GetParam().dialect());

  EXPECT_THAT(repl->Eval(GetParam().incomplete, kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));

  EXPECT_EQ(MustEval(*repl, GetParam().sum).out, GetParam().sum_reply);
}

// REPL-07
TEST_P(DialectTest, ReportsTheEndOfTheProgram) {
  auto repl = MustStart(GetParam().dialect());

  EXPECT_THAT(repl->Eval(GetParam().exit, kNeverReached),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(repl->Eval(GetParam().sum, kNeverReached),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

// REPL-07
TEST_P(DialectTest, ReportsTheSignalThatKilledTheProgram) {
  auto repl = MustStart(GetParam().dialect());
  EXPECT_THAT(repl->process().Signal(SIGKILL), IsOk());

  auto reply = repl->Eval(GetParam().sum, kNeverReached);

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(reply.status().message(), HasSubstr("killed by SIGKILL"));
}

TEST_P(DialectTest, EndsInOrder) {
  auto repl = MustStart(GetParam().dialect());
  MustEval(*repl, GetParam().sum);

  EXPECT_THAT(repl->Close(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
}

INSTANTIATE_TEST_SUITE_P(All, DialectTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) {
                           return info.param.name;
                         });

// REPL-04
TEST(BcTest, GivesALongNumberOnOneLine) {
  auto bc = MustStart(BcDialect());

  EXPECT_EQ(MustEval(*bc, "2^1000").out.size(), 303);
}

TEST(BcTest, KeepsAResultThatLooksLikeAStatement) {
  auto bc = MustStart(BcDialect());

  EXPECT_EQ(MustEval(*bc, "4\n5").out, "4\n5\n");
}

TEST(BcTest, TakesEmptyLinesInAStatement) {
  auto bc = MustStart(BcDialect());

  EXPECT_EQ(MustEval(*bc, "define f(x) {\n\n  return 2 * x }\n").out, "");
  EXPECT_EQ(MustEval(*bc, "\nf(21)\n\n\n1").out, "42\n1\n");
}

TEST(BcTest, EndsWithTheOutputOfItsLastStatement) {
  auto bc = MustStart(BcDialect());
  MustEval(*bc, "1");

  const auto last = bc->Eval("print \"bye\"\nhalt", kNeverReached);

  EXPECT_THAT(last, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(last.status().message(),
              testing::EndsWith(": exited with status 0; it had written "
                                "\"bye\""));
}

TEST(PythonTest, RepliesWithMegabytes) {
  auto python = MustStart(PythonDialect());

  EXPECT_EQ(MustEval(*python, "print('x' * 3000000)").out,
            std::string(3000000, 'x') + "\n");
}

TEST(PythonTest, RepliesWithoutANewlineAndWithPromptsAndStatementsInIt) {
  auto python = MustStart(PythonDialect());

  const std::string text = "import sys; _ = sys.stdout.write('>>> 1+1\\n... ')";

  EXPECT_EQ(MustEval(*python, text).out, ">>> 1+1\n... ");
}

TEST(PythonTest, ReportsWhetherTheStatementFailed) {
  auto python = MustStart(PythonDialect());

  EXPECT_EQ(MustEval(*python, "1+1").status, 0);
  const Reply failed = MustEval(*python, "print('so far')\n1/0\nprint('not')");
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.out, "so far\n");
  EXPECT_THAT(failed.err, Not(HasSubstr("__asyncproc__")));
  EXPECT_EQ(MustEval(*python, "1 +* 2").status, 1);
}

TEST(PythonTest, TakesAnyBytesThatAreText) {
  auto python = MustStart(PythonDialect());

  EXPECT_EQ(
      MustEval(*python, "print('\"\\'\\\\ \xC3\xA4 \xE2\x96\x81', 7)").out,
      "\"'\\ \xC3\xA4 \xE2\x96\x81 7\n");
}

TEST(PythonTest, ReportsAnErrorOfTheHookForErrors) {
  auto python = MustStart(PythonDialect());
  MustEval(*python, "import sys; sys.excepthook = lambda *_: 1 + ''");

  const Reply reply = MustEval(*python, "1/0");
  EXPECT_THAT(reply.err, HasSubstr("Error in sys.excepthook:\nTraceback"));
  EXPECT_THAT(reply.err, HasSubstr("TypeError: unsupported operand"));
  EXPECT_THAT(reply.err, HasSubstr("\nOriginal exception was:\nTraceback"));
  EXPECT_THAT(reply.err, HasSubstr("ZeroDivisionError: division by zero\n"));
  EXPECT_THAT(reply.err, Not(HasSubstr("<string>")));
  EXPECT_EQ(MustEval(*python, "1+1").out, "2\n");
}

TEST(PythonTest, GoesOnWithoutStreams) {
  for (const char* statement :
       {"import sys; del sys.stderr", "import sys; del sys.stdout",
        "import sys; sys.stderr.close()", "import sys; sys.stdout.close()",
        "import sys; sys.stdout = sys.stderr = None",
        "import os; os.close(2)"}) {
    auto python = MustStart(PythonDialect());
    MustEval(*python, statement);

    EXPECT_EQ(MustEval(*python, "1/0").status, 1) << statement;
    EXPECT_EQ(MustEval(*python, "x = 1").status, 0) << statement;
  }
}

TEST(PythonTest, ReportsAnErrorOfASignalHandlerBetweenStatements) {
  auto python = MustStart(PythonDialect());
  MustEval(*python,
           "import signal\n"
           "def h(*_): raise TimeoutError('late')\n\n"
           "_ = signal.signal(signal.SIGALRM, h)");
  // The signal and a statement may arrive at the same time.
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(python->process().Signal(SIGALRM), IsOk());
    std::string err;
    while (!absl::StrContains(err, "TimeoutError: late\n")) {
      auto reply = python->Eval("pass", kNeverReached);
      ASSERT_THAT(reply.status(), IsOk());
      err += reply->err;
    }
    EXPECT_THAT(err, Not(HasSubstr("<string>")));
  }
  EXPECT_EQ(MustEval(*python, "1+1").out, "2\n");
}

TEST(NodeTest, TakesQuotesAndBackslashes) {
  auto node = MustStart(NodeDialect());

  EXPECT_EQ(MustEval(*node, "console.log(\"'\\\\\\t'\")").out, "'\\\t'\n");
}

TEST(NodeTest, PrintsErrorsWithoutItsOwnFrames) {
  auto node = MustStart(NodeDialect());

  EXPECT_EQ(MustEval(*node, "({e: new Error('x'), b: 2})").out,
            "{\n  e: Error: x\n      at REPL:1:6,\n  b: 2\n}\n");
  EXPECT_EQ(MustEval(*node, "new Error('a', {cause: new Error('b')})").out,
            "Error: a\n    at REPL:1:1 {\n  [cause]: Error: b\n"
            "      at REPL:1:24\n}\n");
  EXPECT_EQ(MustEval(*node, "new AggregateError([new Error('p')], 'm')").out,
            "AggregateError: m\n    at REPL:1:1 {\n  [errors]: [\n"
            "    Error: p\n        at REPL:1:21\n  ]\n}\n");
  EXPECT_EQ(MustEval(*node, "console.log(new Error('x').stack)").out,
            "Error: x\n    at REPL:1:13\n");
  EXPECT_THAT(MustEval(*node, "require('fs').readFileSync('/nope')").err,
              testing::AllOf(HasSubstr("    at REPL:1:15 {\n  errno: -2,\n"),
                             Not(HasSubstr("[eval]"))));
  EXPECT_THAT(MustEval(*node, "require('fs').readFileSync({})").err,
              HasSubstr("\nTypeError [ERR_INVALID_ARG_TYPE]: The "));
}

TEST(NodeTest, ImportsModules) {
  auto node = MustStart(NodeDialect());

  const Reply reply = MustEval(
      *node, "var fs; import('fs').then(module => { fs = module; }); 1");

  EXPECT_EQ(reply.out, "1\n");
  EXPECT_EQ(reply.err, "");
  // The promise is fulfilled at some time after the reply.
  while (MustEval(*node, "typeof fs").out == "'undefined'\n") {
  }
  const Reply used = MustEval(*node, "typeof fs.readFileSync");
  EXPECT_EQ(used.out, "'function'\n");
  EXPECT_EQ(used.err, "");
}

TEST(LuaTest, ServesEachVersionFromFiveOneOn) {
  for (const char* version : {"lua5.1", "lua5.3", "lua5.4", "luajit"}) {
    SCOPED_TRACE(version);
    ReplDialect dialect = LuaDialect();
    dialect.command.argv[0] = version;
    auto started = Repl::Start(dialect);
    if (absl::IsNotFound(started.status())) continue;  // Is not installed.
    ASSERT_THAT(started, IsOk());
    Repl& lua = **started;

    EXPECT_EQ(MustEval(lua, "1+1, nil").out, "2\tnil\n");
    EXPECT_THAT(lua.Eval("f = function()", kNeverReached),
                HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(MustEval(lua, "local t; t.x = 1").status, 1);
    // LuaJIT's compiled loops take no interrupt.
    if (absl::StrContains(version, "jit")) MustEval(lua, "jit.off()");
    for (int i = 0; i < 3; ++i) {
      const auto late = lua.Eval("while true do end", kShort);
      EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
      EXPECT_EQ(MustEval(lua, "1+1").out, "2\n");
    }
    EXPECT_THAT(lua.Close(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
  }
}

TEST(Sqlite3Test, TakesAStatementThatEndsWithAComment) {
  auto sqlite = MustStart(Sqlite3Dialect());

  EXPECT_EQ(MustEval(*sqlite, "select 1 -- done;").out, "1\n");
  EXPECT_EQ(MustEval(*sqlite, "select 2 /* done; */").out, "2\n");
  EXPECT_EQ(MustEval(*sqlite, "select 3; -- done").out, "3\n");
  EXPECT_EQ(MustEval(*sqlite, ".print 4\nselect 5").out, "4\n5\n");
  EXPECT_EQ(MustEval(*sqlite, "-- nothing").out, "");
  EXPECT_EQ(MustEval(*sqlite, "select ';'").out, ";\n");
}

// REPL-08
TEST(ShTest, ReportsTheStatusAndIsNotFooledByItsInput) {
  for (const ReplDialect& dialect : {ShDialect(), BashAsSh(), BashDialect()}) {
    auto sh = MustStart(dialect);

    EXPECT_EQ(MustEval(*sh, "(exit 7)").status, 7);
    EXPECT_EQ(MustEval(*sh, "echo $?").out, "7\n");
    EXPECT_EQ(MustEval(*sh, "cat; echo done").out, "done\n");
    EXPECT_NE(MustEval(*sh, "if then").status, 0);
    EXPECT_EQ(MustEval(*sh, "echo 'don'\"'\"'t'; echo e >&2").out, "don't\n");
    const Reply here = MustEval(*sh, "cat <<END\none\n$((1+1))\nEND");
    EXPECT_EQ(here.out, "one\n2\n");
    EXPECT_EQ(MustEval(*sh, "").status, 0);
    // The text of the marker command, which a trace prints, does not end a
    // reply.
    EXPECT_EQ(MustEval(*sh, "set -x; echo traced").out, "traced\n");
    MustEval(*sh, "set +x");
    EXPECT_EQ(MustEval(*sh, "printf abc").out, "abc");
  }
}

TEST(ShTest, FailsToStartWithAShellThatDoesNotServe) {
  const auto sh = Repl::Start(ShAs("/bin/zsh"));

  if (absl::IsNotFound(sh.status())) GTEST_SKIP() << "zsh is not installed";
  EXPECT_THAT(sh, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(sh.status().message(),
              HasSubstr("ShDialect needs dash, bash or busybox as sh"));
}

TEST(ShTest, TakesABackslashAtTheEndForAContinuedLine) {
  for (const ReplDialect& dialect :
       {ShDialect(), BashAsSh(), ShAs("/bin/busybox"), BashDialect(),
        ZshDialect()}) {
    auto started = Repl::Start(dialect);
    if (absl::IsNotFound(started.status())) continue;  // Is not installed.
    ASSERT_THAT(started, IsOk());
    Repl& sh = **started;
    SCOPED_TRACE(dialect.command.argv[0] + " " + dialect.command.executable);

    for (const char* incomplete :
         {"echo a\\", "echo $\\", "echo a;\\", "echo \"\\", "echo 'a\\",
          "echo \\\\\\", "\\", "cat <<E\n\\"}) {
      EXPECT_THAT(sh.Eval(incomplete, kNeverReached),
                  HasCode(absl::StatusCode::kInvalidArgument))
          << incomplete;
    }
    EXPECT_EQ(MustEval(sh, "echo a\\\nb").out, "ab\n");
    EXPECT_EQ(MustEval(sh, "echo a\\\\ # \\").out, "a\\\n");
    EXPECT_NE(MustEval(sh, ") \\").status, 0);
    EXPECT_EQ(MustEval(sh, "echo on").out, "on\n");
  }
}

TEST(BashTest, GoesOnAfterABackslashThatOnlyASettingMakesValid) {
  auto bash = MustStart(BashDialect());

  EXPECT_EQ(MustEval(*bash, "shopt -s extglob\necho !(*)\\").out, "!(*)\n");
  EXPECT_EQ(MustEval(*bash, "echo on").out, "on\n");
}

TEST(ZshTest, GoesOnWhereABraceIsNoEnd) {
  auto zsh = MustStart(ZshDialect());

  EXPECT_THAT(zsh->Eval("setopt ignoreclosebraces", kNeverReached), IsOk());

  EXPECT_EQ(MustEval(*zsh, "echo 1").out, "1\n");
  EXPECT_EQ(MustEval(*zsh, "cat <<E\n2\nE").out, "2\n");
  EXPECT_EQ(MustEval(*zsh, "false").status, 1);
  EXPECT_THAT(zsh->Eval("echo 'x", kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ShTest, TracesOnlyTheEvalOfItsOwnCommands) {
  for (const auto& [dialect, name] :
       {std::pair(ShDialect(), "sh"), std::pair(BashAsSh(), "bash as sh"),
        std::pair(BashDialect(), "bash"), std::pair(ZshDialect(), "zsh")}) {
    SCOPED_TRACE(name);
    auto sh = MustStart(dialect);

    EXPECT_THAT(MustEval(*sh, "set -x; echo one").err,
                testing::MatchesRegex("[^ ]* echo one\n"));
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(
          MustEval(*sh, "echo two").err,
          testing::MatchesRegex(
              "[^ ]* (command )?eval [^|]*echo two[^|]*\n[^ ]* echo two\n"));
    }
    EXPECT_EQ(MustEval(*sh, "set +x; (exit 3)").status, 3);
    EXPECT_EQ(MustEval(*sh, "echo $?").out, "3\n");
  }
}

TEST(ShTest, IsNamedAsWithoutARepl) {
  for (const ReplDialect& dialect :
       {ShDialect(), BashAsSh(), BashDialect(), ZshDialect()}) {
    auto sh = MustStart(dialect);

    EXPECT_EQ(MustEval(*sh, "echo $0").out, dialect.command.argv[0] + "\n");
  }
}

TEST(ShTest, CountsTheLinesOfTheStatementInMessages) {
  for (const ReplDialect& dialect : {ShDialect(), ZshDialect()}) {
    auto sh = MustStart(dialect);

    MustEval(*sh, ":\n:");
    const std::string err = MustEval(*sh, ":\nnope").err;

    EXPECT_THAT(err, testing::MatchesRegex("sh: 2: eval: nope: not found\n|"
                                           "\\(eval\\):2: command not found: "
                                           "nope\n"));
  }
}

TEST(FishTest, TakesBytesThatAreNotUtf8) {
  auto started = Repl::Start(FishDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& fish = **started;

  EXPECT_EQ(MustEval(fish, "echo \"caf\xE9\" \xC3\xA9\xFF'\x80'").out,
            "caf\xE9 \xC3\xA9\xFF\x80\n");
  EXPECT_EQ(MustEval(fish, "string length \xC3\xA9").out, "1\n");
  EXPECT_THAT(fish.Eval("echo \"caf\xE9", kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(BashTest, KeepsTheStatusOfAStatementForTheNextOne) {
  auto bash = MustStart(BashDialect());
  for (const auto& [statement, expected] :
       std::vector<std::pair<const char*, const char*>>{
           {"while false; do :; done", "0 1\n"},
           {"if (exit 3); then :; fi", "0 3\n"},
           {"! false", "0 1\n"},
           {"! true", "1 0\n"},
           {"! false | true", "1 1 0\n"},
           {"(exit 3) | (exit 4)", "4 3 4\n"},
           {"(exit 3) | true", "0 3 0\n"},
           {"set -o pipefail; (exit 3) | true", "3 3 0\n"},
           {"! true | true", "1 0 0\n"},
           {"if false | true; then :; fi", "0 1 0\n"},
           {"x=$(exit 4)", "4 4\n"}}) {
    MustEval(*bash, statement);
    EXPECT_EQ(MustEval(*bash, "echo $? ${PIPESTATUS[@]}").out, expected)
        << statement;
  }
}

TEST(BashTest, KeepsTheDescriptorsThatAStatementOpens) {
  const TemporaryDirectory directory;
  auto bash = MustStart(BashDialect());

  MustEval(*bash, absl::StrCat("cd ", directory.path(),
                               "; exec 8>eight 9>nine; flock -n 9"));
  MustEval(*bash, "echo a >&8; echo b >&9");

  EXPECT_EQ(MustEval(*bash, "cat eight nine").out, "a\nb\n");
  EXPECT_EQ(MustEval(*bash, "flock -n nine true").status, 1);
  EXPECT_EQ(MustEval(*bash, "exec 8>&- 9>&-; flock -n nine true").status, 0);
}

TEST(BashTest, GoesOnInPosixMode) {
  auto bash = MustStart(BashDialect());
  MustEval(*bash, "set -o posix");

  EXPECT_THAT(bash->Eval("while :; do :; done", kShort).status(),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(MustEval(*bash, "echo on").out, "on\n");
}

TEST(BashTest, EvaluatesTextThatEndsWithABackslash) {
  auto bash = MustStart(BashDialect());

  const Reply reply = MustEval(*bash, "eval 'echo a\\'");

  EXPECT_EQ(reply.out, "a\\\n");
  EXPECT_EQ(reply.err, "");
}

TEST(BashTest, GoesOnAfterASyntaxErrorInAConditionalCommand) {
  for (const ReplDialect& dialect : {BashAsSh(), BashDialect()}) {
    auto bash = MustStart(dialect);
    for (const char* statement :
         {"[[ a b ]]", "[[ -f ]]", "[[ a ==", "x=1\n[[ a b ]]", "eval '[[ a'",
          "eval '[[ a =='", "eval '[[ ('", "eval '[[ a &&'"}) {
      const Reply reply = MustEval(*bash, statement);
      EXPECT_EQ(reply.status, 2) << statement;
      EXPECT_THAT(reply.err, HasSubstr(": eval: line ")) << statement;
      EXPECT_EQ(MustEval(*bash, "[[ 1 == 1 ]] && echo on").out, "on\n");
    }
  }
}

TEST(BashTest, KnowsAliases) {
  auto bash = MustStart(BashDialect());
  MustEval(*bash, "alias greet='echo hello'");

  EXPECT_EQ(MustEval(*bash, "greet you").out, "hello you\n");
}

TEST(BashTest, GoesOnWhateverTheAliases) {
  auto bash = MustStart(BashDialect());
  for (const char* name : {"command", "builtin", "unset", "shopt", "trap",
                           "break", "false", "eval", "printf", "echo"}) {
    MustEval(*bash, absl::StrCat("alias ", name, "='false '"));
  }

  EXPECT_THAT(bash->Eval("while :; do :; done", kShort).status(),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(MustEval(*bash, "\\echo on").out, "on\n");
}

TEST(BashTest, DoesNotEndByAStatusThatIsNoError) {
  auto bash = MustStart(BashDialect());
  MustEval(*bash, "set -e; trap 'echo ERR' ERR");

  for (const char* statement :
       {"false && true", "! true", "if false; then :; fi",
        "until true; do :; done", "while false; do :; done"}) {
    MustEval(*bash, statement);
    EXPECT_EQ(MustEval(*bash, "echo on").out, "on\n") << statement;
  }
}

TEST(PerlTest, GoesOnAfterAStatementThatLeavesALoop) {
  auto perl = MustStart(PerlDialect());

  for (const char* statement : {"last", "next", "redo", "goto X", "return 5"}) {
    EXPECT_THAT(perl->Eval(statement, kNeverReached).status(), IsOk());
    EXPECT_EQ(MustEval(*perl, "print 4711").out, "4711") << statement;
  }
}

TEST(RTest, PrintsAFunctionAsItWasWritten) {
  auto started = Repl::Start(RDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& r = **started;

  const std::string function = "function(x) {\n  x*2  # doubles\n}";
  MustEval(r, "f <- " + function);

  EXPECT_EQ(MustEval(r, "f").out, function + "\n");
}

// As at its prompt: no call of the program that evaluates the statement.
TEST(RTest, WritesErrorsAndWarningsAsItsPromptDoes) {
  auto started = Repl::Start(RDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& r = **started;

  const Reply failed = MustEval(r, "nope");
  EXPECT_EQ(failed.err, "Error: object 'nope' not found\n");
  EXPECT_EQ(failed.status, 1);
  const Reply warned = MustEval(r, "log(-1); 2");
  EXPECT_EQ(warned.out, "[1] NaN\n[1] 2\n");
  EXPECT_EQ(warned.err, "Warning message:\nIn log(-1) : NaNs produced\n");
  EXPECT_EQ(warned.status, 0);
  EXPECT_EQ(MustEval(r, "1:2 + 1:3; options(warn = 2)").err,
            "Warning message:\nIn 1:2 + 1:3 :\n"
            "  longer object length is not a multiple of shorter object "
            "length\n");
  EXPECT_EQ(MustEval(r, "warning('now')").status, 1);
  EXPECT_EQ(MustEval(r,
                     "options(warn = 0); f <- function() "
                     "{ warning('w'); stop('e') }\nf()")
                .err,
            "Error in f() : e\nIn addition: Warning message:\nIn f() : w\n");
}

TEST(RTest, GoesOnWithoutTheConnectionsThatAStatementCloses) {
  auto started = Repl::Start(RDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& r = **started;

  MustEval(r, "closeAllConnections()");
  EXPECT_EQ(MustEval(r, "1").out, "[1] 1\n");
  // The user's connections have the numbers of the closed ones.
  MustEval(r,
           "closeAllConnections(); f <- textConnection('a\nb'); "
           "g <- file('/dev/null', 'w')");
  EXPECT_EQ(MustEval(r, "readLines(f)").out, "[1] \"a\" \"b\"\n");
}

TEST(RTest, EvaluatesInTheGlobalEnvironmentAsItsPromptDoes) {
  auto started = Repl::Start(RDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& r = **started;

  EXPECT_EQ(MustEval(r, "identical(parent.frame(), globalenv())").out,
            "[1] TRUE\n");
  EXPECT_EQ(MustEval(r, "6 * 7; .Last.value + 1").out, "[1] 42\n[1] 43\n");
  EXPECT_EQ(MustEval(r, ".Last.value").out, "[1] 43\n");
  EXPECT_EQ(MustEval(r,
                     "setClass('A', representation(x = 'numeric'),\n"
                     "  contains = 'function') -> A; A(function() 1, x = 1)@x")
                .out,
            "[1] 1\n");
  EXPECT_EQ(MustEval(r,
                     "setMethod('show', 'A', function(object) "
                     "cat('an A\\n'))\nA(function() 1, x = 1)")
                .out,
            "an A\n");
  // Names of the user.
  MustEval(r, "paste <- print <- is.call <- function(...) stop('mine')");
  EXPECT_EQ(MustEval(r, "4711").out, "[1] 4711\n");
}

TEST(PrologTest, PrintsTermsAsItsToplevelDoes) {
  auto started = Repl::Start(PrologDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();

  EXPECT_EQ(MustEval(**started, "X = f([1,2],'A b')").out,
            "X = f([1, 2], 'A b').\n");
}

TEST(TclTest, OpensANewStdout) {
  auto started = Repl::Start(TclDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& tcl = **started;

  EXPECT_EQ(MustEval(tcl, "close stdout; open /dev/stderr w").status, 0);
  EXPECT_EQ(MustEval(tcl, "puts hi; flush stdout").err, "hi\n");
}

// As at ocaml's prompt, which takes back the types that it has inferred.
TEST(OcamlTest, InfersNoTypeFromAPhraseThatFailed) {
  auto started = Repl::Start(OcamlDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& ocaml = **started;

  EXPECT_EQ(
      MustEval(ocaml, "let r = ref [];; let s = ref [];; s := [1]").status, 0);
  EXPECT_EQ(MustEval(ocaml, "let f () = r := [1]; 1 + \"\"").status, 1);
  EXPECT_EQ(MustEval(ocaml, "r := [\"text\"]; !r").out,
            "- : string list = [\"text\"]\n");
  EXPECT_EQ(MustEval(ocaml, "s").out, "- : int list ref = {contents = [1]}\n");
}

TEST(OcamlTest, EndsByItsDirective) {
  auto started = Repl::Start(OcamlDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();

  const auto reply = (*started)->Eval("1;; #quit;;", kNeverReached);

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(reply.status().message(), HasSubstr("exited with status 0"));
}

TEST(PerlTest, LoadsNoErrno) {
  auto started = Repl::Start(PerlDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();

  EXPECT_EQ(MustEval(**started, "print exists $INC{'Errno.pm'} ? 1 : 0").out,
            "0");
}

TEST(TclTest, HidesItsProgramFromStatements) {
  auto started = Repl::Start(TclDialect());
  if (absl::IsNotFound(started.status())) GTEST_SKIP() << started.status();
  Repl& tcl = **started;

  EXPECT_EQ(MustEval(tcl, "interp children").out, "");
  EXPECT_EQ(MustEval(tcl, "info script").out, "");
  EXPECT_EQ(MustEval(tcl, "interp slaves; interp delete asyncproc").status, 1);
  EXPECT_EQ(MustEval(tcl, "rename puts put; list renamed").out, "renamed\n");
  EXPECT_EQ(MustEval(tcl, "set errorInfo; set nothing").err,
            "can't read \"nothing\": no such variable\n"
            "    while executing\n\"set nothing\"\n");
}

}  // namespace
}  // namespace asyncproc

#include "asyncproc/repl.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/process.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::unique_ptr<Repl> MustStart(ReplDialect dialect) {
  auto repl = Repl::Start(std::move(dialect));
  EXPECT_THAT(repl, IsOk());
  if (!repl.ok()) abort();
  return *std::move(repl);
}

Reply MustEval(Repl& repl, absl::string_view statement) {
  auto reply = repl.Eval(statement, kNeverReached);
  EXPECT_THAT(reply, IsOk()) << statement;
  return reply.ok() ? *reply : Reply();
}

ReplDialect ShAs(const char* executable) {
  ReplDialect dialect = ShDialect();
  dialect.command.executable = executable;
  return dialect;
}

ReplDialect BashAsSh() { return ShAs("/bin/bash"); }

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

// ---- Text that stdin refuses

// dash on a terminal, whose lines have at most 4,095 bytes.
ReplDialect PromptedDash() {
  ReplDialect dialect;
  dialect.command = OnPlainTerminal(Command({"dash", "-i"}));
  dialect.command.env.Set("PS1", "drdy> ").Set("PS2", "dmore> ");
  dialect.prompt = "drdy> ";
  dialect.continuation = "dmore> ";
  return dialect;
}

std::string TooLongForATerminal() { return std::string(5000, '1'); }

// Evaluates `statement`, which is refused, and then `next`, which prints 42.
std::string RefusalOf(Repl& repl, absl::string_view statement,
                      absl::StatusCode code, absl::string_view next) {
  const absl::Status refused = repl.Eval(statement, kNeverReached).status();
  EXPECT_THAT(refused, HasCode(code));
  EXPECT_FALSE(IsIncomplete(refused));
  EXPECT_THAT(refused.message(), HasSubstr("the session goes on"));
  EXPECT_EQ(MustEval(repl, next).out, "42\n");
  return std::string(refused.message());
}

TEST(RefusedTextTest, LeavesASessionWithPromptsAsItWas) {
  auto dash = MustStart(PromptedDash());
  MustEval(*dash, "x=42");

  EXPECT_THAT(
      RefusalOf(*dash, "echo " + TooLongForATerminal(),
                absl::StatusCode::kInvalidArgument, "echo $x"),
      testing::AllOf(HasSubstr(": nothing of \"echo 111"),
                     HasSubstr(" was sent: "), HasSubstr("4095 bytes")));
}

TEST(RefusedTextTest, LeavesASessionWithMarksAsItWas) {
  ReplDialect dialect;
  dialect.command = OnPlainTerminal(Command({"dc"}));
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";
  auto dc = MustStart(dialect);

  EXPECT_THAT(RefusalOf(*dc, TooLongForATerminal(),
                        absl::StatusCode::kInvalidArgument, "6 7*p"),
              HasSubstr(": nothing of \"111"));
}

TEST(RefusedTextTest, MayBeALaterLineOfAStatement) {
  auto dash = MustStart(PromptedDash());

  EXPECT_THAT(RefusalOf(*dash, "x=41\nx=42\necho " + TooLongForATerminal(),
                        absl::StatusCode::kInvalidArgument, "echo $x"),
              HasSubstr(": only the first 2 lines of \"x=41"));
}

TEST(RefusedTextTest, MayBeInTheMiddleOfAnIncompleteStatement) {
  auto dash = MustStart(PromptedDash());

  EXPECT_THAT(RefusalOf(*dash, "{\necho " + TooLongForATerminal() + "\n}",
                        absl::StatusCode::kInvalidArgument, "echo 42"),
              HasSubstr(": only the first line of \"{"));
}

TEST(RefusedTextTest, MayExceedTheLimitOfTheInput) {
  ReplDialect dialect;
  dialect.command = Command({"dc"});
  dialect.command.input_limit = 200;
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";
  auto dc = MustStart(dialect);

  EXPECT_THAT(
      RefusalOf(*dc, TooLongForATerminal(),
                absl::StatusCode::kResourceExhausted, "6 7*p"),
      testing::AllOf(HasSubstr(": nothing of \"111"), HasSubstr("input_limit"),
                     Not(HasSubstr("wrote more"))));
}

TEST(RefusedTextTest, MayBeAnAnswer) {
  ReplDialect dialect = BashDialect();
  dialect.command.in = Stdio::Pipe();
  dialect.command.input_limit = 200;
  auto bash = MustStart(dialect);
  bash->set_on_question(
      [](absl::string_view) { return TooLongForATerminal(); });

  EXPECT_THAT(
      RefusalOf(*bash, "printf 'n? '; read x",
                absl::StatusCode::kResourceExhausted, "echo 42"),
      testing::AllOf(HasSubstr("the answer to \"n? \" was refused"),
                     HasSubstr("input_limit"), Not(HasSubstr("wrote more"))));
}

TEST(RefusedTextTest, IsTheReasonWhyAProgramIsNotReady) {
  ReplDialect dialect;
  dialect.command = Command({"dc"});
  dialect.command.input_limit = 20;
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";

  const absl::Status status = Repl::Start(dialect).status();

  EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(status.message(), testing::AllOf(HasSubstr("is not ready"),
                                               HasSubstr("input_limit"),
                                               Not(HasSubstr("wrote too"))));
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

// ---- The further lines of a statement

// Supplies `lines`, one after the other.
Repl::NextLine Lines(std::vector<std::string> lines) {
  return
      [lines,
       i = size_t{0}]() mutable -> absl::StatusOr<std::optional<std::string>> {
        if (i == lines.size()) return std::nullopt;
        return lines[i++];
      };
}

TEST(NextLineTest, CompletesAStatement) {
  auto dash = MustStart(PromptedDash());
  dash->set_on_incomplete(Lines({"then", "echo 4''2", "fi", "echo no"}));

  EXPECT_EQ(MustEval(*dash, "if true").out, "42\n");
  EXPECT_EQ(MustEval(*dash, "echo 43").out, "43\n");
}

TEST(NextLineTest, MayBeMissing) {
  auto dash = MustStart(PromptedDash());
  dash->set_on_incomplete(Lines({"then"}));

  EXPECT_TRUE(IsIncomplete(dash->Eval("if true", kNeverReached).status()));
  EXPECT_EQ(MustEval(*dash, "echo 42").out, "42\n");
}

TEST(NextLineTest, AbandonsTheStatementAtAnError) {
  ReplDialect dialect = PromptedDash();
  dialect.refused = "\x7f";
  auto dash = MustStart(dialect);
  dash->set_on_incomplete([] { return absl::DataLossError("gone"); });

  EXPECT_THAT(
      RefusalOf(*dash, "if true", absl::StatusCode::kDataLoss, "echo 42"),
      HasSubstr("only the first line of \"if true\" was sent: gone"));

  dash->set_on_incomplete(Lines({"then \x7f"}));
  EXPECT_THAT(
      RefusalOf(*dash, "if true", absl::StatusCode::kUnimplemented, "echo 42"),
      HasSubstr("cannot take the byte \"\\x7f\""));
}

TEST(NextLineTest, TakesNoTimeOfTheStatement) {
  static constexpr absl::Duration kTimeout = absl::Seconds(3);
  auto dash = MustStart(PromptedDash());
  dash->set_on_incomplete([]() -> absl::StatusOr<std::optional<std::string>> {
    absl::SleepFor(kTimeout);
    return "fi";
  });

  const auto reply = dash->Eval("if true; then echo 4''2", kTimeout);

  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->out, "42\n");
}

// ---- Questions

// Statements that read a line, and print it.
struct Questioner {
  const char* name;
  ReplDialect (*dialect)();
  const char* asks;      // Writes "n? ", and reads.
  const char* question;  // The output at that time.
  const char* reply;     // With the answer 42.
  const char* next;      // Prints 42.
};

class QuestionTest : public testing::TestWithParam<Questioner> {
 protected:
  void SetUp() override {
    ReplDialect dialect = GetParam().dialect();
    dialect.command.in = Stdio::Pipe();
    auto repl = Repl::Start(dialect, kNeverReached);
    if (absl::IsNotFound(repl.status())) GTEST_SKIP() << repl.status();
    ASSERT_THAT(repl, IsOk());
    repl_ = *std::move(repl);
  }

  void ExpectToGoOn() {
    EXPECT_EQ(
        MustEval(*repl_, GetParam().next).out,
        absl::StrCat("42\n",
                     GetParam().dialect == PrologDialect ? "true.\n" : ""));
  }

  std::unique_ptr<Repl> repl_;
};

TEST_P(QuestionTest, IsAnsweredByAFunction) {
  std::vector<std::string> questions;
  repl_->set_on_question([&](absl::string_view question) {
    questions.emplace_back(question);
    return GetParam().dialect == PrologDialect ? "42.\n" : "42\n";
  });

  for (int i = 0; i < 2; ++i) {
    const Reply reply = MustEval(*repl_, GetParam().asks);
    EXPECT_EQ(reply.out + reply.err, GetParam().reply);
    ExpectToGoOn();
  }

  EXPECT_THAT(questions, testing::Each(GetParam().question));
  EXPECT_EQ(questions.size(), 2);
}

TEST_P(QuestionTest, IsInTheErrorWhenThereIsNoAnswer) {
  repl_->set_on_question([](absl::string_view) { return std::nullopt; });

  for (int i = 0; i < 2; ++i) {
    auto reply = repl_->Eval(GetParam().asks, kNeverReached);

    EXPECT_THAT(reply, HasCode(absl::StatusCode::kAborted));
    EXPECT_THAT(reply.status().message(),
                testing::AllOf(HasSubstr("no answer to \""),
                               HasSubstr(GetParam().question),
                               HasSubstr("the session goes on")));
    ExpectToGoOn();
    // The first read after an interrupted one fails.
    if (GetParam().dialect == PrologDialect) break;
  }
}

TEST_P(QuestionTest, IsInTheErrorAfterATimeout) {
  auto reply = repl_->Eval(GetParam().asks, absl::Seconds(1) * kSlowness);

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(reply.status().message(),
              testing::AllOf(HasSubstr("it waited for its stdin"),
                             HasSubstr(GetParam().question),
                             HasSubstr("the session goes on")));
  ExpectToGoOn();
}

INSTANTIATE_TEST_SUITE_P(
    All, QuestionTest,
    testing::ValuesIn(std::vector<Questioner>{
        {"python", PythonDialect, "print(int(input('n? ')) + 1)", "n? ",
         "n? 43\n", "42"},
        {"sh", ShDialect, "printf 'n? '; read x; echo $x", "n? ", "n? 42\n",
         "echo 42"},
        {"bash", BashDialect, "printf 'n? ' >&2; read x; echo $x", "n? ",
         "42\nn? ", "echo 42"},
        // A child asks.
        {"bash_child", BashDialect, "sh -c 'printf \"n? \"; read x; echo $x'",
         "n? ", "n? 42\n", "echo 42"},
        {"zsh", ZshDialect, "printf 'n? '; read x; echo $x", "n? ", "n? 42\n",
         "echo 42"},
        {"bc", BcDialect, "print \"n? \"; x = read(); x", "n? ", "n? 42\n",
         "42"},
        {"dc", DcDialect, "[n? ]n ? p", "n? ", "n? 42\n", "42p"},
        {"ruby", RubyDialect, "print 'n? '; puts gets", "n? ", "n? 42\n",
         "puts 42"},
        {"perl", PerlDialect, "print 'n? '; print scalar <STDIN>", "n? ",
         "n? 42\n", "print qq(42\n)"},
        {"tcl", TclDialect, "puts -nonewline {n? }; gets stdin x; puts $x",
         "n? ", "n? 42\n", "puts 42"},
        {"prolog", PrologDialect, "write('n? '), read(X), writeln(X)", "n? ",
         "n? 42\nX = 42.\n", "writeln(42)"},
        {"lua", LuaDialect, "io.write('n? '); local x = io.read(); print(x)",
         "n? ", "n? 42\n", "print(42)"},
        {"guile", GuileDialect,
         "(begin (display \"n? \") (display (read)) (newline))", "n? ",
         "n? 42\n", "(begin (display 42) (newline))"},
    }),
    [](const testing::TestParamInfo<Questioner>& info) {
      return std::string(info.param.name);
    });

TEST(QuestionsTest, IsTheOutputSinceTheAnswerBefore) {
  ReplDialect dialect = PythonDialect();
  dialect.command.in = Stdio::Pipe();
  auto python = MustStart(dialect);
  std::vector<std::string> questions;
  python->set_on_question([&](absl::string_view question) {
    questions.emplace_back(question);
    return absl::StrCat(questions.size(), "\n");
  });

  EXPECT_EQ(MustEval(*python, "[input('a? '), input('b? ')]").out,
            "a? b? ['1', '2']\n");

  EXPECT_THAT(questions, testing::ElementsAre("a? ", "b? "));
}

// The streams are one socket for stdin alone, or for stdin and stdout.
class SocketQuestionTest : public testing::TestWithParam<bool> {
 protected:
  static std::unique_ptr<Repl> StartOnSocket(ReplDialect dialect) {
    dialect.command.in = Stdio::Socket();
    if (GetParam()) dialect.command.out = Stdio::ToStdin();
    return MustStart(dialect);
  }
};

TEST_P(SocketQuestionTest, IsAnsweredByAFunction) {
  for (ReplDialect (*dialect)() : {PythonDialect, BashDialect}) {
    const bool is_python = dialect == PythonDialect;
    auto repl = StartOnSocket(dialect());
    repl->set_on_question([](absl::string_view question) {
      return absl::StrCat(question, "42\n");
    });

    EXPECT_EQ(
        MustEval(*repl, is_python ? "print(input('n? '))"
                                  : "printf 'n? '; read -r x; echo \"$x\"")
            .out,
        "n? n? 42\n");
  }
}

TEST_P(SocketQuestionTest, IsInTheErrorAfterATimeout) {
  auto python = StartOnSocket(PythonDialect());

  EXPECT_THAT(
      python->Eval("input('n? ')", absl::Seconds(1) * kSlowness).status(),
      testing::AllOf(
          HasCode(absl::StatusCode::kDeadlineExceeded),
          testing::Property(&absl::Status::message,
                            HasSubstr("; it waited for its stdin"))));
  EXPECT_EQ(MustEval(*python, "6*7").out, "42\n");
}

INSTANTIATE_TEST_SUITE_P(Sockets, SocketQuestionTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) {
                           return std::string(info.param ? "StdinAndStdout"
                                                         : "Stdin");
                         });

TEST(QuestionsTest, EndsItsStatementWhenItIsInterrupted) {
  ReplDialect dialect = BashDialect();
  dialect.command.in = Stdio::Pipe();
  auto bash = MustStart(dialect);

  EXPECT_THAT(bash->Eval("read x; y=1", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(MustEval(*bash, "echo $y").out, "\n");
  // The answer to the interrupt does not remain.
  EXPECT_EQ(MustEval(*bash, "read -t 0; echo $?").out, "1\n");
}

TEST(QuestionsTest, IsNotAskedWhileAChildReadsSomethingElse) {
  ReplDialect dialect = BashDialect();
  dialect.command.in = Stdio::Pipe();
  auto bash = MustStart(dialect);
  bash->set_on_question([](absl::string_view) { return std::nullopt; });

  EXPECT_EQ(MustEval(*bash, "(sleep 0.5; echo 42) | cat").out, "42\n");
}

}  // namespace
}  // namespace asyncproc

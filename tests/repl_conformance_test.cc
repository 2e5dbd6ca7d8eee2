// What every dialect is asked for, in one table. What a program cannot do is in
// the table, with its reason.

#include <signal.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

struct Row {
  const char* name;
  std::function<ReplDialect()> dialect;
  // A statement that prints its argument, a number of digits, and a newline.
  std::function<std::string(absl::string_view)> print;
  // A statement that is a string or comment of any bytes and prints nothing.
  std::function<std::string(absl::string_view)> string;
  const char* reads_stdin;  // Null: the program has no such statement.
  const char* wrong;        // A syntax error.
  const char* sleeps;       // In a child process; null: there is none.
  const char* floods;       // Writes without end; null: see its row.
  bool idle_interrupt;      // Whether an interrupt while idle does no harm.
  std::string refused;      // Bytes that `string` may not have.
  std::string after = {};   // Written after the output of each `print`.
};

std::function<std::string(absl::string_view)> Around(std::string before,
                                                     std::string after) {
  return [before, after](absl::string_view text) {
    return absl::StrCat(before, text, after);
  };
}

std::vector<Row> Rows() {
  return {
      {"bc", BcDialect, Around("", ""), Around("/*", "*/"), "read()", "1 +* 2",
       nullptr, "while (1) 1", true, ""},
      // An interrupt ends dc. "[" and "]" must be balanced in a string.
      {"dc", DcDialect, Around("", "p"), Around("[", "]s_"), nullptr, "Y",
       nullptr, nullptr, false, "[]"},
      {"python", PythonDialect, Around("print(", ")"), Around("# ", ""),
       "try: input()\nexcept EOFError: pass", "1 +* 2",
       "import os; _ = os.system('sleep 1000')", "while True: print('x' * 99)",
       true, "\n\r"},
      {"sh", ShDialect, Around("echo ", ""), Around(": '", "'"), "cat", "if ;",
       "sleep 1000; sleep 1000", "yes", true, "'"},
      {"bash", BashDialect, Around("echo ", ""), Around(": '", "'"), "cat",
       "if ;", "sleep 1000; sleep 1000", "yes >&2", true, "'"},
      {"sqlite3", [] { return Sqlite3Dialect(); }, Around("select ", ""),
       Around("select '", "' where 0"), nullptr, "selec 1", ".shell sleep 1000",
       "with recursive n(i) as (select 1 union all select i from n) "
       "select i from n",
       false, "'"},
      {"gdb", [] { return GdbDialect(); }, Around("output ", "\necho \\n"),
       Around("# ", ""), nullptr, "nonsense", "shell sleep 1000", "shell yes",
       false, "\n\\\r"},
      // What a loop of node's writes waits in the memory of node.
      {"node", NodeDialect, Around("console.log(", ")"), Around("/*", "*/0;"),
       "require('fs').readFileSync(0)", "1 +* 2",
       "require('child_process').execSync('sleep 1000')", nullptr, true, ""},
      // Its line editing takes control characters for commands.
      {"lua", LuaDialect, Around("print(", ")"), Around("_ = '", "'"), nullptr,
       "1 +* 2", nullptr, "while true do print(1) end", false, "'\\\n"},
      {"zsh", ZshDialect, Around("echo ", ""), Around(": '", "'"), "cat",
       "if ;", "sleep 1000; sleep 1000", "yes", true, "'"},
      {"ruby", RubyDialect, Around("puts ", ""), Around("# ", ""),
       "$stdin.read", "1 +* 2", "system('sleep 1000')", "loop { puts 1 }", true,
       "\n"},
      {"perl", PerlDialect, Around("print ", ", qq(\n)"), Around("'", "'"),
       "<STDIN>", "1 1", "system 'sleep 1000; sleep 1000'",
       "print qq(1\n) while 1", true, "'\\"},
      {"r", RDialect, Around("cat(", ", '\n', sep = '')"), Around("# ", ""),
       "readLines('stdin')", "1 +* 2", "system('sleep 1000')",
       "repeat cat(1, '\n')", true, "\n"},
      {"prolog", PrologDialect, Around("writeln(", ")"), Around("/*", "*/"),
       "read(_)", "1 + * 2", "shell('sleep 1000')", "repeat, writeln(1), fail",
       true, "/", "true.\n"},
      // An interrupt ends tclsh.
      {"tcl", TclDialect, Around("puts ", ""), Around("# ", ""), "gets stdin",
       "nonsense", nullptr, nullptr, false, "\\\n"},
  };
}

class ConformanceTest : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    auto repl = Repl::Start(GetParam().dialect(), kNeverReached);
    if (absl::IsNotFound(repl.status())) GTEST_SKIP() << repl.status();
    ASSERT_THAT(repl, IsOk());
    repl_ = *std::move(repl);
  }

  void ExpectToWork() {
    auto reply = repl_->Eval(GetParam().print("4711"), kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    EXPECT_EQ(reply->out, "4711\n" + GetParam().after);
  }

  std::unique_ptr<Repl> repl_;
};

TEST_P(ConformanceTest, TakesEveryByteOrRefusesIt) {
  std::string refused = repl_ == nullptr ? "" : GetParam().refused;
  for (int byte = 1; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (refused.find(c) != std::string::npos) continue;
    // Python's and node's statements are UTF-8.
    const std::string text = byte < 128 ? std::string(1, c) : "\xC3\xA4";
    auto reply = repl_->Eval(GetParam().string(text), kNeverReached);
    if (GetParam().dialect().refused.find(c) != std::string::npos) {
      EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kUnimplemented));
      continue;
    }
    ASSERT_THAT(reply.status(), IsOk()) << byte;
  }
  ExpectToWork();
}

TEST_P(ConformanceTest, TakesAStatementOfAMegabyte) {
  EXPECT_THAT(
      repl_->Eval(GetParam().string(std::string(1'000'000, 'x')), kNeverReached)
          .status(),
      IsOk());
  ExpectToWork();
}

TEST_P(ConformanceTest, TakesEmptyStatementsAndNewlinesAtTheEnd) {
  EXPECT_THAT(repl_->Eval("", kNeverReached).status(), IsOk());
  EXPECT_THAT(repl_->Eval("\n", kNeverReached).status(), IsOk());
  auto reply =
      repl_->Eval(absl::StrCat(GetParam().print("42"), "\n"), kNeverReached);
  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_EQ(reply->out, "42\n" + GetParam().after);
  EXPECT_EQ(repl_->Eval("", kNeverReached)->out, "");
}

TEST_P(ConformanceTest, GoesOnAfterASyntaxError) {
  for (int i = 0; i < 3; ++i) {
    auto reply = repl_->Eval(GetParam().wrong, kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    EXPECT_NE(reply->err + reply->out, "");
    ExpectToWork();
  }
}

TEST_P(ConformanceTest, HasAnEmptyStdinForStatements) {
  if (GetParam().reads_stdin == nullptr) GTEST_SKIP() << "nothing reads it";
  if (repl_->process().command().in.ToString() == Stdio::Pipe().ToString()) {
    GTEST_SKIP() << "statements come by stdin";
  }

  EXPECT_THAT(repl_->Eval(GetParam().reads_stdin, kNeverReached).status(),
              IsOk());

  ExpectToWork();
}

TEST_P(ConformanceTest, InterruptsWhatItsChildrenDo) {
  if (GetParam().sleeps == nullptr) GTEST_SKIP() << "it starts none";

  auto late = repl_->Eval(GetParam().sleeps, kShort);

  EXPECT_THAT(late.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.status().message(), testing::HasSubstr("session goes on"));
  ExpectToWork();
}

TEST_P(ConformanceTest, EndsAReplyThatIsTooLong) {
  if (GetParam().floods == nullptr) GTEST_SKIP() << "see its row";
  ReplDialect dialect = GetParam().dialect();
  dialect.reply_limit = 1 << 20;
  auto repl = Repl::Start(dialect, kNeverReached);
  ASSERT_THAT(repl, IsOk());
  repl_ = *std::move(repl);

  auto reply = repl_->Eval(GetParam().floods, kNeverReached);

  EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(
      reply.status().message(),
      testing::AllOf(testing::HasSubstr("more than the 1048576 bytes"),
                     testing::HasSubstr("it was interrupted, and the")));
  for (OutputStream* stream :
       {&repl_->process().out(), &repl_->process().err()}) {
    EXPECT_LE(stream->stats().high_water, 2 << 20);
  }
  ExpectToWork();
}

TEST_P(ConformanceTest, TakesNoHarmFromAnInterruptWhileItIsIdle) {
  if (!GetParam().idle_interrupt) GTEST_SKIP() << "the program ends by it";
  ExpectToWork();

  EXPECT_THAT(repl_->process().Signal(SIGINT), IsOk());

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(repl_->Eval("", kNeverReached).status(), IsOk());
  }
  ExpectToWork();
}

TEST_P(ConformanceTest, PairsTwoHundredStatementsWithTheirReplies) {
  for (int i = 1000; i < 1200; ++i) {
    auto reply = repl_->Eval(GetParam().print(absl::StrCat(i)), kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    ASSERT_EQ(reply->out, absl::StrCat(i, "\n", GetParam().after));
  }
}

TEST_P(ConformanceTest, WorksWhateverTheTerminalIsSaidToBe) {
  for (const char* term : {"", "dumb", "xterm"}) {
    ReplDialect dialect = GetParam().dialect();
    if (*term == '\0') {
      dialect.command.env.Unset("TERM");
    } else {
      dialect.command.env.Set("TERM", term);
    }
    auto repl = Repl::Start(dialect, kNeverReached);
    ASSERT_THAT(repl, IsOk());
    const std::string statement = absl::StrCat(
        GetParam().string(std::string(100, 'x')), "\n", GetParam().print("7"));
    auto reply = (*repl)->Eval(statement, kNeverReached);
    ASSERT_THAT(reply.status(), IsOk()) << term;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ConformanceTest, testing::ValuesIn(Rows()),
                         [](const testing::TestParamInfo<Row>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace asyncproc

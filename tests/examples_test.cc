// The examples work as documented, on real programs.

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

struct Said {
  std::string out;
  std::string err;
};

Said SaidBy(absl::string_view example) {
  RunOptions options;
  options.timeout = kNeverReached;
  options.check = true;
  auto result = asyncproc::Run(
      Command({absl::StrCat(std::filesystem::current_path().string(),
                            "/tools/examples/", example)}),
      options);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return {};
  return {std::string(result->out), std::string(result->err)};
}

TEST(ExamplesTest, ServerOutputIsAllThereAtTheEnd) {
  EXPECT_THAT(SaidBy("server_output").out,
              MatchesRegex("a page of [0-9]+ bytes\n"
                           "the end: killed by SIGTERM; it has said:\n"
                           "Serving HTTP on 127.0.0.1 port [0-9]+ [^\n]*\n"
                           "127.0.0.1 [^\n]*\"GET / HTTP/1.0\" 200 -\n"));
}

TEST(ExamplesTest, ServerLiveShowsEachLineAsItComes) {
  EXPECT_THAT(SaidBy("server_live").out,
              AllOf(ContainsRegex("^> Serving HTTP on 127.0.0.1 port [0-9]+"),
                    ContainsRegex("\n> 127.0.0.1 .*visit=1.*\n> 127.0.0.1 "
                                  ".*visit=2.*\n> 127.0.0.1 .*visit=3"),
                    EndsWith("\nthe end: killed by SIGTERM\n")));
}

TEST(ExamplesTest, LineQueueIsReadWithoutWaiting) {
  EXPECT_EQ(SaidBy("line_queue").out,
            "line: red\nline: green\nline: blue\ndid other work meanwhile\n");
}

TEST(ExamplesTest, InterpreterAnswersInTurn) {
  EXPECT_EQ(SaidBy("interpreter").out,
            "3 * 14 = 42\n42 + len('42') = 44\n44 + len('44') = 46\n"
            "46 + len('46') = 48\nthe end: exited with status 0\n");
}

TEST(ExamplesTest, DebuggerAnswersQuestions) {
  EXPECT_THAT(
      SaidBy("debugger").out,
      MatchesRegex(
          "\\(gdb\\) break divide if count == 0\nBreakpoint 1 at [^\n]*\n"
          "\\(gdb\\) run\n(.|\n)*Breakpoint 1, divide \\(sum=0, count=0\\) "
          "(.|\n)*"
          "\\(gdb\\) backtrace\n#0  divide (.|\n)*\n#1 [^\n]* in average "
          "(.|\n)*\n#2 [^\n]* in main (.|\n)*"
          "\\(gdb\\) print sum\n\\$1 = 0\n"
          "\\(gdb\\) print count\n\\$2 = 0\n"
          "\\(gdb\\) continue\n(.|\n)*42\n-1\n(.|\n)*"
          "gdb: exited with status 0\n"));
}

TEST(ExamplesTest, GuessFindsTheNumber) {
  EXPECT_THAT(SaidBy("guess").out,
              MatchesRegex("500\\? (right|higher|lower)\n"
                           "([0-9]+\\? (higher|lower)\n)*"
                           "([0-9]+\\? right\n)?"
                           "found after ([1-9]|10) guesses\n"));
}

TEST(ExamplesTest, SocketReaderIsStopped) {
  EXPECT_EQ(SaidBy("socket_reader").out,
            "hello -> HELLO\nsocket -> SOCKET\nserver: client has left\n"
            "the end: exited with status 0\n");
}

TEST(ExamplesTest, BackupIsWatched) {
  const Said said = SaidBy("backup_progress");

  EXPECT_EQ(said.out,
            "progress: 0 of 100\nprogress: 25 of 100\nprogress: 50 of 100\n"
            "progress: 75 of 100\nprogress: 100 of 100\n"
            "said 9 bytes and 211 about it\n");
  EXPECT_THAT(said.err,
              AllOf(HasSubstr("] /bin/sh: backup: signed in with 6 characters"),
                    HasSubstr("] /bin/sh: backup: done")));
}

TEST(ExamplesTest, CalculatorNeverWaits) {
  EXPECT_EQ(SaidBy("calculator").out,
            "before: (nothing)\n2 ^ 64 is 18446744073709551616\n"
            "scale = 3; 22 / 7 is 3.142\n");
}

TEST(ExamplesTest, LoginAnswersThePasswordPrompt) {
  EXPECT_EQ(SaidBy("login").out, "accepted\n");
}

TEST(ExamplesTest, RecordAndReplayNeedsNoChildTheSecondTime) {
  EXPECT_EQ(SaidBy("record_and_replay").out,
            "bc: 42\nrecording: 42\nother input: ABORTED\n");
}

TEST(ExamplesTest, StopAllLeavesNoProcess) {
  EXPECT_EQ(SaidBy("stop_all").out, "the wait: CANCELLED\nprocesses left: 0\n");
}

}  // namespace
}  // namespace asyncproc

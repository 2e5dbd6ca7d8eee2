// asyncproc replay. Each test is a session of a user.

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kVersion1[] =
    "{\"version\": 1, \"width\": 80, \"height\": 24, \"stdout\": "
    "[[0.1, \"one\\r\\n\"], [0.1, \"two\\r\\n\"]]}\n";
constexpr char kVersion2[] =
    "{\"version\": 2, \"width\": 80, \"height\": 24}\n"
    "[0.1, \"o\", \"one\\r\\n\"]\n[0.2, \"o\", \"two\\r\\n\"]\n";
constexpr char kVersion3[] =
    "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n"
    "[0.1, \"o\", \"one\\r\\n\"]\n[0.1, \"o\", \"two\\r\\n\"]\n";

TEST(CliReplayTest, ShowsEveryVersionOfAsciicast) {
  const TemporaryDirectory directory;
  for (const char* text : {kVersion1, kVersion2, kVersion3}) {
    const std::string file = directory.Write("a.cast", text);
    EXPECT_EQ(RunTool({"replay", file}).out, "one\r\ntwo\r\n");
    EXPECT_EQ(ResultOf(Tool({"replay", "-"}), text).out, "one\r\ntwo\r\n");
  }
}

TEST(CliReplayTest, ShowsAFileThatWasCutOffUpToThat) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.Write("a.cast", absl::StrCat(kVersion2, "[0.3, \"o\", \"thr"));

  const ToolResult result = RunTool({"replay", file});

  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "one\r\ntwo\r\n");
}

TEST(CliReplayTest, ReportsThatThereIsNoMemoryForTheRecording) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs more addresses";
  const ToolResult result = ResultOf(Command::Shell(absl::StrCat(
      "ulimit -v 400000; exec ", ToolPath(), " replay - </dev/zero")));

  EXPECT_EQ(result.code, 125);
  EXPECT_EQ(result.err, "asyncproc: there is no more memory\n");
}

TEST(CliReplayTest, RecordsVersion3ForItsFileName) {
  const TemporaryDirectory directory;
  const std::string file = directory.path() + "/a.v3.cast";

  EXPECT_EQ(RunTool({"run", "--record", file, "echo", "hello"}).code, 0);

  EXPECT_THAT(directory.Read("a.v3.cast"), HasSubstr("{\"version\":3,"));
  EXPECT_EQ(RunTool({"replay", file}).out, "hello\n");
}

TEST(CliReplayTest, ShowsNoMarkThatComesInPieces) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write(
      "a.jsonl",
      R"({"transcript":1,"command":"x","start_us":1})"
      "\n"
      R"({"us":1,"event":"letters","data":"abcdefghijklmnopponmlkjihgfedcba"})"
      "\n"
      R"({"us":1,"event":"out","data":"1abc"})"
      "\n"
      R"({"us":1,"event":"err","data":"2abc"})"
      "\n"
      R"({"us":1,"event":"out","data":"defghijklmno"})"
      "\n"
      R"({"us":1,"event":"out","data":"p"})"
      "\n"
      R"({"us":1,"event":"out","data":"late\n"})"
      "\n"
      R"({"us":1,"event":"out","data":"ponmlkjihgfedcba"})"
      "\n"
      R"({"us":1,"event":"out","data":" 0"})"
      "\n"
      R"({"us":1,"event":"out","data":"\n3"})"
      "\n");

  EXPECT_EQ(RunTool({"replay", file}).out, "12abclate\n3");
}

// A recording with pauses of a minute, in a window with a shell.
class PlaybackTest : public ::testing::Test {
 protected:
  PlaybackTest() : window_({"env", "PS1=prompt>", "bash", "--norc"}, 80, 24) {
    directory_.Write("a.cast",
                     "{\"version\": 2, \"width\": 80, \"height\": 24}\n"
                     "[0.0, \"o\", \"one\\r\\n\"]\n"
                     "[60.0, \"o\", \"two\\r\\n\"]\n"
                     "[120.0, \"o\", \"three\\r\\n\"]\n");
    EXPECT_TRUE(window_.AwaitText("prompt>"));
  }

  void Play(const std::string& options) {
    Enter(absl::StrCat(Replay(), options, " ", File()));
  }

  // Enters a command that plays the recording.
  void Enter(const std::string& command) {
    window_.SendKeys(
        {absl::StrCat("clear; echo; ", command, "; echo \"code $?\""),
         "Enter"});
    ASSERT_TRUE(window_.AwaitText("one\n")) << window_.Text();
  }

  std::string Replay() const {
    return absl::StrCat(ShellQuote(ToolPath()), " replay ");
  }
  std::string File() const { return directory_.path() + "/a.cast"; }

  const TemporaryDirectory directory_;
  const TerminalWindow window_;
};

TEST_F(PlaybackTest, ReadsKeysThatAreTypedMeanwhile) {
  Play("");
  // The "." does nothing while playback is not paused.
  window_.SendKeys({"typed."});
  // The keys are not echoed, and do not reach the shell.
  absl::SleepFor(4 * kShort);
  window_.SendKeys({"q"});

  ASSERT_TRUE(window_.AwaitText("code 0")) << window_.Text();
  EXPECT_THAT(window_.Text(),
              AllOf(Not(HasSubstr("typed")), Not(HasSubstr("two"))));
}

TEST_F(PlaybackTest, ReadsKeysWhereStdinIsTheRecording) {
  Enter(absl::StrCat("cat ", File(), " | ", Replay(), "-"));
  window_.SendKeys({"typedq"});

  ASSERT_TRUE(window_.AwaitText("code 0")) << window_.Text();
  EXPECT_THAT(window_.Text(),
              AllOf(Not(HasSubstr("typed")), Not(HasSubstr("two"))));
}

TEST_F(PlaybackTest, LeavesTheTerminalToTheShellInTheBackground) {
  window_.SendKeys(
      {absl::StrCat(Replay(), "--speed 200 - <", File(), " &"), "Enter"});

  // Playback is not stopped by SIGTTOU.
  EXPECT_TRUE(window_.AwaitText("three")) << window_.Text();
}

TEST_F(PlaybackTest, PausesAndStepsAndLimitsPauses) {
  Play("-i 0.3 -s 2");
  window_.SendKeys({"Space"});
  absl::SleepFor(20 * kShort);
  const std::string paused = window_.Text();
  if (!absl::StrContains(paused, "two")) {
    window_.SendKeys({"."});
    EXPECT_TRUE(window_.AwaitText("two")) << window_.Text();
    absl::SleepFor(20 * kShort);
    EXPECT_THAT(window_.Text(), Not(HasSubstr("three")));
  }
  window_.SendKeys({"Space"});

  EXPECT_TRUE(window_.AwaitText("three")) << window_.Text();
  EXPECT_TRUE(window_.AwaitText("code 0")) << window_.Text();
}

TEST_F(PlaybackTest, ReadsKeysAgainAfterCtrlZ) {
  Play("");
  window_.SendKeys({"C-z"});
  ASSERT_TRUE(window_.AwaitText("Stopped")) << window_.Text();
  window_.SendKeys({"fg; echo \"after $?\"", "Enter"});

  // A key that comes before the playback has the terminal is echoed, and lost.
  const absl::Time deadline = absl::Now() + kNeverReached;
  while (!absl::StrContains(window_.Text(), "after 0") &&
         absl::Now() < deadline) {
    window_.SendKeys({"q"});
    absl::SleepFor(2 * kShort);
  }
  EXPECT_THAT(window_.Text(),
              AllOf(HasSubstr("after 0"), Not(HasSubstr("two"))));
}

TEST_F(PlaybackTest, EndsByCtrlCAndPutsTheTerminalBack) {
  Play("");
  window_.SendKeys({"C-c"});

  const absl::Time deadline = absl::Now() + kNeverReached;
  while (!absl::StrContains(window_.Text(), "\nstill here") &&
         absl::Now() < deadline) {
    window_.SendKeys({"echo still here", "Enter"});
    absl::SleepFor(2 * kShort);
  }
  // The keys are echoed again.
  EXPECT_THAT(window_.Text(), HasSubstr("echo still here"));
}

}  // namespace
}  // namespace asyncproc

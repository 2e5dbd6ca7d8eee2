// asyncproc repl --record, and asyncproc replay of its recordings.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "asyncproc/transcript.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli_repl_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Said Replay(std::vector<std::string> arguments) {
  Command command = Tool(std::move(arguments));
  command.argv[1] = "replay";
  RunOptions options;
  options.timeout = kNeverReached;
  auto result = asyncproc::Run(command, options);
  EXPECT_THAT(result.status(), IsOk());
  if (!result.ok()) return {};
  return {std::string(result->out), std::string(result->err),
          result->status.ShellCode()};
}

TEST(CliReplTest, RecordsAFileThatReplayShows) {
  TemporaryDirectory directory;
  for (const char* name : {"session.cast", "session.jsonl"}) {
    const std::string path = absl::StrCat(directory.path(), "/", name);

    const Said said =
        Repl({"--preset=python", "--record", path}, "'o' + 'ut'\n1/0\n");
    EXPECT_EQ(said.code, 0) << said.err;

    auto transcript = Transcript::Load(path);
    ASSERT_THAT(transcript.status(), IsOk());
    EXPECT_THAT(transcript->header.command, HasSubstr("python3"));
    const Said replayed = Replay({path});
    EXPECT_THAT(replayed.out, StartsWith("'out'\nTraceback"));
    EXPECT_THAT(replayed.out, HasSubstr("division by zero\n"));
    EXPECT_EQ(replayed.code, 0);
    EXPECT_THAT(Replay({"--input", path}).out, HasSubstr("'o' + 'ut'"));
  }
}

TEST(CliReplTest, RecordsNoMarkThatReplayShows) {
  TemporaryDirectory directory;
  const std::string path = absl::StrCat(directory.path(), "/session.cast");
  for (const auto& [preset, input] :
       {std::pair{"bc", "1\n2\n3\n4\n5\n"}, {"dc", "1p\n2p\n3p\n4p\n5p\n"}}) {
    // A mark may come in two pieces.
    for (int i = 0; i < 10; ++i) {
      const Said said =
          Repl({absl::StrCat("--preset=", preset), "--record", path}, input);
      EXPECT_EQ(said.code, 0) << said.err;

      const Said shown = Replay({path});
      EXPECT_EQ(shown.code, 0) << shown.err;
      EXPECT_EQ(shown.out, "1\n2\n3\n4\n5\n") << preset;
    }
  }
}

TEST(CliReplayTest, TakesItsTimeOnATerminal) {
  TemporaryDirectory directory;
  const std::string path = directory.Write(
      "x.cast",
      "{\"version\": 2, \"width\": 80, \"height\": 24}\n"
      "[0.0, \"o\", \"first\\r\\n\"]\n[1000.0, \"o\", \"last\\r\\n\"]\n");
  const auto show = [&](std::vector<std::string> arguments) {
    Command command = Tool(std::move(arguments));
    command.argv[1] = "replay";
    command.argv.push_back(path);
    command.pty = Pty();
    return MustSpawn(command);
  };

  auto slow = show({});
  EXPECT_THAT(slow->out().ReadLine(kNeverReached), IsOkAndHolds("first"));
  EXPECT_THAT(slow->out().ReadLine(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  for (const std::vector<std::string>& fast :
       {std::vector<std::string>{"--speed=0"},
        {"--speed=100000"},
        {"--longest-pause", "10ms"}}) {
    auto quick = show(fast);
    EXPECT_THAT(quick->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_EQ(quick->Read(), "first\r\nlast\r\n");
  }
}

TEST(CliReplayTest, RefusesAFileThatIsNoRecording) {
  TemporaryDirectory directory;

  EXPECT_EQ(Replay({}).code, 125);
  EXPECT_EQ(Replay({"/no/such/file"}).code, 125);
  EXPECT_EQ(Replay({directory.Write("x.cast", "nonsense")}).code, 125);
  EXPECT_EQ(Replay({"--speed=-1", "x"}).code, 125);
  EXPECT_THAT(Replay({"/no/such/file"}).err, StartsWith("asyncproc replay: "));
  EXPECT_THAT(Replay({"/dev/null"}).err,
              HasSubstr("/dev/null: the recording is empty"));
}

}  // namespace
}  // namespace asyncproc

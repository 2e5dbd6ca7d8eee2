#include <signal.h>
#include <stdlib.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "asyncproc/testing/misbehavior.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

std::unique_ptr<Process> MustSpawn(const Misbehavior& misbehavior) {
  auto command = misbehavior.Build();
  EXPECT_THAT(command, IsOk());
  if (!command.ok()) abort();
  return asyncproc::MustSpawn(*command);
}

TEST(MisbehaviorTest, SaysAnyBytesOnBothStreams) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) {
    bytes.push_back(static_cast<char>(byte));
  }
  auto child =
      MustSpawn(Misbehavior().Print(bytes).Say("a\\n=,").Complain("b"));

  EXPECT_THAT(child->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_EQ(child->Read(), bytes + "a\\n=,\n");
  EXPECT_EQ(child->ReadErr(), "b\n");
}

TEST(MisbehaviorTest, DribblesBytes) {
  const absl::Time start = absl::Now();
  auto child = MustSpawn(Misbehavior().Dribble("caf\xC3\xA9", kShort));

  auto first = child->out().ReadSome(kNeverReached);
  ASSERT_THAT(first, IsOkAndHolds(StartsWith("c")));
  EXPECT_LT(first->size(), 5);
  EXPECT_THAT(child->Wait(), IsOk());

  EXPECT_GE(absl::Now() - start, 4 * kShort);
  EXPECT_EQ(*first + child->Read(), "caf\xC3\xA9");
}

TEST(MisbehaviorTest, SplitsCharacters) {
  auto child =
      MustSpawn(Misbehavior().SplitUtf8("caf\xC3\xA9 \xE2\x82\xAC", kShort));

  // All bytes except the last; more of the text if the machine is slow.
  auto first = child->out().ReadSome(kNeverReached);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(*first, AnyOf("caf\xC3", "caf\xC3\xA9 \xE2"));
  EXPECT_THAT(child->Wait(), IsOk());
  EXPECT_EQ(*first + child->Read(), "caf\xC3\xA9 \xE2\x82\xAC");
}

TEST(MisbehaviorTest, Floods) {
  auto child = MustSpawn(Misbehavior().Flood(10'000'001));

  EXPECT_THAT(child->Wait(), IsOk());

  EXPECT_THAT(child->Read(), SizeIs(10'000'001));
}

TEST(MisbehaviorTest, IgnoresASignal) {
  auto child = MustSpawn(Misbehavior().Ignore(SIGTERM).Say("ready").Hang());
  AwaitLine(*child, "ready");

  EXPECT_THAT(child->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST(MisbehaviorTest, DiesOnCueOfASignalThatItIgnored) {
  auto child = MustSpawn(
      Misbehavior().Ignore(SIGSEGV).Say("ready").AwaitCue().Die(SIGSEGV));
  AwaitLine(*child, "ready");
  EXPECT_THAT(child->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  ASSERT_THAT(child->Write("now\n"), IsOk());

  EXPECT_THAT(child->Wait(), IsOkAndHolds(ExitStatus::Signaled(SIGSEGV)));
}

TEST(MisbehaviorTest, TakesTheEndOfItsInputForACue) {
  auto child = MustSpawn(Misbehavior().AwaitCue().Exit(7));

  ASSERT_THAT(child->CloseStdin(), IsOk());

  EXPECT_THAT(child->Wait(), IsOkAndHolds(ExitStatus::Exited(7)));
}

TEST(MisbehaviorTest, EchoesTheTextAfterTheCue) {
  auto child = MustSpawn(Misbehavior().AwaitCue().Echo().Say("end"));

  ASSERT_THAT(child->Write("cue\necho\n"), IsOk());
  AwaitLine(*child, "echo");
  ASSERT_THAT(child->CloseStdin(), IsOk());

  AwaitLine(*child, "end");
}

TEST(MisbehaviorTest, ClosesItsStreamsAndLivesOn) {
  auto child = MustSpawn(Misbehavior()
                             .CloseStdin()
                             .CloseStdout()
                             .Complain("ready")
                             .CloseStderr()
                             .Hang());

  EXPECT_THAT(child->err().ReadLine(kNeverReached), IsOkAndHolds("ready"));
  EXPECT_THAT(child->err().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(child->out().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_TRUE(child->IsAlive());
  EXPECT_THAT(child->Write("lost"),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(MisbehaviorTest, LeavesAProcessThatHoldsItsPipe) {
  auto child =
      MustSpawn(Misbehavior().LeavePipeHolder(20 * kShort).Say("gone"));

  auto status = child->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(status->output_complete());
  EXPECT_THAT(child->out().holders(), SizeIs(1));
  EXPECT_EQ(child->Read(), "gone\n");
  // Waits for the end of the output.
  EXPECT_THAT(child->out().ReadSome(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(MisbehaviorTest, ReportsAnUnknownMisbehavior) {
  auto child = MustSpawn(Misbehavior().Exit(256));

  EXPECT_THAT(child->Wait(), IsOkAndHolds(ExitStatus::Exited(125)));
  EXPECT_THAT(child->ReadErr(), HasSubstr("cannot do \"exit=256\""));
}

TEST(MisbehaviorTest, IsTheProgramThatIsNamed) {
  EXPECT_THAT(Misbehavior().Sleep(absl::Seconds(2)).BuildWith("/x/y").argv,
              ElementsAre("/x/y", "sleep=2000"));
}

TEST(MisbehaviorTest, IsTheProgramThatTheEnvironmentNames) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    setenv("ASYNCPROC_MISBEHAVE", "/x/y", /*overwrite=*/1);

    const auto command = Misbehavior().Hang().Build();

    ASSERT_THAT(command, IsOk());
    EXPECT_THAT(command->argv, ElementsAre("/x/y", "hang"));
  });
}

}  // namespace
}  // namespace asyncproc

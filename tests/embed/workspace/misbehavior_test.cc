// The parts of asyncproc for tests, in another project.

#include "asyncproc/testing/misbehavior.h"

#include <signal.h>

#include <memory>

#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "asyncproc/recorder.h"
#include "asyncproc/testing/replay_process.h"
#include "gtest/gtest.h"

// The programs for these parts are data of the dependency.
TEST(MisbehaviorTest, AnotherProjectTriesABadChildAndReplaysIt) {
  auto command = asyncproc::Misbehavior()
                     .Ignore(SIGTERM)
                     .Say("ready")
                     .AwaitCue()
                     .Die(SIGKILL)
                     .Build();
  ASSERT_TRUE(command.ok()) << command.status();
  auto recorder = asyncproc::Recorder::InMemory();
  command->observer = recorder;
  auto process = asyncproc::Process::Spawn(*command);
  ASSERT_TRUE(process.ok()) << process.status();
  const auto drive = [](asyncproc::Child& child) {
    auto line = child.out().ReadLine(absl::Minutes(1));
    EXPECT_TRUE(line.ok() && *line == "ready") << line.status();
    EXPECT_TRUE(child.Write("now\n").ok());
    auto status = child.WaitFor(absl::Minutes(1));
    ASSERT_TRUE(status.ok()) << status.status();
    EXPECT_EQ(*status, asyncproc::ExitStatus::Signaled(SIGKILL));
  };

  drive(**process);

  auto replay = asyncproc::ReplayProcess::Start(recorder->transcript());
  ASSERT_TRUE(replay.ok()) << replay.status();
  drive(**replay);
  EXPECT_TRUE((*replay)->CheckComplete().ok());
}

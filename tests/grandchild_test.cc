// A child that ends and leaves a grandchild behind, which holds its pipes.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;
using testing::HasSubstr;
using testing::SizeIs;

// Long enough for any machine, and far below kNeverReached.
const absl::Duration kSoon = absl::Seconds(5) * kSlowness;

// Reads the grandchild's pid: the first line that `process` prints.
pid_t ReadGrandchild(Process& process) {
  auto line = process.out().ReadLine(kNeverReached);
  if (!line.ok()) {
    ADD_FAILURE() << line.status();
    return -1;
  }
  return std::stoi(*line);
}

// GRC-01, GRC-03
TEST(GrandchildTest, DoesNotDelayTheStatus) {
  auto process = MustSpawn(Command({Helper("hold_pipe")}));
  const absl::Time start = MonotonicNow();

  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_LT(MonotonicNow() - start, kSoon);
  // The status reports that the output may be incomplete.
  EXPECT_FALSE(status->output_complete());
  EXPECT_EQ(process->state(), ProcessState::kAbandoned);
  const pid_t grandchild = ReadGrandchild(*process);
  EXPECT_FALSE(process->out().AtEof());
  EXPECT_THAT(process->out().TryReadLine(),
              HasCode(absl::StatusCode::kUnavailable));

  kill(grandchild, SIGKILL);

  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(GrandchildTest, IsNamedByTheStreamsThatItHolds) {
  auto process = MustSpawn(Command({Helper("hold_pipe"), "0", "2"}));
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());
  const pid_t grandchild = ReadGrandchild(*process);

  const std::vector<PipeHolder> holders = process->err().holders();

  ASSERT_THAT(holders, SizeIs(1));
  EXPECT_EQ(holders[0].pid, grandchild);
  EXPECT_EQ(holders[0].command, "hold_pipe");
  EXPECT_TRUE(process->out().AtEof());
  EXPECT_THAT(process->out().holders(), SizeIs(0));
  kill(grandchild, SIGKILL);
}

// GRC-02
TEST(GrandchildTest, DoesNotDelayTerminate) {
  auto process = MustSpawn(Command::Shell("sleep 1000 & echo $!; exec cat"));
  const pid_t grandchild = ReadGrandchild(*process);

  auto termination = process->Terminate(Escalation::Standard(kNeverReached));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Exited(0));
  EXPECT_FALSE(termination->status.output_complete());
  EXPECT_LT(termination->elapsed, kSoon);
  EXPECT_TRUE(ProcessLives(grandchild));
  kill(grandchild, SIGKILL);
}

// GRC-02: the main of all tests checks after each test case that the threads
// are gone.
TEST(GrandchildTest, DoesNotDelayTheDestructor) {
  auto process = MustSpawn(Command::Shell("sleep 1000 & echo $!; exec cat"));
  const pid_t grandchild = ReadGrandchild(*process);
  const absl::Time start = MonotonicNow();

  process = nullptr;

  EXPECT_LT(MonotonicNow() - start, kSoon);
  EXPECT_TRUE(ProcessLives(grandchild));
  kill(grandchild, SIGKILL);
}

// GRC-04
TEST(GrandchildTest, MayHoldAFullStdin) {
  auto process = MustSpawn(Command({Helper("hold_pipe"), "0", "0"}));
  const pid_t grandchild = ReadGrandchild(*process);
  // After this, the pipe is full and still has a reader.
  EXPECT_THAT(process->Write(std::string(1 << 20, 'x')), IsOk());
  const absl::Time start = MonotonicNow();

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(process->Flush(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  process = nullptr;

  EXPECT_LT(MonotonicNow() - start, kSoon);
  kill(grandchild, SIGKILL);
}

// GRC-06
TEST(GrandchildTest, GetsSigpipeAfterTheLastReader) {
  auto process = MustSpawn(
      Command::Shell("(while echo still here >&2; do sleep .01; done) & "
                     "echo $!"));
  const pid_t grandchild = ReadGrandchild(*process);
  ASSERT_THAT(process->err().ReadLine(kNeverReached), IsOk());

  process = nullptr;

  EXPECT_TRUE(AwaitProcessEnd(grandchild));
}

TEST(GrandchildTest, IsStillReadAfterTheWaitHasEnded) {
  TemporaryDirectory directory;
  const std::string fifo = absl::StrCat(directory.path(), "/fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Command command = Command::Shell("(read line; echo late $line) <\"$FIFO\" &");
  command.env.Set("FIFO", fifo);
  auto process = MustSpawn(command);
  ASSERT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  ASSERT_EQ(process->state(), ProcessState::kAbandoned);

  const int writer = open(fifo.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(write(writer, "news\n", 5), 5);
  close(writer);

  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              IsOkAndHolds("late news"));
  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_TRUE(process->out().AtEof());
}

TEST(GrandchildTest, RearmsTheGraceWithEachChunk) {
  // Each pause is shorter than the grace period, but their sum is longer.
  Command command = Command::Shell(
      "(for i in 1 2 3 4 5; do sleep .1; echo $i; done; exec sleep 1000) & "
      "echo $!");
  command.drain_grace = absl::Milliseconds(400) * kSlowness;
  auto process = MustSpawn(command);
  const pid_t grandchild = ReadGrandchild(*process);
  const absl::Time start = MonotonicNow();

  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(status->output_complete());
  EXPECT_GE(MonotonicNow() - start,
            absl::Milliseconds(500) + command.drain_grace / 2);
  EXPECT_EQ(process->Read(), "1\n2\n3\n4\n5\n");
  kill(grandchild, SIGKILL);
}

TEST(GrandchildTest,
     ThatNeverStopsWritingIsNotWaitedForLongerThanTwentyGraces) {
  Command command = Command::Shell(
      absl::StrCat(Helper("flood_forever"), " & read line; true"));
  command.output_buffer = OutputBound::DropOldest(1000);
  command.drain_grace = 2 * kShort;
  auto process = MustSpawn(command);
  ASSERT_THAT(process->out().ReadLine(kNeverReached), IsOk());
  ASSERT_THAT(process->CloseStdin(), IsOk());
  while (process->IsAlive()) absl::SleepFor(absl::Milliseconds(1));
  const absl::Time ended = MonotonicNow();

  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(status->output_complete());
  EXPECT_GE(MonotonicNow() - ended, command.drain_grace * 10);
  EXPECT_LT(MonotonicNow() - ended, command.drain_grace * 20 + kSoon);
  const std::vector<PipeHolder> holders = process->out().holders();
  ASSERT_THAT(holders, SizeIs(1));
  // The stream is still drained.
  const uint64_t bytes = process->out().stats().bytes;
  while (process->out().stats().bytes == bytes) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  process = nullptr;
  EXPECT_TRUE(AwaitProcessEnd(holders[0].pid));
}

TEST(GrandchildTest, CostsNoTimeWithoutAGrace) {
  Command command({Helper("hold_pipe")});
  command.drain_grace = absl::ZeroDuration();
  auto process = MustSpawn(command);

  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(status->output_complete());
  // All output of the child itself has arrived.
  kill(ReadGrandchild(*process), SIGKILL);
}

TEST(GrandchildTest, IsWaitedForWithAnInfiniteGrace) {
  Command command = Command::Shell("(sleep .2; echo late) &");
  command.drain_grace = absl::InfiniteDuration();
  auto process = MustSpawn(command);

  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_TRUE(status->output_complete());
  EXPECT_EQ(process->state(), ProcessState::kDrained);
  EXPECT_EQ(process->Read(), "late\n");
}

}  // namespace
}  // namespace asyncproc

#include "asyncproc/internal/io/child_process.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/os.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

// A child that the test drives itself, so the test can delay each call.
class ChildProcessTest : public testing::Test {
 protected:
  void Start(Command command) {
    ChildProcess::Options options;
    options.bound = command.output_buffer;
    options.wake = [] {};
    auto child = ChildProcess::Start(command, std::move(options));
    ASSERT_THAT(child, IsOk());
    child_ = *std::move(child);
    output_ = child_->output(ChildProcess::kOut).buffer();
    out_ = output_->AddCursor(/*at_oldest=*/true);
  }

  // Waits until `fd` is ready, and returns its poll events.
  static short AwaitEvent(int fd, short events = POLLIN) {
    pollfd poll_fd = {fd, events, 0};
    EXPECT_EQ(GetOs().Poll(&poll_fd, 1, DeadlineAfter(kNeverReached)), 1);
    return poll_fd.revents;
  }

  void HandleOutput(ChildProcess::Stream stream) {
    AwaitEvent(child_->output(stream).poll_fd());
    child_->output(stream).OnReadable();
  }

  void HandleExit(bool group_wanted = true) {
    AwaitEvent(child_->end().NextWatch().fd);
    EXPECT_TRUE(child_->CheckExit(group_wanted));
  }

  // Waits until no process holds the other end of `stream`.
  void AwaitHangup(ChildProcess::Stream stream) {
    while ((AwaitEvent(child_->output(stream).poll_fd()) & POLLHUP) == 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  std::string Out() { return output_->Read(out_); }

  std::shared_ptr<ChildProcess> child_;
  std::shared_ptr<OutputBuffer> output_;
  OutputBuffer::CursorRef out_;
};

// GRC-01
TEST_F(ChildProcessTest, CountsAnEndOfFileThatCameBetweenTwoChecks) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.drain_grace = absl::Milliseconds(1);
  Start(std::move(command));
  HandleExit();
  ASSERT_EQ(child_->end().state(), ChildEnd::State::kExited);

  kill(std::stoi(Out()), SIGKILL);
  AwaitEvent(child_->output(ChildProcess::kErr).poll_fd());
  AwaitEvent(child_->output(ChildProcess::kOut).poll_fd());
  absl::SleepFor(absl::Milliseconds(2));  // Not a wait: a delay.
  child_->OnTime();

  EXPECT_EQ(child_->end().state(), ChildEnd::State::kDrained);
  EXPECT_TRUE(child_->end().result()->value().output_complete());
}

// GRC-01
TEST_F(ChildProcessTest, IsDrainedAfterAllWhenTheLastHolderLetsGo) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.drain_grace = absl::ZeroDuration();
  Start(std::move(command));
  HandleExit();
  child_->OnTime();
  ASSERT_EQ(child_->end().state(), ChildEnd::State::kAbandoned);
  EXPECT_FALSE(child_->end().result()->value().output_complete());

  kill(std::stoi(Out()), SIGKILL);
  HandleOutput(ChildProcess::kOut);
  HandleOutput(ChildProcess::kErr);

  EXPECT_EQ(child_->end().state(), ChildEnd::State::kDrained);
  EXPECT_TRUE(child_->end().result()->value().output_complete());
}

// The pidfd of a child on a busy machine can be readable before the child can
// be reaped, and that of a child in a debugger long before.
TEST_F(ChildProcessTest, LooksLessAndLessOftenAtAChildThatCannotBeReaped) {
  Start(Command({"sleep", "1000"}));
  ChildEnd& end = child_->end();
  // A pause is at least `low` and at most `high`, however slow this test is.
  absl::Duration low;
  absl::Duration high;
  do {
    const absl::Time before = MonotonicNow();
    ASSERT_FALSE(end.CheckExit());
    const absl::Time after = MonotonicNow();
    const absl::Time next_look = end.NextWatch().next_look;
    const absl::Duration most = std::max(2 * high, absl::Milliseconds(1));
    if (next_look == absl::InfiniteFuture()) {
      high = most;  // The pause is over already.
      continue;
    }
    EXPECT_LE(next_look - after, most);
    low = next_look - after;
    high = next_look - before;
  } while (high < absl::Milliseconds(50));
  EXPECT_LE(low, absl::Milliseconds(50));

  EXPECT_TRUE(child_->KillAndReap());
  EXPECT_TRUE(child_->CheckExit(/*group_wanted=*/false));
}

// To find the members of a group, the reaper reads all processes of the system.
// It does not search when the list is not wanted.
TEST_F(ChildProcessTest, ListsTheSurvivingGroupOnlyIfWanted) {
  Command command = Command::Shell("sleep 1000 >&- 2>&- & echo $!");
  command.process_group = ProcessGroup::New();
  for (const bool wanted : {true, false}) {
    Start(command);
    AwaitHangup(ChildProcess::kOut);
    AwaitHangup(ChildProcess::kErr);
    // The output has not been read yet.
    HandleExit(wanted);

    EXPECT_EQ(child_->end().state(), ChildEnd::State::kDrained);
    EXPECT_EQ(child_->reaper().GroupLeftBehind()->size(), wanted ? 1 : 0);
    kill(std::stoi(Out()), SIGKILL);
  }
}

// The group may have to be ended later, as long as a member holds the output.
TEST_F(ChildProcessTest, ListsTheGroupThatHoldsItsOutput) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.process_group = ProcessGroup::New();
  Start(command);

  HandleExit(/*group_wanted=*/false);

  EXPECT_EQ(child_->reaper().GroupLeftBehind()->size(), 1);
  kill(std::stoi(Out()), SIGKILL);
}

// WRT-07. A pipe without a reader reports POLLERR for ever.
TEST_F(ChildProcessTest, StopsWatchingAStdinThatTheChildHasClosed) {
  Start(Command::Shell("exec 0<&-; echo closed; sleep 1000"));
  ASSERT_EQ(AwaitEvent(child_->input()->NextWatch().fd, 0) & POLLERR, POLLERR);

  child_->input()->Advance(POLLERR);

  EXPECT_EQ(child_->input()->fd(), -1);
  EXPECT_THAT(child_->input()->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  child_->reaper().KillAndReap();
}

// BIG-06. The pipe of a child that has hung up reports POLLHUP for ever, too,
// and it is not read while the buffer is full.
TEST_F(ChildProcessTest, DoesNotWatchAStreamThatThereIsNoRoomFor) {
  Command command = Command::Shell("echo 0123456789; exec 1>&- 2>&-; read x");
  command.output_buffer = OutputBound::BlockChild(4);
  Start(std::move(command));
  HandleOutput(ChildProcess::kErr);
  HandleOutput(ChildProcess::kOut);

  EXPECT_EQ(child_->output(ChildProcess::kOut).poll_fd(), -1);
  EXPECT_EQ(Out(), "0123");
  EXPECT_GE(child_->output(ChildProcess::kOut).poll_fd(), 0);
  HandleOutput(ChildProcess::kOut);
  EXPECT_THAT(child_->input()->Close(), IsOk());
  child_->OnWake(/*group_wanted=*/true);
  HandleExit();

  // The rest of the pipe is read at the end, followed by end-of-file.
  EXPECT_EQ(Out(), "456789\n");
  EXPECT_EQ(child_->end().state(), ChildEnd::State::kDrained);
}

}  // namespace
}  // namespace asyncproc::internal

#include "asyncproc/internal/io/child_io.h"

#include <poll.h>
#include <signal.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/waker.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

// A child that the test drives itself, and so as late as it likes.
class ChildIoTest : public testing::Test {
 protected:
  void Start(Command command) {
    absl::StatusOr<std::shared_ptr<Waker>> waker = Waker::Create();
    ASSERT_THAT(waker, IsOk());
    output_ = std::make_shared<OutputBuffer>(command.output_buffer);
    output_->SetDriver(*waker);
    out_ = output_->AddCursor(/*at_oldest=*/true);
    auto err = std::make_shared<OutputBuffer>(command.output_buffer);
    auto child = ChildIo::Start(command, *waker, {output_, err});
    ASSERT_THAT(child, IsOk());
    child_ = *std::move(child);
  }

  // Waits until something has happened on `slot`, and says what.
  short AwaitEvent(ChildIo::Slot slot) {
    pollfd fd = {child_->fd(slot), child_->events(slot), 0};
    EXPECT_EQ(GetOs().Poll(&fd, 1, DeadlineAfter(kNeverReached)), 1);
    return fd.revents;
  }

  // Waits until nobody has the other end of `slot` any more.
  void AwaitHangup(ChildIo::Slot slot) {
    while ((AwaitEvent(slot) & POLLHUP) == 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  std::string Out() { return output_->Read(out_); }

  std::unique_ptr<ChildIo> child_;
  std::shared_ptr<OutputBuffer> output_;
  OutputBuffer::CursorRef out_;
};

// GRC-01
TEST_F(ChildIoTest, CountsAnEndOfFileThatCameWhileNobodyLooked) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.drain_grace = absl::Milliseconds(1);
  Start(std::move(command));
  child_->Handle(ChildIo::kExit, AwaitEvent(ChildIo::kExit));
  ASSERT_EQ(child_->state(), ChildIo::State::kDraining);

  kill(std::stoi(Out()), SIGKILL);
  AwaitEvent(ChildIo::kErr);
  AwaitEvent(ChildIo::kOut);
  absl::SleepFor(absl::Milliseconds(2));  // Not to wait for it: to be late.
  child_->HandleWake();
  child_->HandleTime();

  EXPECT_EQ(child_->state(), ChildIo::State::kDrained);
  EXPECT_TRUE(child_->result()->value().output_complete());
}

// GRC-01
TEST_F(ChildIoTest, IsDrainedAfterAllWhenTheLastHolderLetsGo) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.drain_grace = absl::ZeroDuration();
  Start(std::move(command));
  child_->Handle(ChildIo::kExit, AwaitEvent(ChildIo::kExit));
  child_->HandleTime();
  ASSERT_EQ(child_->state(), ChildIo::State::kAbandoned);
  EXPECT_FALSE(child_->result()->value().output_complete());
  EXPECT_FALSE(child_->finished());

  kill(std::stoi(Out()), SIGKILL);
  child_->Handle(ChildIo::kOut, AwaitEvent(ChildIo::kOut));
  child_->Handle(ChildIo::kErr, AwaitEvent(ChildIo::kErr));

  EXPECT_EQ(child_->state(), ChildIo::State::kDrained);
  EXPECT_TRUE(child_->result()->value().output_complete());
}

// What is left of a group is looked for among all processes that there are:
// not where nobody will ask.
TEST_F(ChildIoTest, RemembersWhatIsLeftOfItsGroupUnlessNobodyWantsIt) {
  Command command = Command::Shell("sleep 1000 >&- 2>&- & echo $!");
  command.process_group = ProcessGroup::New();
  for (const bool wanted : {true, false}) {
    Start(command);
    child_->set_group_wanted(wanted);
    AwaitHangup(ChildIo::kOut);
    AwaitHangup(ChildIo::kErr);
    // Its output is still to be read.
    child_->Handle(ChildIo::kExit, AwaitEvent(ChildIo::kExit));

    EXPECT_EQ(child_->state(), ChildIo::State::kDrained);
    EXPECT_EQ(child_->reaper().GroupLeftBehind().size(), wanted ? 1 : 0);
    kill(std::stoi(Out()), SIGKILL);
  }
}

// As long as somebody holds its output, it may yet be ended.
TEST_F(ChildIoTest, RemembersTheGroupThatHoldsItsOutput) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.process_group = ProcessGroup::New();
  Start(command);
  child_->set_group_wanted(false);

  child_->Handle(ChildIo::kExit, AwaitEvent(ChildIo::kExit));

  EXPECT_EQ(child_->reaper().GroupLeftBehind().size(), 1);
  kill(std::stoi(Out()), SIGKILL);
}

// WRT-07. A pipe that nobody reads reports that for ever.
TEST_F(ChildIoTest, StopsWatchingAStdinThatTheChildHasClosed) {
  Start(Command::Shell("exec 0<&-; echo closed; sleep 1000"));
  ASSERT_EQ(AwaitEvent(ChildIo::kIn) & POLLERR, POLLERR);

  child_->Handle(ChildIo::kIn, POLLERR);

  EXPECT_EQ(child_->fd(ChildIo::kIn), -1);
  EXPECT_THAT(child_->input()->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  child_->reaper().KillAndReap();
}

// BIG-06. So does the pipe of a child that has hung up, and it is not read
// while the buffer is full.
TEST_F(ChildIoTest, DoesNotWatchAStreamThatThereIsNoRoomFor) {
  Command command = Command::Shell("echo 0123456789; exec 1>&- 2>&-; read x");
  command.output_buffer = OutputBound::BlockChild(4);
  Start(std::move(command));
  child_->Handle(ChildIo::kErr, AwaitEvent(ChildIo::kErr));
  child_->Handle(ChildIo::kOut, AwaitEvent(ChildIo::kOut));

  EXPECT_EQ(child_->fd(ChildIo::kOut), -1);
  EXPECT_EQ(Out(), "0123");
  EXPECT_GE(child_->fd(ChildIo::kOut), 0);
  child_->Handle(ChildIo::kOut, AwaitEvent(ChildIo::kOut));
  EXPECT_THAT(child_->input()->Close(), IsOk());
  child_->HandleWake();
  child_->Handle(ChildIo::kExit, AwaitEvent(ChildIo::kExit));

  // What was in the pipe is read at the end, and it is the end.
  EXPECT_EQ(Out(), "456789\n");
  EXPECT_EQ(child_->state(), ChildIo::State::kDrained);
  EXPECT_TRUE(child_->finished());
}

}  // namespace
}  // namespace asyncproc::internal

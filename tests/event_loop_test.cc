#include "asyncproc/internal/loop/event_loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/loop/child_set.h"
#include "asyncproc/internal/loop/polled_child.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fake_os.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

std::unique_ptr<EventLoop> MustCreate() {
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  EXPECT_THAT(loop, IsOk());
  return *std::move(loop);
}

absl::Duration CpuTime() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

class Recorder : public EventLoop::Watcher {
 public:
  void OnEvents(int slot, uint32_t) override { slots.push_back(slot); }
  std::vector<int> slots;
};

TEST(EventLoopTest, CallsTimersInTheirOrder) {
  const auto loop = MustCreate();
  std::string order;
  const absl::Time now = MonotonicNow();
  loop->At(now + absl::Milliseconds(2), [&] { order += "c"; });
  loop->At(now, [&] { order += "a"; });
  loop->At(now, [&] { order += "b"; });
  const auto canceled = loop->At(now, [&] { order += "x"; });

  EXPECT_TRUE(loop->Cancel(canceled));
  while (order.size() < 3) loop->Step(absl::InfiniteFuture());

  EXPECT_EQ(order, "abc");
  EXPECT_FALSE(loop->Cancel(canceled));
}

TEST(EventLoopTest, LeavesATimerThatATimerSetsForTheNextStep) {
  const auto loop = MustCreate();
  int calls = 0;
  const absl::Time now = MonotonicNow();
  loop->At(now, [&] {
    ++calls;
    loop->At(now, [&] { ++calls; });
  });

  loop->Step(absl::InfinitePast());
  EXPECT_EQ(calls, 1);
  loop->Step(absl::InfinitePast());
  EXPECT_EQ(calls, 2);
}

TEST(EventLoopTest, IsWokenByAPostFromAnotherThread) {
  const auto loop = MustCreate();
  bool called = false;

  std::thread other([&] { loop->Post([&] { called = true; }); });
  while (!called) loop->Step(DeadlineAfter(kNeverReached));

  other.join();
  EXPECT_TRUE(called);
}

// POL-17
TEST(EventLoopTest, ReportsNothingOfADescriptorThatWasClosed) {
  const auto loop = MustCreate();
  Recorder recorder;
  const EventLoop::WatcherId id = loop->Add(&recorder);
  auto pipe = MakePipe();
  ASSERT_THAT(pipe, IsOk());
  // A duplicate refers to the same open file, as a child's descriptor could.
  const UniqueFd shared(dup(pipe->read_end.get()));
  ASSERT_THAT(loop->Watch(id, 3, pipe->read_end.get(), EPOLLIN, false), IsOk());
  ASSERT_EQ(write(pipe->write_end.get(), "x", 1), 1);
  loop->Step(DeadlineAfter(kNeverReached));
  ASSERT_THAT(recorder.slots, testing::ElementsAre(3));

  loop->Unwatch(pipe->read_end.get());
  pipe->read_end.Reset();
  bool timer = false;
  loop->At(MonotonicNow() + kShort, [&] { timer = true; });
  const absl::Duration cpu = CpuTime();
  int steps = 0;
  while (!timer) {
    loop->Step(absl::InfiniteFuture());
    ++steps;
  }

  EXPECT_THAT(recorder.slots, testing::ElementsAre(3));
  EXPECT_LE(steps, 3);
  EXPECT_LT(CpuTime() - cpu, kShort / 2);
  loop->Remove(id);
}

TEST(EventLoopTest, ForgetsAWatcherWhoseEventIsOnItsWay) {
  const auto loop = MustCreate();
  Recorder recorder;
  const EventLoop::WatcherId id = loop->Add(&recorder);
  auto pipe = MakePipe();
  ASSERT_THAT(pipe, IsOk());
  ASSERT_THAT(loop->Watch(id, 0, pipe->read_end.get(), EPOLLIN, false), IsOk());
  ASSERT_EQ(write(pipe->write_end.get(), "x", 1), 1);

  loop->Remove(id);
  loop->Step(absl::InfinitePast());

  EXPECT_TRUE(recorder.slots.empty());
  EXPECT_EQ(loop->Find(id), nullptr);
  loop->Unwatch(pipe->read_end.get());
}

// ---- One child on a loop.

// Steps until the next event of the only child.
ChildEvent NextEvent(EventLoop& loop, ChildSet& children) {
  for (;;) {
    if (auto event = children.TakeEvent()) return std::move(event->what);
    loop.Step(absl::InfiniteFuture());
  }
}

TEST(PolledChildTest, TellsItsLifeInOrder) {
  const auto loop = MustCreate();
  ChildSet children(*loop);
  auto child = children.Start(7, Command::Shell("cat; exit 3"), {}, {});
  ASSERT_THAT(child, IsOk());
  EXPECT_EQ((*child)->cookie(), 7);
  ASSERT_THAT((*child)->Write("hello"), IsOk());
  ASSERT_THAT((*child)->CloseInput(), IsOk());

  std::vector<ChildEvent::Kind> kinds;
  std::string data;
  do {
    ChildEvent event = NextEvent(*loop, children);
    kinds.push_back(event.kind);
    data += std::string(event.output.view());
  } while (kinds.back() != ChildEvent::Kind::kEnded);

  using Kind = ChildEvent::Kind;
  EXPECT_EQ(kinds.front(), Kind::kStarted);
  EXPECT_THAT(kinds, testing::UnorderedElementsAre(
                         Kind::kStarted, Kind::kOutput, Kind::kOutputClosed,
                         Kind::kOutputClosed, Kind::kInputClosed, Kind::kExited,
                         Kind::kEnded));
  EXPECT_EQ(data, "hello");
  EXPECT_THAT((*child)->status(), IsOkAndHolds(ExitStatus::Exited(3)));
}

TEST(PolledChildTest, ReadsFurtherPipes) {
  const auto loop = MustCreate();
  ChildSet children(*loop);
  auto child =
      children.Start(0, Command::Shell("echo three >&3; echo seven >&7"),
                     {3, 7}, ChildLimits());
  ASSERT_THAT(child, IsOk());

  std::map<int, std::string> data;
  for (;;) {
    ChildEvent event = NextEvent(*loop, children);
    if (event.kind == ChildEvent::Kind::kEnded) break;
    if (event.kind == ChildEvent::Kind::kOutput) {
      data[event.fd] += std::string(event.output.view());
    }
  }

  EXPECT_EQ(data[3], "three\n");
  EXPECT_EQ(data[7], "seven\n");
}

TEST(PolledChildTest, RefusesAFurtherPipeThatIsSomethingElse) {
  const auto loop = MustCreate();
  ChildSet children(*loop);

  for (const std::vector<int>& pipes :
       std::vector<std::vector<int>>{{2}, {-1}, {3, 3}}) {
    EXPECT_THAT(children.Start(0, Command({"true"}), pipes, ChildLimits()),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(PolledChildTest, IsKilledWhenItIsRemoved) {
  const auto loop = MustCreate();
  ChildSet children(*loop);
  auto child = children.Start(0, Command({"sleep", "1000"}), {}, {});
  ASSERT_THAT(child, IsOk());
  const pid_t pid = (*child)->reaper().pid();

  children.Remove(*child);

  EXPECT_FALSE(ProcessLives(pid));
  EXPECT_FALSE(children.TakeEvent().has_value());
}

TEST(PolledChildTest, EndsWithoutAPidfd) {
  OsWithoutPidfds os;
  const ScopedOs scoped(&os);
  const auto loop = MustCreate();
  ChildSet children(*loop);
  auto child = children.Start(0, Command::Shell("exit 5"), {}, {});
  ASSERT_THAT(child, IsOk());

  while (NextEvent(*loop, children).kind != ChildEvent::Kind::kEnded) {
  }

  EXPECT_THAT((*child)->status(), IsOkAndHolds(ExitStatus::Exited(5)));
}

class NoRoom : public Os {
  int EpollCtl(int, int, int, epoll_event*) override {
    errno = ENOSPC;
    return -1;
  }
};

TEST(PolledChildTest, IsNotStartedWhereTheLoopHasNoRoom) {
  const auto loop = MustCreate();
  ChildSet children(*loop);
  NoRoom os;
  const ScopedOs scoped(&os);

  EXPECT_THAT(children.Start(0, Command({"sleep", "1000"}), {}, {}),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(children.empty());
}

// As if the child had changed to another user.
class NotPermitted : public Os {
  int PidfdSendSignal(int, int) override {
    errno = EPERM;
    return -1;
  }
};

TEST(PolledChildTest, IsLeftToItselfWhereItMayNotBeKilled) {
  const auto loop = MustCreate();
  auto children = std::make_unique<ChildSet>(*loop);
  auto child = children->Start(0, Command({"cat"}), {}, {});
  ASSERT_THAT(child, IsOk());
  const pid_t pid = (*child)->reaper().pid();

  {
    NotPermitted os;
    const ScopedOs scoped(&os);
    children = nullptr;
  }

  // The end-of-file ends the child, and a thread reaps it.
  EXPECT_TRUE(AwaitProcessEnd(pid));
  siginfo_t info;
  while (waitid(P_PID, static_cast<id_t>(pid), &info,
                WEXITED | WNOHANG | WNOWAIT) == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

}  // namespace
}  // namespace asyncproc::internal

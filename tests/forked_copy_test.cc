// A copy of the host, made by fork(), destroys its copies of the objects: the
// original's children are not affected.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/internal/spawn/started_children.h"
#include "asyncproc/pipeline.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/process_protocol.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

// Runs `body` in a forked copy of this program, which then ends without running
// other destructors. Returns whether the copy ended by itself, with success.
bool InForkedCopy(const std::function<void()>& body) {
  const pid_t copy = fork();
  if (copy == 0) {
    alarm(10);  // A copy that hangs fails the test instead of blocking it.
    body();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(copy, &status, 0), copy);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(ForkStampTest, KnowsAForkedCopyAndACopyOfACopy) {
  const internal::ForkStamp original;
  EXPECT_FALSE(original.IsForkedCopy());

  EXPECT_TRUE(InForkedCopy([&] {
    const internal::ForkStamp copy;
    if (!original.IsForkedCopy() || copy.IsForkedCopy()) _exit(1);
    const bool held = InForkedCopy([&] {
      if (!original.IsForkedCopy() || !copy.IsForkedCopy()) _exit(1);
    });
    if (!held) _exit(1);
  }));

  EXPECT_FALSE(original.IsForkedCopy());
}

TEST(ForkedCopyTest, LeavesTheOriginalsProcessAlone) {
  auto cat = MustSpawn(Command({"cat"}));
  EXPECT_THAT(cat->Write("before\n"), IsOk());
  AwaitLine(*cat, "before");
  auto cursor = std::make_unique<OutputCursor>(cat->out().NewCursor());
  absl::StatusOr<TapHandle> tap = cat->err().AddTap([](absl::string_view) {});
  ASSERT_THAT(tap, IsOk());

  EXPECT_TRUE(InForkedCopy([&] {
    *tap = TapHandle();
    cursor = nullptr;
    cat = nullptr;
  }));

  EXPECT_THAT(cat->Write("after\n"), IsOk());
  AwaitLine(*cat, "after");
  EXPECT_THAT(cat->CloseStdin(), IsOk());
  EXPECT_THAT(cat->WaitFor(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(ForkedCopyTest, HoldsNoPipeOpenOnceItHasDestroyedItsCopy) {
  auto cat = MustSpawn(Command({"cat"}));
  int to_copy[2], from_copy[2];
  ASSERT_EQ(pipe(to_copy), 0);
  ASSERT_EQ(pipe(from_copy), 0);
  const pid_t copy = fork();
  if (copy == 0) {
    cat = nullptr;
    const ssize_t said = write(from_copy[1], "x", 1);
    close(to_copy[1]);
    char byte;
    _exit(read(to_copy[0], &byte, 1) == 0 && said == 1 ? 0 : 1);
  }
  char byte;
  ASSERT_EQ(read(from_copy[0], &byte, 1), 1);

  // The copy is still running, and has closed the write end of cat's stdin.
  EXPECT_THAT(cat->CloseStdin(), IsOk());
  EXPECT_THAT(cat->WaitFor(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));

  for (int fd : {to_copy[0], to_copy[1], from_copy[0], from_copy[1]}) close(fd);
  int status = 0;
  EXPECT_EQ(waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
}

TEST(ForkedCopyTest, LeavesTheOriginalsPipelineAlone) {
  auto pipeline = Pipeline::Spawn({Command({"cat"}), Command({"cat"})});
  ASSERT_THAT(pipeline, IsOk());

  EXPECT_TRUE(InForkedCopy([&] { *pipeline = nullptr; }));

  EXPECT_TRUE((*pipeline)->IsAlive());
  EXPECT_THAT((*pipeline)->CloseStdin(), IsOk());
  EXPECT_THAT((*pipeline)->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(ForkedCopyTest, LeavesTheOriginalsReplAlone) {
  auto sh = Repl::Start(ShDialect());  // With a private channel.
  ASSERT_THAT(sh, IsOk());
  auto bc = Repl::Start(BcDialect());
  ASSERT_THAT(bc, IsOk());

  EXPECT_TRUE(InForkedCopy([&] {
    *sh = nullptr;
    *bc = nullptr;
  }));

  auto of_sh = (*sh)->Eval("echo 42", kNeverReached);
  ASSERT_THAT(of_sh, IsOk());
  EXPECT_EQ(of_sh->out, "42\n");
  auto of_bc = (*bc)->Eval("6 * 7", kNeverReached);
  ASSERT_THAT(of_bc, IsOk());
  EXPECT_EQ(of_bc->out, "42\n");
}

TEST(ForkedCopyTest, LeavesTheOriginalsPollerAndReactorAlone) {
  auto poller = std::make_unique<ProcessPoller<int>>();
  ASSERT_THAT(poller->Run(1, Command({"cat"}), "hello"), IsOk());
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = Reactor::Create();
  ASSERT_THAT(reactor, IsOk());
  ASSERT_THAT((*reactor)->Spawn(std::make_shared<ProcessProtocol>(),
                                Command::Shell("read x; exit 3")),
              IsOk());

  EXPECT_TRUE(InForkedCopy([&] {
    poller = nullptr;
    *reactor = nullptr;
  }));

  EXPECT_THAT(poller->CloseInput(1), IsOk());
  EXPECT_THAT(poller->Poll(kNeverReached), IsOk());
  EXPECT_EQ((*reactor)->running(), 1);
}

TEST(ForkedCopyTest, KeepsNoDescriptorOfAnEscalation) {
  const auto descriptors = [] {
    return internal::ListNumbers("/proc/self/fd")->size();
  };
  const size_t before = descriptors();
  auto poller = std::make_unique<BufferingProcessPoller<int>>();
  Command command = Command::Shell(
      "trap '' TERM; sleep 1000 & sleep 1000 & echo started; wait; wait");
  ASSERT_THAT(poller->Run(1, command), IsOk());
  const auto has_started = [&] { return !poller->output(1).out.empty(); };
  ASSERT_THAT(poller->PollUntil(has_started, kNeverReached), IsOk());
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(SIGTERM, kNeverReached),
                      EscalationStep::Signal(SIGKILL, kNeverReached)};
  escalation.scope = TerminationScope::kTree;
  ASSERT_THAT(poller->Terminate(1, escalation), IsOk());

  EXPECT_TRUE(InForkedCopy([&] {
    poller = nullptr;
    if (descriptors() != before) _exit(1);
  }));

  escalation.steps.erase(escalation.steps.begin());
  ASSERT_THAT(poller->Terminate(1, escalation), IsOk());
  ASSERT_THAT(poller->Poll(kNeverReached), IsOk());
}

TEST(ForkedCopyTest, LeavesTheOriginalsRecordingAlone) {
  const std::string path = testing::TempDir() + "/forked.jsonl";
  absl::StatusOr<std::shared_ptr<Recorder>> recorder = Recorder::ToFile(path);
  ASSERT_THAT(recorder, IsOk());
  (*recorder)->Mark("before");

  EXPECT_TRUE(InForkedCopy([&] { *recorder = nullptr; }));

  EXPECT_THAT((*recorder)->Close(), IsOk());
  remove(path.c_str());
}

// Another thread may hold the replay's mutex at the fork.
TEST(ForkedCopyTest, DestroysAReplayThatOtherThreadsUse) {
  for (ReplayProcess::Pace pace :
       {ReplayProcess::Pace::kAtOnce, ReplayProcess::Pace::kRealTime}) {
    auto replay = ReplayProcess::Start(Transcript(), pace);
    ASSERT_THAT(replay, IsOk());
    std::atomic<bool> stop{false};
    std::vector<std::thread> users;
    for (int i = 0; i < 2; ++i) {
      users.emplace_back([&] {
        while (!stop) (*replay)->state();
      });
    }

    bool held = true;
    for (int i = 0; held && i < 30; ++i) {
      held = InForkedCopy([&] { *replay = nullptr; });
    }

    stop = true;
    for (std::thread& user : users) user.join();
    EXPECT_TRUE(held);
  }
}

class BlocksInWaitid : public internal::Os {
 public:
  int Waitid(idtype_t, id_t, siginfo_t*, int, rusage*) override {
    if (!blocked.HasBeenNotified()) blocked.Notify();
    released.WaitForNotification();
    errno = ECHILD;
    return -1;
  }

  absl::Notification blocked;
  absl::Notification released;
};

TEST(StartedChildrenTest, AreNotLockedInACopyThatWasMadeWhileTheyWere) {
  using internal::StartedChildren;
  BlocksInWaitid os;
  const internal::ScopedOs scoped(&os);
  std::thread other([] {
    // So many children that those are searched for which have been reaped.
    for (pid_t pid = 10'000'000; pid < 10'000'064; ++pid) {
      StartedChildren::Start().Succeeded(pid);
    }
  });
  os.blocked.WaitForNotification();

  EXPECT_TRUE(InForkedCopy([] {
    StartedChildren::Start start;
    start.Succeeded(getpid());
    if (StartedChildren::Get().HasNumber(10'000'000)) _exit(1);
  }));

  os.released.Notify();
  other.join();
}

}  // namespace
}  // namespace asyncproc

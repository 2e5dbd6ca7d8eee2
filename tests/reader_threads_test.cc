// The threads of a Process: a reader for each pipe that is used, and a writer
// for stdin.

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/library_threads.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

const absl::Duration kSoon = absl::Seconds(5) * kSlowness;

// Counts the reads by the thread that created this Os.
class CountsOwnReads : public internal::Os {
 public:
  ssize_t Read(int fd, void* data, size_t size) override {
    if (pthread_equal(pthread_self(), self_) != 0) ++reads;
    return Os::Read(fd, data, size);
  }

  std::atomic<int> reads{0};

 private:
  const pthread_t self_ = pthread_self();
};

TEST(ReaderThreadsTest, DoNotLetTheChildWaitForACallerThatTakesLittle) {
  constexpr uint64_t kSize = 64 * 1024 * 1024;
  auto child =
      MustSpawn(Command({"head", "-c", absl::StrCat(kSize), "/dev/zero"}));

  const absl::Time end = absl::Now() + kSoon;
  while (child->out().stats().bytes < kSize && absl::Now() < end) {
    child->out().ReadExactly(1, absl::ZeroDuration()).IgnoreError();
    std::this_thread::yield();
  }

  EXPECT_EQ(child->out().stats().bytes, kSize);
}

TEST(ReaderThreadsTest, ReadForCallersThatNeverReadAPipe) {
  CountsOwnReads os;
  const internal::ScopedOs scoped(&os);
  auto cat = MustSpawn(Command({"cat"}));

  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(cat->Write("x\n"), IsOk());
    AwaitLine(*cat, "x");
  }

  EXPECT_EQ(os.reads, 0);
}

// Waits until the names of the library's threads match. A new thread has the
// name of the thread that started it until it has set its own.
void AwaitThreads(const testing::Matcher<std::vector<std::string>>& expected) {
  const absl::Time end = absl::Now() + kSoon;
  while (!testing::Value(LibraryThreads(), expected) && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(LibraryThreads(), expected);
}

TEST(ReaderThreadsTest, AreOneForEachPipeThatIsUsed) {
  auto process = MustSpawn(Command::Shell("read x; echo e >&2; read x"));
  AwaitThreads(testing::UnorderedElementsAre("asyncproc-out"));

  EXPECT_THAT(process->Write("x\n"), IsOk());
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("e"));

  AwaitThreads(testing::UnorderedElementsAre("asyncproc-err", "asyncproc-in",
                                             "asyncproc-out"));
}

TEST(ReaderThreadsTest, AreOneForStderrAfterTheEndOfStdout) {
  auto process =
      MustSpawn(Command::Shell("exec >&-; for i in 1 2 3; do read x; echo $i "
                               ">&2; done; read x; exit 3"));

  for (const char* line : {"1", "2", "3"}) {
    EXPECT_THAT(process->Write("\n"), IsOk());
    EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds(line));
  }

  AwaitThreads(testing::UnorderedElementsAre("asyncproc-in", "asyncproc-out"));
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
}

// A system without a further thread.
class FailsThreads : public internal::Os {
 public:
  int ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                   void* (*entry)(void*), void* arg) override {
    return fails ? EAGAIN : Os::ThreadCreate(thread, attributes, entry, arg);
  }

  std::atomic<bool> fails{false};
};

TEST(ReaderThreadsTest, AreOneForBothPipesWhereNoOtherCanBeStarted) {
  FailsThreads os;
  const internal::ScopedOs scoped(&os);
  auto process =
      MustSpawn(Command::Shell("read x; read x; for i in $(seq 5000); do echo "
                               "out $i; echo err $i >&2; done; "
                               "exec >&-; echo last >&2; read x; exit 3"));
  EXPECT_THAT(process->Write("\n"), IsOk());
  AwaitThreads(testing::UnorderedElementsAre("asyncproc-in", "asyncproc-out"));
  os.fails = true;
  EXPECT_THAT(process->Write("\n"), IsOk());

  for (int i = 1; i <= 5000; ++i) {
    ASSERT_THAT(process->err().ReadLine(kNeverReached),
                IsOkAndHolds(absl::StrCat("err ", i)));
    ASSERT_THAT(process->out().ReadLine(kNeverReached),
                IsOkAndHolds(absl::StrCat("out ", i)));
  }
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("last"));

  AwaitThreads(testing::UnorderedElementsAre("asyncproc-in", "asyncproc-out"));
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
}

TEST(ReaderThreadsTest, AreDetachedWhileThatOfStderrStarts) {
  for (int i = 0; i < 100; ++i) {
    Command command = Command::Shell("echo ready; echo e >&2; read x");
    command.on_destroy = OnDestroy::Detach();
    auto process = MustSpawn(command);
    AwaitLine(*process, "ready");

    process = nullptr;
  }
  AwaitNoLibraryThread();
}

TEST(ReaderThreadsTest, AreStoppedWhileThatOfStderrStarts) {
  for (int i = 0; i < 100; ++i) {
    auto process = MustSpawn(Command::Shell("echo ready; echo e >&2; read x"));
    AwaitLine(*process, "ready");

    process = nullptr;
  }
  AwaitNoLibraryThread();
}

TEST(ReaderThreadsTest, AreOneForStderrInStdout) {
  Command command({"cat"});
  command.err = Stdio::ToStdout();
  auto cat = MustSpawn(command);

  AwaitThreads(testing::UnorderedElementsAre("asyncproc-out"));
}

TEST(ReaderThreadsTest, GiveWayToOneThatWatchesForTheEnd) {
  Command command({"cat"});
  command.out = command.err = Stdio::Null();
  auto cat = MustSpawn(command);

  AwaitThreads(testing::UnorderedElementsAre("asyncproc-end"));
  EXPECT_THAT(cat->CloseStdin(), IsOk());
  EXPECT_THAT(cat->WaitFor(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
}

// The last reader thread watches for the end of the child.
TEST(ReaderThreadsTest, LeaveButForTheLastWhenTheStreamsEndBeforeTheChild) {
  auto process = MustSpawn(Command::Shell("exec >&- 2>&-; read x; exit 3"));
  AwaitThreads(testing::SizeIs(1));

  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
}

absl::Duration CpuTime() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

// The pidfd of a dead child is readable while a debugger still traces the
// child, but the child cannot be reaped.
TEST(ReaderThreadsTest, DoNotSpinWhileADebuggerKeepsADeadChild) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  auto debugger =
      MustSpawn(Command({Helper("trace"), absl::StrCat(process->pid())}));
  const absl::StatusOr<std::string> attached =
      debugger->out().ReadLine(kNeverReached);
  if (!attached.ok()) GTEST_SKIP() << "ptrace is refused here";
  ASSERT_THAT(process->Signal(SIGKILL), IsOk());
  const absl::Duration before = CpuTime();

  EXPECT_THAT(process->WaitFor(absl::Milliseconds(500)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(CpuTime() - before, absl::Milliseconds(250));

  EXPECT_THAT(debugger->Terminate(kNeverReached), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST(ReaderThreadsTest, AreDetachedFromAChildThatADebuggerKeeps) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  auto debugger =
      MustSpawn(Command({Helper("trace"), absl::StrCat(process->pid())}));
  const absl::StatusOr<std::string> attached =
      debugger->out().ReadLine(kNeverReached);
  if (!attached.ok()) GTEST_SKIP() << "ptrace is refused here";

  process = nullptr;  // Does not wait for the debugger.

  EXPECT_TRUE(debugger->IsAlive());
  debugger = nullptr;
  AwaitNoLibraryThread();
}

// A signal handler of the host runs on a waiting caller.
std::atomic<bool> handler_may_end{false};

TEST(ReaderThreadsTest, GoOnWhileACallersSignalHandlerRuns) {
  handler_may_end = false;
  struct sigaction action = {}, before;
  action.sa_handler = [](int) {
    while (!handler_may_end) {
    }
  };
  sigaction(SIGUSR1, &action, &before);
  auto process = MustSpawn(Command::Shell(
      "read x; head -c 1000000 /dev/zero; echo done >&2; read x"));
  std::atomic<pid_t> waiting{0};
  std::thread caller([&] {
    waiting = gettid();
    EXPECT_THAT(process->out().ReadExactly(1000000, kNeverReached), IsOk());
  });
  AwaitSleep(waiting);
  pthread_kill(caller.native_handle(), SIGUSR1);

  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("done"));

  handler_may_end = true;
  caller.join();
  sigaction(SIGUSR1, &before, nullptr);
}

// The number of times that the library's threads have gone to sleep.
int Naps() {
  int naps = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    bool ours = false;
    for (std::string line; std::getline(status, line);) {
      absl::string_view count = line;
      int number;
      if (absl::StartsWith(line, "Name:")) {
        ours = absl::StrContains(line, "asyncproc-");
      } else if (ours &&
                 absl::ConsumePrefix(&count, "voluntary_ctxt_switches:") &&
                 absl::SimpleAtoi(count, &number)) {
        naps += number;
      }
    }
  }
  return naps;
}

TEST(WaitingTest, LeavesTheReadersAsleep) {
  auto cat = MustSpawn(Command({"cat"}));
  std::thread sleeper([&] {
    EXPECT_THAT(cat->out().ReadLine(kNeverReached), IsOkAndHolds("over"));
  });
  absl::SleepFor(kShort);
  const int before = Naps();
  absl::SleepFor(kShort * 5);
  const int after = Naps();
  EXPECT_THAT(cat->Write("over\n"), IsOk());
  sleeper.join();

  EXPECT_GT(before, 0);
  EXPECT_LE(after - before, 1);
}

TEST(WaitingTest, EndsWhenTheProcessIsDestroyed) {
  auto process = MustSpawn(Command({"cat"}));
  OutputCursor cursor = process->out().NewCursor();
  std::thread reader([&] {
    EXPECT_THAT(cursor.ReadLine(kNeverReached),
                HasCode(absl::StatusCode::kOutOfRange));
  });
  absl::SleepFor(absl::Milliseconds(5));  // Before or during the wait.

  process = nullptr;

  reader.join();
}

// A grandchild holds the output: the wait does not wait for the grandchild.
TEST(WaitingTest, EndsWhenADetachedChildHasSettled) {
  Command command = Command::Shell("sleep 1000 & echo $!; read x || exec true");
  command.on_destroy = OnDestroy::Detach();
  auto process = MustSpawn(command);
  const auto holder = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(holder, IsOk());
  OutputCursor cursor = process->out().NewCursor(From::kNow);
  std::thread reader([&] {
    EXPECT_THAT(cursor.ReadLine(kNeverReached),
                HasCode(absl::StatusCode::kOutOfRange));
  });
  // The reader usually waits by then, but must end in any case.
  absl::SleepFor(kShort);

  process = nullptr;

  reader.join();
  kill(std::stoi(*holder), SIGKILL);
  AwaitNoLibraryThread();
}

TEST(WaitingTest, OfOneThreadServesTheOthers) {
  auto process = MustSpawn(
      Command::Shell("echo out; read x; echo err >&2; read x; exit 3"));
  std::thread waiter([&] {
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(3)));
  });
  std::thread reader([&] {
    EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("err"));
    EXPECT_THAT(process->Write("\n"), IsOk());
  });

  AwaitLine(*process, "out");
  EXPECT_THAT(process->Write("\n"), IsOk());

  reader.join();
  waiter.join();
}

// The child's output is still read after the caller stops waiting.
TEST(WaitingTest, DoesNotKeepTheOutputFromBeingReadAfterwards) {
  auto process = MustSpawn(Command::Shell(
      "echo ready; read x; head -c 300000 /dev/zero; echo done >&2"));
  AwaitLine(*process, "ready");
  EXPECT_THAT(process->Write("\n"), IsOk());

  while (process->out().stats().bytes < 300006) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("done"));
}

// A caller that polls in a loop with no timeout, or a tiny one, must not starve
// the child's thread.
TEST(PollingTest, DoesNotLeaveTheChildAlone) {
  for (absl::Duration timeout :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Microseconds(1)}) {
    const absl::Time start = internal::MonotonicNow();
    for (int round = 0; round < 20; ++round) {
      auto ends = MustSpawn(Command({"true"}));
      while (!ends->WaitFor(timeout).ok()) {
      }
      auto says = MustSpawn(Command({"echo", "hello"}));
      while (!says->out().ReadLine(timeout).ok()) {
      }
    }
    EXPECT_LT(internal::MonotonicNow() - start, kSoon) << timeout;
  }
}

}  // namespace
}  // namespace asyncproc

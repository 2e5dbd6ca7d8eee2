// Who looks after a child: its own thread, or whoever waits for it.

#include "asyncproc/internal/io/driver_seat.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
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

using internal::DriverSeat;

const absl::Duration kSoon = absl::Seconds(5) * kSlowness;

TEST(DriverSeatTest, IsTheCallersWhileTheOwnerIsPatient) {
  DriverSeat seat;

  EXPECT_TRUE(seat.Enter(/*may_drive=*/true, nullptr));
  EXPECT_TRUE(seat.IsMine());
  seat.Exit(/*drove=*/true, /*urgent=*/false);

  seat.Take();  // Patience is over.
  seat.Leave();
}

TEST(DriverSeatTest, IsLeftByTheOwnerForACaller) {
  DriverSeat seat;
  absl::Notification taken, hurried;
  std::thread owner([&] {
    seat.Take();
    taken.Notify();
    hurried.WaitForNotification();
    EXPECT_TRUE(seat.IsWanted());
    seat.Leave();
    seat.Take();
    EXPECT_FALSE(seat.IsWanted());
    seat.Leave();
  });
  taken.WaitForNotification();

  EXPECT_TRUE(seat.Enter(/*may_drive=*/true, [&] { hurried.Notify(); }));
  seat.Exit(/*drove=*/true, /*urgent=*/true);

  owner.join();
}

TEST(DriverSeatTest, IsTheOwnersWhileSeveralWait) {
  DriverSeat seat;
  ASSERT_TRUE(seat.Enter(/*may_drive=*/true, nullptr));
  EXPECT_FALSE(seat.Enter(/*may_drive=*/true, nullptr));

  seat.Exit(/*drove=*/true, /*urgent=*/false);
  seat.Take();  // At once, and for good: nobody can take it.
  EXPECT_FALSE(seat.Enter(/*may_drive=*/true, nullptr));

  seat.Exit(/*drove=*/false, /*urgent=*/false);
  seat.Exit(/*drove=*/false, /*urgent=*/false);
  seat.Leave();
}

TEST(DriverSeatTest, IsTakenAtOnceForWhatACallerDidNotSee) {
  DriverSeat seat;
  ASSERT_TRUE(seat.Enter(/*may_drive=*/true, nullptr));
  ASSERT_TRUE(seat.IsMine());
  seat.CallOwner();
  std::thread owner([&] {
    seat.Take();
    seat.Leave();
  });

  seat.Exit(/*drove=*/true, /*urgent=*/false);

  owner.join();
}

TEST(DriverSeatTest, IsNoCallersOnceItIsClosed) {
  DriverSeat seat;
  ASSERT_TRUE(seat.Enter(/*may_drive=*/true, nullptr));
  std::thread closer([&] {
    seat.Close();
    seat.AwaitNoCaller();
  });

  while (seat.IsMine()) absl::SleepFor(absl::Milliseconds(1));
  seat.Exit(/*drove=*/true, /*urgent=*/false);

  closer.join();
  EXPECT_FALSE(seat.Enter(/*may_drive=*/true, nullptr));
  seat.Exit(/*drove=*/false, /*urgent=*/false);
}

// However soon after it began to be patient the last caller came and went.
TEST(DriverSeatTest, IsTakenWhenItHasBeenEmptyForAsLongAsTheOwnerIsPatient) {
  const absl::Duration kEarly = DriverSeat::kPatience / 8;
  absl::Duration soonest = absl::InfiniteDuration();
  for (int rounds = 0; rounds < 20;) {
    DriverSeat seat;
    absl::Notification begun;
    absl::Time begin, taken;
    std::thread owner([&] {
      begin = internal::MonotonicNow();
      begun.Notify();
      seat.Take();
      taken = internal::MonotonicNow();
      seat.Leave();
    });
    begun.WaitForNotification();
    absl::SleepFor(kEarly);
    const absl::Time entered = internal::MonotonicNow();
    EXPECT_TRUE(seat.Enter(/*may_drive=*/true, nullptr));
    seat.Exit(/*drove=*/true, /*urgent=*/false);
    const absl::Time left = internal::MonotonicNow();
    owner.join();
    // Others that run on the machine may have made it late.
    if (entered < begin + kEarly || left > begin + 4 * kEarly) continue;
    ++rounds;
    soonest = std::min(soonest, taken - left);
  }

  EXPECT_LT(soonest, DriverSeat::kPatience * 1.25);
}

// Counts what is read, of anything, by the thread that made it.
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

TEST(WaitingTest, IsForWhatTheWaitingThreadReadsItself) {
  CountsOwnReads os;
  const internal::ScopedOs scoped(&os);
  auto cat = MustSpawn(Command({"cat"}));

  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(cat->Write("x\n"), IsOk());
    AwaitLine(*cat, "x");
  }

  EXPECT_GE(os.reads, 50);
}

// Of all threads of the library, how often they have gone to sleep.
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

TEST(WaitingTest, LeavesTheChildsThreadAsleep) {
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
  absl::SleepFor(absl::Milliseconds(5));  // Before or while: it is the same.

  process = nullptr;

  reader.join();
}

// A process that it left behind holds its output: nobody waits for that one.
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
  // So that it waits by then, as a rule: it has to end in any case.
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

// A caller that has gone away must not leave a child that writes alone.
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

// Whoever asks again and again without any time to wait, or next to none, must
// not keep the child's thread from looking after it.
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

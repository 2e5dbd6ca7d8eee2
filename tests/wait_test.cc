// Waiting for a child, and the report of its end.

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

// The error of the wall clock, in seconds, for all code in this program.
static std::atomic<time_t> clock_error{0};

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  if (syscall(SYS_clock_gettime, clock, now) < 0) return -1;
  if (clock == CLOCK_REALTIME) now->tv_sec += clock_error;
  return 0;
}

namespace asyncproc {
namespace {

using internal::MonotonicNow;
using testing::HasSubstr;

constexpr absl::StatusCode kTimeout = absl::StatusCode::kDeadlineExceeded;

ExitStatus EndOf(Command command) {
  auto process = MustSpawn(std::move(command));
  if (process->command().in.kind() == Stdio::Kind::kPipe) {
    process->CloseStdin().IgnoreError();
  }
  auto status = process->WaitFor(kNeverReached);
  EXPECT_THAT(status, IsOk());
  return status.value_or(ExitStatus::Exited(-1));
}

// ---- Statuses.

// WST-01
TEST(WaitTest, ReportsEveryExitCode) {
  for (int code = 0; code < 256; ++code) {
    const ExitStatus status =
        EndOf(Command::Shell(absl::StrCat("exit ", code)));
    ASSERT_EQ(status, ExitStatus::Exited(code));
    ASSERT_FALSE(status.signaled());
    ASSERT_EQ(status.ok(), code == 0);
  }
}

// WST-01
TEST(WaitTest, ReportsTheLowByteOfALargerExitCode) {
  EXPECT_EQ(EndOf(Command({"python3", "-Sc", "import os; os._exit(256)"})),
            ExitStatus::Exited(0));
  EXPECT_EQ(EndOf(Command({"python3", "-Sc", "import os; os._exit(-1)"})),
            ExitStatus::Exited(255));
}

// WST-02
TEST(WaitTest, ReportsTheSignalThatKilledIt) {
  for (int signal : {SIGHUP, SIGINT, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE,
                     SIGTERM, SIGRTMIN, SIGRTMAX}) {
    Command command = Command::Shell(absl::StrCat("kill -", signal, " $$"));
    command.rlimits[RLIMIT_CORE] = {0, 0};

    const ExitStatus status = EndOf(command);

    EXPECT_EQ(status, ExitStatus::Signaled(signal));
    EXPECT_FALSE(status.exited());
  }
  EXPECT_NE(ExitStatus::Signaled(SIGKILL), ExitStatus::Exited(SIGKILL));
}

// WST-03
TEST(WaitTest, ReportsAShellsWordForASignalAsTheExitCodeThatItIs) {
  EXPECT_EQ(EndOf(Command::Shell("sh -c 'kill -TERM $$'; exit $?")),
            ExitStatus::Exited(143));
  EXPECT_EQ(EndOf(Command::Shell("/no/such/program 2>/dev/null")),
            ExitStatus::Exited(127));
  EXPECT_EQ(EndOf(Command::Shell("/ 2>/dev/null")), ExitStatus::Exited(126));
}

// WST-04
TEST(WaitTest, KeepsTheStatus) {
  auto process = MustSpawn(Command::Shell("exit 1"));

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(1)));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(1)));
  EXPECT_THAT(process->Wait(WNOHANG), IsOkAndHolds(ExitStatus::Exited(1)));
  EXPECT_THAT(process->WaitFor(absl::ZeroDuration()),
              IsOkAndHolds(ExitStatus::Exited(1)));

  // The child has been reaped.
  EXPECT_EQ(waitpid(process->pid(), nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

// THR-02
TEST(WaitTest, TellsEveryThreadThatWaits) {
  auto process = MustSpawn(Command({"cat"}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&process, i] {
      EXPECT_THAT(
          i % 2 == 0 ? process->Wait() : process->WaitFor(kNeverReached),
          IsOkAndHolds(ExitStatus::Exited(0)));
    });
  }

  EXPECT_THAT(process->CloseStdin(), IsOk());

  for (std::thread& thread : threads) thread.join();
}

TEST(WaitTest, KnowsNoOtherFlags) {
  auto process = MustSpawn(Command({"true"}));

  EXPECT_THAT(process->Wait(WUNTRACED),
              HasCode(absl::StatusCode::kInvalidArgument));
}

// WST-07
TEST(WaitTest, ReportsALostStatusWhenTheHostIgnoresSigchld) {
  struct sigaction before, ignore = {};
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(sigaction(SIGCHLD, &ignore, &before), 0);
  const absl::Cleanup restore = [&before] {
    sigaction(SIGCHLD, &before, nullptr);
  };
  auto process = MustSpawn(Command({"echo", "said"}));

  EXPECT_THAT(process->WaitFor(kNeverReached),
              HasCode(absl::StatusCode::kDataLoss));

  EXPECT_THAT(process->Wait(WNOHANG), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(process->IsAlive());
  EXPECT_THAT(process->Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(process->Read(), "said\n");
}

// A host that waits for any child, and is always first.
class ThiefOs : public internal::Os {
 public:
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    if ((options & WNOWAIT) == 0) {
      siginfo_t stolen;
      Os::Waitid(type, id, &stolen, options, nullptr);
    }
    return Os::Waitid(type, id, info, options, usage);
  }
};

// WST-07
TEST(WaitTest, ReportsALostStatusWhenTheHostHasTakenIt) {
  ThiefOs os;
  const internal::ScopedOs scoped(&os);
  auto process = MustSpawn(Command::Shell("echo said; exit 3"));

  const auto status = process->WaitFor(kNeverReached);

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(std::string(status.status().message()),
              HasSubstr(absl::StrCat(process->pid())));
  EXPECT_THAT(process->Wait(WNOHANG), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(process->Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(process->Terminate(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(process->Read(), "said\n");
}

// WST-08
TEST(WaitTest, WaitsForAChildThatWaitsForTheEndOfItsInput) {
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_THAT(process->WaitFor(kShort), HasCode(kTimeout));
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
}

// WST-09
TEST(WaitTest, LeavesThePidAsItWas) {
  auto process = MustSpawn(Command::Shell("echo $$; read x"));
  const pid_t pid = process->pid();

  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              IsOkAndHolds(absl::StrCat(pid)));
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Wait(), IsOk());

  EXPECT_EQ(process->pid(), pid);
  EXPECT_THAT(process->Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(process->Signal(0), HasCode(absl::StatusCode::kNotFound));
}

// WST-10
TEST(WaitTest, NamesTheEndForPeople) {
  EXPECT_EQ(EndOf(Command::Shell("exit 1")).ToString(), "exited with status 1");
  EXPECT_EQ(EndOf(Command::Shell("kill -9 $$")).ToString(),
            "killed by SIGKILL");
  EXPECT_THAT(ExitStatus::Signaled(99).ToString(), HasSubstr("99"));
}

// WST-12
TEST(WaitTest, GoesOnOverAStopAndAResumption) {
  auto process =
      MustSpawn(Command::Shell("while :; do echo tick; sleep 0.001; done"));
  AwaitLine(*process, "tick");

  EXPECT_THAT(process->Signal(SIGSTOP), IsOk());
  while (process->state() != ProcessState::kStopped) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_TRUE(process->IsAlive());
  // The pipe may still hold output from before the stop.
  while (process->out().ReadSome(kShort).ok()) {
  }
  EXPECT_THAT(process->WaitFor(kShort), HasCode(kTimeout));
  EXPECT_EQ(process->Read(), "");
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());

  AwaitLine(*process, "tick");
  EXPECT_EQ(process->state(), ProcessState::kRunning);
  EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

// ---- Timeouts.

// TMO-01
TEST(WaitForTest, GivesUpWhenItsTimeIsOverAndLeavesTheChildAlone) {
  auto process = MustSpawn(Command({"cat"}));
  const absl::Time start = MonotonicNow();

  EXPECT_THAT(process->WaitFor(kShort), HasCode(kTimeout));

  EXPECT_GE(MonotonicNow() - start, kShort);
  EXPECT_LT(MonotonicNow() - start, absl::Seconds(2) * kSlowness);
  EXPECT_TRUE(process->IsAlive());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_LT(MonotonicNow() - start, absl::Seconds(10) * kSlowness);
}

// TMO-01
TEST(WaitForTest, ReportsTheCommandAndItsLastOutput) {
  auto process =
      MustSpawn(Command::Shell("echo one; echo two >&2; echo ready; read x"));
  AwaitLine(*process, "one");
  AwaitLine(*process, "ready");
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("two"));

  const std::string message(
      process->WaitFor(absl::Milliseconds(1)).status().message());

  EXPECT_THAT(message, HasSubstr("echo two"));
  EXPECT_THAT(message, HasSubstr(absl::StrCat("pid ", process->pid())));
  EXPECT_THAT(message, HasSubstr("1ms"));
  EXPECT_THAT(message, HasSubstr("last of stdout: 'one', 'ready'"));
  EXPECT_THAT(message, HasSubstr("last of stderr: 'two'"));
}

// TMO-03
TEST(WaitForTest, LooksOnceWhenThereIsNoTime) {
  auto process = MustSpawn(Command({"cat"}));
  const absl::Time start = MonotonicNow();

  for (absl::Duration timeout :
       {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration(),
        absl::Microseconds(100), absl::Nanoseconds(1)}) {
    EXPECT_THAT(process->WaitFor(timeout), HasCode(kTimeout)) << timeout;
  }

  EXPECT_LT(MonotonicNow() - start, absl::Seconds(2) * kSlowness);
}

// TMO-03
TEST(WaitForTest, DoesNotSpinThroughManyTinyTimeouts) {
  auto process = MustSpawn(Command({"cat"}));
  timespec start, end;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  const absl::Time started = MonotonicNow();

  // Each wait sleeps until its deadline, so the thread is mostly idle.
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(process->WaitFor(absl::Milliseconds(1)), HasCode(kTimeout));
  }

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  EXPECT_LT(absl::DurationFromTimespec(end) - absl::DurationFromTimespec(start),
            0.9 * (MonotonicNow() - started));
}

// TMO-03
TEST(WaitForTest, WaitsForTheGivenTime) {
  for (absl::Duration timeout :
       {absl::Hours(24 * 25), absl::Hours(24 * 30), absl::Hours(24 * 366000),
        absl::Seconds(1e18), absl::InfiniteDuration()}) {
    auto process = MustSpawn(Command({"cat"}));
    std::thread closer([&process] {
      EXPECT_THAT(process->WaitFor(kShort), HasCode(kTimeout));
      EXPECT_THAT(process->CloseStdin(), IsOk());
    });

    EXPECT_THAT(process->WaitFor(timeout), IsOkAndHolds(ExitStatus::Exited(0)))
        << timeout;

    closer.join();
  }
}

// Corrects the clock at the end.
class WrongClock {
 public:
  explicit WrongClock(absl::Duration error) { Set(error); }
  ~WrongClock() { clock_error = 0; }
  void Set(absl::Duration error) { clock_error = absl::ToInt64Seconds(error); }
};

// TMO-07
TEST(WaitForTest, GivesUpInTimeThoughTheSystemClockIsSet) {
  auto process = MustSpawn(Command({"cat"}));
  const absl::Time true_time = absl::Now();
  for (absl::Duration error : {absl::Hours(-1), absl::Hours(1)}) {
    WrongClock clock(error);
    ASSERT_GT(absl::AbsDuration(absl::Now() - true_time), absl::Minutes(50));
    const absl::Time start = MonotonicNow();

    // The clock is wrong at first, and corrected during the second wait.
    EXPECT_THAT(process->WaitFor(kShort), HasCode(kTimeout));
    EXPECT_GE(MonotonicNow() - start, kShort);
    std::thread setter([&] {
      EXPECT_THAT(process->out().ReadLine(kShort / 2), HasCode(kTimeout));
      clock.Set(absl::ZeroDuration());
    });
    EXPECT_THAT(process->WaitFor(kShort), HasCode(kTimeout));
    setter.join();

    EXPECT_GE(MonotonicNow() - start, 2 * kShort);
    EXPECT_LT(MonotonicNow() - start, absl::Seconds(5) * kSlowness);
  }
}

// TMO-07
TEST(WaitForTest, DoesNotGiveUpWhenTheSystemClockJumps) {
  for (absl::Duration error : {absl::Hours(-1), absl::Hours(1)}) {
    auto process = MustSpawn(Command({"cat"}));
    WrongClock clock(absl::ZeroDuration());
    std::thread setter([&] {
      EXPECT_THAT(process->out().ReadLine(kShort), HasCode(kTimeout));
      clock.Set(error);
      EXPECT_THAT(process->out().ReadLine(kShort), HasCode(kTimeout));
      EXPECT_THAT(process->CloseStdin(), IsOk());
    });

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));

    setter.join();
  }
}

}  // namespace
}  // namespace asyncproc

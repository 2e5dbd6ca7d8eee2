#include "asyncproc/with_timeout.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/expect.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::StatusCode kDeadlineExceeded =
    absl::StatusCode::kDeadlineExceeded;

// Reads from a pipe that stays empty. Returns errno.
class EmptyPipe {
 public:
  EmptyPipe() {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    read_end_.Reset(fds[0]);
    write_end_.Reset(fds[1]);
  }
  int Read() {
    char byte;
    return read(read_end_.get(), &byte, 1) < 0 ? errno : 0;
  }

 private:
  internal::UniqueFd read_end_;
  internal::UniqueFd write_end_;
};

std::string TimersOfThisProcess() {
  std::ifstream file("/proc/self/timers");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// TMO-08
TEST(WithTimeoutTest, ReturnsTheValueOfTheFunction) {
  EXPECT_THAT(WithTimeout(kNeverReached, [] { return 42; }), IsOkAndHolds(42));
  EXPECT_THAT(
      WithTimeout(kNeverReached, [] { return absl::StatusOr<int>(42); }),
      IsOkAndHolds(42));
  EXPECT_THAT(WithTimeout(kNeverReached, [] {}), IsOk());
  EXPECT_THAT(WithTimeout(kNeverReached, [] { return absl::OkStatus(); }),
              IsOk());
  EXPECT_THAT(
      WithTimeout(kNeverReached, [] { return std::make_unique<int>(42); }),
      IsOkAndHolds(testing::Pointee(42)));
}

TEST(WithTimeoutTest, DoesNotNestStatus) {
  static_assert(std::is_same_v<TimeoutResult<int (*)()>, absl::StatusOr<int>>);
  static_assert(std::is_same_v<TimeoutResult<absl::StatusOr<int> (*)()>,
                               absl::StatusOr<int>>);
  static_assert(std::is_same_v<TimeoutResult<const std::string& (*)()>,
                               absl::StatusOr<std::string>>);
  static_assert(std::is_same_v<TimeoutResult<void (*)()>, absl::Status>);
  static_assert(
      std::is_same_v<TimeoutResult<absl::Status (*)()>, absl::Status>);
}

// TMO-08
TEST(WithTimeoutTest, PassesOnAnErrorInTime) {
  EXPECT_THAT(WithTimeout(kNeverReached,
                          [] { return absl::NotFoundError("no such thing"); }),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(WithTimeout(kNeverReached,
                          []() -> absl::StatusOr<int> {
                            return absl::NotFoundError("no such thing");
                          }),
              HasCode(absl::StatusCode::kNotFound));
}

// TMO-08
TEST(WithTimeoutTest, LetsAnExceptionThrough) {
  EXPECT_THROW((void)WithTimeout(kNeverReached, [] { throw 42; }), int);

  EXPECT_EQ(Deadline::Remaining(), absl::InfiniteDuration());
  EXPECT_EQ(TimersOfThisProcess(), "");
}

// TMO-08
TEST(WithTimeoutTest, EndsASleepAtTheDeadline) {
  const absl::Time start = absl::Now();

  const absl::Status status = WithTimeout(kShort, [] {
    const timespec minute = {60, 0};
    nanosleep(&minute, nullptr);
  });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_THAT(status.message(), HasSubstr("50ms"));
  EXPECT_GE(absl::Now() - start, kShort);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
}

TEST(WithTimeoutTest, InterruptsSystemCallsUntilTheFunctionReturns) {
  EmptyPipe pipe;
  std::vector<int> errors;

  const absl::Status status = WithTimeout(kShort, [&] {
    for (int i = 0; i < 5; ++i) errors.push_back(pipe.Read());
    pollfd none = {-1, 0, 0};
    errors.push_back(poll(&none, 1, -1) < 0 ? errno : 0);
  });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_THAT(errors,
              testing::ElementsAre(EINTR, EINTR, EINTR, EINTR, EINTR, EINTR));
}

TEST(WithTimeoutTest, InterruptsACallThatBeginsAfterTheDeadline) {
  EmptyPipe pipe;
  int error = 0;

  const absl::Status status = WithTimeout(kShort, [&] {
    while (!Deadline::Expired()) {
    }
    error = pipe.Read();
  });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_EQ(error, EINTR);
}

TEST(WithTimeoutTest, LateValueIsNotReturned) {
  int kept = 0;

  const absl::StatusOr<int> late = WithTimeout(kShort, [&] {
    while (!Deadline::Expired()) {
    }
    return kept = 42;
  });

  EXPECT_THAT(late, HasCode(kDeadlineExceeded));
  EXPECT_EQ(kept, 42);
}

TEST(WithTimeoutTest, LateErrorIsPartOfTheMessage) {
  EmptyPipe pipe;

  const absl::Status late = WithTimeout(
      kShort, [&] { return absl::ErrnoToStatus(pipe.Read(), "cannot read"); });

  EXPECT_THAT(late, HasCode(kDeadlineExceeded));
  EXPECT_THAT(late.message(), HasSubstr("cannot read"));
}

TEST(WithTimeoutTest, DoesNotCallTheFunctionWhenThereIsNoTime) {
  bool called = false;
  const auto call = [&called] { called = true; };

  EXPECT_THAT(WithTimeout(absl::ZeroDuration(), call),
              HasCode(kDeadlineExceeded));
  EXPECT_THAT(WithTimeout(-absl::Seconds(1), call), HasCode(kDeadlineExceeded));
  EXPECT_THAT(WithTimeout(-absl::InfiniteDuration(), call),
              HasCode(kDeadlineExceeded));
  EXPECT_FALSE(called);
}

TEST(WithTimeoutTest, TakesAnyLengthOfTime) {
  for (absl::Duration timeout :
       {absl::InfiniteDuration(), absl::Hours(24 * 365 * 1000),
        absl::Hours(24 * 30), absl::Milliseconds(1500)}) {
    EXPECT_THAT(WithTimeout(timeout, [] { return 42; }), IsOkAndHolds(42))
        << timeout;
  }
}

TEST(WithTimeoutTest, EndsWaitingForAChild) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  const absl::StatusOr<ExitStatus> status =
      WithTimeout(kShort, [&] { return process->Wait(); });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_THAT(status.status().message(), HasSubstr("sleep 1000"));
  EXPECT_THAT(status.status().message(), Not(HasSubstr("inf")));
  EXPECT_TRUE(process->IsAlive());
}

TEST(WithTimeoutTest, EndsEveryBlockingCallAndTakesNothing) {
  auto process = MustSpawn(Command::Shell("echo -n abc; exec sleep 1000"));
  EXPECT_THAT(process->Write(std::string(1 << 20, 'x')), IsOk());
  auto tap = process->out().AddTap([](absl::string_view) {});
  ASSERT_THAT(tap, IsOk());
  const absl::Duration forever = absl::InfiniteDuration();
  bool called_all = false;

  EXPECT_THAT(process->out().ReadExactly(3, kNeverReached),
              IsOkAndHolds("abc"));
  const absl::Status status = WithTimeout(kShort, [&] {
    EXPECT_THAT(process->out().ReadLine(forever), HasCode(kDeadlineExceeded));
    EXPECT_THAT(process->out().ReadSome(forever), HasCode(kDeadlineExceeded));
    EXPECT_THAT(process->out().ReadUntil("x", forever),
                HasCode(kDeadlineExceeded));
    EXPECT_THAT(process->out().ReadExactly(9, forever),
                HasCode(kDeadlineExceeded));
    EXPECT_THAT(process->Flush(forever), HasCode(kDeadlineExceeded));
    EXPECT_THAT(process->Wait(), HasCode(kDeadlineExceeded));
    EXPECT_THAT(process->Terminate(kNeverReached), HasCode(kDeadlineExceeded));
    EXPECT_FALSE(tap->Finish());
    EXPECT_THAT(process->out().TryReadLine(),
                HasCode(absl::StatusCode::kUnavailable));
    called_all = true;
  });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_TRUE(called_all);
  EXPECT_TRUE(process->IsAlive());
}

TEST(WithTimeoutTest, LeavesACallItsOwnNearerDeadline) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  const absl::StatusOr<std::string> line = WithTimeout(
      kNeverReached, [&] { return process->out().ReadLine(kShort); });

  EXPECT_THAT(line, HasCode(kDeadlineExceeded));
}

TEST(WithTimeoutTest, ReturnsAnAvailableValueAfterTheDeadline) {
  auto process = MustSpawn(Command({"echo", "hello"}));
  ASSERT_THAT(process->Wait(), IsOk());
  absl::StatusOr<std::string> line;

  EXPECT_THAT(WithTimeout(kShort,
                          [&] {
                            while (!Deadline::Expired()) {
                            }
                            line = process->out().ReadLine(kNeverReached);
                          }),
              HasCode(kDeadlineExceeded));

  EXPECT_THAT(line, IsOkAndHolds("hello"));
}

TEST(WithTimeoutTest, MakesTerminateStopBetweenTwoSteps) {
  auto process = MustSpawn(
      Command::Shell("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  AwaitLine(*process, "ready");

  const absl::StatusOr<ExitStatus> status =
      WithTimeout(kShort, [&] { return process->Terminate(kNeverReached); });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_TRUE(process->IsAlive());
  EXPECT_THAT(process->Terminate(absl::ZeroDuration()),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST(WithTimeoutTest, EndsTheTerminationOfATree) {
  Command command = Command::Shell(
      "(trap '' TERM; echo ready; while :; do sleep 0.01; done) & wait");
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  AwaitLine(*process, "ready");
  Escalation gentle;
  gentle.scope = TerminationScope::kTree;
  gentle.steps = {EscalationStep::Signal(SIGTERM, kNeverReached),
                  EscalationStep::Signal(SIGKILL, kNeverReached)};

  const absl::StatusOr<Termination> given_up =
      WithTimeout(kShort, [&] { return process->Terminate(gentle); });
  Escalation harsh;
  harsh.scope = TerminationScope::kTree;
  harsh.steps = {EscalationStep::Signal(SIGKILL, kNeverReached)};
  const absl::StatusOr<Termination> ended = process->Terminate(harsh);

  EXPECT_THAT(given_up, HasCode(kDeadlineExceeded));
  ASSERT_THAT(ended, IsOk());
  EXPECT_THAT(ended->survivors, testing::IsEmpty());
}

TEST(WithTimeoutTest, LetsADestructorDoItsWorkInFull) {
  Command command = Command::Shell(
      "trap 'echo done > \"$0\"; exit' TERM; echo ready;"
      "while :; do sleep 0.01; done");
  TemporaryDirectory directory;
  command.argv.push_back(directory.path() + "/said");
  Escalation gentle;
  gentle.steps = {EscalationStep::Signal(SIGTERM, kNeverReached)};
  command.on_destroy = OnDestroy::Terminate(gentle);

  auto process = MustSpawn(command);
  AwaitLine(*process, "ready");

  const absl::Status status = WithTimeout(kShort, [&] {
    while (!Deadline::Expired()) {
    }
    process = nullptr;
  });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_EQ(directory.Read("said"), "done\n");
}

TEST(WithTimeoutTest, IsNoTimeoutThatExpectWasToldToExpect) {
  auto process = MustSpawn(Command::Shell("echo hello; exec sleep 1000"));
  Expect expect(process.get());
  expect.set_lookback(1);
  absl::StatusOr<Expected> expected;

  const absl::Status status = WithTimeout(kShort, [&] {
    expected = expect.Await({Pattern::Regex("goodbye"), Pattern::Timeout()},
                            kNeverReached);
  });

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_THAT(expected, HasCode(kDeadlineExceeded));
  EXPECT_THAT(expected.status().message(), HasSubstr("hello"));
}

TEST(WithTimeoutTest, EndsWaitingForATerminal) {
  Command command({"sleep", "1000"});
  command.pty = Pty();
  auto process = MustSpawn(command);

  EXPECT_THAT(
      WithTimeout(
          kShort,
          [&] { return process->pty()->AwaitEcho(false, kNeverReached); }),
      HasCode(kDeadlineExceeded));
}

// TMO-09
TEST(WithTimeoutTest, OuterDeadlineEndsTheInnerFunction) {
  EmptyPipe pipe;
  absl::Status inner;
  int error = 0;
  const absl::Time start = absl::Now();

  const absl::Status outer = WithTimeout(kShort, [&] {
    inner = WithTimeout(kNeverReached, [&] { error = pipe.Read(); });
  });

  EXPECT_THAT(outer, HasCode(kDeadlineExceeded));
  EXPECT_THAT(inner, HasCode(kDeadlineExceeded));
  EXPECT_EQ(error, EINTR);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
}

// TMO-09
TEST(WithTimeoutTest, InnerDeadlineLeavesTheOuterItsTime) {
  auto process = MustSpawn(Command({"cat"}));

  const absl::StatusOr<std::string> answer =
      WithTimeout(kNeverReached, [&]() -> absl::StatusOr<std::string> {
        EXPECT_THAT(
            WithTimeout(kShort,
                        [&] { return process->out().ReadLine(kNeverReached); }),
            HasCode(kDeadlineExceeded));
        EXPECT_FALSE(Deadline::Expired());
        EXPECT_THAT(process->Write("hello\n"), IsOk());
        return process->out().ReadLine(absl::InfiniteDuration());
      });

  EXPECT_THAT(answer, IsOkAndHolds("hello"));
}

// TMO-09
TEST(WithTimeoutTest, LeavesTheAlarmOfTheHostAlone) {
  static std::atomic<int> alarms;
  alarms = 0;
  struct sigaction action = {}, before, after;
  action.sa_handler = [](int) { ++alarms; };
  ASSERT_EQ(sigaction(SIGALRM, &action, &before), 0);
  alarm(1000);

  EXPECT_THAT(WithTimeout(kShort, [] { pause(); }), HasCode(kDeadlineExceeded));

  EXPECT_GT(alarm(0), 900u);
  EXPECT_EQ(alarms, 0);
  const itimerval soon = {{0, 0}, {0, 10'000}};
  EXPECT_THAT(WithTimeout(kNeverReached,
                          [&] {
                            setitimer(ITIMER_REAL, &soon, nullptr);
                            while (alarms == 0) poll(nullptr, 0, 1);
                          }),
              IsOk());
  EXPECT_EQ(alarms, 1);
  ASSERT_EQ(sigaction(SIGALRM, &before, &after), 0);
  EXPECT_EQ(after.sa_handler, action.sa_handler);
}

class WithTimeoutSignalTest : public testing::Test {
 protected:
  static void Count(int) { ++signals_; }

  // The host handles all real-time signals except `free`.
  void TakeAllBut(int free) {
    struct sigaction action = {};
    action.sa_handler = Count;
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
      if (signal == free) action.sa_handler = SIG_DFL;
      ASSERT_EQ(sigaction(signal, &action, &before_[signal]), 0);
      action.sa_handler = Count;
    }
  }

  ~WithTimeoutSignalTest() override {
    for (const auto& [signal, action] : before_) {
      sigaction(signal, &action, nullptr);
    }
  }

  static inline std::atomic<int> signals_{0};
  std::map<int, struct sigaction> before_;
};

TEST_F(WithTimeoutSignalTest, TakesOneThatTheHostDoesNotUse) {
  EXPECT_THAT(WithTimeout(kNeverReached, [] {}), IsOk());
  TakeAllBut(SIGRTMIN + 7);

  EXPECT_THAT(WithTimeout(kShort, [] { pause(); }), HasCode(kDeadlineExceeded));

  EXPECT_EQ(signals_, 0);
}

TEST_F(WithTimeoutSignalTest, ReportsThatNoSignalIsFree) {
  TakeAllBut(0);
  bool called = false;

  EXPECT_THAT(WithTimeout(kShort, [&] { called = true; }),
              HasCode(absl::StatusCode::kResourceExhausted));

  EXPECT_FALSE(called);
}

TEST(WithTimeoutTest, WorksOnAThreadThatBlocksAllSignals) {
  EmptyPipe pipe;
  int error = 0;
  absl::Status status;
  sigset_t mask;

  std::thread([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    status = WithTimeout(kShort, [&] { error = pipe.Read(); });
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  }).join();

  EXPECT_THAT(status, HasCode(kDeadlineExceeded));
  EXPECT_EQ(error, EINTR);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
    EXPECT_EQ(sigismember(&mask, signal), 1) << signal;
  }
}

TEST(WithTimeoutTest, InterruptsOnlyItsOwnThread) {
  EmptyPipe pipe;
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  std::vector<int> errors(20);

  const absl::Status status = WithTimeout(kNeverReached, [&] {
    for (int& error : errors) {
      threads.emplace_back([&] {
        WithTimeout(kShort, [&] { error = pipe.Read(); }).IgnoreError();
        ++done;
      });
    }
    while (done < 20) {
      const timespec moment = {0, 1'000'000};
      EXPECT_EQ(nanosleep(&moment, nullptr), 0);
    }
  });
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(status, IsOk());
  EXPECT_THAT(errors, testing::Each(EINTR));
}

TEST(WithTimeoutTest, LeavesNoTimerBehind) {
  EXPECT_THAT(WithTimeout(kShort, [] { pause(); }), HasCode(kDeadlineExceeded));
  EXPECT_THAT(WithTimeout(kNeverReached, [] {}), IsOk());

  EXPECT_EQ(TimersOfThisProcess(), "");
}

TEST(WithTimeoutTest, DoesNotInterruptTheStartOfAChild) {
  absl::StatusOr<std::unique_ptr<Process>> process =
      absl::UnknownError("not called");

  EXPECT_THAT(WithTimeout(kShort,
                          [&] {
                            while (!Deadline::Expired()) {
                            }
                            process = Process::Spawn(Command({"cat"}));
                          }),
              HasCode(kDeadlineExceeded));

  ASSERT_THAT(process, IsOk());
  EXPECT_THAT((*process)->Write("hello\n"), IsOk());
  EXPECT_THAT((*process)->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));
}

TEST(DeadlineTest, IsTheNearest) {
  EXPECT_EQ(Deadline::Remaining(), absl::InfiniteDuration());
  EXPECT_FALSE(Deadline::Expired());

  EXPECT_THAT(WithTimeout(absl::Hours(1),
                          [] {
                            EXPECT_GT(Deadline::Remaining(), absl::Minutes(30));
                            return WithTimeout(kNeverReached, [] {
                              EXPECT_LE(Deadline::Remaining(), kNeverReached);
                              EXPECT_FALSE(Deadline::Expired());
                            });
                          }),
              IsOk());
  EXPECT_THAT(WithTimeout(kNeverReached,
                          [] {
                            return WithTimeout(absl::Hours(1), [] {
                              EXPECT_LE(Deadline::Remaining(), kNeverReached);
                            });
                          }),
              IsOk());
}

}  // namespace
}  // namespace asyncproc

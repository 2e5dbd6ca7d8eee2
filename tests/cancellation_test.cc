#include "asyncproc/cancellation.h"

#include <signal.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;

constexpr absl::StatusCode kCancelled = absl::StatusCode::kCancelled;

// Cancels the token after a short time, from another thread.
class CancelSoon {
 public:
  explicit CancelSoon(const CancellationToken& token)
      : thread_([token] {
          absl::SleepFor(kShort);
          token.Cancel();
        }) {}
  ~CancelSoon() { thread_.join(); }

 private:
  std::thread thread_;
};

// TMO-10
TEST(CancellationTest, EndsAWaitAndLeavesTheChildAlone) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  CancellationToken token;
  absl::StatusOr<ExitStatus> status;
  const absl::Time start = absl::Now();

  {
    CancelSoon soon(token);
    CancellationScope scope(token);
    status = process->Wait();
  }

  EXPECT_THAT(status, HasCode(kCancelled));
  EXPECT_THAT(status.status().message(), HasSubstr("sleep 1000"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
  EXPECT_TRUE(process->IsAlive());
  EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST(CancellationTest, EndsEveryBlockingCallAtOnceWhenCanceledBefore) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(process->Write(std::string(1 << 20, 'x')), IsOk());
  auto tap = process->out().AddTap([](absl::string_view) {});
  ASSERT_THAT(tap, IsOk());
  CancellationToken token;
  token.Cancel();
  token.Cancel();

  CancellationScope scope(token);
  const absl::Duration forever = absl::InfiniteDuration();

  EXPECT_TRUE(token.IsCanceled());
  EXPECT_THAT(process->out().ReadLine(forever), HasCode(kCancelled));
  EXPECT_THAT(process->out().ReadSome(kNeverReached), HasCode(kCancelled));
  EXPECT_THAT(process->out().ReadUntil("x", forever), HasCode(kCancelled));
  EXPECT_THAT(process->out().ReadExactly(1, forever), HasCode(kCancelled));
  EXPECT_THAT(process->Flush(forever), HasCode(kCancelled));
  EXPECT_THAT(process->WaitFor(kNeverReached), HasCode(kCancelled));
  EXPECT_THAT(process->Terminate(), HasCode(kCancelled));
  EXPECT_FALSE(tap->Finish());
  EXPECT_TRUE(process->IsAlive());
}

TEST(CancellationTest, DoesNotTouchCallsThatDoNotWait) {
  auto process = MustSpawn(Command({"cat"}));
  CancellationToken token;
  token.Cancel();

  CancellationScope scope(token);

  EXPECT_THAT(process->out().TryReadLine(),
              HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(process->WaitFor(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(process->Wait(WNOHANG), HasCode(absl::StatusCode::kUnavailable));
}

TEST(CancellationTest, LosesNothing) {
  auto process = MustSpawn(Command({"cat"}));
  CancellationToken token;
  absl::StatusOr<std::string> line;

  EXPECT_THAT(process->Write("hel"), IsOk());
  {
    CancelSoon soon(token);
    CancellationScope scope(token);
    line = process->out().ReadLine(kNeverReached);
  }
  EXPECT_THAT(process->Write("lo\n"), IsOk());

  EXPECT_THAT(line, HasCode(kCancelled));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));
}

TEST(CancellationTest, EndsTheWaitsOfAllThreads) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  CancellationToken token;
  std::vector<absl::StatusCode> codes(20);
  std::vector<std::thread> threads;

  for (absl::StatusCode& code : codes) {
    threads.emplace_back([&] {
      CancellationScope scope(token);
      code = &code == &codes[0] ? process->Wait().status().code()
                                : process->out()
                                      .ReadLine(absl::InfiniteDuration())
                                      .status()
                                      .code();
    });
  }
  absl::SleepFor(kShort);
  token.Cancel();
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(codes, testing::Each(kCancelled));
}

TEST(CancellationTest, EndsWithItsScope) {
  auto process = MustSpawn(Command({"cat"}));
  CancellationToken token;
  { CancellationScope scope(token); }
  token.Cancel();

  EXPECT_THAT(process->Write("hello\n"), IsOk());

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));
}

TEST(CancellationTest, ScopesNest) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  CancellationToken outer, inner;
  CancellationScope outer_scope(outer);
  CancellationScope again(outer);
  CancellationScope inner_scope(inner);

  CancelSoon soon(outer);

  EXPECT_THAT(process->Wait(), HasCode(kCancelled));
  EXPECT_FALSE(inner.IsCanceled());
}

TEST(CancellationTest, EndsAWaitThatIsLongerThanADeadlineAndViceVersa) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  CancellationToken token, never;

  EXPECT_THAT(WithTimeout(kShort,
                          [&] {
                            CancellationScope scope(never);
                            return process->Wait();
                          }),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  CancelSoon soon(token);
  CancellationScope scope(token);
  EXPECT_THAT(WithTimeout(kNeverReached, [&] { return process->Wait(); }),
              HasCode(kCancelled));
}

// Waits end while other threads cancel them. After the wait, the caller may
// destroy the Process at once.
TEST(CancellationTest, MayRaceWithTheAwaitedEnd) {
  for (int i = 0; i < 50; ++i) {
    CancellationToken token;
    auto process = MustSpawn(Command({"cat"}));
    std::thread canceler([token] { token.Cancel(); });
    std::thread closer([&] { process->CloseStdin().IgnoreError(); });
    absl::StatusOr<ExitStatus> status;
    {
      CancellationScope scope(token);
      status = process->Wait();
    }
    closer.join();
    process = nullptr;
    canceler.join();
    EXPECT_THAT(status, testing::AnyOf(HasCode(kCancelled),
                                       IsOkAndHolds(ExitStatus::Exited(0))));
  }
}

// TMO-11
TEST(CancellationTest, AnAvailableResultWinsOverTheCancellation) {
  auto process = MustSpawn(Command({"echo", "hello"}));
  ASSERT_THAT(process->Wait(), IsOk());
  CancellationToken token;
  token.Cancel();

  CancellationScope scope(token);

  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));
  EXPECT_THAT(process->Terminate(), IsOkAndHolds(ExitStatus::Exited(0)));
}

// TMO-11
TEST(CancellationTest, CancelsTheWaitAndKeepsTheExitStatus) {
  struct {
    const char* on_interrupt;
    ExitStatus expected;
  } const cases[] = {
      {"exit 0", ExitStatus::Exited(0)},
      {"exit 1", ExitStatus::Exited(1)},
      {"", ExitStatus::Signaled(SIGKILL)},
  };
  Escalation escalation;
  for (const auto& c : cases) {
    auto process = MustSpawn(
        Command::Shell(std::string("trap '") + c.on_interrupt +
                       "' INT; echo ready; while :; do sleep 0.01; done"));
    AwaitLine(*process, "ready");
    CancellationToken token;
    {
      CancelSoon soon(token);
      CancellationScope scope(token);
      EXPECT_THAT(process->Wait(), HasCode(kCancelled));
    }

    const bool stays = *c.on_interrupt == '\0';
    escalation.steps = {
        EscalationStep::Signal(SIGINT, stays ? kShort : kNeverReached),
        EscalationStep::Signal(SIGKILL, kNeverReached)};
    const absl::StatusOr<Termination> end = process->Terminate(escalation);

    ASSERT_THAT(end, IsOk());
    EXPECT_EQ(end->status, c.expected) << c.on_interrupt;
  }
}

}  // namespace
}  // namespace asyncproc

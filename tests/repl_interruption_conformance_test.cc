// The requirements for every dialect: statements that are ended early. The
// table in repl_conformance_rows.cc has the limits of each program, with the
// reason.

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/process.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/repl_conformance_rows.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

class InterruptionTest : public ConformanceTest {
 protected:
  void ExpectToTimeOut(absl::string_view statement,
                       absl::string_view reason = "",
                       absl::Duration timeout = kShort) {
    auto late = repl_->Eval(statement, timeout);

    EXPECT_THAT(late.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_THAT(late.status().message(), HasSubstr(reason));
    EXPECT_THAT(late.status().message(), HasSubstr("session goes on"));
    ExpectToWork();
  }

  void ExpectNextReply(int number) {
    auto reply =
        repl_->Eval(GetParam().print(absl::StrCat(number)), kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    ASSERT_EQ(reply->out, absl::StrCat(number, "\n", GetParam().after));
  }
};

TEST_P(InterruptionTest, InterruptsAComputation) {
  if (!GetParam().interrupts) GTEST_SKIP() << "the program ends by it";

  for (int i = 0; i < 3; ++i) ExpectToTimeOut(GetParam().computes);
}

TEST_P(InterruptionTest, InterruptsAReadOfStdin) {
  if (GetParam().reads_stdin == nullptr) GTEST_SKIP() << "nothing reads it";
  if (!GetParam().interrupts_reads) GTEST_SKIP() << "see its row";
  ReplDialect dialect = Dialect();
  dialect.command.in = Stdio::Pipe();
  auto repl = Repl::Start(dialect, kNeverReached);
  ASSERT_THAT(repl, IsOk());
  repl_ = *std::move(repl);

  ExpectToTimeOut(GetParam().reads_stdin);
}

TEST_P(InterruptionTest, InterruptsItsChildren) {
  if (!GetParam().interrupts) GTEST_SKIP() << "the program ends by it";
  if (GetParam().shell == nullptr) GTEST_SKIP() << "see its row";

  ExpectToTimeOut(GetParam().shell("sleep 1000; sleep 1000"));
}

TEST_P(InterruptionTest, InterruptsAChildThatGoesOnAtFirst) {
  if (!GetParam().interrupts) GTEST_SKIP() << "the program ends by it";
  if (GetParam().shell == nullptr) GTEST_SKIP() << "see its row";
  const TemporaryDirectory folder;
  const std::string script = folder.path() + "/twice";
  std::ofstream(script) << "trap 'trap - INT' INT; sleep 1000; sleep 1000\n";

  ExpectToTimeOut(GetParam().shell("sh " + script));
}

TEST_P(InterruptionTest, EndsAReplyThatIsTooLong) {
  if (GetParam().floods == nullptr) GTEST_SKIP() << "see its row";
  ReplDialect dialect = Dialect();
  dialect.reply_limit = 1 << 20;
  auto repl = Repl::Start(dialect, kNeverReached);
  ASSERT_THAT(repl, IsOk());
  repl_ = *std::move(repl);

  auto reply = repl_->Eval(GetParam().floods, kNeverReached);

  EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(reply.status().message(),
              testing::AllOf(HasSubstr("more than the 1048576 bytes"),
                             HasSubstr("it was interrupted, and the")));
  for (OutputStream* stream :
       {&repl_->process().out(), &repl_->process().err()}) {
    EXPECT_LE(stream->stats().high_water, 2 << 20);
  }
  ExpectToWork();
}

TEST_P(InterruptionTest, TakesNoHarmFromAnInterruptWhileItIsIdle) {
  if (!GetParam().idle_interrupt) GTEST_SKIP() << "the program ends by it";
  ExpectToWork();

  EXPECT_THAT(repl_->process().Signal(SIGINT), IsOk());

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(repl_->Eval("", kNeverReached).status(), IsOk());
  }
  ExpectToWork();
}

// The time of a statement is up at any step of its execution.
TEST_P(InterruptionTest, PairsRepliesForAnyTimeOfThePreviousStatement) {
  if (!GetParam().survives_late_interrupt) GTEST_SKIP() << "see its row";
  for (int i = 0; i < 12; ++i) {
    const int number = 1000 + i;
    auto reply = repl_->Eval(GetParam().print(absl::StrCat(number)),
                             absl::Microseconds(1 << i));
    if (reply.ok()) {
      EXPECT_EQ(reply->out, absl::StrCat(number, "\n", GetParam().after));
    } else {
      EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
    }
    ExpectNextReply(2000 + i);
  }
}

TEST_P(InterruptionTest, EndsAComputationThatHasHardlyBegun) {
  if (!GetParam().interrupts) GTEST_SKIP() << "the program ends by it";
  if (!GetParam().survives_late_interrupt) GTEST_SKIP() << "see its row";
  for (int i = 0; i < 12; ++i) {
    EXPECT_THAT(repl_->Eval(GetParam().computes, absl::Microseconds(1 << i)),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    ExpectNextReply(3000 + i);
  }
}

TEST_P(InterruptionTest, DoesNothingForAStatementThatIsCanceledBefore) {
  for (int i = 0; i < 3; ++i) {
    {
      const CancellationToken token;
      token.Cancel();
      const CancellationScope scope(token);
      EXPECT_THAT(repl_->Eval(GetParam().print("1"), kNeverReached).status(),
                  HasCode(absl::StatusCode::kCancelled));
    }
    ExpectToWork();
  }
}

TEST_P(InterruptionTest, GoesOnAfterAStatementThatIsCanceled) {
  if (!GetParam().interrupts) GTEST_SKIP() << "the program ends by it";
  const bool starts = GetParam().shell != nullptr;
  const std::string statement =
      starts ? GetParam().shell("echo started; sleep 1000; sleep 1000")
             : GetParam().floods;
  const std::string sign = starts ? "started" : "1";
  for (int i = 0; i < 3; ++i) {
    const CancellationToken token;
    auto tap = repl_->child().out().AddTap([&](absl::string_view piece) {
      if (absl::StrContains(piece, sign)) token.Cancel();
    });
    ASSERT_THAT(tap, IsOk());
    {
      const CancellationScope scope(token);
      EXPECT_THAT(repl_->Eval(statement, kNeverReached).status(),
                  HasCode(absl::StatusCode::kCancelled));
    }
    tap->Remove();
    ExpectToWork();
  }
}

TEST_P(InterruptionTest, KeepsTheReplyOfAStatementThatIsCanceledAfterwards) {
  const CancellationToken token;
  {
    const CancellationScope scope(token);
    ExpectToWork();
    token.Cancel();
  }
  ExpectToWork();
}

TEST_P(InterruptionTest, GoesOnAfterTheProgramStopsItself) {
  if (GetParam().stops == nullptr) GTEST_SKIP() << "see its row";

  // The program may start another one, which stops it.
  for (int i = 0; i < 2; ++i) {
    ExpectToTimeOut(GetParam().stops, "stopped by a signal", 10 * kShort);
  }
}

TEST_P(InterruptionTest, GoesOnAfterTheProgramIsStopped) {
  if (!GetParam().survives_late_interrupt) GTEST_SKIP() << "see its row";
  EXPECT_THAT(repl_->process().Signal(SIGSTOP), IsOk());
  while (repl_->process().state() != ProcessState::kStopped) {
    absl::SleepFor(absl::Milliseconds(1));
  }

  ExpectToTimeOut(GetParam().print("1"), "stopped by a signal");
}

TEST(ShellInterruptionTest, EndsLoopsThatStartAfterAnInterrupt) {
  const std::string loops[] = {
      "while :; do :; done",
      "until false; do :; done",
      "for i in 1 2; do while :; do :; done; done",
      "for i in 1; do while :; do :; done; done",
      "for ((;;)); do while :; do :; done; done",
      "while ((1)); do ((1)); done",
      "f() { while :; do :; done; }; f; f",
      "(while :; do :; done); : $(while :; do :; done)",
  };
  for (ReplDialect dialect : {ShDialect(), BashDialect(), ZshDialect()}) {
    const std::string shell = dialect.command.argv[0];
    auto repl = Repl::Start(std::move(dialect), kNeverReached);
    ASSERT_THAT(repl, IsOk());
    for (const std::string& loop : loops) {
      SCOPED_TRACE(absl::StrCat(shell, ": ", loop));
      auto interrupted = (*repl)->Eval(
          absl::StrCat("kill -INT $$; ", loop, "; ", loop), kNeverReached);
      ASSERT_THAT(interrupted.status(), IsOk());
      auto next = (*repl)->Eval("echo 4711", kNeverReached);
      ASSERT_THAT(next.status(), IsOk());
      EXPECT_EQ(next->out, "4711\n");
    }
  }
}

TEST(PythonInterruptionTest, GoesOnAfterItStopsWithAnInterruptPending) {
  auto python = Repl::Start(PythonDialect(), kNeverReached);
  ASSERT_THAT(python, IsOk());
  const auto stopped = (*python)->Eval(
      "import os, signal\n"
      "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
      "os.kill(os.getpid(), signal.SIGSTOP)\n"
      "os.kill(os.getpid(), signal.SIGSTOP)\n"
      "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])",
      10 * kShort);
  EXPECT_THAT(stopped.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  const auto next = (*python)->Eval("1 + 1", kNeverReached);
  ASSERT_THAT(next.status(), IsOk());
  EXPECT_EQ(next->out, "2\n");
}

TEST(PythonInterruptionTest, ReceivesNoSignalWhereItsLimitIsZero) {
  const TemporaryDirectory directory;
  ReplDialect dialect = PythonDialect();
  dialect.interrupt.limit = 0;
  dialect.interrupt.patience = absl::Seconds(1);
  auto python = Repl::Start(std::move(dialect), kNeverReached);
  ASSERT_THAT(python, IsOk());
  EXPECT_THAT(
      (*python)->Eval(absl::StrCat("import signal, time\n"
                                   "def note(*_): open('",
                                   directory.path(),
                                   "/signaled', 'w')\n"
                                   "_ = signal.signal(signal.SIGINT, note)\n"
                                   "while True: time.sleep(1)"),
                      kShort),
      HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_THAT((*python)->Eval("1 + 1", kNeverReached),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_NE(access((directory.path() + "/signaled").c_str(), F_OK), 0);
}

TEST(PythonInterruptionTest, TakesAnInterruptAfterAStatement) {
  auto python = Repl::Start(PythonDialect(), kNeverReached);
  ASSERT_THAT(python, IsOk());
  // The program of the dialect calls os.getpid after each statement.
  ASSERT_THAT((*python)->Eval("import os, signal\n"
                              "pid = os.getpid()\n"
                              "def getpid():\n"
                              "  signal.raise_signal(signal.SIGINT)\n"
                              "  return pid\n"
                              "os.getpid = getpid",
                              kNeverReached),
              IsOk());

  for (int i = 0; i < 3; ++i) {
    auto reply = (*python)->Eval("print(4711)", kNeverReached);
    ASSERT_THAT(reply, IsOk());
    EXPECT_EQ(reply->out, "4711\n");
  }
}

TEST(PrologInterruptionTest, AnswersEachStatementAmongManyInterrupts) {
  auto prolog = Repl::Start(PrologDialect(), kNeverReached);
  if (absl::IsNotFound(prolog.status())) GTEST_SKIP() << prolog.status();
  ASSERT_THAT(prolog, IsOk());
  std::atomic<bool> done = false;
  std::thread interrupts([&] {
    while (!done) {
      EXPECT_THAT((*prolog)->process().Signal(SIGINT), IsOk());
      absl::SleepFor(absl::Microseconds(500));
    }
  });

  for (int i = 0; i < 300; ++i) {
    EXPECT_THAT((*prolog)->Eval("true", kNeverReached), IsOk());
  }

  done = true;
  interrupts.join();
}

INSTANTIATE_TEST_SUITE_P(All, InterruptionTest,
                         testing::ValuesIn(ConformanceRows()), RowName);

}  // namespace
}  // namespace asyncproc

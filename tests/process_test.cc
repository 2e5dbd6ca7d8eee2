#include "asyncproc/process.h"

#include <signal.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

TEST(ProcessTest, AnswersQuestions) {
  auto bc = MustSpawn(Command({"bc", "-q"}));

  EXPECT_THAT(bc->out().TryReadLine(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(bc->Write("2+2\n"), IsOk());
  EXPECT_THAT(bc->out().ReadLine(kNeverReached), IsOkAndHolds("4"));
  EXPECT_THAT(bc->CloseStdin(), IsOk());
  EXPECT_THAT(bc->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
}

// REPL-02
TEST(ProcessTest, WritesNothingOnAnUnfinishedLineAndDoesNotHang) {
  auto bc = MustSpawn(Command({"bc", "-q"}));

  EXPECT_THAT(bc->Write("1+1"), IsOk());
  EXPECT_THAT(bc->out().ReadLine(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(bc->CloseStdin(), IsOk());

  EXPECT_THAT(bc->WaitFor(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(bc->ReadErr(), testing::HasSubstr("syntax error"));
}

// REPL-03
TEST(ProcessTest, GoesOnAfterAnErrorThatComesOnStderr) {
  auto bc = MustSpawn(Command({"bc", "-q"}));

  EXPECT_THAT(bc->Write("1/0\n2+2\n"), IsOk());

  EXPECT_THAT(bc->out().ReadLine(kNeverReached), IsOkAndHolds("4"));
  EXPECT_THAT(bc->err().ReadLine(kNeverReached),
              IsOkAndHolds(testing::HasSubstr("Divide by zero")));
}

// REPL-05
TEST(ProcessTest, GetsAnswersOnStdoutAndPromptsOnStderrFromPython) {
  auto python = MustSpawn(Command({"python3", "-i", "-q"}));

  EXPECT_THAT(python->Write("1+1\n"), IsOk());

  EXPECT_THAT(python->out().ReadLine(kNeverReached), IsOkAndHolds("2"));
  EXPECT_THAT(python->err().ReadUntil(">>> >>> ", kNeverReached),
              IsOkAndHolds(""));
  EXPECT_THAT(python->CloseStdin(), IsOk());
  EXPECT_THAT(python->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(ProcessTest, IsKilledByItsDestructor) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  const pid_t pid = process->pid();

  process = nullptr;

  EXPECT_FALSE(ProcessLives(pid));
}

// SPN-01
TEST(ProcessTest, ReportsAProgramThatDoesNotExist) {
  auto process = Process::Spawn(Command({"/no/such/file", "a"}));

  EXPECT_THAT(process, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(process.status().message(), testing::HasSubstr("/no/such/file"));
}

// GRC-01
TEST(ProcessTest, WaitDoesNotWaitForAGrandchildThatHoldsThePipe) {
  auto process = MustSpawn(Command::Shell("sleep 60 & echo $!"));

  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(status->output_complete());
  EXPECT_EQ(process->state(), ProcessState::kAbandoned);
  const pid_t grandchild = std::stoi(process->Read());
  EXPECT_FALSE(process->out().AtEof());
  ASSERT_EQ(process->out().holders().size(), 1);
  EXPECT_EQ(process->out().holders()[0].pid, grandchild);
  kill(grandchild, SIGKILL);
}

// TRM-02
TEST(TerminateTest, GoesOnToSigtermWhenEndOfFileIsIgnored) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  EXPECT_THAT(process->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
}

}  // namespace
}  // namespace asyncproc

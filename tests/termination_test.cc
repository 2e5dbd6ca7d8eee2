#include "asyncproc/termination.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fake_os.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::ScopedOs;
using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;

Escalation Only(int signal, absl::Duration grace,
                TerminationScope scope = TerminationScope::kChild) {
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(signal, grace)};
  escalation.scope = scope;
  return escalation;
}

Escalation Standard(absl::Duration grace, TerminationScope scope) {
  Escalation escalation = Escalation::Standard(grace);
  escalation.scope = scope;
  return escalation;
}

// The pids that spawn_tree prints before "ready".
std::vector<pid_t> ReadPids(Process& process) {
  std::vector<pid_t> pids;
  for (;;) {
    auto line = process.out().ReadLine(kNeverReached);
    if (!line.ok()) ADD_FAILURE() << line.status();
    if (!line.ok() || *line == "ready") return pids;
    pids.push_back(std::stoi(*line));
  }
}

pid_t ReadPid(Process& process) {
  auto line = process.out().ReadLine(kNeverReached);
  if (!line.ok()) {
    ADD_FAILURE() << line.status();
    return -1;
  }
  return std::stoi(*line);
}

// The shell prints the pid of a child that ignores SIGTERM. Then that child
// prints "ready".
Command ShellWithStubbornChild() {
  Command command =
      Command::Shell("sh -c 'echo $$; exec \"$STUBBORN\"' & exec sleep 1000");
  command.env.Set("STUBBORN", Helper("ignore_sigterm"));
  return command;
}

void AwaitState(Process& process, ProcessState state) {
  while (process.state() != state) absl::SleepFor(absl::Milliseconds(1));
}

TEST(EscalationTest, StandardIsCloseStdinThenSigtermThenSigkill) {
  const Escalation standard = Escalation::Standard(absl::Seconds(3));

  ASSERT_THAT(standard.steps, SizeIs(3));
  EXPECT_EQ(standard.steps[0].ToString(), "close stdin");
  EXPECT_EQ(standard.steps[0].grace, absl::Seconds(3));
  EXPECT_EQ(standard.steps[1].ToString(), "SIGTERM (terminated)");
  EXPECT_EQ(standard.steps[1].grace, absl::Seconds(3));
  EXPECT_EQ(standard.steps[2].ToString(), "SIGKILL (killed)");
  EXPECT_EQ(standard.scope, TerminationScope::kChild);
  EXPECT_THAT(standard.Validate(), IsOk());
}

// TRM-07
TEST(EscalationTest, StandardWithoutGraceIsSigkillAlone) {
  const Escalation standard = Escalation::Standard(absl::ZeroDuration());

  ASSERT_THAT(standard.steps, SizeIs(1));
  EXPECT_EQ(standard.steps[0].signal, SIGKILL);
}

TEST(EscalationTest, NeedsAStep) {
  EXPECT_THAT(Escalation().Validate(),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(EscalationTest, NamesTheStepThatMakesNoSense) {
  for (const EscalationStep& wrong :
       {EscalationStep::Signal(-1, kShort), EscalationStep::Signal(999, kShort),
        EscalationStep::Signal(SIGTERM, -kShort),
        EscalationStep::CloseStdin(-kShort)}) {
    Escalation escalation = Escalation::Standard();
    escalation.steps.push_back(wrong);

    const absl::Status status = escalation.Validate();

    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(status.message(), HasSubstr("step 3"));
  }
}

TEST(EscalationTest, IsCheckedBeforeAnythingIsDone) {
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_THAT(process->Terminate(Escalation()),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(process->IsAlive());
  EXPECT_THAT(process->Write("still open"), IsOk());
}

TEST(SignalTest, RefusesInvalidSignalsInEachScope) {
  auto process = MustSpawn(Command({"cat"}));

  for (int number : {-1, SIGRTMAX + 1}) {
    EXPECT_THAT(process->Signal(number),
                HasCode(absl::StatusCode::kInvalidArgument));
    for (const TerminationScope scope :
         {TerminationScope::kChild, TerminationScope::kGroup,
          TerminationScope::kTree}) {
      EXPECT_THAT(process->Signal(number, scope),
                  HasCode(absl::StatusCode::kInvalidArgument));
    }
  }
  EXPECT_TRUE(process->IsAlive());
}

// TRM-01
TEST(TerminateTest, EndsACooperativeChildByEndOfFileAlone) {
  for (const Command& command :
       {Command({"cat"}), Command({"python3", "-i", "-q"})}) {
    auto process = MustSpawn(command);

    auto termination = process->Terminate(Escalation::Standard(kNeverReached));

    ASSERT_THAT(termination, IsOk());
    EXPECT_EQ(termination->status, ExitStatus::Exited(0));
    EXPECT_THAT(termination->ended_by_step, Optional(0u));
    EXPECT_THAT(termination->survivors, IsEmpty());
    EXPECT_LT(termination->elapsed, absl::Seconds(10) * kSlowness);
  }
}

// TRM-02
TEST(TerminateTest, GoesOnToSigtermAfterOneGrace) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  auto termination = process->Terminate(Escalation::Standard(kShort));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->ended_by_step, Optional(1u));
  EXPECT_GE(termination->elapsed, kShort);
}

// TRM-03
TEST(TerminateTest, GoesOnToSigkillAfterTwoGraces) {
  auto process = MustSpawn(Command({Helper("ignore_sigterm")}));
  AwaitLine(*process, "ready");

  auto termination = process->Terminate(Escalation::Standard(kShort));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
  EXPECT_THAT(termination->ended_by_step, Optional(2u));
  EXPECT_GE(termination->elapsed, 2 * kShort);
  EXPECT_LT(termination->elapsed, 2 * kShort + absl::Seconds(5) * kSlowness);
}

// TRM-04
TEST(TerminateTest, SkipsTheFirstGraceWhereStdinIsNoPipe) {
  Command command({"sleep", "1000"});
  command.in = Stdio::Null();
  auto process = MustSpawn(command);

  auto termination = process->Terminate(Escalation::Standard(kNeverReached));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->ended_by_step, Optional(1u));
  EXPECT_LT(termination->elapsed, absl::Seconds(10) * kSlowness);
}

// TRM-04
TEST(TerminateTest, SkipsTheFirstGraceWhereStdinIsClosedAlready) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  ASSERT_THAT(process->CloseStdin(), IsOk());

  auto termination = process->Terminate(Escalation::Standard(kNeverReached));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_LT(termination->elapsed, absl::Seconds(10) * kSlowness);
}

// TRM-05
TEST(TerminateTest, DoesNotWaitForInputThatTheChildDoesNotRead) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  ASSERT_THAT(process->Write(std::string(16 << 20, 'x')), IsOk());

  auto termination = process->Terminate(Escalation::Standard(kShort));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(process->CloseStdin(),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

// TRM-05: the queued input is dropped, and the pipe is closed.
TEST(TerminateTest, GivesEndOfFileToAChildThatReadsLater) {
  auto process = MustSpawn(
      Command::Shell("read line; echo ready; read line; cat >/dev/null"));
  ASSERT_THAT(process->Write("1\n"), IsOk());
  AwaitLine(*process, "ready");
  ASSERT_THAT(process->Write(std::string(1 << 20, '\n')), IsOk());

  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// TRM-06
TEST(TerminateTest, ReturnsAsSoonAsTheChildEndsInAGrace) {
  auto process = MustSpawn(Command({"sleep", "0.2"}));

  auto termination = process->Terminate(Escalation::Standard(kNeverReached));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Exited(0));
  EXPECT_LT(termination->elapsed, absl::Seconds(10) * kSlowness);
}

// TRM-06
TEST(TerminateTest, KeepsTheStatusThatAHandlerOfSigtermExitsWith) {
  auto process = MustSpawn(Command::Shell(
      "trap 'exit 7' TERM; echo ready; while :; do sleep .05; done"));
  AwaitLine(*process, "ready");

  Escalation escalation = Escalation::Standard(kNeverReached);
  escalation.steps[0].grace = kShort;

  EXPECT_THAT(
      process->Terminate(escalation),
      IsOkAndHolds(AllOf(Field(&Termination::status, ExitStatus::Exited(7)),
                         Field(&Termination::ended_by_step, Optional(1u)))));
}

// TRM-07
TEST(TerminateTest, TakesAnyGraceThatIsNotNegative) {
  auto killed = MustSpawn(Command({"cat"}));
  EXPECT_THAT(killed->Terminate(-absl::Nanoseconds(1)),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(killed->IsAlive());
  EXPECT_THAT(killed->Terminate(absl::ZeroDuration()),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));

  for (absl::Duration grace :
       {absl::Hours(24 * 100), absl::InfiniteDuration()}) {
    auto cat = MustSpawn(Command({"cat"}));
    EXPECT_THAT(cat->Terminate(grace), IsOkAndHolds(ExitStatus::Exited(0)));
  }
}

// TRM-08
TEST(TerminateTest, SendsNoSignalToAChildThatHasEnded) {
  SignalCounter<> os;
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command::Shell("echo hello; exit 1"));
  while (process->IsAlive()) absl::SleepFor(absl::Milliseconds(1));

  auto before_wait = process->Terminate(Escalation::Standard(kNeverReached));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(1)));
  EXPECT_THAT(process->Signal(SIGKILL), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(process->Terminate(), IsOkAndHolds(ExitStatus::Exited(1)));
  process = nullptr;

  ASSERT_THAT(before_wait, IsOk());
  EXPECT_EQ(before_wait->status, ExitStatus::Exited(1));
  EXPECT_EQ(before_wait->ended_by_step, std::nullopt);
  EXPECT_EQ(os.sent(), 0);
}

// TRM-10
TEST(TerminateTest, LosesNothingThatWasWrittenBefore) {
  auto process = MustSpawn(Command::Shell("seq 100000; exec sleep 1000"));
  OutputCursor watcher = process->out().NewCursor();
  ASSERT_THAT(watcher.ReadUntil("\n100000\n", kNeverReached), IsOk());

  EXPECT_THAT(process->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));

  const std::string output = process->Read();
  EXPECT_EQ(output.size(), 588895);
  EXPECT_TRUE(process->out().AtEof());
}

// TRM-11
TEST(TerminateGroupTest, LeavesNoneOfTheGroup) {
  Command command = Command::Shell("sleep 1000 & echo $!; exec sleep 1000");
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  auto bystander = MustSpawn(Command({"sleep", "1000"}));
  const pid_t other = ReadPid(*process);

  auto termination =
      process->Terminate(Standard(kShort, TerminationScope::kGroup));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->survivors, IsEmpty());
  EXPECT_FALSE(ProcessLives(other));
  EXPECT_TRUE(process->out().AtEof());
  EXPECT_TRUE(bystander->IsAlive());
}

TEST(TerminateGroupTest, EndsTheMembersThatTheLeaderLeft) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  ASSERT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  const pid_t left_behind = ReadPid(*process);
  ASSERT_TRUE(ProcessLives(left_behind));

  auto termination = process->Terminate(
      Only(SIGTERM, kNeverReached, TerminationScope::kGroup));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Exited(0));
  EXPECT_THAT(termination->ended_by_step, Optional(0u));
  EXPECT_FALSE(ProcessLives(left_behind));
}

TEST(TerminateGroupTest, IsTheChildAloneWhereItLeadsNoGroup) {
  auto process = MustSpawn(Command::Shell("sleep 1000 & echo $!; wait"));
  const pid_t grandchild = ReadPid(*process);

  auto termination = process->Terminate(
      Only(SIGKILL, kNeverReached, TerminationScope::kGroup));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
  EXPECT_TRUE(ProcessLives(grandchild));
  kill(grandchild, SIGKILL);
}

// TRM-12
TEST(TerminateGroupTest, FindsTheGroupAsSoonAsTheChildIsThere) {
  Command command({"sleep", "1000"});
  command.process_group = ProcessGroup::New();
  for (int round = 0; round < 1000 / kSlowness; ++round) {
    auto process = MustSpawn(command);
    ASSERT_EQ(kill(-process->pid(), SIGKILL), 0) << strerror(errno);
  }
}

// TRM-13
TEST(TerminateTest, LeavesAGrandchildAloneThatIsNotInItsScope) {
  auto process = MustSpawn(Command::Shell("sleep 1000 & echo $!; wait"));
  const pid_t grandchild = ReadPid(*process);

  EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  auto status = process->WaitFor(kNeverReached);

  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
  EXPECT_FALSE(status->output_complete());
  EXPECT_TRUE(ProcessLives(grandchild));
  kill(grandchild, SIGKILL);
}

// TRM-16
TEST(TerminateTest, EndsAnInteractiveShellByEndOfFile) {
  auto process = MustSpawn(Command({"bash", "--norc", "-i"}));

  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// TRM-16
TEST(TerminateTest, KillsAnInteractiveShellThatGetsNoEndOfFile) {
  auto pipe = internal::MakePipe();
  ASSERT_THAT(pipe, IsOk());
  Command command({"bash", "--norc", "-i"});
  command.in = Stdio::Fd(pipe->read_end.get());
  auto process = MustSpawn(command);
  // bash ignores SIGTERM after it has answered.
  ASSERT_EQ(write(pipe->write_end.get(), "echo ready\n", 11), 11);
  AwaitLine(*process, "ready");

  EXPECT_THAT(process->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

// TRM-18
TEST(TerminateTest, ASignalRightAfterTheStartIsNeverTheHosts) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGTERM, &action, nullptr);
    for (int round = 0; round < 1000 / kSlowness; ++round) {
      auto process = MustSpawn(Command({"sleep", "1000"}));
      ASSERT_THAT(process->Signal(SIGTERM), IsOk());
      ASSERT_THAT(process->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
    }
  });
}

TEST(TerminateTest, WakesAStoppedChildSoThatItTakesSigterm) {
  auto process = MustSpawn(Command({Helper("stop_self")}));
  AwaitState(*process, ProcessState::kStopped);

  Escalation escalation = Escalation::Standard(kNeverReached);
  escalation.steps[0].grace = kShort;
  auto termination = process->Terminate(escalation);

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
}

TEST(TerminateTest, FailsWhenTheLastStepIsNotEnough) {
  auto process = MustSpawn(Command({Helper("ignore_sigterm")}));
  AwaitLine(*process, "ready");

  auto termination = process->Terminate(Only(SIGTERM, kShort));

  EXPECT_THAT(termination, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(termination.status().message(), HasSubstr("ignore_sigterm"));
  EXPECT_THAT(termination.status().message(), HasSubstr("'ready'"));
  EXPECT_TRUE(process->IsAlive());
}

TEST(TerminateTest, CountsTheStepsThatItSkips) {
  Command command({"sleep", "1000"});
  command.in = Stdio::Null();
  auto process = MustSpawn(command);
  Escalation escalation;
  escalation.steps = {EscalationStep::CloseStdin(kNeverReached),
                      EscalationStep::Signal(SIGWINCH, kShort),
                      EscalationStep::CloseStdin(kNeverReached),
                      EscalationStep::Signal(SIGINT, kNeverReached)};

  auto termination = process->Terminate(escalation);

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGINT));
  EXPECT_THAT(termination->ended_by_step, Optional(3u));
}

TEST(TerminateTest, ReturnsTheSameAgainAndAgain) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(process->Terminate(kShort),
                IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  }
}

TEST(TerminateTest, GivesTheChildItsGraceAlsoTheSecondTime) {
  auto process = MustSpawn(Command::Shell(
      "trap '' TERM; echo ready; cat; echo eof; sleep 0.5; exit 4"));
  AwaitLine(*process, "ready");
  EXPECT_THAT(process->Terminate(Only(SIGTERM, absl::ZeroDuration())),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  Escalation close_only;
  close_only.steps = {EscalationStep::CloseStdin(absl::ZeroDuration())};
  EXPECT_THAT(process->Terminate(close_only),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(4)));
}

TEST(TerminateTest, MayBeCalledFromManyThreadsAtOnce) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&process] {
      EXPECT_THAT(process->Terminate(kShort),
                  IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TerminateTest, MayBeCalledWhileOthersWaitReadAndWrite) {
  auto process = MustSpawn(Command({"cat"}));
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  });
  threads.emplace_back([&] {
    while (process->out().ReadSome(absl::InfiniteDuration()).ok()) {
    }
  });
  threads.emplace_back([&] {
    while (process->Write(std::string(10'000, 'x')).ok()) {
      // The result does not matter.
      process->Flush(kNeverReached).IgnoreError();
    }
  });
  while (process->out().stats().bytes < 100'000) {
    absl::SleepFor(absl::Milliseconds(1));
  }

  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));

  for (std::thread& thread : threads) thread.join();
}

TEST(TerminateTreeTest, CatchesDescendantsInSessionsOfTheirOwn) {
  auto bystander = MustSpawn(Command({Helper("spawn_tree"), "1", "2"}));
  const std::vector<pid_t> others = ReadPids(*bystander);
  auto process =
      MustSpawn(Command({Helper("spawn_tree"), "3", "2", "--setsid"}));
  const std::vector<pid_t> pids = ReadPids(*process);
  ASSERT_THAT(pids, SizeIs(15));

  auto termination =
      process->Terminate(Standard(kShort, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->survivors, IsEmpty());
  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << pid;
  for (pid_t pid : others) EXPECT_TRUE(ProcessLives(pid)) << pid;
  EXPECT_THAT(bystander->Terminate(
                  Only(SIGKILL, kNeverReached, TerminationScope::kTree)),
              IsOk());
  for (pid_t pid : others) EXPECT_FALSE(ProcessLives(pid)) << pid;
}

TEST(TerminateTreeTest, WakesStoppedDescendants) {
  auto process = MustSpawn(Command({Helper("spawn_tree"), "2", "1"}));
  const std::vector<pid_t> pids = ReadPids(*process);
  for (pid_t pid : pids) kill(pid, SIGSTOP);

  auto termination =
      process->Terminate(Only(SIGTERM, kNeverReached, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << pid;
}

TEST(TerminateTreeTest, NamesTheSurvivors) {
  auto process = MustSpawn(ShellWithStubbornChild());
  const pid_t stubborn = ReadPid(*process);
  AwaitLine(*process, "ready");

  auto termination =
      process->Terminate(Only(SIGTERM, kShort, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_EQ(termination->ended_by_step, std::nullopt);
  ASSERT_THAT(termination->survivors, SizeIs(1));
  EXPECT_EQ(termination->survivors[0].pid, stubborn);
  EXPECT_EQ(termination->survivors[0].command, "ignore_sigterm");
  EXPECT_TRUE(ProcessLives(stubborn));
  kill(stubborn, SIGKILL);
}

TEST(TerminateTreeTest, GoesOnUntilAlsoTheDescendantsHaveEnded) {
  auto process = MustSpawn(ShellWithStubbornChild());
  const pid_t stubborn = ReadPid(*process);
  AwaitLine(*process, "ready");

  auto termination =
      process->Terminate(Standard(kShort, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->ended_by_step, Optional(2u));
  EXPECT_FALSE(ProcessLives(stubborn));
}

// The number of running processes with this name.
int Count(absl::string_view name) {
  int count = 0;
  const auto all = internal::ListProcesses();
  if (!all.ok()) ADD_FAILURE() << all.status();
  if (!all.ok()) return -1;
  for (const auto& stat : *all) {
    const bool ended = stat.state == 'Z' || stat.state == 'X';
    if (stat.command == name && !ended) ++count;
  }
  return count;
}

TEST(TerminateTreeTest, OutrunsATreeThatGrowsAllTheTime) {
  TemporaryDirectory directory;
  const std::string name = absl::StrCat("grow-", getpid());
  const std::string program = absl::StrCat(directory.path(), "/", name);
  ASSERT_EQ(symlink(Helper("fork_forever").c_str(), program.c_str()), 0);
  auto process = MustSpawn(Command({program}));
  AwaitLine(*process, "ready");

  auto termination =
      process->Terminate(Only(SIGKILL, kNeverReached, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
  EXPECT_THAT(termination->survivors, IsEmpty());
  EXPECT_EQ(Count(name), 0);
  const auto all = internal::ListProcesses();
  ASSERT_THAT(all, IsOk());
  for (const auto& stat : *all) {
    if (stat.command == name) kill(stat.pid, SIGKILL);
  }
}

// Calls `interlude` between the first and the second search for processes: when
// the first SIGSTOP is about to be sent.
class OsWithInterlude : public internal::Os {
 public:
  explicit OsWithInterlude(std::function<void()> interlude)
      : interlude_(std::move(interlude)) {}

  int PidfdSendSignal(int pidfd, int signal) override {
    if (signal == SIGSTOP && interlude_ != nullptr) {
      std::exchange(interlude_, nullptr)();
    }
    return Os::PidfdSendSignal(pidfd, signal);
  }

 private:
  std::function<void()> interlude_;
};

TEST(TerminateTreeTest, FindsDescendantsThatStartAfterTheFirstLook) {
  auto process = MustSpawn(
      Command::Shell("trap 'sleep 1000 & echo $!' USR1; sleep 1000 & echo $!; "
                     "while :; do wait; done"));
  std::vector<pid_t> pids = {ReadPid(*process)};
  OsWithInterlude os([&] {
    // Process::Signal would wait for the signal that is about to be sent.
    EXPECT_EQ(kill(process->pid(), SIGUSR1), 0);
    pids.push_back(ReadPid(*process));
  });
  ScopedOs scoped_os(&os);

  auto termination =
      process->Terminate(Only(SIGKILL, kNeverReached, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_THAT(termination->survivors, IsEmpty());
  EXPECT_THAT(pids, SizeIs(2));
  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << pid;
}

TEST(TerminateGroupTest, FindsMembersThatJoinAfterTheFirstLook) {
  const pid_t stranger = fork();
  ASSERT_GE(stranger, 0);
  if (stranger == 0) {
    for (;;) pause();
  }
  Command command({"sleep", "1000"});
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  OsWithInterlude os([&] { EXPECT_EQ(setpgid(stranger, process->pid()), 0); });
  ScopedOs scoped_os(&os);

  auto termination = process->Terminate(
      Only(SIGKILL, kNeverReached, TerminationScope::kGroup));

  ASSERT_THAT(termination, IsOk());
  EXPECT_FALSE(ProcessLives(stranger));
  kill(stranger, SIGKILL);
  int status;
  EXPECT_EQ(waitpid(stranger, &status, 0), stranger);
}

// Delays the first SIGSTOP until `before_stop` has been called.
class OsWithSlowStop : public internal::Os {
 public:
  explicit OsWithSlowStop(std::function<void()> before_stop)
      : before_stop_(std::move(before_stop)) {}

  int PidfdSendSignal(int pidfd, int signal) override {
    if (signal != SIGSTOP || pidfd_ >= 0) {
      return Os::PidfdSendSignal(pidfd, signal);
    }
    pidfd_ = pidfd;
    return 0;
  }
  int Poll(pollfd* fds, nfds_t count, absl::Time deadline) override {
    // The caller waits without a pollable descriptor.
    const bool waits = count == 0 && deadline > absl::InfinitePast();
    if (waits && pidfd_ >= 0 && before_stop_ != nullptr) {
      std::exchange(before_stop_, nullptr)();
      Os::PidfdSendSignal(pidfd_, SIGSTOP);
    }
    return Os::Poll(fds, count, deadline);
  }

 private:
  std::function<void()> before_stop_;
  int pidfd_ = -1;
};

TEST(TerminateTreeTest, FindsDescendantsStartedBeforeTheirParentStops) {
  auto process =
      MustSpawn(Command::Shell("trap 'sleep 1000 & echo $!' USR1; echo ready; "
                               "while :; do read line; done"));
  AwaitLine(*process, "ready");
  std::vector<pid_t> pids;
  OsWithSlowStop os([&] {
    EXPECT_THAT(process->Signal(SIGUSR1), IsOk());
    pids.push_back(ReadPid(*process));
  });
  ScopedOs scoped_os(&os);

  auto termination =
      process->Terminate(Only(SIGKILL, kNeverReached, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_THAT(termination->survivors, IsEmpty());
  EXPECT_THAT(pids, SizeIs(1));
  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << pid;
}

// Calls `interlude` when SIGTERM has been sent.
class OsWithSlowReturn : public internal::Os {
 public:
  explicit OsWithSlowReturn(std::function<void()> interlude)
      : interlude_(std::move(interlude)) {}

  int PidfdSendSignal(int pidfd, int signal) override {
    const int result = Os::PidfdSendSignal(pidfd, signal);
    if (signal == SIGTERM && interlude_ != nullptr) {
      std::exchange(interlude_, nullptr)();
    }
    return result;
  }

 private:
  std::function<void()> interlude_;
};

TEST(TerminateTreeTest, SparesWhatAHandlerOfTheSignalStarts) {
  for (const TerminationScope scope :
       {TerminationScope::kGroup, TerminationScope::kTree}) {
    Command command = Command::Shell(
        "trap 'sleep 1000 & echo $!; wait' TERM; echo ready; "
        "while :; do read line; done");
    command.process_group = ProcessGroup::New();
    const auto process = MustSpawn(command);
    AwaitLine(*process, "ready");
    pid_t cleanup = -1;
    OsWithSlowReturn os([&] { cleanup = ReadPid(*process); });
    ScopedOs scoped_os(&os);

    EXPECT_THAT(process->Signal(SIGTERM, scope), IsOk());

    ASSERT_GT(cleanup, 0);
    EXPECT_FALSE(AwaitProcessEnd(cleanup, kShort));
    EXPECT_THAT(process->Terminate(
                    Only(SIGKILL, kNeverReached, TerminationScope::kTree)),
                IsOk());
  }
}

internal::ProcessStat Stat(pid_t pid, pid_t parent, char state = 'S') {
  internal::ProcessStat stat;
  stat.pid = pid;
  stat.parent = parent;
  stat.state = state;
  return stat;
}

// A shell whose child ends first continues with its next command.
TEST(TerminateTreeTest, LetsNoShellContinueWithItsNextCommand) {
  for (TerminationScope scope :
       {TerminationScope::kGroup, TerminationScope::kTree}) {
    Command command =
        Command::Shell("(cat | { echo ready; cat; }; echo next); echo last");
    command.process_group = ProcessGroup::New();
    auto process = MustSpawn(command);
    AwaitLine(*process, "ready");
    OsWithSlowReturn os([] { absl::SleepFor(kShort); });
    ScopedOs scoped_os(&os);

    EXPECT_THAT(process->Signal(SIGTERM, scope), IsOk());

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
    EXPECT_EQ(process->out().Read(), "");
  }
}

TEST(FindStrangersTest, AreThoseWhoseAncestorsAreAllKnown) {
  EXPECT_THAT(internal::FindStrangers(
                  {Stat(40, 30), Stat(30, 1), Stat(1, 0), Stat(2, 0)}, {50}),
              ElementsAre(1, 2, 30, 40));
}

TEST(FindStrangersTest, AreNoneOfTheFamilyNorBelowIt) {
  EXPECT_THAT(internal::FindStrangers(
                  {Stat(1, 0), Stat(30, 1), Stat(40, 30), Stat(50, 40)}, {30}),
              ElementsAre(1));
}

TEST(FindStrangersTest, HaveNoAncestorThatMayHaveEndedMeanwhile) {
  // The descendant of a missing process, and the child of a zombie.
  EXPECT_THAT(internal::FindStrangers({Stat(1, 0), Stat(30, 20), Stat(40, 30),
                                       Stat(50, 1, 'Z'), Stat(60, 50)},
                                      {70}),
              ElementsAre(1));
}

TEST(TerminateGroupTest, ReachesTheGroupAlsoWithoutPidfds) {
  OsWithoutPidfds os;
  ScopedOs scoped_os(&os);
  Command command({Helper("spawn_tree"), "2", "2"});
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  const std::vector<pid_t> pids = ReadPids(*process);
  ASSERT_THAT(pids, SizeIs(7));

  auto termination = process->Terminate(
      Only(SIGTERM, kNeverReached, TerminationScope::kGroup));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->survivors, IsEmpty());
  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << pid;
}

TEST(TerminateTreeTest, NamesThoseThatItCannotHold) {
  auto process = MustSpawn(Command({Helper("spawn_tree"), "1", "2"}));
  const std::vector<pid_t> pids = ReadPids(*process);
  ASSERT_THAT(pids, SizeIs(3));
  OsWithoutPidfds os(EMFILE);
  ScopedOs scoped_os(&os);

  auto termination =
      process->Terminate(Only(SIGKILL, kShort, TerminationScope::kTree));

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGKILL));
  EXPECT_THAT(termination->survivors,
              testing::UnorderedElementsAre(Field(&Survivor::pid, pids[1]),
                                            Field(&Survivor::pid, pids[2])));
  for (pid_t pid : pids) {
    if (pid != process->pid()) kill(pid, SIGKILL);
  }
}

TEST(TerminateTreeTest, EndsMoreProcessesThanTheHostHasDescriptors) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    rlimit limit;
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int signal : {SIGTERM, SIGKILL}) {
      SCOPED_TRACE(signal);
      auto process =
          MustSpawn(Command({Helper("spawn_tree"), "6", "2", "--setsid"}));
      const std::vector<pid_t> pids = ReadPids(*process);
      ASSERT_THAT(pids, SizeIs(127));

      auto termination = process->Terminate(
          Only(signal, kNeverReached, TerminationScope::kTree));

      ASSERT_THAT(termination, IsOk());
      EXPECT_EQ(termination->status, ExitStatus::Signaled(signal));
      EXPECT_THAT(termination->survivors, IsEmpty());
      for (pid_t pid : pids) {
        EXPECT_FALSE(ProcessLives(pid)) << pid;
        if (ProcessLives(pid)) kill(pid, SIGKILL);
      }
    }
  });
}

TEST(TerminateTreeTest, TakesAGraceAndAScope) {
  auto process = MustSpawn(Command({Helper("spawn_tree"), "2", "1"}));
  const std::vector<pid_t> pids = ReadPids(*process);

  auto termination = process->Terminate(kShort, TerminationScope::kTree);

  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_THAT(termination->survivors, IsEmpty());
  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << pid;
}

}  // namespace
}  // namespace asyncproc

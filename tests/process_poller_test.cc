#include "asyncproc/process_poller.h"

#include <signal.h>
#include <time.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::Duration CpuTime() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

// Echoes line by line.
Command Echo() { return Command({"cat"}); }

// Sleeps, and ignores its stdin.
Command Sleeper() { return Command({"sleep", "1000"}); }

// Logs the callbacks, and calls the functions of the test.
class Recorder : public BufferingProcessPoller<std::string> {
 public:
  using Base = BufferingProcessPoller<std::string>;
  using Base::Base;

  std::function<absl::Status(const std::string&)> on_create, on_output,
      on_terminate, on_failure;
  std::vector<std::string> log;

 private:
  static absl::Status Call(
      const std::function<absl::Status(const std::string&)>& f,
      const std::string& key) {
    return f == nullptr ? absl::OkStatus() : f(key);
  }
  absl::Status OnCreate(const std::string& key) override {
    Base::OnCreate(key).IgnoreError();
    log.push_back(absl::StrCat("create ", key));
    return Call(on_create, key);
  }
  absl::Status OnOutput(const std::string& key, ChildStream stream,
                        absl::string_view data) override {
    Base::OnOutput(key, stream, data).IgnoreError();
    log.push_back(absl::StrCat("output ", key));
    return Call(on_output, key);
  }
  absl::Status OnTimeout(const std::string& key,
                         const absl::Status& why) override {
    log.push_back(absl::StrCat("timeout ", key));
    EXPECT_THAT(why, HasCode(absl::StatusCode::kDeadlineExceeded));
    return absl::OkStatus();
  }
  absl::Status OnTerminate(const std::string& key,
                           const ExitStatus& status) override {
    log.push_back(absl::StrCat("terminate ", key, ": ", status.ToString()));
    return Call(on_terminate, key);
  }
  absl::Status OnFailure(const std::string& key,
                         const absl::Status& status) override {
    log.push_back(absl::StrCat("failure ", key, ": ",
                               absl::StatusCodeToString(status.code())));
    return Call(on_failure, key);
  }
};

testing::Matcher<const Recorder::Result&> EndedBy(const ExitStatus& status) {
  return IsOkAndHolds(status);
}

// POL-01
TEST(ProcessPollerTest, SeparatesOutputsAndResultsByKey) {
  BufferingProcessPoller<std::string> poller;
  ASSERT_THAT(poller.Run("A", Command::Shell("echo a; echo ea >&2; exit 1")),
              IsOk());
  ASSERT_THAT(poller.Run("B", Command::Shell("echo b")), IsOk());
  EXPECT_THAT(poller.results().at("A"),
              HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(poller.results().at("B"),
              HasCode(absl::StatusCode::kUnavailable));

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.output("A").out, "a\n");
  EXPECT_EQ(poller.output("A").err, "ea\n");
  EXPECT_EQ(poller.output("B").out, "b\n");
  EXPECT_EQ(poller.output("B").err, "");
  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Exited(1)));
  EXPECT_THAT(poller.results().at("B"), EndedBy(ExitStatus::Exited(0)));
}

// POL-02
TEST(ProcessPollerTest, ReportsMisuse) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Command({"true"})), IsOk());

  EXPECT_THAT(poller.Run("A", Command({"true"})),
              HasCode(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(poller.SendInput("B", "x"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(poller.SendInput("A", "x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.CloseInput("A"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.SendSignal("B", SIGTERM),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(poller.Terminate("B"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(poller.Remove("B"), HasCode(absl::StatusCode::kNotFound));
  Command null({"true"});
  null.in = Stdio::Null();
  EXPECT_THAT(poller.Run("C", null, ""),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(poller.results().count("C"), 0);
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
  EXPECT_THAT(poller.SendInput("A", "x"), HasCode(absl::StatusCode::kNotFound));
}

TEST(ProcessPollerTest, ReportsAProgramThatDoesNotExist) {
  Recorder poller;

  EXPECT_THAT(poller.Run("A", Command({"/no/such/file"})),
              HasCode(absl::StatusCode::kNotFound));

  EXPECT_THAT(poller.Poll(), IsOk());
  EXPECT_TRUE(poller.log.empty());
  EXPECT_THAT(poller.Run("A", Command({"true"})), IsOk());
}

// POL-03
TEST(ProcessPollerTest, ReportsTheEndLastAndOnce) {
  Recorder poller;
  for (int round = 0; round < 1000 / kSlowness; ++round) {
    poller.log.clear();
    ASSERT_THAT(poller.Run("A", Command::Shell("echo x; exit 3")), IsOk());
    ASSERT_THAT(poller.Poll(kNeverReached), IsOk());
    ASSERT_THAT(poller.log, ElementsAre("create A", "output A",
                                        "terminate A: exited with status 3"));
    ASSERT_EQ(poller.output("A").out, "x\n");
  }
}

// POL-05
TEST(ProcessPollerTest, IsIdleForAChildThatHasClosedItsOutput) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Command::Shell("echo here is some text; "
                                             "exec 1>&- 2>&-; sleep 1")),
              IsOk());
  const absl::Time start = absl::Now();
  const absl::Duration cpu = CpuTime();

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_GE(absl::Now() - start, absl::Milliseconds(950));
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(1500) * kSlowness);
  EXPECT_LT(CpuTime() - cpu, absl::Milliseconds(50) * kSlowness);
  EXPECT_THAT(poller.log, ElementsAre("create A", "output A",
                                      "terminate A: exited with status 0"));
}

// POL-06
TEST(ProcessPollerTest, NoticesTheEndOfAChildWithoutPipes) {
  Recorder poller;
  Command command({"true"});
  command.in = Stdio::Inherit();
  command.out = Stdio::Inherit();
  command.err = Stdio::Inherit();
  ASSERT_THAT(poller.Run("A", command), IsOk());
  // The child becomes a zombie before the loop begins.
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(*poller.GetPid("A")), &info,
                   WEXITED | WNOWAIT),
            0);

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.log,
              ElementsAre("create A", "terminate A: exited with status 0"));
}

// POL-08
TEST(ProcessPollerTest, DropsUnwantedOutput) {
  ProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Command::Shell("head -c 1048576 /dev/zero; "
                                           "head -c 1048576 /dev/zero >&2")),
              IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at(1), IsOkAndHolds(ExitStatus::Exited(0)));
}

// POL-09
TEST(ProcessPollerTest, GoesOnAfterAnErrorOfACallback) {
  Recorder poller;
  poller.on_output = [](const std::string& key) {
    return key == "A" ? absl::InternalError("A") : absl::OkStatus();
  };
  ASSERT_THAT(poller.Run("A", Command::Shell("echo a")), IsOk());
  ASSERT_THAT(poller.Run("B", Echo(), "b\n"), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), HasCode(absl::StatusCode::kInternal));
  ASSERT_THAT(poller.CloseInput("B"), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Exited(0)));
  EXPECT_THAT(poller.results().at("B"), EndedBy(ExitStatus::Exited(0)));
  EXPECT_EQ(poller.output("B").out, "b\n");
}

TEST(ProcessPollerTest, LosesNothingToAnErrorOfEachCallback) {
  Recorder poller;
  const auto fail = [](const std::string&) { return absl::AbortedError(""); };
  poller.on_create = poller.on_output = poller.on_terminate = fail;
  ASSERT_THAT(poller.Run("A", Command::Shell("echo a; echo b >&2; exit 4")),
              IsOk());

  int errors = 0;
  absl::Status status;
  while (absl::IsAborted(status = poller.Poll(kNeverReached))) ++errors;

  EXPECT_THAT(status, IsOk());
  EXPECT_EQ(errors, 4);
  EXPECT_EQ(poller.output("A").out, "a\n");
  EXPECT_EQ(poller.output("A").err, "b\n");
  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Exited(4)));
}

// POL-10
TEST(ProcessPollerTest, MayBeCalledFromItsCallbacks) {
  Recorder poller;
  poller.on_output = [&](const std::string& key) {
    if (poller.output(key).out == "one\n") {
      EXPECT_THAT(poller.SendInput(key, "two\n"), IsOk());
    } else {
      EXPECT_THAT(poller.CloseInput(key), IsOk());
      EXPECT_THAT(poller.SendSignal(key, SIGKILL), IsOk());
      EXPECT_THAT(poller.Terminate(key), IsOk());
    }
    EXPECT_THAT(poller.Poll(), HasCode(absl::StatusCode::kFailedPrecondition));
    return absl::OkStatus();
  };
  ASSERT_THAT(poller.Run("A", Echo(), "one\n"), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Signaled(SIGKILL)));
}

// POL-10
TEST(ProcessPollerTest, RunsTheSameKeyAgainWhenItHasEnded) {
  Recorder poller;
  int runs = 1;
  poller.on_terminate = [&](const std::string& key) {
    return ++runs <= 5 ? poller.Run(key, Command::Shell(absl::StrCat(
                                             "echo ", runs, "; exit ", runs)))
                       : absl::OkStatus();
  };
  ASSERT_THAT(poller.Run("A", Command({"true"})), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Exited(5)));
  EXPECT_EQ(poller.output("A").out, "5\n");
}

// POL-10
TEST(ProcessPollerTest, RemovesAChildInItsOwnCallbacks) {
  for (const std::string moment : {"create", "output", "terminate"}) {
    Recorder poller;
    const auto remove = [&](const std::string& key) {
      EXPECT_THAT(poller.Remove(key), IsOk());
      // The key is still a valid reference.
      EXPECT_EQ(key, "a key that is too long for a small string");
      return absl::OkStatus();
    };
    if (moment == "create") poller.on_create = remove;
    if (moment == "output") poller.on_output = remove;
    if (moment == "terminate") poller.on_terminate = remove;
    ASSERT_THAT(poller.Run("a key that is too long for a small string",
                           Command::Shell("echo x; echo y >&2")),
                IsOk());

    EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

    EXPECT_TRUE(poller.results().empty()) << moment;
    EXPECT_THAT(poller.log.back(), HasSubstr(moment));
  }
}

// POL-10
TEST(ProcessPollerTest, RemovesAnotherChildThatHasEvents) {
  Recorder poller;
  poller.on_output = [&](const std::string& key) {
    return poller.Remove(key == "A" ? "B" : "A");
  };
  ASSERT_THAT(poller.Run("A", Command::Shell("echo a")), IsOk());
  ASSERT_THAT(poller.Run("B", Command::Shell("echo b")), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.results().size(), 1);
}

// POL-12
TEST(ProcessPollerTest, FeedsLargeInputToSeveralChildren) {
  BufferingProcessPoller<int> poller;
  const std::string input(1 << 20, 'x');
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(poller.Run(i, Command({"wc", "-c"}), input), IsOk());
    ASSERT_THAT(poller.CloseInput(i), IsOk());
  }

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  for (int i = 0; i < 5; ++i) EXPECT_EQ(poller.output(i).out, "1048576\n");
}

// POL-12
TEST(ProcessPollerTest, IsIdleWhileInputWaitsForTheChild) {
  ProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Sleeper(), std::string(1 << 20, 'x')), IsOk());
  ASSERT_THAT(poller.Run(2, Sleeper(), "x"), IsOk());
  const absl::Duration cpu = CpuTime();

  EXPECT_THAT(poller.Poll(10 * kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_LT(CpuTime() - cpu, kShort / 2);
}

// POL-13
TEST(ProcessPollerTest, DeliversDataThatComesWithAHangUp) {
  BufferingProcessPoller<int> poller;
  // The output fits into any pipe: a user with many pipes gets pipes of 8 KiB.
  ASSERT_THAT(poller.Run(1, Command::Shell("head -c 4000 /dev/zero")), IsOk());
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(*poller.GetPid(1)), &info,
                   WEXITED | WNOWAIT),
            0);

  EXPECT_THAT(
      poller.Poll(absl::ZeroDuration()),
      testing::AnyOf(IsOk(), HasCode(absl::StatusCode::kDeadlineExceeded)));
  EXPECT_EQ(poller.output(1).out.size(), 4000);
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
  EXPECT_EQ(poller.output(1).out.size(), 4000);
}

// POL-15
TEST(ProcessPollerTest, ServesManyChildrenAtOnce) {
  constexpr int kChildren = 200;
  BufferingProcessPoller<int> poller;
  for (int i = 0; i < kChildren; ++i) {
    ASSERT_THAT(
        poller.Run(
            i,
            Command::Shell(
                "read a; echo $a; echo $a >&2; read b; echo $b; exit 23"),
            absl::StrCat("first ", i, "\n")),
        IsOk());
  }
  ASSERT_THAT(poller.PollUntil(
                  [&] {
                    for (int i = 0; i < kChildren; ++i) {
                      if (poller.output(i).err.empty()) return false;
                    }
                    return true;
                  },
                  kNeverReached),
              IsOk());
  for (int i = 0; i < kChildren; ++i) {
    ASSERT_THAT(poller.SendInput(i, absl::StrCat("second ", i, "\n")), IsOk());
  }

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  for (int i = 0; i < kChildren; ++i) {
    EXPECT_EQ(poller.output(i).out,
              absl::StrCat("first ", i, "\nsecond ", i, "\n"));
    EXPECT_EQ(poller.output(i).err, absl::StrCat("first ", i, "\n"));
    EXPECT_THAT(poller.results().at(i), IsOkAndHolds(ExitStatus::Exited(23)));
  }
}

// GRC-01
TEST(ProcessPollerTest, DoesNotWaitForAGrandchildThatHoldsThePipe) {
  BufferingProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Command::Shell("sleep 60 & echo $!")), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  ASSERT_THAT(poller.results().at(1), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(poller.results().at(1)->output_complete());
  kill(std::stoi(poller.output(1).out), SIGKILL);
}

TEST(ProcessPollerTest, GivesAChildWithoutInputAnEndOfFile) {
  BufferingProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Command({"wc", "-c"})), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.output(1).out, "0\n");
}

TEST(ProcessPollerTest, ReportsWhenTimeIsUp) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Sleeper()), IsOk());

  EXPECT_THAT(poller.Poll(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_THAT(poller.results().at("A"),
              HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(poller.running(), 1);
}

TEST(ProcessPollerTest, IsStoppedByACallback) {
  Recorder poller;
  poller.on_output = [&](const std::string&) {
    poller.Stop();
    return absl::OkStatus();
  };
  ASSERT_THAT(poller.Run("A", Echo(), "x\n"), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached),
              HasCode(absl::StatusCode::kCancelled));
  ASSERT_THAT(poller.CloseInput("A"), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
}

TEST(ProcessPollerTest, IsStoppedByAnotherThread) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Sleeper()), IsOk());
  std::thread other([&] { poller.Stop(); });

  EXPECT_THAT(poller.Poll(kNeverReached),
              HasCode(absl::StatusCode::kCancelled));

  other.join();
}

TEST(ProcessPollerTest, KillsRunningChildrenWhenItIsDestroyed) {
  auto poller = std::make_unique<ProcessPoller<int>>();
  std::vector<pid_t> pids;
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(poller->Run(i, Sleeper()), IsOk());
    pids.push_back(*poller->GetPid(i));
  }

  poller = nullptr;

  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid));
}

TEST(ProcessPollerTest, TakesKeysOfAnyHashableType) {
  ProcessPoller<std::pair<std::string, int>> poller;
  ASSERT_THAT(poller.Run({"a", 1}, Command({"true"})), IsOk());
  ASSERT_THAT(poller.Run({"a", 2}, Command({"false"})), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at({"a", 2}),
              IsOkAndHolds(ExitStatus::Exited(1)));
}

// ---- Termination.

TEST(ProcessPollerTest, TerminatesWithoutBlocking) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A",
                         Command::Shell("trap '' TERM; echo ready; "
                                        "while :; do sleep 1; done"),
                         ""),
              IsOk());
  ASSERT_THAT(poller.PollUntilSays({"A"}, "ready\n", kNeverReached),
              IsOkAndHolds("A"));
  const absl::Time start = absl::Now();
  Escalation escalation;
  escalation.steps = {EscalationStep::CloseStdin(kShort),
                      EscalationStep::Signal(SIGTERM, kShort),
                      EscalationStep::Signal(SIGKILL, kNeverReached)};

  EXPECT_THAT(poller.Terminate("A", escalation), IsOk());
  EXPECT_LT(absl::Now() - start, kShort);
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_GE(absl::Now() - start, 2 * kShort);
  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Signaled(SIGKILL)));
}

TEST(ProcessPollerTest, TerminatesAChildByItsEndOfFile) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Echo(), ""), IsOk());

  EXPECT_THAT(poller.Terminate("A", Escalation::Standard(kNeverReached)),
              IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Exited(0)));
}

TEST(ProcessPollerTest, ReportsTheEndOfAGroupWhenAllOfItHasEnded) {
  Recorder poller;
  Command command = Command::Shell(
      "(trap '' TERM; echo $(exec sh -c 'echo $PPID'); "
      "while :; do sleep 1; done) & read x");
  command.process_group = ProcessGroup::New();
  ASSERT_THAT(poller.Run("A", command, ""), IsOk());
  ASSERT_THAT(poller.PollUntilSays({"A"}, "\n", kNeverReached), IsOk());
  const pid_t grandchild = std::stoi(poller.output("A").out);
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(SIGTERM, kShort),
                      EscalationStep::Signal(SIGKILL, kNeverReached)};
  escalation.scope = TerminationScope::kGroup;

  EXPECT_THAT(poller.Terminate("A", escalation), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Signaled(SIGTERM)));
  EXPECT_FALSE(ProcessLives(grandchild));
}

Escalation Only(int signal, absl::Duration grace, TerminationScope scope) {
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(signal, grace)};
  escalation.scope = scope;
  return escalation;
}

TEST(ProcessPollerTest, NamesTheProcessesThatSurvivedAnEscalation) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Command::Shell(absl::StrCat(
                                  Helper("ignore_sigterm"), " & wait"))),
              IsOk());
  ASSERT_THAT(poller.PollUntilSays({"A"}, "ready\n", kNeverReached), IsOk());
  EXPECT_THAT(poller.termination("A"), HasCode(absl::StatusCode::kNotFound));
  absl::StatusOr<Termination> in_callback;
  poller.on_terminate = [&](const std::string& key) {
    in_callback = poller.termination(key);
    return absl::OkStatus();
  };

  ASSERT_THAT(
      poller.Terminate("A", Only(SIGTERM, kShort, TerminationScope::kTree)),
      IsOk());
  EXPECT_THAT(poller.termination("A"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  const absl::StatusOr<Termination> termination = poller.termination("A");
  ASSERT_THAT(termination, IsOk());
  ASSERT_THAT(in_callback, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_EQ(termination->ended_by_step, std::nullopt);
  EXPECT_GE(termination->elapsed, kShort);
  ASSERT_EQ(termination->survivors.size(), 1);
  EXPECT_EQ(termination->survivors[0].command, "ignore_sigterm");
  EXPECT_EQ(in_callback->survivors[0].pid, termination->survivors[0].pid);
  kill(termination->survivors[0].pid, SIGKILL);
  ASSERT_THAT(poller.Remove("A"), IsOk());
  EXPECT_THAT(poller.termination("A"), HasCode(absl::StatusCode::kNotFound));
}

TEST(ProcessPollerTest, ReportsTheEffectOfALimit) {
  Recorder poller;
  ChildLimits limits;
  limits.timeout = kShort;
  ASSERT_THAT(poller.Run("A", Sleeper(), std::nullopt, limits), IsOk());
  ASSERT_THAT(poller.Run("B", Command({"true"})), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  const absl::StatusOr<Termination> termination = poller.termination("A");
  ASSERT_THAT(termination, IsOk());
  EXPECT_EQ(termination->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_TRUE(termination->survivors.empty());
  EXPECT_THAT(poller.termination("B"), HasCode(absl::StatusCode::kNotFound));
}

TEST(ProcessPollerTest, HasNoResultForAKeyThatWasNeverUsed) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Command({"false"})), IsOk());

  EXPECT_THAT(poller.result("A"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.result("A"), EndedBy(ExitStatus::Exited(1)));
  EXPECT_THAT(poller.result("B"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(poller.termination("B"), HasCode(absl::StatusCode::kNotFound));
}

TEST(ProcessPollerTest, EndsAChildThatTakesTooLong) {
  Recorder poller;
  ChildLimits limits;
  limits.timeout = kShort;
  ASSERT_THAT(poller.Run("A", Sleeper(), std::nullopt, limits), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.log, ElementsAre("create A", "timeout A",
                                      "terminate A: killed by SIGTERM"));
}

TEST(ProcessPollerTest, EndsAChildThatIsSilentForTooLong) {
  Recorder poller;
  ChildLimits limits;
  limits.idle_timeout = 4 * kShort;
  // The pauses of the script are shorter than the limit, until its last sleep.
  ASSERT_THAT(poller.Run("A",
                         Command::Shell("for i in 1 2 3 4 5 6; do echo $i; "
                                        "sleep 0.05; done; exec sleep 1000"),
                         std::nullopt, limits),
              IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.output("A").out, HasSubstr("6\n"));
  EXPECT_THAT(poller.results().at("A"), EndedBy(ExitStatus::Signaled(SIGTERM)));
}

TEST(ProcessPollerTest, LeavesAChildAloneThatIsWithinItsLimits) {
  Recorder poller;
  ChildLimits limits;
  limits.timeout = kNeverReached;
  limits.idle_timeout = kNeverReached;
  ASSERT_THAT(poller.Run("A", Command({"true"}), std::nullopt, limits), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.log,
              ElementsAre("create A", "terminate A: exited with status 0"));
}

TEST(ProcessPollerTest, TakesTheSameLimitsAsRun) {
  for (const size_t max_running : {0, 1}) {
    Recorder poller(PollerOptions{max_running});
    ASSERT_THAT(poller.Run("first", Sleeper()), IsOk());
    for (const absl::Duration no_time :
         {absl::ZeroDuration(), -kShort, -absl::InfiniteDuration()}) {
      ChildLimits limits;
      limits.timeout = no_time;
      EXPECT_THAT(poller.Run("A", Sleeper(), std::nullopt, limits),
                  HasCode(absl::StatusCode::kDeadlineExceeded));
      limits = ChildLimits();
      limits.idle_timeout = no_time;
      EXPECT_THAT(poller.Run("A", Sleeper(), std::nullopt, limits),
                  HasCode(absl::StatusCode::kInvalidArgument));
    }
    EXPECT_EQ(poller.running() + poller.queued(), 1);
  }
}

// ---- The queue.

TEST(ProcessPollerTest, RunsNoMoreAtOnceThanItMay) {
  Recorder poller(PollerOptions{2});
  size_t most = 0;
  poller.on_create = poller.on_terminate = [&](const std::string&) {
    most = std::max(most, poller.running());
    return absl::OkStatus();
  };
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(poller.Run(absl::StrCat(i), Echo(), absl::StrCat(i)), IsOk());
    ASSERT_THAT(poller.CloseInput(absl::StrCat(i)), IsOk());
  }
  EXPECT_EQ(poller.running(), 2);
  EXPECT_EQ(poller.queued(), 8);

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(most, 2);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(poller.output(absl::StrCat(i)).out, absl::StrCat(i));
  }
}

TEST(ProcessPollerTest, TreatsAQueuedChildAsOneThatIsThere) {
  Recorder poller(PollerOptions{1});
  ASSERT_THAT(poller.Run("first", Echo(), ""), IsOk());
  ASSERT_THAT(poller.Run("fed", Echo(), "a"), IsOk());
  ASSERT_THAT(poller.Run("mute", Echo()), IsOk());
  ASSERT_THAT(poller.Run("missing", Command({"/no/such/file"})), IsOk());
  ASSERT_THAT(poller.Run("terminated", Sleeper()), IsOk());
  ASSERT_THAT(poller.Run("removed", Sleeper()), IsOk());

  EXPECT_THAT(poller.Run("fed", Echo()),
              HasCode(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(poller.SendInput("fed", "b"), IsOk());
  EXPECT_THAT(poller.CloseInput("fed"), IsOk());
  EXPECT_THAT(poller.SendInput("fed", "c"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.SendInput("mute", "c"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.CloseInput("mute"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.SendSignal("fed", SIGTERM),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.GetPid("fed"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(poller.Terminate("terminated"), IsOk());
  EXPECT_THAT(poller.Remove("removed"), IsOk());
  EXPECT_THAT(poller.CloseInput("first"), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.output("fed").out, "ab");
  EXPECT_THAT(poller.results().at("mute"), EndedBy(ExitStatus::Exited(0)));
  EXPECT_THAT(poller.results().at("missing"),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(poller.results().at("terminated"),
              HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(poller.results().count("removed"), 0);
  EXPECT_THAT(poller.log, testing::Contains("failure missing: NOT_FOUND"));
  EXPECT_THAT(poller.log, testing::Contains("failure terminated: CANCELLED"));
}

TEST(ProcessPollerTest, RefusesAQueuedChildAsItWouldOneThatIsStarted) {
  for (const size_t max_running : {0, 1}) {
    Recorder poller(PollerOptions{max_running});
    ASSERT_THAT(poller.Run("first", Echo(), ""), IsOk());
    ChildLimits limits;
    limits.idle_timeout = -absl::Seconds(1);
    Command closed = Echo();
    closed.out = Stdio::Fd(1000);
    Command small = Echo();
    small.input_limit = 10;

    EXPECT_THAT(poller.Run("limits", Echo(), std::nullopt, limits),
                HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(poller.Run("closed", closed),
                HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(poller.Run("small", small, "eleven byte"),
                HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(poller.CloseInput("first"), IsOk());
    EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
    EXPECT_EQ(poller.results().size(), 1);
  }
}

TEST(ProcessPollerTest, TakesNoMoreInputForAQueuedChildThanItMay) {
  Recorder poller(PollerOptions{1});
  Command small = Echo();
  small.input_limit = 10;
  ASSERT_THAT(poller.Run("first", Echo(), ""), IsOk());
  ASSERT_THAT(poller.Run("small", small, "12345"), IsOk());

  EXPECT_THAT(poller.SendInput("small", "67890"), IsOk());
  EXPECT_THAT(poller.SendInput("small", "1"),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(poller.CloseInput("first"), IsOk());
  EXPECT_THAT(poller.CloseInput("small"), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.output("small").out, "1234567890");
}

TEST(ProcessPollerTest, RefusesInputThatATerminalDoesNotTake) {
  Recorder poller(PollerOptions{1});
  Command command = Echo();
  command.pty.emplace();
  const std::string line = std::string(5000, 'x') + "\n";

  EXPECT_THAT(poller.Run("started", command, line),
              HasCode(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(poller.Run("first", Command({"true"})), IsOk());
  ASSERT_THAT(poller.Run("queued", command, line), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at("queued"),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ProcessPollerTest, NeedsNoCallbacks) {
  ProcessPoller<int> poller(PollerOptions{1});
  ChildLimits limits;
  limits.timeout = kShort;
  ASSERT_THAT(poller.Run(1, Sleeper(), std::nullopt, limits), IsOk());
  ASSERT_THAT(poller.Run(2, Command({"/no/such/file"})), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(poller.results().at(1), EndedBy(ExitStatus::Signaled(SIGTERM)));
  EXPECT_THAT(poller.results().at(2), HasCode(absl::StatusCode::kNotFound));
}

// ---- PollUntil.

TEST(ProcessPollerTest, PollsUntilThePredicateIsTrue) {
  Recorder poller;
  ASSERT_THAT(poller.Run("A", Echo(), "x\n"), IsOk());

  EXPECT_THAT(poller.PollUntil([] { return true; }), IsOk());
  EXPECT_TRUE(poller.log.empty());
  EXPECT_THAT(poller.PollUntil([&] { return poller.output("A").out == "x\n"; },
                               kNeverReached),
              IsOk());
  EXPECT_THAT(poller.PollUntil([] { return false; }, kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(poller.CloseInput("A"), IsOk());
  EXPECT_THAT(poller.PollUntil([] { return false; }, kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(ProcessPollerTest, FindsTheFirstToSaySomething) {
  ProcessPoller<std::string> poller;
  for (const char* key : {"A", "B", "C"}) {
    ASSERT_THAT(poller.Run(key, Echo(), ""), IsOk());
  }
  ASSERT_THAT(poller.SendInput("A", "not this"), IsOk());
  ASSERT_THAT(poller.SendInput("C", "ready, but nobody asks it"), IsOk());
  ASSERT_THAT(poller.SendInput("B", "xrea"), IsOk());
  ASSERT_THAT(poller.PollUntilSays({"B"}, "a", kNeverReached), IsOk());
  ASSERT_THAT(poller.SendInput("B", "dy"), IsOk());

  EXPECT_THAT(poller.PollUntilSays({"A", "B"}, "dy", kNeverReached),
              IsOkAndHolds("B"));
  EXPECT_THAT(poller.PollUntilSays({"A"}, "ready", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(poller.PollUntilSays({"A"}, ""),
              HasCode(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(poller.CloseInput("A"), IsOk());
  EXPECT_THAT(poller.PollUntilSays({"A"}, "ready", kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(poller.running(), 2);
}

TEST(ProcessPollerTest, WaitsForNoTextOfAChildThatNeverWas) {
  Recorder poller;
  EXPECT_THAT(poller.PollUntilSays({}, "x", kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(poller.PollUntilSays({"typo"}, "x", kNeverReached),
              HasCode(absl::StatusCode::kNotFound));
  ASSERT_THAT(poller.Run("A", Echo(), "x\n"), IsOk());

  EXPECT_THAT(poller.PollUntilSays({"A", "typo"}, "x", kNeverReached),
              HasCode(absl::StatusCode::kNotFound));

  EXPECT_TRUE(poller.log.empty());
  ASSERT_THAT(poller.CloseInput("A"), IsOk());
  ASSERT_THAT(poller.Poll(kNeverReached), IsOk());
  EXPECT_THAT(poller.PollUntilSays({"A"}, "x", kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(ProcessPollerTest, ReportsAnErrorRatherThanAMatch) {
  Recorder poller;
  poller.on_output = [](const std::string&) { return absl::AbortedError(""); };
  ASSERT_THAT(poller.Run("A", Command::Shell("echo ready")), IsOk());

  EXPECT_THAT(poller.PollUntilSays({"A"}, "ready", kNeverReached),
              HasCode(absl::StatusCode::kAborted));
  EXPECT_EQ(poller.output("A").out, "ready\n");
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
}

TEST(ProcessPollerTest, EndsWithTheTimeOfItsThread) {
  ProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Sleeper()), IsOk());

  EXPECT_THAT(WithTimeout(kShort, [&] { return poller.Poll(kNeverReached); }),
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST(FindAcrossTest, FindsATextThatIsCutAnywhere) {
  const std::string text = "ready";
  for (size_t cut = 0; cut < text.size(); ++cut) {
    std::string tail;
    EXPECT_FALSE(
        internal::FindAcross(text, "rea" + text.substr(0, cut), &tail));
    EXPECT_LT(tail.size(), text.size());
    EXPECT_TRUE(internal::FindAcross(text, text.substr(cut) + "...", &tail))
        << cut;
  }
  std::string tail;
  for (char c : std::string("read")) {
    EXPECT_FALSE(internal::FindAcross(text, std::string(1, c), &tail));
  }
  EXPECT_TRUE(internal::FindAcross(text, "y", &tail));
}

// ---- BufferingProcessPoller.

TEST(BufferingProcessPollerTest, KeepsNoMoreThanItMay) {
  BufferingProcessPoller<int> poller({}, 10);
  ASSERT_THAT(poller.Run(1, Command::Shell("seq 1 10000; echo abc >&2")),
              IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.output(1).out, "999\n10000\n");
  EXPECT_EQ(poller.output(1).err, "abc\n");
  EXPECT_EQ(poller.output(1).dropped, 48894 - 10);
}

TEST(BufferingProcessPollerTest, ForgetsTakenOutput) {
  BufferingProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Command::Shell("echo x")), IsOk());
  ASSERT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_EQ(poller.TakeOutput(1).out, "x\n");
  EXPECT_EQ(poller.TakeOutput(1).out, "");
  EXPECT_EQ(poller.output(2).out, "");
}

TEST(ProcessPollerTest, LetsTheExceptionOfACallbackThrough) {
  Recorder poller;
  poller.on_output = [](const std::string&) -> absl::Status {
    throw std::runtime_error("thrown by the callback");
  };
  ASSERT_THAT(poller.Run("A", Command({"echo", "x"})), IsOk());

  EXPECT_THROW(poller.Poll(kNeverReached).IgnoreError(), std::runtime_error);

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
  EXPECT_EQ(poller.output("A").out, "x\n");
  EXPECT_THAT(poller.result("A"), EndedBy(ExitStatus::Exited(0)));
}

}  // namespace
}  // namespace asyncproc

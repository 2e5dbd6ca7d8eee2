#include "asyncproc/pipeline.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/expect.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "asyncproc/readiness.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/spawn_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

std::unique_ptr<Pipeline> MustSpawnPipeline(std::vector<Command> commands,
                                            PipelineOptions options = {}) {
  auto pipeline = Pipeline::Spawn(std::move(commands), options);
  EXPECT_THAT(pipeline, IsOk());
  return *std::move(pipeline);
}

// RED-11
TEST(PipelineTest, PassesItsInputThroughAllStages) {
  auto pipeline = MustSpawnPipeline(
      {{"cat"}, {"grep", "--line-buffered", "zxcvbn"}, {"tr", "a-z", "A-Z"}});

  ASSERT_THAT(pipeline->Write("one\na zxcvbn b\nthree\n"), IsOk());
  ASSERT_THAT(pipeline->Flush(kNeverReached), IsOk());
  ASSERT_THAT(pipeline->CloseStdin(), IsOk());

  EXPECT_THAT(pipeline->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(pipeline->Read(), "A ZXCVBN B\n");
  EXPECT_THAT(pipeline->statuses(),
              ElementsAre(Optional(ExitStatus::Exited(0)),
                          Optional(ExitStatus::Exited(0)),
                          Optional(ExitStatus::Exited(0))));
}

TEST(PipelineTest, CanBeOneProcess) {
  auto pipeline = MustSpawnPipeline({{"echo", "x"}});

  EXPECT_THAT(pipeline->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(pipeline->Read(), "x\n");
}

TEST(PipelineTest, HasNoPrivateChannelForARepl) {
  auto pipeline = MustSpawnPipeline({{"cat"}, {"python3"}});

  auto repl = Repl::Attach(PythonDialect(), std::move(pipeline), kNeverReached);

  EXPECT_THAT(repl, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(repl.status().message(),
              HasSubstr("a started Process has no private channel"));
}

TEST(PipelineTest, SaysWhatALateStageDoes) {
  auto pipeline = MustSpawnPipeline({{"cat"}, {"cat"}});
  ASSERT_THAT(pipeline->stage(0).Signal(SIGSTOP), IsOk());
  while (pipeline->stage(0).state() != ProcessState::kStopped) usleep(1000);

  const absl::Status late = pipeline->WaitFor(kShort).status();

  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.message(),
              HasSubstr(absl::StrCat("cat (pid ", pipeline->stage(0).pid(),
                                     "): it is stopped by a signal")));
  EXPECT_THAT(late.message(),
              HasSubstr(absl::StrCat("cat (pid ", pipeline->stage(1).pid(),
                                     "): it waits")));
}

TEST(PipelineTest, KeepsTheStderrOfEachStage) {
  auto pipeline = MustSpawnPipeline({Command::Shell("echo a >&2; echo x"),
                                     Command::Shell("echo b >&2; cat")});

  ASSERT_THAT(pipeline->WaitFor(kNeverReached), IsOk());

  EXPECT_EQ(pipeline->err(0).Peek(), "a\n");
  EXPECT_EQ(pipeline->err(1).Peek(), "b\n");
  EXPECT_EQ(pipeline->ReadErr(), "a\nb\n");
  EXPECT_EQ(pipeline->Read(), "x\n");
}

TEST(PipelineTest, IsOneProcessGroup) {
  const Command print_group = Command::Shell("ps -o pgid= -p $$ >&2; cat");
  auto pipeline = MustSpawnPipeline({print_group, print_group, print_group});

  ASSERT_THAT(pipeline->CloseStdin(), IsOk());
  ASSERT_THAT(pipeline->WaitFor(kNeverReached), IsOk());

  for (size_t i = 0; i < pipeline->size(); ++i) {
    EXPECT_EQ(std::stoi(pipeline->err(i).Read()), pipeline->pid());
  }
}

// The leader of the group may end before the other stages start.
TEST(PipelineTest, CanBeLedByAChildThatEndsAtOnce) {
  for (int i = 0; i < 50; ++i) {
    auto pipeline = MustSpawnPipeline({{"true"}, {"true"}, {"echo", "x"}});

    ASSERT_THAT(pipeline->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_EQ(pipeline->Read(), "x\n");
  }
}

// The kernel frees the leader's pid as soon as the leader ends.
TEST(PipelineTest, IsStartedInAHostThatIgnoresSigchld) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 300; ++i) {
      auto pipeline = Pipeline::Spawn({{"true"}, {"cat"}, {"cat"}});
      ASSERT_THAT(pipeline, IsOk());
      ASSERT_THAT((*pipeline)->WaitFor(kNeverReached),
                  HasCode(absl::StatusCode::kDataLoss));
      EXPECT_FALSE((*pipeline)->IsAlive());
    }
  });
}

TEST(PipelineTest, IsEndedAllInAHostThatIgnoresSigchld) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    signal(SIGCHLD, SIG_IGN);
    auto pipeline = MustSpawnPipeline(
        {{"true"}, {"sleep", "1000"}, {"sh", "-c", "sleep 1000 & echo $!"}});
    auto left = pipeline->out().ReadLine(kNeverReached);
    ASSERT_THAT(left, IsOk());

    EXPECT_THAT(pipeline->Terminate(absl::ZeroDuration()),
                HasCode(absl::StatusCode::kDataLoss));

    EXPECT_FALSE(pipeline->IsAlive());
    kill(std::stoi(*left), SIGKILL);
  });
}

// RED-11
TEST(PipelineTest, TakesSigpipeInTheMiddleForNoFailure) {
  auto pipeline = MustSpawnPipeline({{"yes"}, {"cat"}, {"head", "-n", "1"}});

  EXPECT_THAT(pipeline->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(pipeline->Read(), "y\n");
  EXPECT_THAT(pipeline->statuses(),
              ElementsAre(Optional(ExitStatus::Signaled(SIGPIPE)),
                          Optional(ExitStatus::Signaled(SIGPIPE)),
                          Optional(ExitStatus::Exited(0))));
}

TEST(PipelineTest, TakesSigpipeForAFailureWhenAsked) {
  PipelineOptions options;
  options.sigpipe_is_failure = true;
  auto pipeline = MustSpawnPipeline({{"yes"}, {"head", "-n", "1"}}, options);

  EXPECT_THAT(pipeline->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGPIPE)));
}

TEST(PipelineTest, FailsByTheLastStageThatFailed) {
  auto pipeline = MustSpawnPipeline(
      {Command::Shell("exit 2"), Command::Shell("exit 3"), {"true"}});

  EXPECT_THAT(pipeline->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
}

// The host keeps no end of a pipe between stages.
TEST(PipelineTest, LetsTheDataPassByTheHost) {
  auto pipeline = MustSpawnPipeline({{"cat"}, {"cat"}});
  std::string between(64, '\0');
  const ssize_t length = readlink(
      absl::StrCat("/proc/", pipeline->stage(1).pid(), "/fd/0").c_str(),
      between.data(), between.size());
  ASSERT_GT(length, 0);
  between.resize(static_cast<size_t>(length));

  for (int fd = 0; fd < 256; ++fd) {
    std::string target(64, '\0');
    const ssize_t size = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(),
                                  target.data(), target.size());
    if (size < 0) continue;
    target.resize(static_cast<size_t>(size));
    EXPECT_NE(target, between) << fd;
  }
}

TEST(PipelineTest, StartsAllStagesOrNone) {
  auto pipeline =
      Pipeline::Spawn({{"sleep", "1000"}, {"true"}, {"/no/such/file"}});

  EXPECT_THAT(pipeline, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(pipeline.status().message(),
              HasSubstr("stage 3 of sleep 1000 | true | /no/such/file"));
}

TEST(PipelineTest, RefusesContradictions) {
  std::vector<Command> to_file(2, Command({"cat"}));
  to_file[0].out = Stdio::Null();
  std::vector<Command> from_file(2, Command({"cat"}));
  from_file[1].in = Stdio::Null();
  std::vector<Command> session(2, Command({"cat"}));
  session[1].new_session = true;
  std::vector<Command> detached(1, Command({"cat"}));
  detached[0].on_destroy = OnDestroy::Detach();
  std::vector<Command> terminal(1, Command({"cat"}));
  terminal[0].pty.emplace();

  for (const auto& commands : {std::vector<Command>(), to_file, from_file,
                               session, detached, terminal}) {
    EXPECT_THAT(Pipeline::Spawn(commands),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(PipelineTest, ReportsWhichStagesStillRun) {
  auto pipeline = MustSpawnPipeline({{"true"}, {"sleep", "1000"}});

  auto status = pipeline->WaitFor(kShort);

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(status.status().message(), HasSubstr("; sleep 1000 (pid "));
  EXPECT_TRUE(pipeline->IsAlive());
  EXPECT_THAT(pipeline->Wait(WNOHANG), HasCode(absl::StatusCode::kUnavailable));
}

TEST(PipelineTest, TerminateEndsAllByTheEndOfTheInput) {
  auto pipeline = MustSpawnPipeline({{"cat"}, {"cat"}, {"cat"}});

  EXPECT_THAT(pipeline->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(pipeline->IsAlive());
}

TEST(PipelineTest, TerminateEndsTheOtherStagesAfterTheLeader) {
  auto pipeline = MustSpawnPipeline(
      {{"true"}, Command::Shell("sleep 1000 & echo $! >&2; wait"), {"cat"}});
  auto grandchild = pipeline->err(1).ReadLine(kNeverReached);
  ASSERT_THAT(grandchild, IsOk());
  ASSERT_THAT(pipeline->stage(0).WaitFor(kNeverReached), IsOk());

  EXPECT_THAT(pipeline->Terminate(absl::Seconds(10)), IsOk());

  EXPECT_FALSE(pipeline->IsAlive());
  EXPECT_TRUE(AwaitProcessEnd(std::stoi(*grandchild)));
}

// Before and after the end of the group's leader.
TEST(PipelineTest, TerminateReachesAStageThatLeftTheGroup) {
  for (const char* leader : {"cat", "true"}) {
    auto pipeline = MustSpawnPipeline(
        {{leader},
         {"python3", "-c",
          "import os, sys, time; os.setsid(); print('ready', file=sys.stderr); "
          "time.sleep(1000)"}});
    ASSERT_THAT(pipeline->err(1).ReadLine(kNeverReached),
                IsOkAndHolds("ready"));

    EXPECT_THAT(pipeline->Terminate(kShort),
                IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  }
}

TEST(PipelineTest, SignalsAllStages) {
  auto pipeline = MustSpawnPipeline({{"sleep", "1000"}, {"sleep", "1000"}});

  ASSERT_THAT(pipeline->Signal(SIGINT), IsOk());

  ASSERT_THAT(pipeline->WaitFor(kNeverReached), IsOk());
  EXPECT_THAT(pipeline->statuses(),
              ElementsAre(Optional(ExitStatus::Signaled(SIGINT)),
                          Optional(ExitStatus::Signaled(SIGINT))));
  EXPECT_THAT(pipeline->Signal(SIGINT), HasCode(absl::StatusCode::kNotFound));
}

TEST(PipelineTest, IsKilledByItsDestructor) {
  auto pipeline = MustSpawnPipeline({{"sleep", "1000"}, {"sleep", "1000"}});
  const pid_t first = pipeline->pid();
  const pid_t second = pipeline->stage(1).pid();

  pipeline = nullptr;

  EXPECT_FALSE(ProcessLives(first));
  EXPECT_FALSE(ProcessLives(second));
}

TEST(PipelineTest, ReportsAStartThatHasNoPipesLeft) {
  class NoPipes : public internal::Os {
   public:
    int Pipe2(int*, int) override {
      errno = ENFILE;
      return -1;
    }
  } os;
  internal::ScopedOs scoped(&os);

  const auto pipeline = Pipeline::Spawn({{"echo"}, {"cat"}});

  EXPECT_THAT(pipeline, HasCode(absl::StatusCode::kResourceExhausted));
  const std::optional<SpawnFailure> failure =
      GetSpawnFailure(pipeline.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->stage, SpawnStage::kPipe);
  EXPECT_EQ(failure->error_number, ENFILE);
}

TEST(PipelineTest, IsTalkedToByExpect) {
  auto pipeline = MustSpawnPipeline(
      {{"cat"}, Command::Shell("while read x; do echo \"<$x>\"; done")});
  Expect expect(pipeline.get());

  ASSERT_THAT(pipeline->Write("one\n"), IsOk());
  EXPECT_THAT(expect.Await(Pattern::Literal("<one>\n"), kNeverReached), IsOk());
  ASSERT_THAT(pipeline->CloseStdin(), IsOk());
  EXPECT_THAT(expect.Await(Pattern::Eof(), kNeverReached), IsOk());
}

TEST(PipelineTest, IsWaitedForByEitherStream) {
  auto pipeline =
      MustSpawnPipeline({Command::Shell("echo first is up >&2; exec cat"),
                         Command::Shell("echo last is up; exec cat")});

  EXPECT_THAT(WaitUntilReady(*pipeline, ReadyCondition::Line("first is up"),
                             kNeverReached),
              IsOk());
  EXPECT_THAT(
      WaitUntilReady(*pipeline, ReadyCondition::Line("last", ChildStream::kOut),
                     kNeverReached),
      IsOk());
  const absl::Status late =
      WaitUntilReady(*pipeline, ReadyCondition::Line("never"), kShort).status();
  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.message(), HasSubstr("cat (pid "));
  EXPECT_EQ(pipeline->state(), ProcessState::kRunning);
}

// Each process of the group gets the signal once.
TEST(PipelineTest, SignalsAllOfItsGroup) {
  const std::string counting =
      "trap 'echo got >&2' USR1; trap 'exit 3' INT; echo ready >&2; "
      "while :; do sleep 0.01; done";
  auto pipeline =
      MustSpawnPipeline({Command::Shell(counting), Command::Shell(counting)});
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(pipeline->err(i).ReadLine(kNeverReached),
                IsOkAndHolds("ready"));
  }

  EXPECT_THAT(pipeline->Signal(SIGUSR1, TerminationScope::kGroup), IsOk());

  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(pipeline->err(i).ReadUntil("got\n", kNeverReached), IsOk());
    EXPECT_THAT(pipeline->err(i).ReadUntil("got\n", kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded));
  }
  EXPECT_THAT(pipeline->Interrupt(TerminationScope::kChild), IsOk());
  EXPECT_THAT(pipeline->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(pipeline->state(), ProcessState::kDrained);
  EXPECT_THAT(pipeline->Signal(SIGUSR1, TerminationScope::kGroup),
              HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace asyncproc

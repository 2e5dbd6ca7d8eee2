#include "asyncproc/nonblocking_process.h"

#include <stdlib.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::Optional;

std::unique_ptr<NonblockingProcess> MustSpawnNonblocking(
    std::vector<std::string> argv, Environment environment = Environment()) {
  auto process =
      NonblockingProcess::Spawn(std::move(argv), std::move(environment));
  CHECK_OK(process.status());
  return *std::move(process);
}

// Waits until `text` has arrived, without taking it.
void AwaitArrival(NonblockingProcess& process, const std::string& text) {
  ASSERT_THAT(process.process().out().NewCursor().ReadExactly(text.size(),
                                                              kNeverReached),
              IsOkAndHolds(text));
}

// REPL-01
TEST(NonblockingProcessTest, TalksToBc) {
  auto bc = MustSpawnNonblocking({"bc", "-q"});

  EXPECT_EQ(bc->ReadLine(), std::nullopt);
  EXPECT_THAT(bc->Write("20 + 22\n"), IsOk());
  AwaitArrival(*bc, "42\n");
  EXPECT_THAT(bc->ReadLine(), Optional(std::string("42")));
  EXPECT_EQ(bc->ReadLine(), std::nullopt);
  EXPECT_TRUE(bc->IsAlive());
  EXPECT_THAT(bc->Write("quit\n"), IsOk());

  EXPECT_THAT(bc->process().WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(bc->ReadLine(), std::nullopt);
  EXPECT_FALSE(bc->IsAlive());
  EXPECT_TRUE(bc->AtEof());
}

TEST(NonblockingProcessTest, NeverWaits) {
  auto sleeper = MustSpawnNonblocking({"sleep", "1000"});
  const absl::Time start = absl::Now();

  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(sleeper->ReadLine(), std::nullopt);
    EXPECT_FALSE(sleeper->HasLine());
    EXPECT_FALSE(sleeper->AtEof());
    EXPECT_TRUE(sleeper->IsAlive());
    EXPECT_THAT(sleeper->Write(std::string(1000, 'x')), IsOk());
  }

  EXPECT_LT(absl::Now() - start, absl::Seconds(2) * kSlowness);
}

// RDL-04
TEST(NonblockingProcessTest, LosesNoneOfTheLinesThatArriveTogether) {
  auto bc = MustSpawnNonblocking({"bc", "-q"});

  EXPECT_THAT(bc->Write("print \"one\\ntwo\\n\\nthree\\n\"\n"), IsOk());
  AwaitArrival(*bc, "one\ntwo\n\nthree\n");

  EXPECT_TRUE(bc->HasLine());
  EXPECT_THAT(bc->ReadLine(), Optional(std::string("one")));
  EXPECT_THAT(bc->ReadLine(), Optional(std::string("two")));
  EXPECT_THAT(bc->ReadLine(), Optional(std::string("")));
  EXPECT_THAT(bc->ReadLine(), Optional(std::string("three")));
  EXPECT_FALSE(bc->HasLine());
  EXPECT_EQ(bc->ReadLine(), std::nullopt);
}

// RDL-01
TEST(NonblockingProcessTest, KeepsPartOfALineUntilTheRestHasCome) {
  auto shell = MustSpawnNonblocking(
      {"sh", "-c", "printf 'no newline '; read x; echo yet"});
  AwaitArrival(*shell, "no newline ");

  EXPECT_FALSE(shell->HasLine());
  EXPECT_EQ(shell->ReadLine(), std::nullopt);
  EXPECT_THAT(shell->Write("\n"), IsOk());
  AwaitArrival(*shell, "no newline yet\n");

  EXPECT_THAT(shell->ReadLine(), Optional(std::string("no newline yet")));
}

// RDL-03
TEST(NonblockingProcessTest, GivesTheLastLineThoughNothingEndsIt) {
  auto printf = MustSpawnNonblocking({"printf", "a\\nb"});
  EXPECT_THAT(printf->process().Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_THAT(printf->ReadLine(), Optional(std::string("a")));
  EXPECT_FALSE(printf->AtEof());
  EXPECT_THAT(printf->ReadLine(), Optional(std::string("b")));
  EXPECT_EQ(printf->ReadLine(), std::nullopt);
  EXPECT_TRUE(printf->AtEof());
}

// ARG-12
TEST(NonblockingProcessTest, AddsToTheEnvironmentOfTheHost) {
  Environment environment;
  environment.Set("ASYNCPROC_TEST", "set here");
  auto shell = MustSpawnNonblocking(
      {"sh", "-c", "echo $ASYNCPROC_TEST; echo $PATH"}, environment);
  EXPECT_THAT(shell->process().Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_THAT(shell->ReadLine(), Optional(std::string("set here")));
  EXPECT_THAT(shell->ReadLine(), Optional(std::string(getenv("PATH"))));
  EXPECT_EQ(getenv("ASYNCPROC_TEST"), nullptr);
}

TEST(NonblockingProcessTest, ReplacesTheEnvironmentWhenItIsCleared) {
  Environment environment;
  environment.Clear().Set("ONLY", "this");
  auto env = MustSpawnNonblocking({"/usr/bin/env"}, environment);
  EXPECT_THAT(env->process().Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_THAT(env->ReadLine(), Optional(std::string("ONLY=this")));
  EXPECT_EQ(env->ReadLine(), std::nullopt);
}

// SPN-01
TEST(NonblockingProcessTest, ReportsThatThereIsNoSuchProgram) {
  EXPECT_THAT(NonblockingProcess::Spawn({"/no/such/program"}),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(NonblockingProcess::Spawn({}),
              HasCode(absl::StatusCode::kInvalidArgument));
}

// WRT-06
TEST(NonblockingProcessTest, RefusesToWriteToAProgramThatHasEnded) {
  auto bc = MustSpawnNonblocking({"true"});
  EXPECT_THAT(bc->process().Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_THAT(bc->Write("1\n"), HasCode(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace asyncproc

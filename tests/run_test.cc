#include "asyncproc/run.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

// Runs `command` with a limit that it does not reach.
absl::StatusOr<RunResult> RunInTime(Command command, RunOptions options = {}) {
  if (options.timeout == absl::InfiniteDuration()) {
    options.timeout = kNeverReached;
  }
  return Run(std::move(command), options);
}

RunOptions WithInput(std::string input) {
  RunOptions options;
  options.input = std::move(input);
  return options;
}

// RED-01
TEST(RunTest, CapturesBothStreams) {
  auto result = RunInTime(Command::Shell("echo foo; echo bar >&2"));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(0));
  EXPECT_EQ(result->out, "foo\n");
  EXPECT_EQ(result->err, "bar\n");
  EXPECT_EQ(result->truncated, 0);
  EXPECT_EQ(result->unread_input, 0);
  EXPECT_GT(result->elapsed, absl::ZeroDuration());
  EXPECT_GT(result->usage.max_rss_bytes, 0);
}

TEST(RunTest, TakesAFailureForAResult) {
  auto result = RunInTime(Command::Shell("kill -KILL $$"));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Signaled(SIGKILL));
}

TEST(RunTest, ReportsAProgramThatDoesNotExist) {
  auto result = RunInTime(Command({"/no/such/file"}));

  EXPECT_THAT(result, HasCode(absl::StatusCode::kNotFound));
  EXPECT_FALSE(GetRunFailure(result.status()).has_value());
}

TEST(RunTest, StartsNoThread) {
  RunOptions options;
  size_t threads = 0;
  options.on_out = [&](absl::string_view) {
    auto seen = CheckOutput(
        Command::Shell(absl::StrCat("ls /proc/", getpid(), "/task | wc -l")));
    int number = 0;
    if (seen.ok() && absl::SimpleAtoi(absl::StripSuffix(*seen, "\n"), &number))
      threads = static_cast<size_t>(number);
    return seen.status();
  };
  auto before = CheckOutput(
      Command::Shell(absl::StrCat("ls /proc/", getpid(), "/task | wc -l")));
  ASSERT_THAT(before, IsOk());

  ASSERT_THAT(RunInTime(Command({"echo", "x"}), options), IsOk());

  EXPECT_EQ(absl::StrCat(threads, "\n"), *before);
}

// RED-10
TEST(RunTest, GivesTheChildPipesThatItCanOpen) {
  auto result = RunInTime(Command::Shell("cat < /dev/stdin >/proc/self/fd/1"),
                          WithInput("abc"));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "abc");
}

// BIG-01
TEST(RunTest, FeedsAFilterWhileItAnswers) {
  constexpr size_t kSize = 10 * 1024 * 1024;

  auto result = RunInTime(Command({"tr", "a-z", "A-Z"}),
                          WithInput(std::string(kSize, 'x')));

  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->out == std::string(kSize, 'X'));
}

// BIG-02
TEST(RunTest, SurvivesAFloodOnStderrBeforeTheInputIsRead) {
  const std::string input(4 * 1024 * 1024, 'i');

  auto result =
      RunInTime(Command::Shell("dd bs=47 count=1 2>/dev/null; "
                               "head -c 4194304 /dev/zero >&2; exec cat"),
                WithInput(input));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->err.size(), size_t{4194304});
  EXPECT_TRUE(result->out == input);
}

// BIG-03
TEST(RunTest, CountsAMillionLines) {
  std::string input;
  for (int i = 0; i < 1048576; ++i) input += "hello\n";

  auto result = RunInTime(Command({"wc", "-l"}), WithInput(std::move(input)));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "1048576\n");
}

// BIG-08
TEST(RunTest, CapturesLargeOutputExactly) {
  constexpr size_t kSize = 256 * 1024 * 1024;

  auto result =
      RunInTime(Command({"head", "-c", absl::StrCat(kSize), "/dev/zero"}));

  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->out.size(), kSize);
  EXPECT_EQ(result->out.view()[kSize - 1], '\0');
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
TEST(RunTest, DoesNotDoubleLargeOutput) {
  constexpr size_t kSize = 256 * 1024 * 1024;
  rusage before;
  getrusage(RUSAGE_SELF, &before);
  auto result =
      RunInTime(Command({"head", "-c", absl::StrCat(kSize), "/dev/zero"}));
  ASSERT_THAT(result, IsOk());
  rusage after;
  getrusage(RUSAGE_SELF, &after);

  EXPECT_LT(after.ru_maxrss, before.ru_maxrss + long{kSize / 1024 * 3 / 2});
}
#endif

TEST(RunTest, CopiesOfTheOutputShareIt) {
  auto result = RunInTime(Command({"head", "-c", "1000000", "/dev/zero"}));
  ASSERT_THAT(result, IsOk());

  const CapturedOutput copy = result->out;

  EXPECT_EQ(copy.view().data(), result->out.view().data());
  result->out = CapturedOutput();
  EXPECT_TRUE(copy == std::string(1000000, '\0'));
}

// BIG-07
TEST(RunTest, EndsTheChildWhenASinkFails) {
  RunOptions options;
  int calls = 0;
  options.on_out = [&](absl::string_view) {
    ++calls;
    absl::Status enough = absl::OutOfRangeError("seen enough");
    enough.SetPayload("tests/why", absl::Cord("two lines"));
    return enough;
  };

  auto result = RunInTime(Command({"yes"}), options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(result.status().message(), HasSubstr("yes: seen enough"));
  EXPECT_THAT(result.status().GetPayload("tests/why"),
              Optional(absl::Cord("two lines")));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kSink);
  EXPECT_TRUE(absl::StartsWith(failure->result.out.view(), "y\ny\n"));
}

TEST(RunTest, PassesAllBytesToASinkAndKeepsTheBound) {
  Command command = Command::Shell("seq 100000; seq 200000 >&2");
  command.output_buffer = OutputBound::DropOldest(100);
  RunOptions options;
  std::string seen;
  options.on_out = [&](absl::string_view piece) {
    absl::StrAppend(&seen, piece);
    return absl::OkStatus();
  };

  auto result = RunInTime(command, options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(seen.size(), size_t{588895});
  EXPECT_EQ(result->out.size(), size_t{100});
  EXPECT_EQ(result->out, absl::string_view(seen).substr(588895 - 100));
  EXPECT_EQ(result->err.size(), size_t{100});
  EXPECT_EQ(result->truncated, 588895 - 100 + 1288895 - 100);
}

TEST(RunTest, CountsTheBytesThatTheBoundDropped) {
  for (OutputBound bound :
       {OutputBound::DropOldest(1000), OutputBound::HeadAndTail(1000)}) {
    Command command({"seq", "100000"});
    command.output_buffer = bound;

    auto result = RunInTime(command);

    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->out.size(), size_t{1000});
    EXPECT_EQ(result->truncated, 588895 - 1000);
    EXPECT_TRUE(absl::EndsWith(result->out.view(), "99999\n100000\n"));
    EXPECT_EQ(absl::StartsWith(result->out.view(), "1\n2\n"),
              bound.policy() == OutputBound::Policy::kHeadAndTail);
  }
}

// WRT-07
TEST(RunTest, MindsNoChildThatClosesItsInput) {
  auto result =
      RunInTime(Command::Shell("exec 0<&-; sleep 0.1; echo ok; exit 3"),
                WithInput(std::string(10 * 1024 * 1024, 'x')));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "ok\n");
  EXPECT_EQ(result->status, ExitStatus::Exited(3));
  EXPECT_GT(result->unread_input, 9 * 1024 * 1024);
}

// WRT-09
TEST(RunTest, EndsTheInputAtOnceWhereThereIsNone) {
  for (const RunOptions& options : {RunOptions(), WithInput("")}) {
    auto result = RunInTime(Command({"wc", "-c"}), options);

    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->out, "0\n");
  }
}

// WRT-10
TEST(RunTest, DoesNotWaitForUnreadInput) {
  auto result = RunInTime(Command({"echo", "foo"}),
                          WithInput(std::string(64 * 1024 * 1024, 'x')));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "foo\n");
  EXPECT_LT(result->elapsed, absl::Seconds(5) * kSlowness);
}

// WRT-12
TEST(RunTest, PassesEveryByte) {
  std::string input;
  for (int i = 0; i < 256; ++i) input.push_back(static_cast<char>(i));

  auto result = RunInTime(Command({"cat"}), WithInput(input));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, input);
}

// GRC-03
TEST(RunTest, ReportsThatAGrandchildHoldsTheOutputOpen) {
  auto result = RunInTime(Command::Shell("sleep 60 & echo $!"));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(0));
  EXPECT_FALSE(result->status.output_complete());
  EXPECT_LT(result->elapsed, absl::Seconds(10) * kSlowness);
  kill(std::stoi(std::string(result->out)), SIGKILL);
}

// TMO-05
TEST(RunTest, EndsAChildAndItsOwnAtTheTimeout) {
  RunOptions options;
  options.timeout = absl::Milliseconds(500);
  // The grandchild is signaled first, and the shell must not end because of
  // that.
  const std::string script =
      "sleep 1000 & echo $!; echo e >&2; wait; exec sleep 1000";
  const absl::Time start = absl::Now();

  auto result = asyncproc::Run(Command::Shell(script), options);

  EXPECT_LT(absl::Now() - start, absl::Seconds(10) * kSlowness);
  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(result.status().message(), HasSubstr("timeout of 500ms"));
  EXPECT_THAT(result.status().message(),
              HasSubstr(absl::StrCat("/bin/sh -c '", script, "'")));
  EXPECT_THAT(result.status().message(), HasSubstr("last of stderr: 'e'"));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kTimeout);
  EXPECT_EQ(failure->limit, absl::Milliseconds(500));
  EXPECT_THAT(failure->command, HasSubstr("sleep 1000"));
  EXPECT_EQ(failure->result.err, "e\n");
  EXPECT_EQ(failure->result.status, ExitStatus::Signaled(SIGTERM));
  EXPECT_GE(failure->result.elapsed, absl::Milliseconds(500));
  const pid_t grandchild = std::stoi(std::string(failure->result.out));
  EXPECT_TRUE(AwaitProcessEnd(grandchild));
}

TEST(RunTest, NamesTheTimeoutEvenIfASinkFailsAfterIt) {
  RunOptions options;
  options.timeout = absl::Seconds(1) * kSlowness;
  options.on_out = [](absl::string_view bytes) {
    return absl::StrContains(bytes, "bye") ? absl::UnavailableError("no")
                                           : absl::OkStatus();
  };

  auto result = asyncproc::Run(
      Command::Shell("trap 'echo bye; exit 3' TERM; while :; do sleep 0.01; "
                     "done"),
      options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kTimeout);
  EXPECT_EQ(failure->limit, options.timeout);
  EXPECT_EQ(failure->result.out, "bye\n");
}

TEST(RunTest, LeavesTheDescendantsAloneWhenToldTo) {
  RunOptions options;
  options.timeout = absl::Milliseconds(500);
  options.escalation = Escalation::Standard();

  auto result =
      asyncproc::Run(Command::Shell("sleep 1000 & echo $!; wait"), options);

  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_FALSE(failure->result.status.output_complete());
  const pid_t grandchild = std::stoi(std::string(failure->result.out));
  EXPECT_TRUE(ProcessLives(grandchild));
  kill(grandchild, SIGKILL);
}

TEST(RunTest, GoesOnToSigkill) {
  RunOptions options;
  options.timeout = absl::Milliseconds(500);
  options.escalation = Escalation::Standard(kShort);

  auto result = asyncproc::Run(
      Command::Shell("trap '' TERM; echo ready; while :; do sleep 0.01; done"),
      options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->result.out, "ready\n");
  EXPECT_EQ(failure->result.status, ExitStatus::Signaled(SIGKILL));
}

// The output that the child writes while Run ends it is part of the result.
// TMO-11: Run reports the limit, independent of the exit status.
TEST(RunTest, ListensWhileItEndsTheChild) {
  RunOptions options;
  options.timeout = absl::Milliseconds(500);
  options.escalation = Escalation::Standard(kNeverReached);
  std::string seen;
  options.on_out = [&](absl::string_view piece) {
    absl::StrAppend(&seen, piece);
    return absl::OkStatus();
  };

  auto result = asyncproc::Run(
      Command::Shell("trap 'seq 100000; exit 0' TERM; echo ready; "
                     "while :; do sleep 0.01; done"),
      options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->result.status, ExitStatus::Exited(0));
  EXPECT_TRUE(absl::EndsWith(failure->result.out.view(), "\n100000\n"));
  EXPECT_TRUE(failure->result.out == seen);
}

// The fixture of all tests detects a child that remains.
TEST(RunTest, LeavesNoChildWhenASinkThrows) {
  RunOptions options;
  options.on_out = [](absl::string_view) -> absl::Status {
    throw std::runtime_error("no more");
  };

  EXPECT_THROW(
      asyncproc::Run(Command::Shell("echo ready; sleep 1000 & wait"), options)
          .IgnoreError(),
      std::runtime_error);

  siginfo_t info;
  EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(RunTest, EndsAChildThatFallsSilent) {
  RunOptions options;
  options.timeout = kNeverReached;
  options.idle_timeout = absl::Milliseconds(500);

  auto result =
      asyncproc::Run(Command::Shell("for i in 1 2 3 4 5 6 7; do echo $i; "
                                    "sleep 0.1; done; sleep 1000"),
                     options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(result.status().message(), HasSubstr("idle timeout of 500ms"));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kIdleTimeout);
  EXPECT_EQ(failure->result.out, "1\n2\n3\n4\n5\n6\n7\n");
}

// TMO-03
TEST(RunTest, StartsNothingWithoutTimeToRunIt) {
  for (absl::Duration timeout :
       {absl::ZeroDuration(), absl::Seconds(-1), -absl::InfiniteDuration()}) {
    RunOptions options;
    options.timeout = timeout;

    auto result =
        asyncproc::Run(Command({"touch", "/no/such/directory/file"}), options);

    EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_FALSE(GetRunFailure(result.status()).has_value());
  }
  RunOptions options;
  options.timeout = absl::Hours(24 * 365 * 1000);
  EXPECT_THAT(asyncproc::Run(Command({"true"}), options), IsOk());
}

TEST(RunTest, StartsNothingUnderAScopeThatHasEndedBefore) {
  TemporaryDirectory directory;
  Command command({"touch", "started"});
  command.working_directory = directory.path();
  CancellationToken token;
  token.Cancel();
  {
    CancellationScope scope(token);

    const auto result = asyncproc::Run(command);

    EXPECT_THAT(result, HasCode(absl::StatusCode::kCancelled));
    EXPECT_FALSE(GetRunFailure(result.status()).has_value());
    EXPECT_THAT(result.status().message(),
                HasSubstr("touch started was not started"));
    EXPECT_THAT(Check(command), HasCode(absl::StatusCode::kCancelled));
    EXPECT_THAT(CheckOutput(command), HasCode(absl::StatusCode::kCancelled));
  }
  absl::Status in_scope;
  WithTimeout(kShort, [&] {
    while (!Deadline::Expired()) usleep(1000);
    in_scope = Check(command);
  }).IgnoreError();

  EXPECT_THAT(in_scope, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(in_scope.message(), HasSubstr("was not started"));
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/started"));
}

// Returns a sink that ends the child, whose pid it gets, and then calls `then`.
OutputSink EndsTheChildAnd(std::function<void()> then) {
  return [then = std::move(then)](absl::string_view text) {
    const pid_t pid = std::stoi(std::string(text));
    kill(pid, SIGKILL);
    siginfo_t info;
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT),
              0);
    then();
    return absl::OkStatus();
  };
}

TEST(RunTest, ReportsNoTimeoutOfAChildThatEndedDuringASlowSink) {
  const absl::Time start = absl::Now();
  RunOptions options;
  options.timeout = absl::Seconds(2);
  options.idle_timeout = kShort * 10;
  options.on_out = EndsTheChildAnd(
      [&] { absl::SleepFor(start + options.timeout + kShort - absl::Now()); });

  EXPECT_THAT(
      asyncproc::Run(Command::Shell("echo $$; exec sleep 1000"), options),
      IsOk());
}

TEST(RunTest, ReturnsTheResultOfAChildThatEndedBeforeTheCancellation) {
  CancellationToken token;
  CancellationScope scope(token);
  RunOptions options;
  options.on_out = EndsTheChildAnd([&] { token.Cancel(); });

  auto result =
      asyncproc::Run(Command::Shell("echo $$; exec sleep 1000"), options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Signaled(SIGKILL));
}

TEST(RunTest, TakesASlowSinkForNoSilenceOfTheChild) {
  RunOptions options;
  options.timeout = kNeverReached;
  options.idle_timeout = absl::Milliseconds(500) * kSlowness;
  options.input = std::string(1 << 20, 'x');
  bool slept = false;
  options.on_out = [&](absl::string_view) {
    if (!std::exchange(slept, true)) absl::SleepFor(options.idle_timeout);
    return absl::OkStatus();
  };

  EXPECT_THAT(asyncproc::Run(Command::Shell("echo ready; wc -c >&2"), options),
              IsOk());
}

// TMO-06
TEST(RunTest, AWaitThatTimedOutCanBeRepeatedOnAProcess) {
  auto process = MustSpawn(
      Command::Shell("echo pineapple >&2; head -c 1; echo pear >&2; cat"));
  ASSERT_THAT(process->Write("b"), IsOk());

  EXPECT_THAT(process->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(process->Write("anana"), IsOk());
  ASSERT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  EXPECT_EQ(process->Read(), "banana");
  EXPECT_EQ(process->ReadErr(), "pineapple\npear\n");
}

// WST-10
TEST(RunTest, ChecksTheExitStatus) {
  RunOptions options;
  options.check = true;

  auto result = RunInTime(
      Command::Shell("echo out; echo 'some stderr text' >&2; exit 1"), options);

  EXPECT_THAT(result, HasCode(absl::StatusCode::kAborted));
  EXPECT_THAT(result.status().message(),
              testing::AllOf(HasSubstr("'echo out; echo '\\''some stderr text"),
                             HasSubstr("exited with status 1"),
                             HasSubstr("last of stdout: 'out'"),
                             HasSubstr("last of stderr: 'some stderr text'")));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kExit);
  EXPECT_EQ(failure->result.status, ExitStatus::Exited(1));
  EXPECT_EQ(failure->result.out, "out\n");
}

// WST-10
TEST(RunTest, NamesTheSignal) {
  RunOptions options;
  options.check = true;

  EXPECT_THAT(
      RunInTime(Command::Shell("kill -KILL $$"), options).status().message(),
      HasSubstr("killed by SIGKILL"));
}

TEST(RunTest, SharesItsOutputWithTheError) {
  RunOptions options;
  options.check = true;
  auto result = RunInTime(
      Command::Shell("head -c 10000000 /dev/zero; seq 5 >&2; exit 1"), options);

  auto first = GetRunFailure(result.status());
  auto second = GetRunFailure(result.status());

  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->result.out.size(), size_t{10000000});
  EXPECT_EQ(first->result.out.view().data(), second->result.out.view().data());
  EXPECT_EQ(first->result.err, "1\n2\n3\n4\n5\n");
}

// RED-14
TEST(RunTest, RefusesContradictions) {
  const auto sink = [](absl::string_view) { return absl::OkStatus(); };
  std::vector<std::pair<Command, RunOptions>> cases(6, {Command({"true"}), {}});
  cases[0].first.in = Stdio::Null();
  cases[0].second.input = "x";
  cases[1].first.out = Stdio::Null();
  cases[1].second.on_out = sink;
  cases[2].first.err = Stdio::ToStdout();
  cases[2].second.on_err = sink;
  cases[3].first.output_buffer = OutputBound::BlockChild(1000);
  cases[4].second.idle_timeout = absl::ZeroDuration();
  cases[5].second.escalation.steps.clear();

  for (const auto& [command, options] : cases) {
    EXPECT_THAT(asyncproc::Run(command, options),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(asyncproc::Run(Command(std::vector<std::string>())),
              HasCode(absl::StatusCode::kInvalidArgument));
  Command to_file({"true"});
  to_file.out = Stdio::Null();
  EXPECT_THAT(CheckOutput(to_file),
              HasCode(absl::StatusCode::kInvalidArgument));
}

// RED-06
TEST(RunTest, CapturesNoRedirectedOutput) {
  Command command = Command::Shell("cat; head -c 1000000 /dev/zero; seq 9 >&2");
  command.in = command.out = command.err = Stdio::Null();

  auto result = RunInTime(command);

  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->out.empty());
  EXPECT_TRUE(result->err.empty());
}

TEST(RunTest, RunsOnATerminal) {
  Command command = Command::Shell("test -t 0 && test -t 1 && cat");
  command.pty.emplace();
  command.pty->echo = false;

  auto result = RunInTime(command, WithInput("hello\n"));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "hello\r\n");
}

TEST(RunTest, EndsWithTheTimeOfItsThread) {
  auto result = WithTimeout(absl::Milliseconds(500), [] {
    return asyncproc::Run(Command::Shell("sleep 1000 & echo $!; wait"));
  });

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kInterrupted);
  EXPECT_EQ(failure->result.status, ExitStatus::Signaled(SIGKILL));
  EXPECT_TRUE(AwaitProcessEnd(std::stoi(std::string(failure->result.out))));
}

absl::Duration ThreadTime() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

TEST(RunTest, DoesNotWaitForTheRestWhenTheTimeOfItsThreadIsUp) {
  Command command = Command::Shell("sleep 1000 & echo $!");
  command.drain_grace = kNeverReached;
  const absl::Duration before = ThreadTime();

  auto result = WithTimeout(absl::Seconds(1) * kSlowness,
                            [&] { return asyncproc::Run(command); });

  EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kInterrupted);
  EXPECT_EQ(failure->result.status, ExitStatus::Exited(0));
  EXPECT_FALSE(failure->result.status.output_complete());
  EXPECT_LT(failure->result.elapsed, kNeverReached / 2);
  EXPECT_LT(ThreadTime() - before, absl::Milliseconds(500) * kSlowness);
  // Run does not end the grandchild.
  const pid_t left = std::stoi(std::string(failure->result.out));
  EXPECT_TRUE(ProcessLives(left));
  kill(left, SIGKILL);
}

// The memory of this process that RLIMIT_DATA limits.
rlim_t DataSize() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word && word != "VmData:") {
  }
  rlim_t kib = 0;
  status >> kib;
  return kib * 1024;
}

TEST(RunTest, EndsTheChildWhenThereIsNoMemoryForItsInput) {
  if (kSlowness > 1) GTEST_SKIP() << "sanitizers need the memory";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    RunOptions options = WithInput(std::string(8 << 20, 'x'));
    options.timeout = kNeverReached;
    // Abseil allocates some objects once and keeps them.
    ASSERT_THAT(RunInTime(Command({"cat"}), WithInput("x")), IsOk());
    // Small allocations succeed: they use the memory that is freed here.
    malloc_trim(0);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    free(malloc(100 * 1024));
    const rlimit little = {DataSize() + 150 * 1024, RLIM_INFINITY};
    setrlimit(RLIMIT_DATA, &little);

    auto result = asyncproc::Run(Command({"sleep", "1000"}), options);

    const rlimit everything = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_DATA, &everything);
    EXPECT_THAT(result, HasCode(absl::StatusCode::kResourceExhausted));
    auto failure = GetRunFailure(result.status());
    ASSERT_TRUE(failure.has_value()) << result.status();
    EXPECT_EQ(failure->reason, RunFailureReason::kInput);
  });
}

TEST(RunTest, EndsTheChildWhoseTerminalDoesNotTakeItsInput) {
  Command command = Command({"cat"});
  command.pty.emplace();

  auto result = RunInTime(command, WithInput(std::string(5000, 'x') + "\n"));

  EXPECT_THAT(result, HasCode(absl::StatusCode::kInvalidArgument));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kInput);
}

// The child belongs to another user, so the host may not kill it. `threads`:
// whether the host can create threads.
class OsOfAnotherUser : public internal::Os {
 public:
  explicit OsOfAnotherUser(bool threads) : threads_(threads) {}

  int PidfdSendSignal(int, int signal) override { return Refuse(signal); }
  int Kill(pid_t, int signal) override { return Refuse(signal); }
  int ThreadCreate(pthread_t* thread, const pthread_attr_t* attributes,
                   void* (*entry)(void*), void* arg) override {
    return threads_ ? Os::ThreadCreate(thread, attributes, entry, arg) : EAGAIN;
  }
  bool gave_up() const { return gave_up_; }

 private:
  int Refuse(int signal) {
    if (signal == SIGKILL) gave_up_ = true;
    errno = EPERM;
    return -1;
  }

  const bool threads_;
  std::atomic<bool> gave_up_{false};
};

// Without a thread to hand the child to, Run has to wait for the child.
TEST(RunTest, LeavesAChildThatItMayNotKill) {
  for (const bool threads : {true, false}) {
    // Never deleted: a thread that Run leaves behind uses the object, perhaps
    // only after this iteration.
    static auto* const kept = new std::deque<OsOfAnotherUser>;
    OsOfAnotherUser& os = kept->emplace_back(threads);
    internal::ScopedOs scoped_os(&os);
    std::thread killer;
    pid_t pid = 0;
    RunOptions options;
    options.timeout = absl::Seconds(1);
    options.escalation.steps = {EscalationStep::Signal(SIGTERM, kShort)};
    options.on_out = [&](absl::string_view said) {
      pid = std::stoi(std::string(said));
      if (threads) return absl::OkStatus();
      killer = std::thread([&, pid] {
        while (!os.gave_up()) std::this_thread::yield();
        kill(pid, SIGKILL);
      });
      return absl::OkStatus();
    };

    auto result =
        asyncproc::Run(Command::Shell("echo $$; exec sleep 1000"), options);

    EXPECT_THAT(result, HasCode(absl::StatusCode::kDeadlineExceeded));
    if (threads) {
      EXPECT_THAT(result.status().message(), HasSubstr("it still runs"));
      EXPECT_TRUE(ProcessLives(pid));
      kill(pid, SIGKILL);
    } else {
      killer.join();
    }
    AwaitNoLibraryThread();
  }
}

// WST-07
TEST(RunTest, ReportsALostStatus) {
  struct sigaction ignore = {}, before;
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, &before);

  auto result = RunInTime(Command({"echo", "x"}));

  sigaction(SIGCHLD, &before, nullptr);
  EXPECT_THAT(result, HasCode(absl::StatusCode::kDataLoss));
  auto failure = GetRunFailure(result.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->reason, RunFailureReason::kStatusLost);
  EXPECT_EQ(failure->result.out, "x\n");
}

TEST(CheckOutputTest, IsTheOutputOfTheCommand) {
  EXPECT_THAT(CheckOutput({"echo", "hello"}), IsOkAndHolds("hello\n"));
  EXPECT_THAT(CheckOutput({"false"}), HasCode(absl::StatusCode::kAborted));
}

// RED-02
TEST(CombinedOutputTest, KeepsTheOrderInWhichBothWereWritten) {
  std::string expected;
  for (int i = 1; i <= 200; ++i) absl::StrAppend(&expected, "o", i, "e", i);

  EXPECT_THAT(CombinedOutput(Command::Shell(
                  "i=1; while [ $i -le 200 ]; do printf o$i; printf e$i >&2; "
                  "i=$((i+1)); done")),
              IsOkAndHolds(expected));
}

TEST(CheckTest, DistinguishesSuccessFromFailure) {
  EXPECT_THAT(Check({"true"}), IsOk());
  EXPECT_THAT(Check({"false"}), HasCode(absl::StatusCode::kAborted));
}

TEST(RunFailureReasonTest, PrintsItself) {
  using Reason = RunFailureReason;
  std::ostringstream names;
  for (const Reason reason :
       {Reason::kTimeout, Reason::kIdleTimeout, Reason::kExit, Reason::kSink,
        Reason::kInterrupted, Reason::kInput, Reason::kStatusLost}) {
    names << reason << ", ";
  }

  EXPECT_EQ(names.str(),
            "timeout, idle timeout, exit, sink, interrupted, input, "
            "status lost, ");
}

TEST(CapturedOutputTest, ComparesAndPrintsAsItsBytes) {
  const CapturedOutput output(absl::Cord("a\0b"));
  std::ostringstream printed;
  printed << output;

  EXPECT_EQ(printed.str(), "a");
  EXPECT_TRUE(output != "b");
  EXPECT_FALSE(output != "a");
}

TEST(RunTest, ReturnsThePidOfTheChild) {
  const auto result = asyncproc::Run(Command::Shell("echo $$"));
  RunOptions options;
  options.check = true;
  const auto failed =
      asyncproc::Run(Command::Shell("echo $$; exit 1"), options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, absl::StrCat(result->pid, "\n"));
  const auto failure = GetRunFailure(failed.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->result.out, absl::StrCat(failure->result.pid, "\n"));
}

// The main of all tests checks that no child and no descriptor remains.
TEST(RunTest, LetsTheExceptionOfASinkThrough) {
  RunOptions options;
  options.on_out = [](absl::string_view) -> absl::Status {
    throw std::runtime_error("thrown by the sink");
  };

  EXPECT_THROW(
      asyncproc::Run(Command::Shell("echo x; exec sleep 1000"), options)
          .IgnoreError(),
      std::runtime_error);
}

TEST(CapturedOutputTest, ConvertsToAStringAndComparesEitherWayRound) {
  const auto result = asyncproc::Run({"printf", "text"});
  ASSERT_THAT(result, IsOk());

  const std::string copy = result->out;
  const absl::StatusOr<std::string> held = result->out;
  const auto append = [](const std::string& text) { return text + "!"; };

  EXPECT_EQ(copy, "text");
  EXPECT_THAT(held, IsOkAndHolds("text"));
  EXPECT_EQ(append(result->out), "text!");
  EXPECT_EQ(absl::StrCat(result->out, "!"), "text!");
  EXPECT_TRUE("text" == result->out && result->out == "text");
  EXPECT_TRUE(copy == result->out && result->out == copy);
  EXPECT_TRUE("other" != result->out && result->out != result->err);
  EXPECT_TRUE(result->err < result->out);
  EXPECT_TRUE(result->out == CapturedOutput(result->out.cord()));
}

}  // namespace
}  // namespace asyncproc

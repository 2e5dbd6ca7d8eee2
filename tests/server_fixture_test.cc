// The helpers for tests of servers: TestServer, ServerFixture, and the
// matchers. Failing tests run in a program of their own, whose report is
// checked.

#include "asyncproc/testing/server_fixture.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "asyncproc/readiness.h"
#include "asyncproc/run.h"
#include "asyncproc/termination.h"
#include "asyncproc/testing/matchers.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Ne;
using ::testing::Not;

Command PythonServer(int port) {
  return Command({"python3", "-m", "http.server", "--bind", "127.0.0.1",
                  absl::StrCat(port)});
}

ServerSpec Script(const std::string& script) {
  return {Command::Shell(script), ReadyCondition::Line("^ready (.*)")};
}

// ---- TestServer.

TEST(TestServerTest, StartsNothingUnderAScopeThatHasEndedBefore) {
  const CancellationToken token;
  token.Cancel();
  const CancellationScope scope(token);

  const auto server =
      TestServer::Start([](int) { return Script("echo ready x; cat"); });

  EXPECT_THAT(server, HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(server.status().message(), HasSubstr("was not started"));
}

TEST(TestServerTest, IsReadyAtItsPort) {
  auto server = TestServer::Start([](int port) {
    return ServerSpec{PythonServer(port),
                      ReadyCondition::TcpPort("127.0.0.1", port)};
  });
  ASSERT_THAT(server, IsOk());

  EXPECT_GT((*server)->port(), 0);
  EXPECT_TRUE((*server)->process().IsAlive());
  const absl::StatusOr<Termination> stopped = (*server)->Stop();
  ASSERT_THAT(stopped, IsOk());
  EXPECT_EQ(stopped->status, ExitStatus::Signaled(SIGTERM));
  EXPECT_EQ(stopped->ended_by_step, 0u);
  EXPECT_THAT((*server)->Stop(), IsOk());
}

TEST(TestServerTest, OutlivesItsDestructorInAForkedCopyOfTheHost) {
  auto server =
      TestServer::Start([](int) { return Script("echo ready now; exec cat"); });
  ASSERT_THAT(server, IsOk());
  const pid_t copy = fork();
  if (copy == 0) {
    alarm(10);
    server->reset();
    _exit(0);
  }
  int status = -1;

  EXPECT_EQ(waitpid(copy, &status, 0), copy);

  EXPECT_EQ(status, 0);
  EXPECT_TRUE((*server)->process().IsAlive());
}

TEST(TestServerTest, ReturnsTheLineThatShowedThatItIsReady) {
  auto server = TestServer::Start(
      [](int) { return Script("echo ready at 4711; exec cat"); });
  ASSERT_THAT(server, IsOk());

  EXPECT_EQ((*server)->readiness().groups[0], "at 4711");
  // The test can still read the line.
  EXPECT_THAT((*server)->process().out().ReadLine(kNeverReached),
              IsOkAndHolds("ready at 4711"));
}

TEST(TestServerTest, KeepsTheOutputOfTheServer) {
  auto server = TestServer::Start([](int) {
    return Script("echo one; echo two >&2; echo ready now; exec cat");
  });
  ASSERT_THAT(server, IsOk());
  ASSERT_THAT((*server)->process().Write("last"), IsOk());
  ASSERT_THAT((*server)->process().CloseStdin(), IsOk());
  ASSERT_THAT((*server)->process().WaitFor(kNeverReached), IsOk());

  EXPECT_THAT((*server)->Stop(), IsOk());

  EXPECT_THAT(
      (*server)->Log(),
      AllOf(HasSubstr("stdout: one\n"), HasSubstr("stderr: two\n"),
            HasSubstr("stdout: ready now\n"), HasSubstr("stdout: last\n")));
}

TEST(TestServerTest, KeepsTheEndOfALargeOutput) {
  auto server = TestServer::Start(
      [](int) { return Script("echo ready now; seq 100000; exec cat"); });
  ASSERT_THAT(server, IsOk());
  EXPECT_THAT((*server)->process(), SaysLine("100000"));

  EXPECT_THAT((*server)->Stop(), IsOk());

  const std::string log = (*server)->Log();
  EXPECT_LT(log.size(), 70'000u);
  EXPECT_THAT(log, AllOf(ContainsRegex("^\\([0-9]+ lines before these\\)\n"),
                         testing::EndsWith("\nstdout: 100000\n")));
}

TEST(TestServerTest, ReportsWhyTheServerIsNotReady) {
  auto server = TestServer::Start(
      [](int) { return Script("echo no database >&2; exit 7"); });

  EXPECT_THAT(server, HasCode(absl::StatusCode::kAborted));
  EXPECT_THAT(
      server.status().ToString(),
      AllOf(HasSubstr("exited with status 7"), HasSubstr("no database")));
}

TEST(TestServerTest, TriesAnotherPortWhereThatIsTaken) {
  std::vector<int> ports;
  auto server = TestServer::Start([&](int port) {
    ports.push_back(port);
    return Script(ports.size() < 3
                      ? "echo 'bind: Address already in use' >&2; exit 1"
                      : "echo ready now; exec cat");
  });

  ASSERT_THAT(server, IsOk());
  EXPECT_EQ(ports.size(), 3u);
  EXPECT_EQ((*server)->port(), ports.back());
}

TEST(TestServerTest, TriesNoMoreThanFivePorts) {
  int attempts = 0;
  auto server = TestServer::Start([&](int) {
    ++attempts;
    return Script("echo 'address already in use' >&2; exit 1");
  });

  EXPECT_THAT(server, HasCode(absl::StatusCode::kAborted));
  EXPECT_EQ(attempts, 5);
}

TEST(TestServerTest, DoesNotTryAgainForAnotherReason) {
  int attempts = 0;
  auto server = TestServer::Start([&](int) {
    ++attempts;
    return Script("exit 1");
  });

  EXPECT_THAT(server, HasCode(absl::StatusCode::kAborted));
  EXPECT_EQ(attempts, 1);
}

TEST(TestServerTest, EndsTheProcessesOfTheServer) {
  auto server = TestServer::Start(
      [](int) { return Script("sleep 1000 & echo ready $!; wait"); });
  ASSERT_THAT(server, IsOk());
  const pid_t helper = std::stoi((*server)->readiness().groups[0]);
  EXPECT_TRUE(ProcessLives(helper));

  *server = nullptr;

  EXPECT_TRUE(AwaitProcessEnd(helper));
}

TEST(FreeTcpPortTest, FindsAPortThatCanBeBound) {
  const absl::StatusOr<int> port = FreeTcpPort();
  ASSERT_THAT(port, IsOk());

  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(*port));
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  close(fd);
}

// ---- Matchers that match.

TEST(MatchersTest, TakeAChildAndEachPointerToIt) {
  auto child = Process::Spawn(Command::Shell("echo ready; exit 3"));
  ASSERT_THAT(child, IsOk());

  EXPECT_THAT(child, ExitsWith(3));
  EXPECT_THAT(*child, ExitsWith(3));
  EXPECT_THAT(**child, ExitsWith(3));
  EXPECT_THAT(child->get(), ExitsWith(3));
  EXPECT_THAT((*child)->Wait(), ExitsWith(3));
  EXPECT_THAT(*(*child)->Wait(), ExitsWith(3));
  EXPECT_THAT(std::shared_ptr<Process>(*std::move(child)), SaysLine("ready"));
}

TEST(MatchersTest, KnowAnExitFromASignal) {
  auto killed = MustSpawn(Command::Shell("kill -KILL $$"));
  auto exited = MustSpawn(Command::Shell("exit 137"));

  EXPECT_THAT(killed, IsKilledBy(SIGKILL));
  EXPECT_THAT(killed, Not(IsKilledBy(SIGTERM)));
  EXPECT_THAT(killed, Not(ExitsWith(137)));
  EXPECT_THAT(exited, ExitsWith(137));
  EXPECT_THAT(exited, ExitsWith(Ne(0)));
  EXPECT_THAT(exited, Not(IsKilledBy(SIGKILL)));
}

TEST(MatchersTest, FindALineOnEitherStreamAndTakeNone) {
  auto child = MustSpawn(
      Command::Shell("echo out one; echo err one >&2; printf 'the last'"));

  EXPECT_THAT(child, SaysLine("out one"));
  EXPECT_THAT(child, SaysLine("err one"));
  EXPECT_THAT(child, SaysLine("the last"));
  EXPECT_THAT(child, SaysLine(testing::StartsWith("out")));
  EXPECT_THAT(child, Not(SaysLine("two")));
  EXPECT_THAT(child, ExitsWith(0));

  EXPECT_EQ(child->Read(), "out one\nthe last");
  EXPECT_EQ(child->ReadErr(), "err one\n");
}

TEST(MatchersTest, WaitForALineThatIsNotThereYet) {
  auto cat = MustSpawn(Command({"cat"}));
  EXPECT_THAT(cat, Not(SaysLine("hello", absl::ZeroDuration())));
  ASSERT_THAT(cat->Write("hello\n"), IsOk());

  EXPECT_THAT(cat, SaysLine("hello"));
  EXPECT_THAT(cat, SaysLine("hello", absl::ZeroDuration()));
}

TEST(MatchersTest, DoNotMatchTheHalfOfALine) {
  auto cat = MustSpawn(Command({"cat"}));
  ASSERT_THAT(cat->Write("hell"), IsOk());
  ASSERT_THAT(cat->out().AwaitSome(kNeverReached), IsOk());

  EXPECT_THAT(cat, Not(SaysLine("hell", kShort)));
}

TEST(MatchersTest, EndWithTheTimeOfTheirThread) {
  auto cat = MustSpawn(Command({"cat"}));
  const absl::Time start = absl::Now();

  EXPECT_THAT(WithTimeout(kShort,
                          [&] {
                            EXPECT_THAT(cat, Not(SaysLine("x", kNeverReached)));
                            EXPECT_THAT(cat, Not(ExitsWith(0, kNeverReached)));
                            return absl::OkStatus();
                          }),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_LT(absl::Now() - start, kNeverReached / 2);
}

// ---- Reports of failing tests.

// The report of the test `name` of broken_servers. `fails`: the expected
// result.
std::string Report(const std::string& name, bool fails = true) {
  RunOptions options;
  options.timeout = kNeverReached;
  auto result = Run(Command({Helper("broken_servers"),
                             absl::StrCat("--gtest_filter=", name)}),
                    options);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return "";
  EXPECT_EQ(result->status, ExitStatus::Exited(fails ? 1 : 0));
  std::string report =
      absl::StrCat(std::string(result->out), std::string(result->err));
  EXPECT_THAT(report, HasSubstr("1 test from 1 test suite ran"));
  return report;
}

TEST(ServerFixtureTest, PrintsNothingOfTheServerWhenTheTestPasses) {
  EXPECT_THAT(Report("GoodServer.Passes", /*fails=*/false),
              Not(HasSubstr("about us")));
}

TEST(ServerFixtureTest, PrintsTheOutputOfTheServerWhenTheTestFails) {
  EXPECT_THAT(Report("GoodServer.Fails"),
              AllOf(HasSubstr("1 + 1"), HasSubstr("stderr: about us\n"),
                    HasSubstr("stdout: ready\n")));
}

TEST(ServerFixtureTest, LetsATestEndTheServer) {
  Report("GoodServer.IsKilledByTheTest", /*fails=*/false);
}

TEST(ServerFixtureTest, FailsForAServerThatIsNeverReady) {
  EXPECT_THAT(Report("NeverReady.Fails"),
              AllOf(HasSubstr("the server of this test is not ready: ABORTED"),
                    HasSubstr("exited with status 7"),
                    HasSubstr("cannot open the database"),
                    Not(HasSubstr("the body ran"))));
}

TEST(ServerFixtureTest, FailsForAServerThatCrashes) {
  EXPECT_THAT(Report("Crashing.Fails"),
              AllOf(HasSubstr("the server ended before the test did: killed by "
                              "SIGSEGV"),
                    HasSubstr("stdout: ready\n")));
}

TEST(ServerFixtureTest, FailsForAServerThatDoesNotEnd) {
  EXPECT_THAT(Report("Stubborn.Fails"),
              HasSubstr("the server did not end when it was told to, and was "
                        "killed after "));
}

TEST(MatchersTest, ExplainAnotherEnd) {
  EXPECT_THAT(
      Report("Matchers.EndDiffers"),
      AllOf(
          HasSubstr("Expected: exits with a status that is equal to 3"),
          HasSubstr("which has ended: exited with status 4; last of stdout: 'a "
                    "clue'")));
  EXPECT_THAT(Report("Matchers.EndIsASignal"),
              AllOf(HasSubstr("Expected: exits with a status that is < 9"),
                    HasSubstr("which has ended: killed by SIGKILL")));
}

TEST(MatchersTest, ExplainARunningChildAndWaitForItOnce) {
  const absl::Time start = absl::Now();

  EXPECT_THAT(Report("Matchers.StillRuns"),
              ContainsRegex("sleep 1000.* still runs after 500ms"));

  EXPECT_LT(absl::Now() - start, absl::Milliseconds(900) * kSlowness);
}

TEST(MatchersTest, ExplainWhichLinesThereWere) {
  EXPECT_THAT(Report("Matchers.LineDiffers"),
              AllOf(HasSubstr("Expected: says a line that is equal to "
                              "\"three\""),
                    ContainsRegex("it has said 2 lines: ('one', 'two'|'two', "
                                  "'one'); both streams are at their end")));
  EXPECT_THAT(Report("Matchers.NoLineInTime"),
              HasSubstr("is running; it has said 1 line: 'one'; the time is "
                        "up"));
}

TEST(MatchersTest, ExplainANullPointer) {
  EXPECT_THAT(Report("Matchers.NoChild"),
              AllOf(HasSubstr("which is no child: NOT_FOUND"),
                    HasSubstr("/no/such/program")));
}

}  // namespace
}  // namespace asyncproc

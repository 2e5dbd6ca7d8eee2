#include "asyncproc/readiness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/process.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kDeadlineExceeded =
    absl::StatusCode::kDeadlineExceeded;

// A port without a listener, at least a moment ago.
int FreePort() {
  const internal::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size),
            0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size),
            0);
  return ntohs(address.sin_port);
}

// Listens after it has read a line.
Command Listener(const std::string& python_address, const std::string& family) {
  return Command({"python3", "-c",
                  absl::StrCat("import socket, sys, time\n"
                               "s = socket.socket(socket.",
                               family,
                               ")\n"
                               "sys.stdin.readline()\n"
                               "s.bind(",
                               python_address,
                               ")\n"
                               "s.listen()\n"
                               "time.sleep(1000)\n")});
}

TEST(WaitUntilReadyTest, ReturnsTheGroupsOfALine) {
  auto process = MustSpawn(Command::Shell(
      "echo starting; echo 'listening on port 8080 (tcp)'; exec sleep 1000"));

  const absl::StatusOr<Readiness> ready = WaitUntilReady(
      *process, ReadyCondition::Line("port (\\d+) \\((udp)?(tcp)?"),
      kNeverReached);

  ASSERT_THAT(ready, IsOk());
  EXPECT_EQ(ready->line, "listening on port 8080 (tcp)");
  EXPECT_THAT(ready->groups, ElementsAre("8080", "", "tcp"));
}

TEST(WaitUntilReadyTest, SeesALineThroughItsColours) {
  auto process =
      MustSpawn(Command({"printf", "http://localhost:\x1b[1m5173\x1b[22m/\n"}));

  const absl::StatusOr<Readiness> ready = WaitUntilReady(
      *process, ReadyCondition::Line("localhost:(\\d+)/$"), kNeverReached);

  ASSERT_THAT(ready, IsOk());
  EXPECT_EQ(ready->line, "http://localhost:5173/");
  EXPECT_THAT(ready->groups, ElementsAre("5173"));
}

TEST(WaitUntilReadyTest, MatchesTheControlSequencesOfALineOnRequest) {
  auto process = MustSpawn(Command({"printf", "\x1b[1mready\n"}));
  LineOptions options;
  options.keep_control_sequences = true;

  const absl::StatusOr<Readiness> ready = WaitUntilReady(
      *process, ReadyCondition::Line("^\x1b\\[1mready$", std::nullopt, options),
      kNeverReached);

  ASSERT_THAT(ready, IsOk());
  EXPECT_EQ(ready->line, "\x1b[1mready");
}

TEST(WaitUntilReadyTest, MatchesBytesThatAreNotUtf8AndUtf8OnRequest) {
  auto process = MustSpawn(
      Command({"printf", "caf\xe9 is open\ncaf\xc3\xa9 is open too\n"}));
  LineOptions utf8;
  utf8.encoding = RegexEncoding::kUtf8;

  const absl::StatusOr<Readiness> bytes = WaitUntilReady(
      *process, ReadyCondition::Line("^(.*) is open"), kNeverReached);
  const absl::StatusOr<Readiness> characters = WaitUntilReady(
      *process, ReadyCondition::Line("^caf(.) is", std::nullopt, utf8),
      kNeverReached);

  ASSERT_THAT(bytes, IsOk());
  EXPECT_THAT(bytes->groups, ElementsAre("caf\xe9"));
  ASSERT_THAT(characters, IsOk());
  EXPECT_THAT(characters->groups, ElementsAre("\xc3\xa9"));
}

TEST(WaitUntilReadyTest, SearchesTheFirstMibOfALine) {
  auto process = MustSpawn(Command::Shell(
      "head -c 1048570 /dev/zero; printf 'early, late\n'; exec sleep 1000"));

  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("early"), kNeverReached),
      IsOk());
  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::Line("late"), kShort),
              HasCode(kDeadlineExceeded));
}

TEST(WaitUntilReadyTest, TakesNothingFromOtherReaders) {
  auto process =
      MustSpawn(Command::Shell("echo one; echo two; echo three; exec cat"));

  ASSERT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("^two$"), kNeverReached),
      IsOk());

  AwaitLine(*process, "one");
  AwaitLine(*process, "two");
  AwaitLine(*process, "three");
}

TEST(WaitUntilReadyTest, ChecksOnlyTheGivenStreams) {
  auto process = MustSpawn(Command::Shell("echo ready >&2; exec sleep 1000"));

  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("ready"), kNeverReached),
      IsOk());
  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("ready", ChildStream::kErr),
                     kNeverReached),
      IsOk());
  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("ready", ChildStream::kOut),
                     kShort),
      HasCode(kDeadlineExceeded));
}

TEST(WaitUntilReadyTest, ALastLineNeedsNoEnd) {
  auto process = MustSpawn(Command({"printf", "ready"}));

  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("^ready$"), kNeverReached),
      IsOk());
}

TEST(WaitUntilReadyTest, FindsTheLineOfAChildThatHasEnded) {
  auto process = MustSpawn(Command({"echo", "ready"}));
  ASSERT_THAT(process->Wait(), IsOk());

  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::Line("ready"),
                             absl::ZeroDuration()),
              IsOk());
}

TEST(WaitUntilReadyTest, WaitsForAWebServer) {
  auto server = MustSpawn(Command(
      {"python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"}));

  const absl::StatusOr<Readiness> ready = WaitUntilReady(
      *server, ReadyCondition::Line("port (\\d+)"), kNeverReached);

  ASSERT_THAT(ready, IsOk());
  int port = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ready->groups[0], &port));
  for (const char* host : {"127.0.0.1", "localhost"}) {
    EXPECT_THAT(WaitUntilReady(*server, ReadyCondition::TcpPort(host, port),
                               kNeverReached),
                IsOk());
  }
}

TEST(WaitUntilReadyTest, WaitsForATcpPort) {
  const int port = FreePort();
  auto process =
      MustSpawn(Listener(absl::StrCat("('127.0.0.1', ", port, ")"), "AF_INET"));
  const ReadyCondition listens = ReadyCondition::TcpPort("127.0.0.1", port);

  EXPECT_THAT(WaitUntilReady(*process, listens, kShort),
              HasCode(kDeadlineExceeded));
  EXPECT_THAT(process->Write("go\n"), IsOk());
  EXPECT_THAT(WaitUntilReady(*process, listens, kNeverReached), IsOk());
}

// A server in a process of its own, which is not a descendant of the child.
class StaleServer {
 public:
  explicit StaleServer(const std::string& python_address,
                       const std::string& family)
      : process_(MustSpawn(Listener(python_address, family))) {
    EXPECT_THAT(process_->Write("go\n"), IsOk());
  }
  Process& process() { return *process_; }

 private:
  const std::unique_ptr<Process> process_;
};

TEST(WaitUntilReadyTest, DoesNotTakeAStaleServersPortForTheChilds) {
  const int port = FreePort();
  const std::string address = absl::StrCat("('127.0.0.1', ", port, ")");
  StaleServer stale(address, "AF_INET");
  const ReadyCondition listens = ReadyCondition::TcpPort("localhost", port);
  ASSERT_THAT(WaitUntilReady(stale.process(), listens, kNeverReached), IsOk());
  auto process = MustSpawn(Listener(address, "AF_INET"));

  const absl::StatusOr<Readiness> not_ready =
      WaitUntilReady(*process, listens, kShort);
  EXPECT_THAT(not_ready, HasCode(kDeadlineExceeded));
  EXPECT_THAT(not_ready.status().message(),
              HasSubstr(absl::StrCat("accepted by python3 (pid ",
                                     stale.process().pid(), ")")));

  EXPECT_THAT(process->Write("go\n"), IsOk());
  const absl::StatusOr<Readiness> ended =
      WaitUntilReady(*process, listens, kNeverReached);
  EXPECT_THAT(ended, HasCode(absl::StatusCode::kAborted));
  EXPECT_THAT(ended.status().message(), HasSubstr("Address already in use"));
}

TEST(WaitUntilReadyTest, TakesTheChildsServerOnceTheStaleOneIsGone) {
  const int port = FreePort();
  const std::string address = absl::StrCat("('127.0.0.1', ", port, ")");
  auto stale = std::make_unique<StaleServer>(address, "AF_INET");
  const ReadyCondition listens = ReadyCondition::TcpPort("127.0.0.1", port);
  ASSERT_THAT(WaitUntilReady(stale->process(), listens, kNeverReached), IsOk());
  auto process = MustSpawn(Listener(address, "AF_INET"));
  ASSERT_THAT(WaitUntilReady(*process, listens, kShort),
              HasCode(kDeadlineExceeded));

  stale.reset();
  EXPECT_THAT(process->Write("go\n"), IsOk());

  EXPECT_THAT(WaitUntilReady(*process, listens, kNeverReached), IsOk());
}

TEST(WaitUntilReadyTest, TakesAPortOfADescendantOrOfTheChildsGroup) {
  const int port = FreePort();
  const ReadyCondition listens = ReadyCondition::TcpPort("127.0.0.1", port);
  Command server =
      Listener(absl::StrCat("('127.0.0.1', ", port, ")"), "AF_INET");
  // The shell between the child and the server ends, and with it their
  // relation.
  Command command =
      Command::Shell("(exec 3<&0; \"$@\" <&3 &) ; exec sleep 1000");
  command.argv.push_back("sh");
  command.argv.insert(command.argv.end(), server.argv.begin(),
                      server.argv.end());
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(command);
  ASSERT_THAT(process->Write("go\n"), IsOk());

  EXPECT_THAT(WaitUntilReady(*process, listens, kNeverReached), IsOk());

  EXPECT_THAT(process->Signal(SIGKILL, TerminationScope::kGroup), IsOk());
}

// A name that is unique across runs of this test, also in sandboxes, where pids
// repeat.
std::string AbstractName() {
  std::ifstream random("/proc/sys/kernel/random/uuid");
  std::string name;
  std::getline(random, name);
  return absl::StrCat("asyncproc-", name);
}

TEST(WaitUntilReadyTest, DoesNotTakeAStaleServersUnixSocketForTheChilds) {
  const std::string name = AbstractName();
  StaleServer stale(absl::StrCat("'\\0", name, "'"), "AF_UNIX");
  const ReadyCondition listens = ReadyCondition::UnixSocket("@" + name);
  ASSERT_THAT(WaitUntilReady(stale.process(), listens, kNeverReached), IsOk());
  auto process = MustSpawn(Command({"sleep", "1000"}));

  EXPECT_THAT(WaitUntilReady(*process, listens, kShort),
              HasCode(kDeadlineExceeded));
}

TEST(WaitUntilReadyTest, WaitsForAUnixSocket) {
  // The folder for tests may have a path that is too long for a socket.
  char directory[] = "/tmp/asyncproc-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = absl::StrCat(directory, "/socket");
  auto process = MustSpawn(Listener(absl::StrCat("'", path, "'"), "AF_UNIX"));
  const ReadyCondition listens = ReadyCondition::UnixSocket(path);

  EXPECT_THAT(WaitUntilReady(*process, listens, kShort),
              HasCode(kDeadlineExceeded));
  EXPECT_THAT(process->Write("go\n"), IsOk());
  EXPECT_THAT(WaitUntilReady(*process, listens, kNeverReached), IsOk());

  EXPECT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(rmdir(directory), 0);
}

TEST(WaitUntilReadyTest, WaitsForAUnixSocketOutsideOfTheFileSystem) {
  const std::string name = AbstractName();
  auto process =
      MustSpawn(Listener(absl::StrCat("'\\0", name, "'"), "AF_UNIX"));
  EXPECT_THAT(process->Write("go\n"), IsOk());

  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::UnixSocket("@" + name),
                             kNeverReached),
              IsOk());
}

TEST(WaitUntilReadyTest, WaitsForAFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/pid";
  Command command = Command::Shell("read x; : > \"$0\"; exec sleep 1000");
  command.argv.push_back(path);
  auto process = MustSpawn(command);

  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::File(path), kShort),
              HasCode(kDeadlineExceeded));
  EXPECT_THAT(process->Write("go\n"), IsOk());
  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::File(path), kNeverReached),
      IsOk());
}

TEST(WaitUntilReadyTest, AsksAProbeUntilItSaysYes) {
  auto process = MustSpawn(Command({"cat"}));
  int calls = 0;
  const ReadyCondition third =
      ReadyCondition::Probe("the third call", [&] { return ++calls == 3; });

  EXPECT_THAT(WaitUntilReady(*process, third, kNeverReached), IsOk());

  EXPECT_EQ(calls, 3);
}

TEST(WaitUntilReadyTest, FailsAtOnceWhenTheChildEndsFirst) {
  auto process = MustSpawn(
      Command::Shell("echo hello; echo 'no such database' >&2; exit 3"));

  const absl::StatusOr<Readiness> ready =
      WaitUntilReady(*process, ReadyCondition::TcpPort("127.0.0.1", FreePort()),
                     absl::InfiniteDuration());

  EXPECT_THAT(ready, HasCode(absl::StatusCode::kAborted));
  EXPECT_THAT(ready.status().message(),
              AllOf(HasSubstr("exited with status 3"), HasSubstr("'hello'"),
                    HasSubstr("'no such database'"), HasSubstr("127.0.0.1")));
}

TEST(WaitUntilReadyTest, FailsAtOnceWhenTheChildEndsWithoutTheLine) {
  auto process = MustSpawn(Command::Shell("echo hello; exit 3"));

  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::Line("ready"),
                             absl::InfiniteDuration()),
              HasCode(absl::StatusCode::kAborted));
}

TEST(WaitUntilReadyTest, DoesNotWaitForAGrandchildThatHoldsTheOutput) {
  auto process =
      MustSpawn(Command::Shell("sleep 1000 & echo $! >&2; echo hello; exit 3"));

  EXPECT_THAT(
      WaitUntilReady(*process, ReadyCondition::Line("ready"), kNeverReached),
      HasCode(absl::StatusCode::kAborted));

  pid_t grandchild = 0;
  ASSERT_TRUE(absl::SimpleAtoi(process->ReadErr(), &grandchild));
  kill(grandchild, SIGKILL);
  AwaitProcessEnd(grandchild);
}

TEST(WaitUntilReadyTest, ReportsOutputAndActivityOnTimeout) {
  auto process =
      MustSpawn(Command::Shell("echo hello; echo warning >&2; exec cat"));
  // cat has started.
  while (Diagnose(*process).activity != Activity::kReadingStdin) {
    ASSERT_TRUE(process->IsAlive());
  }

  const absl::StatusOr<Readiness> ready =
      WaitUntilReady(*process, ReadyCondition::Line("ready"), kShort);

  EXPECT_THAT(ready, HasCode(kDeadlineExceeded));
  EXPECT_THAT(
      ready.status().message(),
      AllOf(HasSubstr("50ms"), HasSubstr("/ready/"), HasSubstr("'hello'"),
            HasSubstr("'warning'"), HasSubstr("waits for input on its stdin")));
  EXPECT_TRUE(process->IsAlive());
}

TEST(WaitUntilReadyTest, FailsWhenNoLineCanComeAnyMore) {
  auto process = MustSpawn(Command::Shell("exec sleep 1000 > /dev/null 2>&1"));

  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::Line("ready"),
                             absl::InfiniteDuration()),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(WaitUntilReadyTest, IsNotHeldUpByAChildThatTalksWithoutEnd) {
  Command command({"yes"});
  command.output_buffer = OutputBound::DropOldest(64 * 1024);
  auto process = MustSpawn(command);

  EXPECT_THAT(WaitUntilReady(*process, ReadyCondition::Line("ready"), kShort),
              HasCode(kDeadlineExceeded));
}

TEST(WaitUntilReadyTest, LooksAtStderrThoughStdoutHasNoEnd) {
  Command command = Command::Shell("echo ready >&2; exec yes");
  command.output_buffer = OutputBound::DropOldest(1 << 20);
  auto process = MustSpawn(command);
  // More lines than the deadline leaves time to examine.
  ASSERT_THAT(process->out().ReadExactly(1 << 19, kNeverReached), IsOk());

  auto ready = WaitUntilReady(*process, ReadyCondition::Line("^ready$"),
                              absl::Seconds(5) * kSlowness);

  EXPECT_THAT(ready, IsOk());
}

// A socket that does not accept connections, with a full backlog.
TEST(WaitUntilReadyTest, TriesAgainWhenAnAttemptToConnectGetsLost) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  const internal::UniqueFd listener(
      socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), name, size), 0);
  ASSERT_EQ(getsockname(listener.get(), name, &size), 0);
  ASSERT_EQ(listen(listener.get(), 0), 0);
  std::vector<internal::UniqueFd> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back(
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    connect(waiting.back().get(), name, size);
  }
  const auto condition =
      ReadyCondition::TcpPort("127.0.0.1", ntohs(address.sin_port));

  EXPECT_THAT(WaitUntilReady(*process, condition, absl::Milliseconds(1500)),
              HasCode(kDeadlineExceeded));
}

TEST(WaitUntilReadyTest, RefusesInvalidConditions) {
  auto process = MustSpawn(Command({"cat"}));
  for (const ReadyCondition& condition : {
           ReadyCondition::Line("("),
           ReadyCondition::TcpPort("127.0.0.1", 0),
           ReadyCondition::TcpPort("127.0.0.1", 65536),
           ReadyCondition::TcpPort("no.such.host.invalid", 80),
           ReadyCondition::UnixSocket(""),
           ReadyCondition::UnixSocket(std::string(108, 'x')),
       }) {
    EXPECT_THAT(WaitUntilReady(*process, condition, kNeverReached),
                HasCode(absl::StatusCode::kInvalidArgument))
        << condition.ToString();
  }
}

TEST(WaitUntilReadyTest, EndsWithItsThreadsTime) {
  auto process = MustSpawn(Command({"cat"}));
  const ReadyCondition never = ReadyCondition::Line("ready");
  CancellationToken token;

  EXPECT_THAT(WithTimeout(kShort,
                          [&] {
                            return WaitUntilReady(*process, never,
                                                  absl::InfiniteDuration());
                          }),
              HasCode(kDeadlineExceeded));
  std::thread canceler([token] {
    absl::SleepFor(kShort);
    token.Cancel();
  });
  {
    CancellationScope scope(token);
    EXPECT_THAT(WaitUntilReady(*process, never, absl::InfiniteDuration()),
                HasCode(absl::StatusCode::kCancelled));
  }
  canceler.join();
}

TEST(WaitUntilReadyTest, RefusesTheSocketsOfARecording) {
  auto replay = ReplayProcess::Start(Transcript());
  ASSERT_THAT(replay, IsOk());
  for (const ReadyCondition& socket :
       {ReadyCondition::TcpPort("localhost", FreePort()),
        ReadyCondition::UnixSocket("/nowhere")}) {
    EXPECT_THAT(WaitUntilReady(**replay, socket, kNeverReached),
                HasCode(absl::StatusCode::kFailedPrecondition));
  }
}

}  // namespace
}  // namespace asyncproc

// Streams that are sockets: Stdio::Socket and Stdio::ToStdin.

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/pipeline.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/run.h"
#include "asyncproc/spawn_error.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::StartsWith;

constexpr size_t kLarge = 10'000'000;

Command WithSockets(Command command) {
  command.in = command.out = Stdio::Socket();
  return command;
}

Command WithSharedSocket(Command command) {
  command.in = Stdio::Socket();
  command.out = Stdio::ToStdin();
  return command;
}

Command Python(const std::string& program) {
  return Command({"python3", "-c", program});
}

// No two pieces of the text are equal.
std::string Numbers(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) absl::StrAppend(&text, i, "\n");
  return text;
}

void ExpectEnd(Process& process, ExitStatus status = ExitStatus::Exited(0)) {
  EXPECT_THAT(process.WaitFor(kNeverReached), IsOkAndHolds(status));
}

// A test with one socket for each stream, and with one for both.
class SocketTest : public testing::TestWithParam<bool> {
 protected:
  static Command With(Command command) {
    return GetParam() ? WithSharedSocket(std::move(command))
                      : WithSockets(std::move(command));
  }
};

INSTANTIATE_TEST_SUITE_P(, SocketTest, testing::Bool(), [](const auto& shared) {
  return shared.param ? "Shared" : "Separate";
});

TEST_P(SocketTest, CarriesManyBytesBothWays) {
  const std::string text = Numbers(kLarge);
  auto process = MustSpawn(With(Command({"cat"})));

  ASSERT_THAT(process->Write(text), IsOk());
  ASSERT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds(text));
  ExpectEnd(*process);
}

TEST_P(SocketTest, CarriesOneLineAtATime) {
  auto process = MustSpawn(With(Command({"cat"})));

  for (const char* line : {"one", "two", "three"}) {
    ASSERT_THAT(process->Write(absl::StrCat(line, "\n")), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds(line));
  }
  // A Sync asks the socket whether bytes are in it.
  EXPECT_THAT(process->out().Sync(kNeverReached), IsOk());
}

TEST_P(SocketTest, RunsToItsEndByRun) {
  RunOptions options;
  options.input = Numbers(kLarge);

  const auto result = asyncproc::Run(With(Command({"cat"})), options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(std::string(result->out), *options.input);
}

TEST_P(SocketTest, EndsTheInputOfARunWithoutInput) {
  const auto result = asyncproc::Run(With(Command({"wc", "-c"})));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(std::string(result->out), "0\n");
}

TEST_P(SocketTest, IsReadAndWrittenByAPoller) {
  BufferingProcessPoller<std::string> poller;
  const std::string text = Numbers(kLarge);

  ASSERT_THAT(poller.Run("A", With(Command({"cat"})), text), IsOk());
  ASSERT_THAT(poller.SendInput("A", "more"), IsOk());
  ASSERT_THAT(poller.CloseInput("A"), IsOk());

  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());
  EXPECT_EQ(poller.output("A").out, text + "more");
}

TEST_P(SocketTest, EndsAChildByTheEndOfItsInput) {
  auto process = MustSpawn(With(Command({"cat"})));

  const auto end = process->Terminate(Escalation::Standard(kNeverReached));

  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(end->status, ExitStatus::Exited(0));
  EXPECT_EQ(end->ended_by_step, 0u);
}

TEST_P(SocketTest, TakesABrokenInputForNoSignal) {
  auto process = MustSpawn(
      With(Command::Shell("exec <&- >&-; echo closed >&2; sleep 1000")));
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("closed"));

  EXPECT_THAT(process->Write("no reader"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

// Linux gives ECONNRESET after the last byte here: dash reads byte by byte, and
// leaves two lines in the socket.
TEST_P(SocketTest, EndsTheOutputOfAChildThatHasNotReadItsInput) {
  auto process = MustSpawn(With(Command::Shell("read first; echo answer")));

  ASSERT_THAT(process->Write("first\nsecond\nthird\n"), IsOk());

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached),
              IsOkAndHolds("answer\n"));
  ExpectEnd(*process);
}

// The bytes fit into the socket, and the bound leaves them there.
TEST_P(SocketTest, LosesNoByteWhenTheChildIsKilled) {
  Command command =
      With(Python("import os, signal\n"
                  "os.write(1, b'x' * 150000)\n"
                  "os.write(2, b'written\\n')\n"
                  "signal.pause()\n"));
  command.output_buffer = OutputBound::BlockChild(1024);
  auto process = MustSpawn(command);
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("written"));

  EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  ExpectEnd(*process, ExitStatus::Signaled(SIGKILL));

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached),
              IsOkAndHolds(std::string(150000, 'x')));
}

TEST_P(SocketTest, IsASocketForTheChild) {
  const std::string found = OutputOf(
      With(Python("import os, stat\n"
                  "a, b = os.fstat(0), os.fstat(1)\n"
                  "print(stat.S_ISSOCK(a.st_mode), stat.S_ISSOCK(b.st_mode),\n"
                  "      a.st_ino == b.st_ino)\n")));

  EXPECT_EQ(found, GetParam() ? "True True True\n" : "True True False\n");
}

TEST_P(SocketTest, CannotBeOpenedByAName) {
  EXPECT_EQ(OutputOf(With(Command::Shell(
                "cat /dev/stdin 2> /dev/null || echo no stdin"))),
            "no stdin\n");
}

TEST_P(SocketTest, ShowsThatTheChildWaitsForTheHost) {
  Command command = With(Command::Shell("echo ready >&2; exec yes"));
  command.output_buffer = OutputBound::BlockChild(1024);
  auto process = MustSpawn(command);
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("ready"));
  if (Diagnose(*process).activity == Activity::kUnknown) GTEST_SKIP();

  Diagnosis found;
  do {
    found = Diagnose(*process);
  } while (found.activity == Activity::kRunning);

  EXPECT_EQ(found.activity, Activity::kWritingOutput) << found.ToString();
}

TEST_P(SocketTest, NamesTheProcessesThatHoldIt) {
  auto process = MustSpawn(With(Command({Helper("hold_pipe"), "0", "1"})));
  const auto line = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  pid_t holder;
  ASSERT_TRUE(absl::SimpleAtoi(*line, &holder));
  ExpectEnd(*process);

  const std::vector<PipeHolder> holders = process->out().holders();

  EXPECT_THAT(holders, ElementsAre(Field(&PipeHolder::pid, holder)));
  EXPECT_EQ(kill(holder, SIGKILL), 0);
  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOkAndHolds(""));
}

TEST_P(SocketTest, IsNotMadeWithoutDescriptors) {
  class NoSockets : public internal::Os {
   public:
    int SocketPair(int*) override {
      errno = EMFILE;
      return -1;
    }
  } os;
  internal::ScopedOs scoped(&os);

  const auto process = Process::Spawn(With(Command({"cat"})));

  EXPECT_THAT(process, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(process.status().message(), HasSubstr("pair of sockets"));
  const std::optional<SpawnFailure> failure = GetSpawnFailure(process.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->stage, SpawnStage::kPipe);
}

TEST(SeparateSocketTest, CanBeStderr) {
  Command command = Command::Shell("echo out; echo err >&2");
  command.err = Stdio::Socket();

  auto process = MustSpawn(command);
  ExpectEnd(*process);

  EXPECT_EQ(process->Read(), "out\n");
  EXPECT_EQ(process->ReadErr(), "err\n");
}

TEST(SeparateSocketTest, EndsAWriterWhenItIsClosed) {
  auto process = MustSpawn(WithSockets(Command({"yes"})));
  ASSERT_THAT(process->out().ReadLine(kNeverReached), IsOk());

  process->out().Close();

  // Without a SIGPIPE when yes is blocked in a write at that moment.
  const auto status = process->WaitFor(kNeverReached);
  ASSERT_THAT(status, IsOk());
  EXPECT_FALSE(status->ok());
}

TEST(SeparateSocketTest, RefusesWritesOfTheChildToItsStdin) {
  EXPECT_EQ(
      OutputOf(WithSockets(Python("import os\n"
                                  "try: os.write(0, b'x')\n"
                                  "except BrokenPipeError: print('no')"))),
      "no\n");
}

// asyncio reads its stdout, and takes end-of-file as the sign that there is no
// reader.
TEST(SeparateSocketTest, KeepsAnAsyncioChildTalking) {
  auto process = MustSpawn(WithSockets(
      Python("import asyncio, sys\n"
             "async def main():\n"
             "  loop = asyncio.get_running_loop()\n"
             "  reader = asyncio.StreamReader()\n"
             "  await loop.connect_read_pipe(\n"
             "      lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)\n"
             "  transport, _ = await loop.connect_write_pipe(\n"
             "      asyncio.streams.FlowControlMixin, sys.stdout)\n"
             "  while line := await reader.readline():\n"
             "    transport.write(b'<' + line)\n"
             "asyncio.run(main())\n")));

  for (const char* line : {"one", "two"}) {
    ASSERT_THAT(process->Write(absl::StrCat(line, "\n")), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached),
                IsOkAndHolds(absl::StrCat("<", line)));
  }
  EXPECT_THAT(process->CloseStdin(), IsOk());
  ExpectEnd(*process);
}

TEST(SharedSocketTest, AnswersAfterTheEndOfItsInput) {
  auto process =
      MustSpawn(WithSharedSocket(Python("import select, socket\n"
                                        "s = socket.socket(fileno=0)\n"
                                        "count = 0\n"
                                        "while True:\n"
                                        "  select.select([s], [], [])\n"
                                        "  data = s.recv(4096)\n"
                                        "  if not data: break\n"
                                        "  count += len(data)\n"
                                        "s.sendall(b'%d bytes\\n' % count)\n"
                                        "s.shutdown(socket.SHUT_RDWR)\n")));
  const std::string text = Numbers(kLarge);

  ASSERT_THAT(process->Write(text), IsOk());
  ASSERT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached),
              IsOkAndHolds(absl::StrCat(text.size(), " bytes\n")));
  ExpectEnd(*process);
}

TEST(SharedSocketTest, TakesInputAfterTheEndOfItsOutput) {
  auto process = MustSpawn(
      WithSharedSocket(Python("import socket, sys\n"
                              "s = socket.socket(fileno=0)\n"
                              "s.sendall(b'last words\\n')\n"
                              "s.shutdown(socket.SHUT_WR)\n"
                              "sys.exit(len(s.makefile().read()))\n")));
  EXPECT_THAT(process->out().ReadToEnd(kNeverReached),
              IsOkAndHolds("last words\n"));

  EXPECT_THAT(process->Write("12345"), IsOk());
  EXPECT_THAT(process->Flush(kNeverReached), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  ExpectEnd(*process, ExitStatus::Exited(5));
}

// Linux would give ECONNRESET if the host left bytes of the child unread.
TEST(SharedSocketTest, GivesEndOfFileAfterItsOutputIsClosed) {
  Command command =
      WithSharedSocket(Python("import os\n"
                              "os.write(1, b'x' * 100000)\n"
                              "os.write(2, b'written\\n')\n"
                              "while os.read(0, 100): pass\n"));
  command.output_buffer = OutputBound::BlockChild(1024);
  auto process = MustSpawn(command);
  EXPECT_THAT(process->err().ReadLine(kNeverReached), IsOkAndHolds("written"));

  process->out().Close();
  EXPECT_THAT(process->CloseStdin(), IsOk());

  ExpectEnd(*process);
}

TEST(SharedSocketTest, CarriesStderrToo) {
  Command command =
      WithSharedSocket(Command::Shell("echo one; echo two >&2; echo three"));
  command.err = Stdio::ToStdout();

  EXPECT_EQ(OutputOf(command), "one\ntwo\nthree\n");
}

TEST(SharedSocketTest, NeedsInputInAPoller) {
  BufferingProcessPoller<std::string> poller;

  const absl::Status status =
      poller.Run("A", WithSharedSocket(Command({"cat"})));

  EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(status.message(), HasSubstr("shares the socket of stdin"));
}

TEST(SharedSocketTest, ServesGit) {
  TemporaryDirectory directory;
  Command init({"git", "init", "-q", "--bare", directory.path() + "/depot"});
  if (!asyncproc::Run(init).ok()) GTEST_SKIP() << "there is no git";
  if (access("/usr/lib/git-core/git-daemon", X_OK) != 0) {
    GTEST_SKIP() << "there is no git daemon";
  }
  auto process = MustSpawn(WithSharedSocket(
      Command({"git", "daemon", "--inetd", "--export-all",
               absl::StrCat("--base-path=", directory.path())})));
  const std::string request("git-upload-pack /depot\0host=localhost\0", 38);

  ASSERT_THAT(process->Write(absl::StrCat("002a", request)), IsOk());

  // The list of references of an empty repository, and its end.
  EXPECT_THAT(process->out().ReadUntil("0000", kNeverReached), IsOk());
  EXPECT_THAT(process->Write("0000"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  ExpectEnd(*process);
}

TEST(SharedSocketTest, ServesSsh) {
  TemporaryDirectory directory;
  const std::string key = directory.path() + "/key";
  if (access("/usr/sbin/sshd", X_OK) != 0 ||
      !Check({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key}).ok()) {
    GTEST_SKIP() << "there is no sshd";
  }
  auto process = MustSpawn(WithSharedSocket(
      Command({"/usr/sbin/sshd", "-i", "-e", "-f", "/dev/null", "-h", key})));

  const auto line = process->out().ReadLine(kNeverReached);

  ASSERT_THAT(line, IsOk()) << process->ReadErr();
  EXPECT_THAT(*line, StartsWith("SSH-2.0-"));
}

TEST(SocketValidationTest, RefusesStreamsThatCannotShareASocket) {
  Command without_socket({"cat"});
  without_socket.out = Stdio::ToStdin();
  Command err = WithSharedSocket(Command({"cat"}));
  err.err = Stdio::ToStdin();
  Command terminal = WithSockets(Command({"cat"}));
  terminal.pty.emplace();

  for (const auto& [command, why] :
       {std::pair{without_socket, "set it to Stdio::Socket()"},
        {err, "only out can share the socket of in, not err"},
        {terminal, "in, out and err are the terminal, not socket"}}) {
    const absl::Status status = command.Validate();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(status.message(), HasSubstr(why));
  }
}

TEST(SocketPipelineTest, StandsOnlyAtTheEndsOfAPipeline) {
  Command first({"cat"}), last({"cat"});
  first.in = last.out = Stdio::Socket();
  auto pipeline = Pipeline::Spawn({first, last});
  ASSERT_THAT(pipeline, IsOk());
  EXPECT_THAT((*pipeline)->Write("through\n"), IsOk());
  EXPECT_THAT((*pipeline)->CloseStdin(), IsOk());
  EXPECT_THAT((*pipeline)->out().ReadToEnd(kNeverReached),
              IsOkAndHolds("through\n"));

  EXPECT_THAT(Pipeline::Spawn({last, first}),
              HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace asyncproc

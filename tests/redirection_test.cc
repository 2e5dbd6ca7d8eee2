// The targets of the child's standard streams.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::UniqueFd;
using testing::HasSubstr;
using FileMode = Stdio::FileMode;

void ExpectEnd(Process& process, ExitStatus status = ExitStatus::Exited(0)) {
  EXPECT_THAT(process.WaitFor(kNeverReached), IsOkAndHolds(status));
}

// RED-01
TEST(RedirectionTest, KeepsStdoutAndStderrApart) {
  auto process = MustSpawn(Command::Shell("echo foo; echo bar >&2"));
  ExpectEnd(*process);

  EXPECT_EQ(process->Read(), "foo\n");
  EXPECT_EQ(process->ReadErr(), "bar\n");
}

// RED-02
TEST(ToStdoutTest, KeepsTheOrderInWhichItWasWritten) {
  Command command =
      Command::Shell("printf apple; printf orange >&2; printf lime");
  command.err = Stdio::ToStdout();

  auto process = MustSpawn(command);
  ExpectEnd(*process);

  EXPECT_EQ(process->Read(), "appleorangelime");
  EXPECT_EQ(process->ReadErr(), "");
  EXPECT_TRUE(process->err().AtEof());
}

// Runs `echo 42 >&2` with `out` and `err`, in a host whose stdout is a file.
std::string WhatTheHostsStdoutGets(const Stdio& out, const Stdio& err) {
  TemporaryDirectory directory;
  const std::string stray = InForkedHost([&] {
    const std::string path = directory.path() + "/out";
    close(STDOUT_FILENO);
    open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    Command command = Command::Shell("echo 42 >&2");
    command.out = out;
    command.err = err;
    auto process = MustSpawn(command);
    process->Wait().IgnoreError();
    return process->Read() + process->ReadErr();
  });
  EXPECT_EQ(stray, "");
  return directory.Read("out");
}

// RED-03
TEST(ToStdoutTest, GoesToTheHostsStdoutWhenThatIsInherited) {
  EXPECT_EQ(WhatTheHostsStdoutGets(Stdio::Inherit(), Stdio::ToStdout()),
            "42\n");
}

TEST(ToStdoutTest, GoesToADescriptorWithStdout) {
  EXPECT_EQ(WhatTheHostsStdoutGets(Stdio::Fd(1), Stdio::ToStdout()), "42\n");
  EXPECT_EQ(WhatTheHostsStdoutGets(Stdio::Null(), Stdio::Fd(1)), "42\n");
}

TEST(ToStdoutTest, GoesToAFileWithStdout) {
  TemporaryDirectory directory;
  Command command = Command::Shell("echo one; echo two >&2; echo three");
  command.out = Stdio::File(directory.path() + "/log", FileMode::kTruncate);
  command.err = Stdio::ToStdout();

  EXPECT_EQ(OutputOf(command), "");

  EXPECT_EQ(directory.Read("log"), "one\ntwo\nthree\n");
}

// RED-06
TEST(NullTest, IsAtItsEndAndTakesEverything) {
  Command command = Command::Shell(
      "head -c 1 | wc -c >&3; head -c 10485760 /dev/zero;"
      "head -c 10485760 /dev/zero >&2");
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]), write_end(fds[1]);
  command.in = command.out = command.err = Stdio::Null();
  command.pass_fds[3] = write_end.get();

  auto process = MustSpawn(command);
  ExpectEnd(*process);

  char count[8] = {};
  EXPECT_EQ(read(read_end.get(), count, sizeof(count) - 1), 2);
  EXPECT_STREQ(count, "0\n");
  EXPECT_EQ(process->Read(), "");
  EXPECT_EQ(process->ReadErr(), "");
  EXPECT_TRUE(process->out().AtEof());
}

// RED-07
TEST(InheritTest, WritesWhereTheHostWrites) {
  TemporaryDirectory directory;

  const std::string captured = InForkedHost([&] {
    close(STDOUT_FILENO);
    open((directory.path() + "/out").c_str(), O_WRONLY | O_CREAT, 0600);
    Command command({"echo", "hi"});
    command.out = Stdio::Inherit();
    auto process = MustSpawn(command);
    process->Wait().IgnoreError();
    return process->Read();
  });

  EXPECT_EQ(captured, "");
  EXPECT_EQ(directory.Read("out"), "hi\n");
}

// RED-09
TEST(RedirectionTest, LeavesNothingToReadOrWriteWhereThereIsNoPipe) {
  Command command({"cat"});
  command.in = command.out = command.err = Stdio::Null();

  auto process = MustSpawn(command);

  const auto kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
  EXPECT_THAT(process->Write("x"), HasCode(kFailedPrecondition));
  EXPECT_THAT(process->CloseStdin(), HasCode(kFailedPrecondition));
  EXPECT_THAT(process->Flush(kNeverReached), HasCode(kFailedPrecondition));
  EXPECT_EQ(process->Read(), "");
  EXPECT_EQ(process->ReadErr(), "");
  EXPECT_THAT(process->out().TryReadLine(),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(process->err().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
  ExpectEnd(*process);
}

// RED-10
TEST(RedirectionTest, UsesPipesThatTheChildCanOpenByName) {
  auto process = MustSpawn(Command::Shell(
      "cat < /dev/stdin > /proc/self/fd/1; echo x > /dev/stderr"));

  EXPECT_THAT(process->Write("abc"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  ExpectEnd(*process);
  EXPECT_EQ(process->Read(), "abc");
  EXPECT_EQ(process->ReadErr(), "x\n");
}

// Two children connected by a pipe that the host has closed.
struct Connected {
  Connected(Command first_command, Command second_command) {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    const UniqueFd read_end(fds[0]), write_end(fds[1]);
    first_command.out = Stdio::Fd(write_end.get());
    second_command.in = Stdio::Fd(read_end.get());
    first = MustSpawn(std::move(first_command));
    second = MustSpawn(std::move(second_command));
  }

  std::unique_ptr<Process> first;
  std::unique_ptr<Process> second;
};

// RED-11
TEST(RedirectionTest, ConnectsTwoChildren) {
  Connected pipeline(Command({"cat"}), Command({"grep", "zxcvbn"}));

  EXPECT_THAT(pipeline.first->Write("one\nzxcvbn\ntwo\n"), IsOk());
  EXPECT_THAT(pipeline.first->CloseStdin(), IsOk());

  ExpectEnd(*pipeline.first);
  ExpectEnd(*pipeline.second);
  EXPECT_EQ(pipeline.second->Read(), "zxcvbn\n");
}

// RED-11
TEST(RedirectionTest, TellsTheFirstWhenTheSecondIsGone) {
  Connected pipeline(Command({"yes"}), Command({"sleep", "1000"}));

  EXPECT_THAT(pipeline.second->Signal(SIGKILL), IsOk());

  ExpectEnd(*pipeline.second, ExitStatus::Signaled(SIGKILL));
  ExpectEnd(*pipeline.first, ExitStatus::Signaled(SIGPIPE));
}

Command PipeSizes() {
  return Command({"python3", "-c",
                  "import fcntl\n"
                  "print(*[fcntl.fcntl(fd, 1032) for fd in (0, 1, 2)])"});
}

// RED-12
TEST(PipeSizeTest, IsAsAskedForInAllThree) {
  Command command = PipeSizes();
  command.pipe_size = 32768;
  EXPECT_EQ(OutputOf(command), "32768 32768 32768\n");

  command.pipe_size = 131072;
  EXPECT_EQ(OutputOf(command), "131072 131072 131072\n");
}

// RED-12
TEST(PipeSizeTest, IsTheKernelsOtherwise) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]), write_end(fds[1]);
  const int usual = fcntl(fds[0], F_GETPIPE_SZ);

  EXPECT_EQ(OutputOf(PipeSizes()),
            absl::StrCat(usual, " ", usual, " ", usual, "\n"));
}

// RED-13
TEST(CloseTest, LetsAChildThatWritesOnDieOfIt) {
  auto process = MustSpawn(
      Command::Shell("while :; do echo foo || exit 3; sleep .01; done"));
  AwaitLine(*process, "foo");

  process->out().Close();

  ExpectEnd(*process, ExitStatus::Signaled(SIGPIPE));
}

// RED-13
TEST(CloseTest, LetsAChildThatIgnoresItSeeAnError) {
  auto process = MustSpawn(
      Command::Shell("trap '' PIPE; echo ready;"
                     "while echo foo >&2; do sleep .01; done; exit 3"));
  AwaitLine(*process, "ready");

  process->err().Close();

  ExpectEnd(*process, ExitStatus::Exited(3));
}

// ARG-18
TEST(FileTest, IsRelativeToTheDirectoryOfTheHost) {
  TemporaryDirectory host, child;
  host.Write("in.txt", "hi\n");

  InForkedHost([&] {
    if (chdir(host.path().c_str()) != 0) return "";
    Command command({"cat"});
    command.working_directory = child.path();
    command.in = Stdio::File("in.txt", FileMode::kRead);
    command.out = Stdio::File("out.txt", FileMode::kTruncate);
    MustSpawn(command)->Wait().IgnoreError();
    return "";
  });

  EXPECT_EQ(host.Read("out.txt"), "hi\n");
  EXPECT_TRUE(std::filesystem::is_empty(child.path()));
}

TEST(FileTest, IsWrittenFromTheStartOrAtTheEnd) {
  TemporaryDirectory directory;
  const std::string path = directory.Write("file", "before, and longer\n");
  Command command({"echo", "after"});

  command.out = Stdio::File(path, FileMode::kAppend);
  EXPECT_EQ(OutputOf(command), "");
  EXPECT_EQ(directory.Read("file"), "before, and longer\nafter\n");

  command.out = Stdio::File(path, FileMode::kTruncate);
  EXPECT_EQ(OutputOf(command), "");
  EXPECT_EQ(directory.Read("file"), "after\n");
}

TEST(FileTest, IsMadeAsTheUmaskOfTheHostAllows) {
  TemporaryDirectory directory;
  Command command({"true"});
  command.out = Stdio::File(directory.path() + "/file", FileMode::kAppend);
  command.umask = 0777;

  EXPECT_EQ(OutputOf(command), "");

  const mode_t mask = umask(0);
  umask(mask);
  struct stat info;
  ASSERT_EQ(stat((directory.path() + "/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST(FileTest, IsNamedWhenItCannotBeOpened) {
  Command command({"true"});
  command.out = Stdio::File("/no/such/dir/file", FileMode::kTruncate);

  const auto process = Process::Spawn(command);

  EXPECT_THAT(process, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(std::string(process.status().message()),
              HasSubstr("open /no/such/dir/file"));
  const auto failure = GetSpawnFailure(process.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->stage, SpawnStage::kOpen);
  EXPECT_EQ(failure->error_number, ENOENT);
}

// As in a host with a handler for SIGWINCH without SA_RESTART.
class OsWithSignals : public internal::Os {
 public:
  int Open(const char* path, int flags, mode_t mode) override {
    if (++calls_ % 3 == 0) return Os::Open(path, flags, mode);
    errno = EINTR;
    return -1;
  }

 private:
  int calls_ = 0;
};

TEST(FileTest, IsOpenedAlsoWhenSignalsCome) {
  TemporaryDirectory directory;
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd other_end(open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(write(other_end.get(), "line\n", 5), 5);
  Command command({"head", "-n1"});
  command.in = Stdio::File(fifo, FileMode::kRead);
  OsWithSignals os;
  const internal::ScopedOs scoped(&os);

  EXPECT_EQ(OutputOf(command), "line\n");
}

TEST(FileTest, IsNotWaitedForBeyondATimeout) {
  TemporaryDirectory directory;
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Command command({"cat"});
  command.in = Stdio::File(fifo, FileMode::kRead);

  const absl::Status status =
      WithTimeout(kShort, [&] { return Process::Spawn(command).status(); });

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDeadlineExceeded));
  const auto failure = GetSpawnFailure(status);
  ASSERT_TRUE(failure.has_value()) << status;
  EXPECT_EQ(failure->stage, SpawnStage::kOpen);
}

TEST(FileTest, IsNotMadeForACommandThatMakesNoSense) {
  TemporaryDirectory directory;
  Command command({"true"});
  command.out = Stdio::File(directory.path() + "/file", FileMode::kTruncate);
  command.nice = 99;

  EXPECT_THAT(Process::Spawn(command),
              HasCode(absl::StatusCode::kInvalidArgument));

  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

// RED-08
TEST(ClosedTest, LeavesTheChildWithoutTheStream) {
  Command command = Command::Shell(
      "for fd in 0 1 2; do test -e /proc/$$/fd/$fd; printf $? >&3; done");
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  command.in = command.out = command.err = Stdio::Closed();
  command.pass_fds[3] = write_end.get();

  auto process = MustSpawn(command);
  ExpectEnd(*process);

  char text[8] = {};
  EXPECT_EQ(read(read_end.get(), text, sizeof(text) - 1), 3);
  EXPECT_STREQ(text, "111");
  EXPECT_TRUE(process->out().AtEof());
  EXPECT_THAT(process->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Stdio::Closed().ToString(), "closed");
}

TEST(ClosedTest, ClosesStderrWhereThatGoesToStdout) {
  Command command = Command::Shell("test -e /proc/$$/fd/2");
  command.out = Stdio::Closed();
  command.err = Stdio::ToStdout();

  EXPECT_THAT(MustSpawn(command)->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(1)));
}

const char kAlternating[] =
    "for i in 1 2 3; do echo out $i; echo err $i >&2; done";

TEST(FileTest, IsOneDescriptionForStdoutAndStderr) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/log";
  // The library detects the second name of the file only when the file is open.
  for (const std::string& second : {path, directory.path() + "/./log"}) {
    for (const FileMode mode : {FileMode::kTruncate, FileMode::kAppend}) {
      directory.Write("log", "");
      Command command = Command::Shell(kAlternating);
      command.out = Stdio::File(path, mode);
      command.err = Stdio::File(second, mode);

      ExpectEnd(*MustSpawn(command));

      EXPECT_EQ(directory.Read("log"),
                "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")
          << second;
    }
  }
}

TEST(FileTest, IsRefusedInTwoModesForStdoutAndStderr) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/log";
  for (const std::string& second : {path, directory.path() + "/./log"}) {
    Command command = Command::Shell(kAlternating);
    command.out = Stdio::File(path, FileMode::kTruncate);
    command.err = Stdio::File(second, FileMode::kAppend);

    const absl::Status status = Process::Spawn(command).status();

    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(status.message(), HasSubstr("log in two modes")) << second;
  }
}

TEST(FileTest, MayBeADeviceInTwoModes) {
  Command command = Command::Shell(kAlternating);
  command.out = Stdio::File("/dev/null", FileMode::kTruncate);
  command.err = Stdio::File("/dev/./null", FileMode::kAppend);

  ExpectEnd(*MustSpawn(command));
}

}  // namespace
}  // namespace asyncproc

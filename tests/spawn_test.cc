// Failed starts: their errors, and that no trace of them remains.

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::UniqueFd;
using testing::AllOf;
using testing::HasSubstr;

// Expects that the start fails at `stage`, with a message that contains
// `parts`.
void ExpectFailure(const Command& command, SpawnStage stage, int error_number,
                   const std::vector<std::string>& parts = {}) {
  const auto process = Process::Spawn(command);

  ASSERT_FALSE(process.ok()) << command.DebugString();
  EXPECT_EQ(process.status().code(), absl::ErrnoToStatusCode(error_number));
  const auto failure = GetSpawnFailure(process.status());
  ASSERT_TRUE(failure.has_value()) << process.status();
  EXPECT_EQ(failure->stage, stage) << process.status();
  EXPECT_EQ(failure->error_number, error_number) << process.status();
  for (const std::string& part : parts) {
    EXPECT_THAT(std::string(process.status().message()), HasSubstr(part));
  }
}

Command InPath(const std::string& path, const std::string& name = "tool") {
  Command command({name});
  command.env.Set("PATH", path);
  return command;
}

// Counts the clone calls.
class CountingOs : public internal::Os {
 public:
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    ++clones;
    return Os::Clone(entry, stack_top, flags, arg, pidfd);
  }

  int clones = 0;
};

// SPN-01 SPN-15
TEST(SpawnTest, NamesAProgramThatDoesNotExist) {
  ExpectFailure(Command({"/no/such/file", "a"}), SpawnStage::kExec, ENOENT,
                {"/no/such/file", "exec"});
}

TEST(SpawnTest, NamesThePathThatWasSearched) {
  ExpectFailure(InPath("/nowhere:/neverwhere"), SpawnStage::kExec, ENOENT,
                {"tool", "PATH=/nowhere:/neverwhere"});
}

TEST(SpawnTest, NamesTheFirstDirectoriesOfALongPathAndTheirNumber) {
  ExpectFailure(InPath("/1:/2:/3:/4:/5:/6:/7:/8"), SpawnStage::kExec, ENOENT,
                {"PATH=/1:/2:/3:/4:/5:/6:... (8 directories): No such"});
}

TEST(SpawnTest, ShowsNoControlCharacterAndNoMoreThanTheBeginningOfALongPath) {
  const auto process = Process::Spawn(
      InPath("/\x1b[31m:/" + std::string(100000, 'x'), "to\nol"));

  ASSERT_FALSE(process.ok());
  const std::string message(process.status().message());
  EXPECT_THAT(message, AllOf(HasSubstr("PATH=/\\x1b[31m:/xxx"),
                             HasSubstr("$'to\\012ol'"), HasSubstr("xxx...")));
  EXPECT_LT(message.size(), 2000u);
}

// SPN-02
TEST(SpawnTest, DistinguishesAFileThatIsNotExecutableFromAMissingOne) {
  ExpectFailure(Command({"/etc/passwd"}), SpawnStage::kExec, EACCES,
                {"/etc/passwd"});
}

// SPN-03
TEST(SpawnTest, ReportsWhenThePathIsNoPath) {
  ExpectFailure(Command({"/etc/passwd/not/a/file"}), SpawnStage::kExec, ENOTDIR,
                {"/etc/passwd/not/a/file"});
}

// SPN-03
TEST(SpawnTest, DoesNotRunADirectory) {
  ExpectFailure(Command({"/tmp"}), SpawnStage::kExec, EACCES, {"/tmp"});
}

// SPN-04
TEST(SpawnTest, NeverFallsBackToAShell) {
  TemporaryDirectory directory;
  directory.Write("empty", "", 0755);
  directory.Write("tool", "echo hi\n", 0755);

  for (const char* name : {"tool", "empty"}) {
    ExpectFailure(Command({directory.path() + "/" + name}), SpawnStage::kExec,
                  ENOEXEC);
    Command relative({absl::StrCat("./", name)});
    relative.working_directory = directory.path();
    ExpectFailure(relative, SpawnStage::kExec, ENOEXEC);
    ExpectFailure(InPath(directory.path(), name), SpawnStage::kExec, ENOEXEC,
                  {"found as " + directory.path() + "/" + name});
  }
}

// SPN-05
TEST(SpawnTest, ReportsThatItIsTheInterpreterThatIsMissing) {
  TemporaryDirectory directory;
  const std::string script =
      directory.Write("tool", "#!/no/such/interp -x\n", 0755);

  ExpectFailure(Command({script}), SpawnStage::kExec, ENOENT,
                {script + " is there", "/no/such/interp -x"});
  ExpectFailure(InPath("/nowhere:" + directory.path()), SpawnStage::kExec,
                ENOENT, {script + " is there", "/no/such/interp -x"});
  Command relative({"./tool"});
  relative.working_directory = directory.path();
  ExpectFailure(relative, SpawnStage::kExec, ENOENT,
                {"./tool is there", "/no/such/interp -x"});
}

// SPN-05
TEST(SpawnTest, MakesACarriageReturnVisible) {
  TemporaryDirectory directory;
  const std::string script =
      directory.Write("tool", "#!/bin/sh\r\necho hi\n", 0755);

  ExpectFailure(Command({script}), SpawnStage::kExec, ENOENT,
                {script + " is there", "\"/bin/sh\\r\""});
}

// SPN-09: the main of all tests checks that no trace remains.
TEST(SpawnTest, LeavesNothingOfAThousandFailures) {
  for (int i = 0; i < 1024; ++i) {
    ASSERT_THAT(Process::Spawn(Command({"/no/such/file"})),
                HasCode(absl::StatusCode::kNotFound));
  }
}

// SPN-10
TEST(SpawnTest, ClosesNoDescriptorTwice) {
  absl::Notification opened;
  int not_open = 0;
  std::thread other([&] {
    std::vector<int> fds;
    for (int i = 0; i < 20; ++i) {
      int pipe[2];
      if (pipe2(pipe, O_CLOEXEC) == 0)
        fds.insert(fds.end(), {pipe[0], pipe[1]});
      absl::SleepFor(absl::Milliseconds(1));
    }
    opened.Notify();
    for (int fd : fds) not_open += close(fd) != 0;
  });

  while (!opened.HasBeenNotified()) {
    EXPECT_FALSE(Process::Spawn(Command({"/no/such/file"})).ok());
  }
  other.join();

  EXPECT_EQ(not_open, 0);
}

// SPN-11
TEST(SpawnTest, LeavesTheCallersDescriptorsOpen) {
  const UniqueFd fds[] = {UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)),
                          UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)),
                          UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)),
                          UniqueFd(open("/dev/null", O_RDWR))};
  Command command({"/no/such/file"});
  command.in = Stdio::Fd(fds[0].get());
  command.out = Stdio::Fd(fds[1].get());
  command.err = Stdio::Fd(fds[2].get());
  command.pass_fds[9] = fds[3].get();

  ExpectFailure(command, SpawnStage::kExec, ENOENT);

  for (int i : {0, 1, 2}) {
    EXPECT_EQ(fcntl(fds[i].get(), F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(fcntl(fds[3].get(), F_GETFD), 0);
}

// SPN-12
TEST(SpawnTest, LeavesNoZombieOfAFailure) {
  ExpectFailure(Command({"/no/such/file"}), SpawnStage::kExec, ENOENT);

  siginfo_t info;
  EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
}

// SPN-13
TEST(SpawnTest, TakesNothingThatTheChildSaysForAnError) {
  const std::string seen = InForkedHost([]() -> std::string {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    Command command = Command::Shell(
        "echo AssertionError:0:CLOEXEC failure. >&2;"
        "test ! -e /proc/$$/fd/0 && test ! -e /proc/$$/fd/1");
    command.in = Stdio::Inherit();
    command.out = Stdio::Inherit();
    auto process = Process::Spawn(command);
    if (!process.ok()) return process.status().ToString();
    const auto status = (*process)->WaitFor(kNeverReached);
    if (!status.ok()) return status.status().ToString();
    return absl::StrCat(status->ToString(), ": ", (*process)->ReadErr());
  });

  EXPECT_EQ(seen, "exited with status 0: AssertionError:0:CLOEXEC failure.\n");
}

// SPN-14: a spawn that waited for another thread's cat would never return.
TEST(SpawnTest, IsNotHeldUpByAnotherThreadsChild) {
  constexpr int kThreads = 6;
  const int rounds = 50 / kSlowness;

  for (int round = 0; round < rounds; ++round) {
    auto* const start = new absl::Barrier(kThreads);
    std::vector<std::unique_ptr<Process>> hanging(kThreads);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        if (start->Block()) delete start;
        auto process = MustSpawn(Command({i % 2 == 0 ? "cat" : "true"}));
        if (i % 2 == 0) {
          hanging[i] = std::move(process);
        } else {
          EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// SPN-18
TEST(SpawnTest, ReportsTheFailureOfAChildThatWasToBeLeftAlone) {
  Command command({"/no/such/file"});
  command.on_destroy = OnDestroy::Detach();

  ExpectFailure(command, SpawnStage::kExec, ENOENT);
}

// SPN-18
TEST(SpawnTest, LeavesADetachedChildRunning) {
  const absl::Time start = absl::Now();
  const std::string seen = InForkedHost([] {
    Command command({"sleep", "1000"});
    command.on_destroy = OnDestroy::Detach();
    auto process = MustSpawn(command);
    const pid_t pid = process->pid();
    process = nullptr;
    return std::to_string(pid);
  });
  const pid_t pid = std::stoi(seen);

  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
  EXPECT_TRUE(ProcessLives(pid));
  kill(pid, SIGKILL);
}

// SPN-19
TEST(SpawnTest, KeepsAGoodChildApartFromAHundredFailures) {
  auto good = MustSpawn(Command({"sh", "-c", "exit 1"}));
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(Process::Spawn(Command({"/no/such/file"})).ok());
  }

  EXPECT_THAT(good->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(1)));
}

// ARG-03 ARG-04 RED-14 SEC-04
TEST(SpawnTest, StartsNothingThatMakesNoSense) {
  CountingOs os;
  const internal::ScopedOs scoped(&os);
  Command group({"true"});
  group.group = -1;

  EXPECT_THAT(Process::Spawn(Command()),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Process::Spawn(Command({std::string("true\0", 5)})),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Process::Spawn(group),
              HasCode(absl::StatusCode::kInvalidArgument));

  EXPECT_EQ(os.clones, 0);
}

TEST(SpawnTest, CanBeToldTheSameCommandAgain) {
  Command command({"echo", "one"});
  const Command copy = command;
  command.argv[1] = "two";

  EXPECT_EQ(OutputOf(command), "two\n");
  EXPECT_EQ(OutputOf(copy), "one\n");
  EXPECT_EQ(OutputOf(copy), "one\n");
}

// A program that is open for writing, as a new program may be in another
// thread's child.
class BusyProgramTest : public testing::Test {
 protected:
  // Closes the program before the third attempt.
  class ThirdTimeOs : public CountingOs {
   public:
    explicit ThirdTimeOs(UniqueFd* writer) : writer_(writer) {}
    pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
                int* pidfd) override {
      if (clones == 2) writer_->Reset();
      return CountingOs::Clone(entry, stack_top, flags, arg, pidfd);
    }

   private:
    UniqueFd* const writer_;
  };

  BusyProgramTest() {
    std::filesystem::copy_file("/bin/echo", program_);
    writer_ = UniqueFd(open(program_.c_str(), O_WRONLY | O_CLOEXEC));
  }

  TemporaryDirectory directory_;
  const std::string program_ = directory_.path() + "/tool";
  UniqueFd writer_;
};

TEST_F(BusyProgramTest, IsTriedAgain) {
  ThirdTimeOs os(&writer_);
  const internal::ScopedOs scoped(&os);

  EXPECT_EQ(OutputOf(Command({program_, "ran"})), "ran\n");

  EXPECT_EQ(os.clones, 3);
}

TEST_F(BusyProgramTest, IsNotPassedOverForAnotherOfItsName) {
  TemporaryDirectory later;
  later.Write("tool", "#!/bin/sh\necho the other\n", 0755);
  ThirdTimeOs os(&writer_);
  const internal::ScopedOs scoped(&os);
  Command command = InPath(absl::StrCat(directory_.path(), ":", later.path()));
  command.argv.push_back("ran");

  EXPECT_EQ(OutputOf(command), "ran\n");
}

TEST_F(BusyProgramTest, IsReportedWhenItStaysBusy) {
  CountingOs os;
  const internal::ScopedOs scoped(&os);

  ExpectFailure(Command({program_}), SpawnStage::kExec, ETXTBSY, {program_});

  EXPECT_GT(os.clones, 3);
}

}  // namespace
}  // namespace asyncproc

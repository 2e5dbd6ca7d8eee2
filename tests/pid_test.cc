// Whose child a process is, and that no trace of it remains.

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;

void ExpectNoChild() {
  siginfo_t info = {};
  EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
}

// PID-01
TEST(PidTest, NoZombieIsLeft) {
  auto waited_for = MustSpawn(Command({"true"}));
  EXPECT_THAT(waited_for->WaitFor(kNeverReached), IsOk());
  ExpectNoChild();

  MustSpawn(Command({"true"})) = nullptr;
  ExpectNoChild();

  EXPECT_THAT(Process::Spawn(Command({"/no/such/file"})),
              HasCode(absl::StatusCode::kNotFound));
  ExpectNoChild();

  auto terminated = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(terminated->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(terminated->Terminate(kShort), IsOk());
  ExpectNoChild();
}

// PID-01: the host does not have to ask for the status.
TEST(PidTest, AChildIsReapedInTheBackground) {
  auto process = MustSpawn(Command({"true"}));

  while (internal::ReadProcessStat(process->pid()).has_value()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

// PID-03
TEST(PidTest, TheHostsOwnChildrenAreLeftToIt) {
  const pid_t own = fork();
  if (own == 0) _exit(42);
  for (int i = 0; i < 20; ++i) {
    auto process = MustSpawn(Command({i % 2 == 0 ? "true" : "cat"}));
    EXPECT_THAT(process->Terminate(kNeverReached), IsOk());
    auto destroyed = MustSpawn(Command({"cat"}));
  }

  int status = 0;
  ASSERT_EQ(waitpid(own, &status, 0), own);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

// PID-04
TEST(PidTest, TheChildIsADirectChild) {
  EXPECT_EQ(OutputOf(Command::Shell("echo $PPID")),
            absl::StrCat(getpid(), "\n"));
  Command dies_with_us = Command::Shell("echo $PPID");
  dies_with_us.die_with_parent = true;
  EXPECT_EQ(OutputOf(dies_with_us), absl::StrCat(getpid(), "\n"));
}

TEST(PidTest, IsTheNumberOfTheProgramThatRuns) {
  auto process = MustSpawn(Command::Shell("echo $$"));

  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              IsOkAndHolds(absl::StrCat(process->pid())));
}

// PID-05
TEST(PidTest, BelongsToNoProcessAfterWait) {
  auto process = MustSpawn(Command({"true"}));
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());

  EXPECT_EQ(kill(process->pid(), 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

size_t ResidentBytes() {
  size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// PID-06: the main of all tests checks descriptors, threads and zombies after
// each test case.
TEST(PidTest, ThousandsLeaveNoTrace) {
  const auto run = [](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      auto process = MustSpawn(Command({i % 2 == 0 ? "true" : "cat"}));
      EXPECT_THAT(process->CloseStdin(), IsOk());
      EXPECT_THAT(process->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(0)));
    }
  };
  run(100);
  const size_t before = ResidentBytes();

  run(2000 / kSlowness);

  // Sanitizers keep freed memory.
  if (kSlowness == 1) {
    EXPECT_LT(ResidentBytes(), before + (5 << 20));
  }
}

// PID-07
TEST(PidTest, ADetachedChildOutlivesItsProcess) {
  TemporaryDirectory directory;
  Command command =
      Command::Shell("echo $$; read line; echo much output; echo done > file");
  command.working_directory = directory.path();
  command.on_destroy = OnDestroy::Detach();
  auto process = MustSpawn(command);
  AwaitLine(*process, absl::StrCat(process->pid()));
  const pid_t pid = process->pid();
  const absl::Time start = MonotonicNow();

  process = nullptr;  // The destructor also closes the child's stdin.

  EXPECT_LT(MonotonicNow() - start, absl::Seconds(5) * kSlowness);
  while (internal::ReadProcessStat(pid).has_value()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  ExpectNoChild();
  EXPECT_EQ(directory.Read("file"), "done\n");
  AwaitNoLibraryThread();
}

// PID-08
TEST(PidTest, AdoptedGrandchildrenAreLeftToTheHost) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    auto process =
        MustSpawn(Command::Shell("sh -c 'sleep .3; exit 7' & echo $!"));
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    auto pid = process->out().ReadLine(kNeverReached);
    ASSERT_THAT(pid, IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached),
                HasCode(absl::StatusCode::kOutOfRange));
    process = nullptr;

    int status = 0;
    ASSERT_EQ(waitpid(std::stoi(*pid), &status, 0), std::stoi(*pid));
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
  });
}

}  // namespace
}  // namespace asyncproc

// The ways to create a child when the kernel, an emulator or a filter refuses
// the fastest way: all have the same result.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/child_exec.h"
#include "asyncproc/internal/spawn/spawn.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::UniqueFd;
using testing::HasSubstr;

constexpr int kSharing = CLONE_VM | CLONE_VFORK;

// The result of a clone with `flags`: a negated errno, or the flags that the
// system uses instead.
using Translation = std::function<int(int flags)>;

struct System {
  std::string name;
  Translation translate;
};

std::ostream& operator<<(std::ostream& out, const System& system) {
  return out << system.name;
}

class OsOfSystem : public internal::Os {
 public:
  explicit OsOfSystem(Translation translate)
      : translate_(std::move(translate)) {}

  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    const int translated = translate_(flags);
    if (translated < 0) {
      errno = -translated;
      return -1;
    }
    last_ = translated;
    static_cast<internal::ChildPlan*>(arg)->have_close_range =
        have_close_range_;
    return Os::Clone(entry, stack_top, translated, arg, pidfd);
  }

  void TakeCloseRange() { have_close_range_ = false; }
  // Whether the last child shared the host's memory.
  bool was_shared() const { return (last_ & CLONE_VM) != 0; }

 private:
  const Translation translate_;
  bool have_close_range_ = true;
  std::atomic<int> last_{0};
};

class CloneTest : public testing::TestWithParam<System> {
 protected:
  OsOfSystem os_{GetParam().translate};
  internal::ScopedOs scoped_{&os_};
};

INSTANTIATE_TEST_SUITE_P(
    , CloneTest,
    testing::Values(System{"Linux", [](int flags) { return flags; }},
                    // Takes the flags of vfork, and only SIGCHLD as the exit
                    // signal.
                    System{"TakesVfork",
                           [](int flags) {
                             return (flags & CSIGNAL) == SIGCHLD ? flags
                                                                 : -EINVAL;
                           }},
                    System{"TakesVforkWithoutPidfd",
                           [](int flags) {
                             const bool is_vfork = (flags & CSIGNAL) == SIGCHLD;
                             return is_vfork && (flags & CLONE_PIDFD) == 0
                                        ? flags
                                        : -EINVAL;
                           }},
                    // A filter that refuses shared memory.
                    System{"TakesFork",
                           [](int flags) {
                             return (flags & kSharing) == 0 ? flags : -EPERM;
                           }},
                    System{"TakesForkWithoutPidfd",
                           [](int flags) {
                             return (flags & (kSharing | CLONE_PIDFD)) == 0
                                        ? flags
                                        : -ENOSYS;
                           }},
                    // As in qemu-user, where a vfork is a fork.
                    System{"MakesForkOfVfork",
                           [](int flags) {
                             const bool is_known =
                                 (flags & CSIGNAL) == SIGCHLD &&
                                 (flags & (CLONE_PIDFD | CLONE_FILES)) == 0;
                             return is_known ? flags & ~kSharing : -EINVAL;
                           }}),
    [](const auto& info) { return info.param.name; });

void ExpectFailure(const Command& command, SpawnStage stage, int error_number,
                   absl::string_view part) {
  const auto process = Process::Spawn(command);

  ASSERT_FALSE(process.ok());
  const auto failure = GetSpawnFailure(process.status());
  ASSERT_TRUE(failure.has_value()) << process.status();
  EXPECT_EQ(failure->stage, stage) << process.status();
  EXPECT_EQ(failure->error_number, error_number) << process.status();
  EXPECT_THAT(process.status().message(), HasSubstr(part));
}

TEST_P(CloneTest, RunsAProgram) {
  auto process = MustSpawn(Command::Shell("cat; exit 3"));
  EXPECT_THAT(process->Write("text"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(process->Read(), "text");
  auto terminated = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(terminated->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
}

TEST_P(CloneTest, IsAsFastAsTheSystemLetsIt) {
  MustSpawn(Command({"true"})) = nullptr;

  const std::string& name = GetParam().name;
  EXPECT_EQ(os_.was_shared(), name == "Linux" || name.find("TakesVfork") == 0);
}

// SPN-01 SPN-12: the main of all tests checks that no child remains.
TEST_P(CloneTest, ReportsWhereTheChildFailed) {
  ExpectFailure(Command({"/no/such/file"}), SpawnStage::kExec, ENOENT,
                "/no/such/file");
  ExpectFailure(Command({"/etc/passwd"}), SpawnStage::kExec, EACCES,
                "/etc/passwd");
  Command nowhere({"true"});
  nowhere.working_directory = "/no/such/directory";
  ExpectFailure(nowhere, SpawnStage::kDirectory, ENOENT, "/no/such/directory");
  TemporaryDirectory directory;
  directory.Write("tool", "no program", 0755);
  Command found({"tool"});
  found.env.Set("PATH", absl::StrCat("/nowhere:", directory.path()));
  ExpectFailure(found, SpawnStage::kExec, ENOEXEC,
                absl::StrCat("found as ", directory.path(), "/tool"));
}

TEST_P(CloneTest, LeavesNoDescriptorToTheChild) {
  const Command list = Command::Shell("ls /proc/self/fd");

  EXPECT_EQ(OutputOf(list), "0\n1\n2\n3\n");
  os_.TakeCloseRange();
  EXPECT_EQ(OutputOf(list), "0\n1\n2\n3\n");
}

// The descriptor for the report has the number of one of the targets.
TEST_P(CloneTest, MovesDescriptorsToAnyNumber) {
  auto pipe = internal::MakePipe();
  ASSERT_THAT(pipe, IsOk());
  Command command = Command::Shell("echo x >&9");
  Command failing({"/no/such/file"});
  for (int number = 3; number < 40; ++number) {
    command.pass_fds[number] = pipe->write_end.get();
    failing.pass_fds[number] = pipe->write_end.get();
  }

  EXPECT_EQ(OutputOf(command), "");
  ExpectFailure(failing, SpawnStage::kExec, ENOENT, "/no/such/file");

  char buffer[8];
  EXPECT_EQ(read(pipe->read_end.get(), buffer, sizeof(buffer)), 2);
}

TEST_P(CloneTest, KeepsDescriptorsOnRequest) {
  const UniqueFd kept(fcntl(STDERR_FILENO, F_DUPFD, 50));
  internal::SpawnRequest request;
  request.argv = {"sh", "-c",
                  absl::StrCat("test -e /proc/self/fd/", kept.get())};
  request.candidates = {"/bin/sh"};
  request.close_others = false;
  request.moves = {{0, 0}, {1, 1}, {2, 2}};

  const internal::SpawnResult result = internal::Spawn(request);

  ASSERT_GT(result.pid, 0);
  int status = 0;
  EXPECT_EQ(waitpid(result.pid, &status, 0), result.pid);
  EXPECT_EQ(status, 0);
}

TEST_P(CloneTest, TriesABusyProgramAgain) {
  TemporaryDirectory directory;
  const std::string program = directory.path() + "/tool";
  std::filesystem::copy_file("/bin/echo", program);
  UniqueFd writer(open(program.c_str(), O_WRONLY | O_CLOEXEC));
  ExpectFailure(Command({program}), SpawnStage::kExec, ETXTBSY, program);
  writer.Reset();

  EXPECT_EQ(OutputOf(Command({program, "ran"})), "ran\n");
}

TEST_P(CloneTest, DiesWithItsParent) {
  Command command({"sleep", "1000"});
  command.die_with_parent = true;
  command.process_group = ProcessGroup::New();

  auto process = MustSpawn(command);

  EXPECT_EQ(getpgid(process->pid()), process->pid());
}

TEST_P(CloneTest, WorksOnManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 10; ++round) {
        EXPECT_EQ(OutputOf(Command({"echo", "x"})), "x\n");
        EXPECT_THAT(Process::Spawn(Command({"/no/such/file"})),
                    HasCode(absl::StatusCode::kNotFound));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// As an emulator that accepts the flags but copies the host's memory.
int ForkOfAnything(int flags) { return flags & ~(kSharing | CLONE_FILES); }

TEST(SilentForkTest, ReportsWhereTheChildFailed) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    OsOfSystem os(ForkOfAnything);
    internal::ScopedOs scoped(&os);
    for (int round = 0; round < 2; ++round) {
      ExpectFailure(Command({"/no/such/file"}), SpawnStage::kExec, ENOENT,
                    "/no/such/file");
      Command nowhere({"true"});
      nowhere.working_directory = "/no/such/directory";
      ExpectFailure(nowhere, SpawnStage::kDirectory, ENOENT,
                    "/no/such/directory");
      EXPECT_EQ(OutputOf(Command({"echo", "x"})), "x\n");
    }
    EXPECT_FALSE(os.was_shared());
  });
}

TEST(SilentForkTest, LeavesNoDescriptorToTheChild) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    OsOfSystem os(ForkOfAnything);
    internal::ScopedOs scoped(&os);
    EXPECT_EQ(OutputOf(Command::Shell("ls /proc/self/fd")), "0\n1\n2\n3\n");
  });
}

// Only the first start creates a pipe for the report.
TEST(SilentForkTest, IsLookedForByTheFirstStartAlone) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    class PipeCounter : public internal::Os {
     public:
      int Pipe2(int fds[2], int flags) override {
        ++pipes;
        return Os::Pipe2(fds, flags);
      }
      std::atomic<int> pipes{0};
    } os;
    internal::ScopedOs scoped(&os);

    EXPECT_EQ(OutputOf(Command({"echo", "x"})), "x\n");
    const int of_first = os.pipes.exchange(0);
    EXPECT_EQ(OutputOf(Command({"echo", "x"})), "x\n");

    EXPECT_EQ(of_first, os.pipes + 1);
  });
}

TEST(CloneErrorTest, IsNoReasonToTryAnotherWayForWantOfProcesses) {
  int calls = 0;
  OsOfSystem os([&calls](int) {
    ++calls;
    return -EAGAIN;
  });
  internal::ScopedOs scoped(&os);

  ExpectFailure(Command({"true"}), SpawnStage::kClone, EAGAIN, "clone");

  EXPECT_EQ(calls, 1);
}

TEST(CloneErrorTest, IsTheLastOneWhereEveryWayIsRefused) {
  OsOfSystem os([](int) { return -EPERM; });
  internal::ScopedOs scoped(&os);

  ExpectFailure(Command({"true"}), SpawnStage::kClone, EPERM, "clone");
}

// There is no free descriptor for the pipe of the report.
TEST(CloneErrorTest, IsThatOfThePipeWhereItNeedsOne) {
  class WithoutPipe : public OsOfSystem {
   public:
    using OsOfSystem::OsOfSystem;
    int Pipe2(int[2], int) override {
      errno = EMFILE;
      return -1;
    }
  } os([](int flags) { return (flags & kSharing) == 0 ? flags : -EINVAL; });
  internal::ScopedOs scoped(&os);
  internal::SpawnRequest request;
  request.argv = {"true"};
  request.candidates = {"/bin/true"};

  const internal::SpawnResult result = internal::Spawn(request);

  EXPECT_EQ(result.pid, -1);
  EXPECT_EQ(result.failure.stage, SpawnStage::kPipe);
  EXPECT_EQ(result.failure.error_number, EMFILE);
}

TEST(CopiesTablesRightTest, KnowsTheReleasesWithTheFix) {
  for (const char* release :
       {"6.11.0", "6.18.44-x", "7.0.1", "6.10.7", "6.6.48-rt1", "6.1.107",
        "5.15.166", "5.10.225-1"}) {
    EXPECT_TRUE(internal::CopiesTablesRight(release)) << release;
  }
  for (const char* release :
       {"6.11.0-rc1", "6.10.6", "6.9.12", "6.8.0-45-generic", "6.6.47",
        "6.1.0-18-amd64", "5.15.0-122-generic", "5.10.224", "5.9.1", "4.19.321",
        "unknown", ""}) {
    EXPECT_FALSE(internal::CopiesTablesRight(release)) << release;
  }
}

}  // namespace
}  // namespace asyncproc

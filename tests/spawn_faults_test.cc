// Faults of a spawn routine that CPython's tests of subprocess, which
// tests/conformance runs, do not detect.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/spawn.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::AboveStdio;
using internal::MakePipe;
using internal::Os;
using internal::Pipe;
using internal::ScopedOs;
using internal::Spawn;
using internal::SpawnRequest;
using internal::SpawnResult;
using internal::UniqueFd;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::UnorderedElementsAreArray;

// Far above the numbers of the files that a child opens.
constexpr int kFarDescriptor = 100;

SpawnRequest Request(std::vector<std::string> argv) {
  SpawnRequest request;
  request.candidates = {argv[0]};
  request.argv = std::move(argv);
  request.environment = {"PATH=/bin:/usr/bin", "LC_ALL=C"};
  for (int fd : {0, 1, 2}) {
    if (fcntl(fd, F_GETFD) >= 0) request.moves.push_back({fd, fd});
  }
  return request;
}

void ReapSuccess(pid_t pid) {
  ASSERT_GT(pid, 0);
  siginfo_t info = {};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED), 0);
  EXPECT_EQ(info.si_code, CLD_EXITED);
  EXPECT_EQ(info.si_status, 0);
}

std::string ReadAll(const UniqueFd& fd) {
  std::string all;
  char buffer[4096];
  for (;;) {
    const ssize_t size = read(fd.get(), buffer, sizeof(buffer));
    if (size <= 0) return all;
    all.append(buffer, static_cast<size_t>(size));
  }
}

UniqueFd Far(const UniqueFd& fd, int flag) {
  return UniqueFd(fcntl(fd.get(), flag, kFarDescriptor));
}

// The child's output on stdout. `flag`: F_DUPFD for a pipe that stays open on
// exec, F_DUPFD_CLOEXEC for a pipe that exec closes.
std::string OutputOf(SpawnRequest request, int flag = F_DUPFD_CLOEXEC) {
  absl::StatusOr<Pipe> pipe = MakePipe();
  EXPECT_THAT(pipe, IsOk());
  UniqueFd write_end = Far(pipe->write_end, flag);
  pipe->write_end.Reset();
  for (internal::DescriptorMove& move : request.moves) {
    if (move.to == STDOUT_FILENO) move.from = write_end.get();
  }

  const SpawnResult result = Spawn(request);
  EXPECT_EQ(result.failure.error_number, 0) << result.failure.stage;
  if (result.pid < 0) return "";

  write_end.Reset();
  std::string output = ReadAll(pipe->read_end);
  ReapSuccess(result.pid);
  return output;
}

// The open descriptors and their flags.
std::map<int, int> OpenDescriptors() {
  std::map<int, int> open;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc/self/fd"),
                                                closedir);
  while (const dirent* const entry = readdir(dir.get())) {
    int fd;
    if (!absl::SimpleAtoi(entry->d_name, &fd) || fd == dirfd(dir.get())) {
      continue;
    }
    open[fd] = fcntl(fd, F_GETFD);
  }
  return open;
}

// ---- PATH search reports the last errno.

// SPN-02
TEST(SpawnTest, ReportsTheFirstCandidateThatIsThereButCannotBeRun) {
  TemporaryDirectory directory;
  const std::string missing = directory.path() + "/missing";
  const std::string not_executable = directory.Write("data", "text", 0644);
  const std::string no_program = directory.Write("text", "text", 0755);
  SpawnRequest request = Request({"program"});
  request.candidates = {missing, no_program + "/below", not_executable,
                        no_program, missing};

  const SpawnResult result = Spawn(request);

  EXPECT_EQ(result.pid, -1);
  EXPECT_EQ(result.failure.stage, SpawnStage::kExec);
  EXPECT_EQ(result.failure.error_number, EACCES);
}

TEST(ProcessTest,
     ReportsThatAProgramInPathIsNotExecutableThoughLaterOnesAreNot) {
  TemporaryDirectory directory;
  directory.Write("data", "text", 0644);
  Command command({"data"});
  command.env.Set("PATH", directory.path() + ":/no/such/directory");

  EXPECT_THAT(Process::Spawn(command),
              HasCode(absl::StatusCode::kPermissionDenied));
}

// ---- argv[0] replaced by the executable's path.

TEST(SpawnTest, LeavesTheNameThatTheProgramSeesAsItIs) {
  SpawnRequest request = Request({"some name", "/proc/self/cmdline"});
  request.candidates = {"/no/such/cat", "/bin/cat"};

  EXPECT_EQ(OutputOf(std::move(request)),
            std::string("some name\0/proc/self/cmdline\0", 29));
}

TEST(ProcessTest, LeavesTheNameThatTheProgramSeesAsItIs) {
  Command command({"some name", "/proc/self/cmdline"});
  command.executable = "cat";

  EXPECT_EQ(OutputOf(std::move(command)),
            std::string("some name\0/proc/self/cmdline\0", 29));
}

// ---- A child that failed to exec is not reaped.

bool HasChild() {
  siginfo_t info = {};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

// SPN-12
TEST(SpawnTest, HasReapedAChildThatFailed) {
  SpawnRequest not_there = Request({"/no/such/file"});
  SpawnRequest nowhere = Request({"/bin/true"});
  nowhere.working_directory = "/no/such/directory";

  EXPECT_EQ(Spawn(not_there).failure.stage, SpawnStage::kExec);
  EXPECT_FALSE(HasChild());

  EXPECT_EQ(Spawn(nowhere).failure.stage, SpawnStage::kDirectory);
  EXPECT_FALSE(HasChild());
}

// ---- The user id set before the group id.

TEST(SpawnTest, GivesUpTheGroupsBeforeTheUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may change its identity";
  SpawnRequest request = Request({"/bin/cat", "/proc/self/status"});
  request.uid = 1234;
  request.gid = 2345;
  request.groups = {3456, 4567};

  const std::vector<std::string> status =
      absl::StrSplit(OutputOf(std::move(request)), '\n');

  // The real, effective, saved and file system ids.
  EXPECT_THAT(status, IsSupersetOf({"Uid:\t1234\t1234\t1234\t1234",
                                    "Gid:\t2345\t2345\t2345\t2345",
                                    "Groups:\t3456 4567 "}));
}

// ---- Every child made the leader of a session.

struct Membership {
  pid_t pid;
  pid_t group;
  pid_t session;
};

Membership MembershipOf(SpawnRequest request) {
  const std::vector<std::string> fields =
      absl::StrSplit(OutputOf(std::move(request)), ' ');
  Membership membership = {};
  EXPECT_GT(fields.size(), 6);
  if (fields.size() <= 6) return membership;
  EXPECT_TRUE(absl::SimpleAtoi(fields[0], &membership.pid));
  EXPECT_TRUE(absl::SimpleAtoi(fields[4], &membership.group));
  EXPECT_TRUE(absl::SimpleAtoi(fields[5], &membership.session));
  return membership;
}

TEST(SpawnTest, LeavesAChildInTheSessionAndGroupOfTheHost) {
  const Membership child =
      MembershipOf(Request({"/bin/cat", "/proc/self/stat"}));

  EXPECT_EQ(child.group, getpgrp());
  EXPECT_EQ(child.session, getsid(0));
}

TEST(SpawnTest, MakesAGroupWithoutASession) {
  SpawnRequest request = Request({"/bin/cat", "/proc/self/stat"});
  request.process_group = 0;

  const Membership child = MembershipOf(std::move(request));

  EXPECT_EQ(child.group, child.pid);
  EXPECT_EQ(child.session, getsid(0));
}

// ---- The descriptors that were moved left open at their old numbers.

std::vector<std::string> DescriptorsOf(SpawnRequest request, int flag) {
  return absl::StrSplit(OutputOf(std::move(request), flag), '\n',
                        absl::SkipEmpty());
}

// `ls` opens the folder at the lowest free number.
TEST(SpawnTest, LeavesNothingAtTheOldNumbersWhenItClosesAllOthers) {
  SpawnRequest request = Request({"/bin/ls", "/proc/self/fd"});
  request.moves = {{0, 0}, {1, 1}, {2, 2}};

  EXPECT_THAT(DescriptorsOf(std::move(request), F_DUPFD),
              ElementsAre("0", "1", "2", "3"));
}

// Two descriptors that swap their numbers need temporary copies.
TEST(SpawnTest, LeavesNothingAtTheOldNumbersWhenItClosesNoOthers) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd one = Far(null, F_DUPFD_CLOEXEC);
  const UniqueFd two = Far(null, F_DUPFD_CLOEXEC);
  SpawnRequest request = Request({"/bin/ls", "/proc/self/fd"});
  request.close_others = false;
  request.moves = {
      {0, 0}, {1, 1}, {2, 2}, {one.get(), two.get()}, {two.get(), one.get()}};
  std::set<int> kept = {one.get(), two.get()};
  for (const auto& [fd, flags] : OpenDescriptors()) {
    if ((flags & FD_CLOEXEC) == 0) kept.insert(fd);
  }

  int folder = 0;
  while (kept.count(folder) > 0) ++folder;
  std::vector<std::string> expected = {absl::StrCat(folder)};
  for (int fd : kept) expected.push_back(absl::StrCat(fd));

  EXPECT_THAT(DescriptorsOf(std::move(request), F_DUPFD_CLOEXEC),
              UnorderedElementsAreArray(expected));
}

TEST(ProcessTest, GivesAChildItsStandardStreamsAndNothingElse) {
  const UniqueFd null(open("/dev/null", O_RDWR));

  EXPECT_EQ(OutputOf(Command({"ls", "/proc/self/fd"})), "0\n1\n2\n3\n");
}

// ---- Descriptors that a child, started meanwhile by others, inherits.

// At Clone, all descriptors that the start needs are open.
class WatchesClone : public Os {
 public:
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    Look();
    const pid_t pid = Os::Clone(entry, stack_top, flags, arg, pidfd);
    const int error = errno;
    Look();
    errno = error;
    ++clones_;
    return pid;
  }

  int clones() const { return clones_; }
  // The new descriptors that another thread's child would have inherited.
  const std::set<int>& inheritable() const { return inheritable_; }

 private:
  void Look() {
    for (const auto& [fd, flags] : OpenDescriptors()) {
      if ((flags & FD_CLOEXEC) == 0 && before_.count(fd) == 0) {
        inheritable_.insert(fd);
      }
    }
  }

  const std::map<int, int> before_ = OpenDescriptors();
  std::set<int> inheritable_;
  int clones_ = 0;
};

// SPN-14
TEST(SpawnTest, OpensNothingThatAnotherChildInherits) {
  WatchesClone os;
  {
    ScopedOs scoped(&os);
    ReapSuccess(Spawn(Request({"/bin/true"})).pid);
    EXPECT_EQ(Spawn(Request({"/no/such/file"})).pid, -1);
  }

  EXPECT_EQ(os.clones(), 2);
  EXPECT_THAT(os.inheritable(), IsEmpty());
}

TEST(ProcessTest, OpensNothingThatAnotherChildInherits) {
  TemporaryDirectory directory;
  WatchesClone os;
  {
    ScopedOs scoped(&os);
    Command command({"true"});
    command.err =
        Stdio::File(directory.path() + "/log", Stdio::FileMode::kTruncate);
    EXPECT_THAT(MustSpawn(command)->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  }

  EXPECT_EQ(os.clones(), 1);
  EXPECT_THAT(os.inheritable(), IsEmpty());
}

// ---- A descriptor leaked by each spawn.

// SPN-09
TEST(SpawnTest, LeavesOpenOnlyThePidfd) {
  const std::map<int, int> before = OpenDescriptors();

  SpawnResult result = Spawn(Request({"/bin/true"}));
  ReapSuccess(result.pid);
  result.pidfd.Reset();
  EXPECT_EQ(OpenDescriptors(), before);

  EXPECT_EQ(Spawn(Request({"/no/such/file"})).pid, -1);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(ProcessTest, LeavesNothingOpen) {
  const std::map<int, int> before = OpenDescriptors();

  MustSpawn(Command({"true"})) = nullptr;
  EXPECT_EQ(OpenDescriptors(), before);

  EXPECT_THAT(Process::Spawn(Command({"/no/such/file"})),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace asyncproc

// The descriptors of the child. Those of the host are left alone.

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/child_exec.h"
#include "asyncproc/internal/spawn/spawn.h"
#include "asyncproc/pipeline.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/run.h"
#include "asyncproc/spawn_error.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fake_os.h"
#include "tests/forked_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::UniqueFd;
using testing::ElementsAre;
using testing::HasSubstr;

// The descriptors of a process and their targets. REQUIRES: the process opens
// none meanwhile.
std::map<int, std::string> DescriptorsOf(pid_t pid) {
  std::map<int, std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid, "/fd"))) {
    int fd;
    std::error_code ignored;
    if (absl::SimpleAtoi(entry.path().filename().string(), &fd)) {
      open[fd] = std::filesystem::read_symlink(entry, ignored).string();
    }
  }
  return open;
}

std::string Numbers(const std::map<int, std::string>& descriptors) {
  return absl::StrJoin(descriptors, " ", [](std::string* out, const auto& at) {
    absl::StrAppend(out, at.first);
  });
}

// Writes "ready" after it has been loaded, and then opens and closes nothing.
Command Waiting() { return Command::Shell("echo ready; read x"); }

// The numbers of the child's descriptors, such as "0 1 2".
std::string NumbersOfChild(Command command) {
  auto process = MustSpawn(std::move(command));
  if (!process->out().ReadLine(kNeverReached).ok()) return "not ready";
  return Numbers(DescriptorsOf(process->pid()));
}

UniqueFd Open(const std::string& path, int flags = O_RDWR | O_CREAT) {
  UniqueFd fd(open(path.c_str(), flags, 0600));
  EXPECT_TRUE(fd.valid()) << path;
  return fd;
}

// A kernel without close_range, or a filter that refuses it.
class NoCloseRange : public internal::Os {
 public:
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    static_cast<internal::ChildPlan*>(arg)->have_close_range = false;
    return Os::Clone(entry, stack_top, flags, arg, pidfd);
  }
};

// Both ways of closing the descriptors that the child must not inherit.
class ClosingTest : public testing::TestWithParam<bool> {
 protected:
  ClosingTest() {
    if (!GetParam()) scoped_ = std::make_unique<internal::ScopedOs>(&os_);
  }

 private:
  NoCloseRange os_;
  std::unique_ptr<internal::ScopedOs> scoped_;
};

INSTANTIATE_TEST_SUITE_P(, ClosingTest, testing::Bool(), [](const auto& info) {
  return info.param ? "ByCloseRange" : "ByList";
});

// FDI-01 FDI-11 SEC-09
TEST_P(ClosingTest, LeavesTheStandardStreamsAlone) {
  TemporaryDirectory directory;
  std::vector<UniqueFd> inheritable;
  int fds[2];
  for (int i = 0; i < 3; ++i) {
    inheritable.push_back(Open(absl::StrCat(directory.path(), "/", i)));
    ASSERT_EQ(pipe(fds), 0);
    inheritable.emplace_back(fds[0]);
    inheritable.emplace_back(fds[1]);
  }
  inheritable.emplace_back(socket(AF_UNIX, SOCK_STREAM, 0));
  inheritable.emplace_back(epoll_create(1));
  inheritable.emplace_back(dup2(fds[0], 300));

  EXPECT_EQ(NumbersOfChild(Waiting()), "0 1 2");
}

// FDI-02
TEST_P(ClosingTest, ClosesDescriptorsAboveALoweredLimit) {
  const std::string seen = InForkedHost([] {
    const int fd = open("/dev/null", O_RDWR);
    for (int number = 17; number <= 42; ++number) {
      if (number != 28) dup2(fd, number);
    }
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 29;
    setrlimit(RLIMIT_NOFILE, &limit);
    return NumbersOfChild(Waiting());
  });

  EXPECT_EQ(seen, "0 1 2");
}

// FDI-02
TEST_P(ClosingTest, WorksInAHostThatCanOpenNoMore) {
  const std::string seen = InForkedHost([]() -> std::string {
    const auto pipe = *internal::MakePipe();
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit before = limit;
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (open("/dev/null", O_RDWR) >= 0) {
    }
    internal::SpawnRequest request;
    request.argv = {"sh", "-c", "echo ready; kill -STOP $$"};
    request.candidates = {"/bin/sh"};
    request.moves = {{0, 0}, {pipe.write_end.get(), 1}, {2, 2}};

    const internal::SpawnResult result = internal::Spawn(request);

    setrlimit(RLIMIT_NOFILE, &before);
    if (result.pid < 0) {
      return absl::StrCat("failed: ", SpawnStageName(result.failure.stage), " ",
                          result.failure.error_number);
    }
    char byte;
    if (read(pipe.read_end.get(), &byte, 1) != 1) return "not ready";
    const std::string numbers = Numbers(DescriptorsOf(result.pid));
    kill(result.pid, SIGKILL);
    waitpid(result.pid, nullptr, 0);
    return absl::StrCat(numbers, result.pidfd.valid() ? " pidfd" : "");
  });

  EXPECT_EQ(seen, "0 1 2");
}

// FDI-03
TEST_P(ClosingTest, TakesNoLongerWithAHugeLimit) {
  const absl::Duration bound = absl::Milliseconds(20) * kSlowness;
  const std::string seen = InForkedHost([&]() -> std::string {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit huge = {1 << 20, std::max<rlim_t>(1 << 20, limit.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &huge) < 0) {
      limit.rlim_cur = limit.rlim_max;
      setrlimit(RLIMIT_NOFILE, &limit);
    }
    const absl::Time start = absl::Now();
    for (int i = 0; i < 100; ++i) {
      auto process = Process::Spawn(Command({"true"}));
      if (!process.ok()) return process.status().ToString();
      if (!(*process)->WaitFor(kNeverReached).ok()) return "did not end";
    }
    const absl::Duration each = (absl::Now() - start) / 100;
    return each < bound ? "fast" : absl::FormatDuration(each);
  });

  EXPECT_EQ(seen, "fast");
}

// FDI-04
TEST_P(ClosingTest, KeepsPassedDescriptors) {
  TemporaryDirectory directory;
  const UniqueFd a = Open(directory.path() + "/a");
  const UniqueFd b =
      Open(directory.path() + "/b", O_RDWR | O_CREAT | O_CLOEXEC);
  const UniqueFd other = Open(directory.path() + "/other");
  Command command = Waiting();
  command.pass_fds = {{a.get(), a.get()}, {b.get(), b.get()}};

  EXPECT_EQ(NumbersOfChild(command),
            absl::StrCat("0 1 2 ", a.get(), " ", b.get()));

  EXPECT_EQ(fcntl(a.get(), F_GETFD), 0);
  EXPECT_EQ(fcntl(b.get(), F_GETFD), FD_CLOEXEC);
}

// SEC-09
TEST_P(ClosingTest, ClosesDescriptorsThatOtherThreadsOpenMeanwhile) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        const UniqueFd fd(open("/etc/passwd", O_RDONLY));
        std::this_thread::yield();
      }
    });
  }

  for (int i = 0; i < 20; ++i) EXPECT_EQ(NumbersOfChild(Waiting()), "0 1 2");

  stop = true;
  for (std::thread& thread : threads) thread.join();
}

// FDI-05
TEST(PassedDescriptorTest, IsGivenAnotherNumber) {
  auto first = internal::MakePipe();
  auto second = internal::MakePipe();
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  Command command =
      Command::Shell("echo hello >&3; echo bye > /proc/self/fd/99");
  command.pass_fds = {{3, first->write_end.get()},
                      {99, second->write_end.get()}};

  EXPECT_EQ(OutputOf(command), "");
  first->write_end.Reset();
  second->write_end.Reset();

  char buffer[64];
  EXPECT_EQ(read(first->read_end.get(), buffer, sizeof(buffer)), 6);
  EXPECT_EQ(std::string(buffer, 6), "hello\n");
  EXPECT_EQ(read(first->read_end.get(), buffer, sizeof(buffer)), 0);
  EXPECT_EQ(read(second->read_end.get(), buffer, sizeof(buffer)), 4);
  EXPECT_EQ(std::string(buffer, 4), "bye\n");
  EXPECT_EQ(read(second->read_end.get(), buffer, sizeof(buffer)), 0);
}

// FDI-06
TEST(PassedDescriptorTest, IsNotOverwrittenByAnother) {
  TemporaryDirectory directory;
  const std::vector<int> numbers = {11, 12, 6, 7, 9, 3};

  const std::string seen = InForkedHost([&]() -> std::string {
    // Each number has a file of that name, and is passed as the next number of
    // the list.
    Command command({"sleep", "1000"});
    for (size_t i = 0; i < numbers.size(); ++i) {
      const std::string path = absl::StrCat(directory.path(), "/", numbers[i]);
      UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT, 0600));
      dup2(fd.get(), 100 + numbers[i]);
    }
    for (size_t i = 0; i < numbers.size(); ++i) {
      dup2(100 + numbers[i], numbers[i]);
      command.pass_fds[numbers[(i + 1) % numbers.size()]] = numbers[i];
    }
    auto process = MustSpawn(command);
    const auto open = DescriptorsOf(process->pid());
    std::vector<std::string> found;
    for (int number : numbers) {
      const auto at = open.find(number);
      found.push_back(at == open.end()
                          ? "closed"
                          : std::filesystem::path(at->second).filename());
    }
    return absl::StrJoin(found, " ");
  });

  EXPECT_EQ(seen, "3 11 12 6 7 9");
}

// The host's descriptor for each stream of the child; -1: /dev/null.
using Streams = std::array<int, 3>;

std::vector<Streams> AllArrangements() {
  std::vector<Streams> arrangements;
  Streams all = {0, 1, 2};
  do {
    arrangements.push_back(all);
  } while (std::next_permutation(all.begin(), all.end()));
  // Any two of the host's streams, as any two of the child's.
  for (int left_out = 0; left_out < 3; ++left_out) {
    Streams some = {-1, (left_out + 1) % 3, (left_out + 2) % 3};
    std::sort(some.begin(), some.end());
    do {
      arrangements.push_back(some);
    } while (std::next_permutation(some.begin(), some.end()));
  }
  return arrangements;
}

Stdio From(int number) {
  return number < 0 ? Stdio::Null() : Stdio::Fd(number);
}

// FDI-06
TEST(StandardStreamTest, CanBeAnyArrangementOfTheHosts) {
  ASSERT_EQ(AllArrangements().size(), 6 + 18);
  TemporaryDirectory directory;
  for (const Streams& streams : AllArrangements()) {
    const std::string seen = InForkedHost([&]() -> std::string {
      std::string paths[3];
      for (int number : {0, 1, 2}) {
        paths[number] = absl::StrCat(directory.path(), "/", number);
        close(number);
        open(paths[number].c_str(), O_RDWR | O_CREAT, 0600);
      }
      // The host closes the streams that it does not pass to the child.
      for (int number : {0, 1, 2}) {
        if (std::count(streams.begin(), streams.end(), number) == 0) {
          close(number);
        }
      }
      Command command({"sleep", "1000"});
      command.in = From(streams[0]);
      command.out = From(streams[1]);
      command.err = From(streams[2]);
      auto process = MustSpawn(command);
      std::string found;
      for (const auto& [number, path] : DescriptorsOf(process->pid())) {
        // Higher numbers belong to the loader, which may still run.
        if (number > STDERR_FILENO) break;
        absl::StrAppend(&found, number, "=",
                        std::filesystem::path(path).filename().string(), " ");
      }
      return found;
    });

    std::string expected;
    for (int number : {0, 1, 2}) {
      absl::StrAppend(
          &expected, number, "=",
          streams[number] < 0 ? "null" : absl::StrCat(streams[number]), " ");
    }
    EXPECT_EQ(seen, expected);
  }
}

// FDI-06
TEST(StandardStreamTest, CanBeTurnedRound) {
  TemporaryDirectory directory;
  const std::string in = directory.Write("in", "STDIN\n");

  InForkedHost([&] {
    close(0), close(1), close(2);
    open((directory.path() + "/out").c_str(), O_RDWR | O_CREAT, 0600);
    open((directory.path() + "/err").c_str(), O_RDWR | O_CREAT, 0600);
    open(in.c_str(), O_RDONLY);
    Command command = Command::Shell("read x; echo got $x; echo err >&2");
    command.in = Stdio::Fd(2);
    command.out = Stdio::Fd(0);
    command.err = Stdio::Fd(1);
    MustSpawn(command)->Wait().IgnoreError();
    return "";
  });

  EXPECT_EQ(directory.Read("out"), "got STDIN\n");
  EXPECT_EQ(directory.Read("err"), "err\n");
}

// FDI-07
TEST(StandardStreamTest, IsOpenAlsoWhereTheHostsWouldCloseOnExec) {
  TemporaryDirectory directory;
  const std::string file = directory.Write("file", "");

  InForkedHost([&] {
    for (int number : {1, 2}) {
      close(number);
      open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    }
    Command command = Command::Shell("echo to 1; echo to 2 >&2");
    command.out = Stdio::Fd(1);
    command.err = Stdio::Inherit();
    MustSpawn(command)->Wait().IgnoreError();
    return "";
  });

  EXPECT_EQ(directory.Read("file"), "to 1\nto 2\n");
}

// FDI-08
TEST(StandardStreamTest, MayBeTheSameAsAnother) {
  TemporaryDirectory directory;
  directory.Write("file", "first\n");
  const UniqueFd fd = Open(directory.path() + "/file", O_RDWR);
  Command command = Command::Shell("read x; echo $x; echo second >&2");
  command.in = command.out = command.err = Stdio::Fd(fd.get());

  EXPECT_EQ(OutputOf(command), "");

  EXPECT_EQ(directory.Read("file"), "first\nfirst\nsecond\n");
}

// FDI-09
TEST(StandardStreamTest, CanBePipedInAHostThatHasNone) {
  for (int closed = 1; closed < 8; ++closed) {
    const std::string seen = InForkedHost([&]() -> std::string {
      const int in = fcntl(open("/etc/passwd", O_RDONLY), F_DUPFD, 100);
      for (int number : {0, 1, 2}) {
        if ((closed >> number & 1) != 0) close(number);
      }
      Command command =
          Command::Shell("read x; echo apple${x%%:*}; echo orange >&2");
      command.in = Stdio::Fd(in);
      auto process = Process::Spawn(command);
      if (!process.ok()) return process.status().ToString();
      const auto status = (*process)->WaitFor(kNeverReached);
      std::string seen = (*process)->Read() + (*process)->ReadErr();
      for (int number : {0, 1, 2}) {
        const bool open = fcntl(number, F_GETFD) >= 0;
        if (open == ((closed >> number & 1) != 0)) {
          absl::StrAppend(&seen, number, open ? " is open" : " is closed");
        }
      }
      return seen;
    });

    EXPECT_EQ(seen, "appleroot\norange\n") << closed;
  }
}

TEST(StandardStreamTest, IsNotTakenForAPidfdThatIsOpenedLater) {
  const std::string seen = InForkedHost([]() -> std::string {
    OsWithoutClonePidfd os;
    const internal::ScopedOs scoped(&os);
    for (int number : {0, 1, 2}) close(number);
    auto process = Process::Spawn(Command({"cat"}));
    if (!process.ok()) return process.status().ToString();
    std::string seen = "open:";
    for (int number : {0, 1, 2}) {
      if (fcntl(number, F_GETFD) >= 0) absl::StrAppend(&seen, " ", number);
    }
    return seen;
  });

  EXPECT_EQ(seen, "open:");
}

// FDI-10
TEST(PipeTest, IsNotSeenByAChildThatInheritsAll) {
  auto cat = MustSpawn(Command({"cat"}));
  internal::SpawnRequest request;
  request.argv = {"sleep", "1000"};
  request.candidates = {"/bin/sleep"};
  request.moves = {{0, 0}, {1, 1}, {2, 2}};
  request.close_others = false;

  const internal::SpawnResult other = internal::Spawn(request);
  ASSERT_GT(other.pid, 0);

  EXPECT_THAT(cat->CloseStdin(), IsOk());
  EXPECT_THAT(cat->WaitFor(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_TRUE(ProcessLives(other.pid));
  kill(other.pid, SIGKILL);
  EXPECT_EQ(waitpid(other.pid, nullptr, 0), other.pid);
}

void ExpectNotOpen(const Command& command, int fd) {
  const auto process = Process::Spawn(command);

  EXPECT_THAT(process, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(process.status().message()),
              HasSubstr(absl::StrCat("descriptor ", fd)));
  const auto failure = GetSpawnFailure(process.status());
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->stage, SpawnStage::kDescriptors);
  EXPECT_EQ(failure->error_number, EBADF);
}

// FDI-13: also a number that the library's next descriptor would get.
TEST(PassedDescriptorTest, IsRefusedWhenItIsNotOpen) {
  const int lowest = fcntl(0, F_DUPFD, 3);
  ASSERT_EQ(close(lowest), 0);
  for (int fd = lowest; fd < lowest + 9; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    Command command({"true"});
    command.pass_fds[50] = fd;
    ExpectNotOpen(command, fd);
    command.pass_fds.clear();
    command.out = Stdio::Fd(fd);
    ExpectNotOpen(command, fd);
  }
}

// FDI-13
TEST(PassedDescriptorTest, IsRefusedBeyondTheLimit) {
  Command command({"true"});
  command.pass_fds[2'000'000'000] = 1;

  ExpectNotOpen(command, 2'000'000'000);
}

// FDI-13
TEST(PassedDescriptorTest, MayBePassedTwice) {
  Command command = Command::Shell("echo a >&3; echo b >&4");
  auto pipe = internal::MakePipe();
  ASSERT_THAT(pipe, IsOk());
  command.pass_fds = {{3, pipe->write_end.get()}, {4, pipe->write_end.get()}};

  EXPECT_EQ(OutputOf(command), "");

  char buffer[8];
  EXPECT_EQ(read(pipe->read_end.get(), buffer, sizeof(buffer)), 4);
}

// FDI-16
TEST(PipeTest, BlocksTheChild) {
  EXPECT_EQ(OutputOf(Command({"python3", "-c",
                              "import os;print(os.get_blocking(0),"
                              "os.get_blocking(1),os.get_blocking(2))"})),
            "True True True\n");
}

// FDI-16
TEST(PipeTest, TakesAllThatTheChildWrites) {
  EXPECT_EQ(OutputOf(Command({"head", "-c", "300000", "/dev/zero"})),
            std::string(300000, '\0'));
}

// The child starts with a copy of the host's table of descriptors.
TEST(SpawnTest, LeavesTheHostsTableOfDescriptorsAsItWas) {
  const UniqueFd passed = Open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const UniqueFd inheritable = Open("/dev/null", O_RDONLY);
  Command command = Waiting();
  // The target number is open in the host, on another file.
  command.pass_fds[inheritable.get()] = passed.get();
  Command failing = command;
  failing.argv = {"/no/such/file"};
  const std::map<int, std::string> before = DescriptorsOf(getpid());

  auto process = MustSpawn(command);
  AwaitLine(*process, "ready");
  std::map<int, std::string> seen = DescriptorsOf(process->pid());
  process = nullptr;
  EXPECT_FALSE(Process::Spawn(failing).ok());

  EXPECT_EQ(seen[inheritable.get()], "/dev/zero");
  EXPECT_EQ(DescriptorsOf(getpid()), before);
  EXPECT_EQ(fcntl(inheritable.get(), F_GETFD), 0);
  EXPECT_EQ(fcntl(passed.get(), F_GETFD), FD_CLOEXEC);
}

// The size of the kernel's descriptor table of a process.
int TableSizeOf(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    absl::string_view size = line;
    int number;
    if (absl::ConsumePrefix(&size, "FDSize:") &&
        absl::SimpleAtoi(size, &number)) {
      return number;
    }
  }
  return -1;
}

TEST(SpawnTest, CopiesNoTableOfThousandsOfDescriptors) {
  std::vector<UniqueFd> high;
  for (int i = 0; i < 600; ++i) {
    high.emplace_back(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 300));
    ASSERT_TRUE(high.back().valid());
  }
  std::vector<std::unique_ptr<Process>> living;
  for (int i = 0; i < 50; ++i) living.push_back(MustSpawn(Command({"cat"})));

  auto process = MustSpawn(Waiting());
  AwaitLine(*process, "ready");

  EXPECT_GT(TableSizeOf(getpid()), 600);
  const int size = TableSizeOf(process->pid());
  EXPECT_GT(size, 0);
  EXPECT_LE(size, 256);
}

// FDI-16
TEST(PipeTest, MakesACatWaitForItsInput) {
  auto cat = MustSpawn(Command({"cat"}));

  EXPECT_THAT(cat->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(cat->Write("late\n"), IsOk());
  AwaitLine(*cat, "late");
}

// FDI-16
TEST(StandardStreamTest, KeepsTheFlagsOfTheHostsOwn) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]), write_end(fds[1]);
  Command command({"echo", "x"});
  command.out = Stdio::Fd(write_end.get());

  EXPECT_EQ(OutputOf(command), "");

  EXPECT_EQ(fcntl(write_end.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(fcntl(write_end.get(), F_GETFD), FD_CLOEXEC);
}

// FDI-17
TEST(PipeTest, NeedsNoMoreThanTenDescriptors) {
  const std::string seen = InForkedHost([]() -> std::string {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &limit);
    std::vector<UniqueFd> fill;
    for (int fd; (fd = open("/dev/null", O_RDWR)) >= 0;) fill.emplace_back(fd);
    fill.resize(fill.size() - 10);
    for (int i = 0; i < 15; ++i) {
      auto process = Process::Spawn(Command({"echo", "lime"}));
      if (!process.ok()) return process.status().ToString();
      if (!(*process)->WaitFor(kNeverReached).ok()) return "did not end";
      if ((*process)->Read() != "lime\n") return "lost output";
    }
    return "enough";
  });

  EXPECT_EQ(seen, "enough");
}

// FDI-17: the main of all tests checks that no descriptor remains.
TEST(PipeTest, IsClosedAfterEachOfMany) {
  for (int i = 0; i < 300; ++i) {
    auto cat = MustSpawn(Command({"cat"}));
    EXPECT_THAT(cat->Write("lime"), IsOk());
    EXPECT_THAT(cat->CloseStdin(), IsOk());
    EXPECT_THAT(cat->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_EQ(cat->Read(), "lime");
  }
}

// Checks, at each point where another thread or a child could use them, that no
// descriptor has taken the number of a closed standard stream.
class OsThatWatchesStreams : public internal::Os {
 public:
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    Look("clone");
    return Os::Clone(entry, stack_top, flags, arg, pidfd);
  }
  int PidfdSendSignal(int pidfd, int signal) override {
    Look("pidfd_send_signal");
    return Os::PidfdSendSignal(pidfd, signal);
  }
  int Poll(pollfd* fds, nfds_t count, absl::Time deadline) override {
    Look("poll");
    return Os::Poll(fds, count, deadline);
  }
  int EpollWait(int epoll, epoll_event* events, int max,
                absl::Time deadline) override {
    Look("epoll_wait");
    return Os::EpollWait(epoll, events, max, deadline);
  }

  std::string taken() const {
    return absl::StrCat("taken: ", taken_, " looks: ", looks_ > 10);
  }

 private:
  void Look(absl::string_view where) {
    const int error = errno;
    ++looks_;
    for (int fd : {0, 1, 2}) {
      if (fcntl(fd, F_GETFD) < 0) continue;
      absl::StrAppend(&taken_, fd, " at ", where, " ");
    }
    errno = error;
  }

  int looks_ = 0;
  std::string taken_;
};

TEST(ClosedStreamTest, IsNeverTakenByADescriptorOfTheLibrary) {
  const std::string seen = InForkedHost([]() -> std::string {
    for (int fd : {0, 1, 2}) close(fd);
    OsThatWatchesStreams os;
    const internal::ScopedOs scoped(&os);
    RunOptions options;
    options.timeout = kShort;
    asyncproc::Run(Command::Shell("sleep 1000 & sleep 1000"), options)
        .status()
        .IgnoreError();
    ProcessPoller<std::string> poller;
    Escalation escalation = Escalation::Standard(absl::ZeroDuration());
    escalation.scope = TerminationScope::kTree;
    ChildLimits limits;
    limits.timeout = kShort;
    limits.escalation = escalation;
    poller.Run("a", Command::Shell("sleep 1000 & exec sleep 1000"), "", limits)
        .IgnoreError();
    poller.Poll(kNeverReached).IgnoreError();
    return os.taken();
  });

  EXPECT_EQ(seen, "taken:  looks: 1");
}

// The check comes before the library opens anything, which could get the
// number.
TEST(ClosedStreamTest, IsRefusedWhereItIsNamed) {
  const std::string seen = InForkedHost([]() -> std::string {
    close(STDIN_FILENO);
    Command command({"cat"});
    command.in = Stdio::Fd(STDIN_FILENO);
    ProcessPoller<std::string> poller;
    std::string codes;
    for (const absl::Status& status :
         {Process::Spawn(command).status(), asyncproc::Run(command).status(),
          Pipeline::Spawn({command, {"cat"}}).status(),
          poller.Run("a", command)}) {
      absl::StrAppend(&codes, absl::StatusCodeToString(status.code()), " ");
    }
    return codes;
  });

  EXPECT_EQ(seen,
            "INVALID_ARGUMENT INVALID_ARGUMENT INVALID_ARGUMENT "
            "INVALID_ARGUMENT ");
}

}  // namespace
}  // namespace asyncproc

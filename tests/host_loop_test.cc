// The descriptors of a ProcessPoller and of a Reactor that a host watches in
// its own event loop. host_loop_examples_test uses them in the loops of
// libraries.

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/process_protocol.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::ElementsAre;

// Whether `fd` becomes readable within `timeout`, as a host's loop sees it.
bool IsReadable(int fd, absl::Duration timeout = absl::ZeroDuration()) {
  pollfd watch = {fd, POLLIN, 0};
  return poll(&watch, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) >
         0;
}

absl::Duration CpuTime() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

int CountDescriptors() {
  int count = 0;
  DIR* const dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// Echoes until its stdin is closed.
Command Echo() { return Command({"cat"}); }

// Sleeps, and ignores its stdin.
Command Sleeper() { return Command({"sleep", "1000"}); }

class Poller : public BufferingProcessPoller<std::string> {
 public:
  using BufferingProcessPoller::BufferingProcessPoller;

  int MustGetFd() {
    absl::StatusOr<int> fd = this->fd();
    EXPECT_THAT(fd, IsOk());
    return fd.value_or(-1);
  }
  // Handles all pending events. Returns whether all children have ended.
  bool PollOnce() {
    const absl::Status status = Poll(absl::ZeroDuration());
    EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
    ++polls;
    return status.ok();
  }
  // Acts as a host's loop: polls only when the descriptor is readable. Returns
  // false if the descriptor is not readable although children are running.
  bool PollUntilEnded() {
    const int fd = MustGetFd();
    while (IsReadable(fd, kNeverReached)) {
      if (PollOnce()) return true;
    }
    return false;
  }
  // Polls until the descriptor is not readable.
  void PollUntilIdle() {
    const int fd = MustGetFd();
    for (int i = 0; i < 100 && IsReadable(fd); ++i) PollOnce();
    EXPECT_FALSE(IsReadable(fd));
  }

  int polls = 0;
  std::vector<std::string> log;
  absl::Status next_error;

 private:
  absl::Status OnCreate(const std::string& key) override {
    BufferingProcessPoller::OnCreate(key).IgnoreError();
    log.push_back(absl::StrCat("create ", key));
    return std::exchange(next_error, absl::OkStatus());
  }
  absl::Status OnTimeout(const std::string& key, const absl::Status&) override {
    log.push_back(absl::StrCat("timeout ", key));
    return absl::OkStatus();
  }
  absl::Status OnTerminate(const std::string& key,
                           const ExitStatus& status) override {
    log.push_back(absl::StrCat(key, ": ", status.ToString()));
    return absl::OkStatus();
  }
  absl::Status OnFailure(const std::string& key,
                         const absl::Status& status) override {
    log.push_back(absl::StrCat(key, ": ", status.message()));
    return absl::OkStatus();
  }
};

TEST(PollerFdTest, ShowsThatAChildWasStarted) {
  Poller poller;
  const int fd = poller.MustGetFd();
  EXPECT_FALSE(IsReadable(fd));

  ASSERT_THAT(poller.Run("cat", Echo(), ""), IsOk());

  EXPECT_TRUE(IsReadable(fd));
  EXPECT_FALSE(poller.PollOnce());
  EXPECT_THAT(poller.log, ElementsAre("create cat"));
  EXPECT_FALSE(IsReadable(fd));
  EXPECT_EQ(poller.MustGetFd(), fd);
}

TEST(PollerFdTest, ShowsEventsFromBeforeItWasMade) {
  Poller poller;
  ASSERT_THAT(poller.Run("cat", Echo(), ""), IsOk());
  EXPECT_TRUE(IsReadable(poller.MustGetFd()));

  Poller stopped;
  stopped.Stop();
  EXPECT_TRUE(IsReadable(stopped.MustGetFd()));
}

TEST(PollerFdTest, ShowsOutputAndEndsOfQueuedChildren) {
  PollerOptions options;
  options.max_running = 2;
  Poller poller(options);
  std::vector<std::string> said;
  for (int i = 0; i < 20; ++i) {
    const std::string key = absl::StrCat(i);
    ASSERT_THAT(poller.Run(key, Command({"echo", key})), IsOk());
  }

  EXPECT_TRUE(poller.PollUntilEnded());

  for (int i = 0; i < 20; ++i) {
    const std::string key = absl::StrCat(i);
    EXPECT_EQ(poller.output(key).out, key + "\n");
    EXPECT_THAT(poller.results().at(key), IsOkAndHolds(ExitStatus::Exited(0)));
  }
  // At most a start, two ends of output, an exit and a wake-up for each child.
  EXPECT_LE(poller.polls, 20 * 8);
  EXPECT_FALSE(IsReadable(poller.MustGetFd()));
}

TEST(PollerFdTest, ShowsThatTheChildHasReadItsInput) {
  Poller poller;
  ASSERT_THAT(poller.Run("wc", Command({"wc", "-c"}), ""), IsOk());
  poller.PollUntilIdle();

  // More than a pipe can hold.
  ASSERT_THAT(poller.SendInput("wc", std::string(3'000'000, 'x')), IsOk());
  ASSERT_THAT(poller.CloseInput("wc"), IsOk());

  EXPECT_TRUE(poller.PollUntilEnded());
  EXPECT_EQ(poller.output("wc").out, "3000000\n");
}

TEST(PollerFdTest, ShowsTheEarliestDeadline) {
  Poller poller;
  const int fd = poller.MustGetFd();
  ChildLimits limits;
  limits.timeout = absl::Hours(1);
  ASSERT_THAT(poller.Run("long", Sleeper(), std::nullopt, limits), IsOk());
  limits.timeout = kShort;
  ASSERT_THAT(poller.Run("short", Sleeper(), std::nullopt, limits), IsOk());
  poller.PollUntilIdle();

  while (poller.running() == 2 && IsReadable(fd, kNeverReached)) {
    poller.PollOnce();
  }

  EXPECT_THAT(poller.log,
              ElementsAre("create long", "create short", "timeout short",
                          "short: killed by SIGTERM"));
  poller.PollUntilIdle();
}

TEST(PollerFdTest, ShowsTheStepsOfAnEscalation) {
  Poller poller;
  ASSERT_THAT(poller.Run("stubborn", Command({Helper("ignore_sigterm")})),
              IsOk());
  ASSERT_THAT(poller.PollUntilSays({"stubborn"}, "ready", kNeverReached),
              IsOk());
  poller.PollUntilIdle();

  ASSERT_THAT(poller.Terminate("stubborn", Escalation::Standard(kShort)),
              IsOk());

  EXPECT_TRUE(poller.PollUntilEnded());
  EXPECT_EQ(poller.log.back(), "stubborn: killed by SIGKILL");
}

TEST(PollerFdTest, ShowsThatAQueuedChildCanBeStarted) {
  PollerOptions options;
  options.max_running = 1;
  Poller poller(options);
  const int fd = poller.MustGetFd();
  ASSERT_THAT(poller.Run("first", Sleeper()), IsOk());
  ASSERT_THAT(poller.Run("second", Sleeper()), IsOk());
  ASSERT_THAT(poller.Run("third", Sleeper()), IsOk());
  poller.PollUntilIdle();

  ASSERT_THAT(poller.Terminate("third"), IsOk());
  EXPECT_TRUE(IsReadable(fd));
  poller.PollUntilIdle();
  EXPECT_EQ(poller.log.back(),
            "third: sleep 1000 was terminated before it was started");

  ASSERT_THAT(poller.Remove("first"), IsOk());
  EXPECT_TRUE(IsReadable(fd));
  poller.PollUntilIdle();
  EXPECT_EQ(poller.log.back(), "create second");
}

TEST(PollerFdTest, StaysReadableAfterAnErrorOfACallback) {
  Poller poller;
  const int fd = poller.MustGetFd();
  ASSERT_THAT(poller.Run("A", Echo(), ""), IsOk());
  ASSERT_THAT(poller.Run("B", Echo(), ""), IsOk());
  poller.next_error = absl::InternalError("not today");

  EXPECT_THAT(poller.Poll(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kInternal));

  EXPECT_TRUE(IsReadable(fd));
  poller.PollUntilIdle();
  EXPECT_THAT(poller.log, ElementsAre("create A", "create B"));
}

TEST(PollerFdTest, ShowsAStopByAnotherThread) {
  Poller poller;
  const int fd = poller.MustGetFd();
  ASSERT_THAT(poller.Run("cat", Echo(), ""), IsOk());
  poller.PollUntilIdle();

  std::thread other([&] { poller.Stop(); });

  EXPECT_TRUE(IsReadable(fd, kNeverReached));
  other.join();
  EXPECT_THAT(poller.Poll(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kCancelled));
  poller.PollUntilIdle();
}

// A blocking Poll uses no processor time while the host has the descriptor,
// too.
TEST(PollerFdTest, LeavesAPollThatBlocksIdle) {
  Poller poller;
  poller.MustGetFd();
  ChildLimits limits;
  limits.timeout = kShort;
  ASSERT_THAT(poller.Run("short", Sleeper(), std::nullopt, limits), IsOk());
  ASSERT_THAT(poller.Run("cat", Echo(), ""), IsOk());
  // The deadline has passed when Poll begins.
  absl::SleepFor(2 * kShort);
  const absl::Duration cpu = CpuTime();

  EXPECT_THAT(poller.Poll(6 * kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_LT(CpuTime() - cpu, 3 * kShort);
  EXPECT_EQ(poller.log.back(), "short: killed by SIGTERM");
  poller.PollUntilIdle();
}

TEST(PollerFdTest, MayBeAskedForByACallback) {
  class Asking : public ProcessPoller<int> {
   public:
    absl::StatusOr<int> found = -1;

   private:
    absl::Status OnCreate(const int&) override {
      found = fd();
      return found.status();
    }
  };
  Asking poller;
  ASSERT_THAT(poller.Run(1, Echo(), ""), IsOk());

  EXPECT_THAT(poller.Poll(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  ASSERT_THAT(poller.found, IsOk());
  EXPECT_FALSE(IsReadable(*poller.found));
  ASSERT_THAT(poller.CloseInput(1), IsOk());
  EXPECT_TRUE(IsReadable(*poller.found, kNeverReached));
}

TEST(PollerFdTest, CostsOneDescriptorWhenItIsAskedForAndLeavesLowNumbersFree) {
  Poller poller;
  ASSERT_THAT(poller.Run("cat", Echo(), ""), IsOk());
  const int before = CountDescriptors();
  const int lowest = dup(STDIN_FILENO);
  close(lowest);

  EXPECT_GE(poller.MustGetFd(), 256);

  EXPECT_EQ(CountDescriptors(), before + 1);
  const int still_lowest = dup(STDIN_FILENO);
  close(still_lowest);
  EXPECT_EQ(still_lowest, lowest);
}

// As when the limit of open files is reached.
class NoTimers : public internal::Os {
  int TimerFd() override {
    errno = EMFILE;
    return -1;
  }
};

// As when the limit of watches (fs.epoll.max_user_watches) is reached.
class NoWatches : public internal::Os {
  int EpollCtl(int, int, int, epoll_event*) override {
    errno = ENOSPC;
    return -1;
  }
};

template <typename Refusing>
void ExpectFdIsRefusedOnce() {
  Poller poller;
  ASSERT_THAT(poller.Run("echo", Command({"echo", "hello"})), IsOk());
  const int before = CountDescriptors();
  {
    Refusing os;
    const internal::ScopedOs scoped(&os);
    EXPECT_THAT(poller.fd(), HasCode(absl::StatusCode::kResourceExhausted));
  }
  EXPECT_EQ(CountDescriptors(), before);

  EXPECT_TRUE(poller.PollUntilEnded());
  EXPECT_EQ(poller.output("echo").out, "hello\n");
}

TEST(PollerFdTest, IsRefusedWhereNoDescriptorIsLeft) {
  ExpectFdIsRefusedOnce<NoTimers>();
}

TEST(PollerFdTest, IsRefusedWhereNoWatchIsLeft) {
  ExpectFdIsRefusedOnce<NoWatches>();
}

TEST(PollerFdTest, IsClosedByADestructorInAForkedCopy) {
  const int before = CountDescriptors();
  auto poller = std::make_unique<Poller>();
  ASSERT_THAT(poller->Run("cat", Echo(), ""), IsOk());
  const int fd = poller->MustGetFd();
  poller->PollUntilIdle();

  const pid_t copy = fork();
  if (copy == 0) {
    alarm(30);
    poller = nullptr;
    _exit(CountDescriptors() == before ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(copy, &status, 0), copy);

  EXPECT_EQ(status, 0);
  EXPECT_FALSE(IsReadable(fd));
  ASSERT_THAT(poller->CloseInput("cat"), IsOk());
  EXPECT_TRUE(poller->PollUntilEnded());
}

// ---- The Reactor.

std::unique_ptr<Reactor> MustCreateReactor() {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = Reactor::Create();
  EXPECT_THAT(reactor, IsOk());
  return *std::move(reactor);
}

// Handles all pending events.
void RunOnce(Reactor& reactor) {
  EXPECT_THAT(reactor.Run(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

void RunUntilIdle(Reactor& reactor, int fd) {
  for (int i = 0; i < 100 && IsReadable(fd); ++i) RunOnce(reactor);
  EXPECT_FALSE(IsReadable(fd));
}

class Talker : public ProcessProtocol {
 public:
  void ConnectionMade() override { made = true; }
  void OutReceived(absl::string_view data) override {
    absl::StrAppend(&said, data);
  }
  void ProcessEnded(const absl::StatusOr<ExitStatus>& status) override {
    ended = status;
  }
  bool made = false;
  std::string said;
  absl::StatusOr<ExitStatus> ended = absl::UnavailableError("runs");
};

TEST(ReactorFdTest, ShowsAllOfAChildsLife) {
  const auto reactor = MustCreateReactor();
  const absl::StatusOr<int> fd = reactor->fd();
  ASSERT_THAT(fd, IsOk());
  EXPECT_FALSE(IsReadable(*fd));
  const auto cat = std::make_shared<Talker>();
  ASSERT_THAT(reactor->Spawn(cat, Echo()), IsOk());
  EXPECT_TRUE(IsReadable(*fd));
  RunUntilIdle(*reactor, *fd);
  EXPECT_TRUE(cat->made);

  ASSERT_THAT(cat->transport().Write("hello"), IsOk());
  ASSERT_THAT(cat->transport().CloseStdin(), IsOk());
  int runs = 0;
  while (!cat->ended.ok() && IsReadable(*fd, kNeverReached)) {
    RunOnce(*reactor);
    ++runs;
  }

  EXPECT_EQ(cat->said, "hello");
  EXPECT_THAT(cat->ended, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_LE(runs, 10);
  EXPECT_FALSE(IsReadable(*fd));
}

TEST(ReactorFdTest, ShowsEachCallWhenItsTimeHasCome) {
  const auto reactor = MustCreateReactor();
  const int fd = reactor->fd().value_or(-1);
  std::string called;
  reactor->CallLater(absl::Hours(1), [&] { called += "late"; });
  const auto canceled = reactor->CallLater(kShort, [&] { called += "never"; });
  EXPECT_TRUE(reactor->CancelCall(canceled));
  EXPECT_FALSE(IsReadable(fd, 2 * kShort));

  // A deadline that is earlier than the current one.
  reactor->CallLater(kShort, [&] { called += "soon "; });
  reactor->CallLater(absl::ZeroDuration(), [&] {
    called += "now ";
    reactor->CallLater(absl::ZeroDuration(), [&] { called += "then "; });
  });
  EXPECT_TRUE(IsReadable(fd, kNeverReached));
  while (called != "now then soon " && IsReadable(fd, kNeverReached)) {
    RunOnce(*reactor);
  }

  EXPECT_EQ(called, "now then soon ");
  EXPECT_FALSE(IsReadable(fd));
}

TEST(ReactorFdTest, ShowsACallForAnotherThreadAndAStop) {
  const auto reactor = MustCreateReactor();
  const int fd = reactor->fd().value_or(-1);
  for (int round = 0; round < 100; ++round) {
    int called = 0;
    std::thread other([&] {
      reactor->CallFromThread([&] { ++called; });
      reactor->CallFromThread([&] { ++called; });
    });
    while (called < 2 && IsReadable(fd, kNeverReached)) RunOnce(*reactor);
    other.join();
    EXPECT_EQ(called, 2);
    RunUntilIdle(*reactor, fd);
  }

  std::thread other([&] { reactor->Stop(); });
  EXPECT_TRUE(IsReadable(fd, kNeverReached));
  other.join();
  EXPECT_THAT(reactor->Run(absl::ZeroDuration()), IsOk());
  RunUntilIdle(*reactor, fd);
}

TEST(ReactorFdTest, ShowsACallThatWasAskedForBeforeIt) {
  const auto reactor = MustCreateReactor();
  bool called = false;
  reactor->CallFromThread([&] { called = true; });
  const int fd = reactor->fd().value_or(-1);

  EXPECT_TRUE(IsReadable(fd));
  RunUntilIdle(*reactor, fd);
  EXPECT_TRUE(called);
}

TEST(ReactorFdTest, ShowsThePendingEventsOfAPausedChild) {
  const auto reactor = MustCreateReactor();
  const int fd = reactor->fd().value_or(-1);
  const auto cat = std::make_shared<Talker>();
  ASSERT_THAT(reactor->Spawn(cat, Echo()), IsOk());
  ASSERT_THAT(cat->transport().PauseProducing(), IsOk());
  ASSERT_THAT(cat->transport().Write("hello"), IsOk());
  RunUntilIdle(*reactor, fd);
  EXPECT_FALSE(cat->made);

  ASSERT_THAT(cat->transport().ResumeProducing(), IsOk());

  EXPECT_TRUE(IsReadable(fd));
  while (cat->said.empty() && IsReadable(fd, kNeverReached)) RunOnce(*reactor);
  EXPECT_EQ(cat->said, "hello");
  RunUntilIdle(*reactor, fd);
}

// ---- Without a child

TEST(PollerFdTest, IsNotReadableForEverAfterAStop) {
  Poller poller;
  poller.MustGetFd();
  EXPECT_THAT(poller.Run("a", Command({"true"})), IsOk());
  EXPECT_TRUE(poller.PollUntilEnded());

  poller.Stop();

  EXPECT_THAT(poller.Poll(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kCancelled));
  poller.PollUntilIdle();
}

TEST(ReactorFdTest, ShowsACallWhereThereIsNoChild) {
  const auto reactor = MustCreateReactor();
  const int fd = reactor->fd().value_or(-1);
  std::string calls;

  reactor->CallLater(kShort, [&] { calls += "later "; });
  reactor->CallFromThread([&] { calls += "soon "; });

  for (int i = 0; i < 100 && calls != "soon later "; ++i) {
    ASSERT_TRUE(IsReadable(fd, kNeverReached));
    EXPECT_THAT(reactor->RunUntilAllEnded(absl::ZeroDuration()), IsOk());
  }
  EXPECT_EQ(calls, "soon later ");
  EXPECT_FALSE(IsReadable(fd));
}

// The function starts a child, so not all have ended.
TEST(ReactorTest, WaitsForAChildThatACallStarts) {
  const auto reactor = MustCreateReactor();
  const auto talker = std::make_shared<Talker>();
  reactor->CallFromThread(
      [&] { EXPECT_THAT(reactor->Spawn(talker, Command({"true"})), IsOk()); });

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_THAT(talker->ended, IsOkAndHolds(ExitStatus::Exited(0)));
}

}  // namespace
}  // namespace asyncproc

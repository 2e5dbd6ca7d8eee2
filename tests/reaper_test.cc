#include "asyncproc/internal/end/reaper.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fake_os.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::MonotonicNow;
using internal::Os;
using internal::ScopedOs;
using testing::HasSubstr;

const absl::Duration kSoon = absl::Seconds(5) * kSlowness;

// The errors by which the kernel refuses pidfds; 0: it has pidfds.
class ReaperTest : public testing::TestWithParam<int> {
 protected:
  ReaperTest() {
    // Never deleted: a detached thread may use the object until the thread
    // ends.
    static auto* const each = new std::map<int, OsWithoutPidfds>;
    if (GetParam() == 0) return;
    scoped_ = std::make_unique<ScopedOs>(
        &each->try_emplace(GetParam(), GetParam()).first->second);
  }

 private:
  std::unique_ptr<ScopedOs> scoped_;
};

INSTANTIATE_TEST_SUITE_P(WithAndWithoutPidfds, ReaperTest,
                         testing::Values(0, EPERM, ENOSYS),
                         [](const testing::TestParamInfo<int>& info) {
                           return info.param == 0 ? std::string("pidfd")
                                                  : std::string(strerrorname_np(
                                                        info.param));
                         });

TEST_P(ReaperTest, ReportsHowTheChildEnded) {
  auto exits = MustSpawn(Command::Shell("exit 7"));
  auto killed = MustSpawn(Command::Shell("kill -USR1 $$"));

  EXPECT_THAT(exits->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(7)));
  EXPECT_THAT(killed->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGUSR1)));
}

TEST_P(ReaperTest, WaitNeverBlocksWithWnohang) {
  auto process = MustSpawn(Command({"cat"}));
  const absl::Time start = MonotonicNow();

  EXPECT_THAT(process->Wait(WNOHANG), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(process->WaitFor(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(process->WaitFor(-absl::Seconds(1)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(MonotonicNow() - start, kSoon);

  EXPECT_THAT(process->CloseStdin(), IsOk());
  while (absl::IsUnavailable(process->Wait(WNOHANG).status())) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(process->Wait(WNOHANG), IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST_P(ReaperTest, WaitKnowsNoOtherFlags) {
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_THAT(process->Wait(WUNTRACED),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process->Wait(WNOHANG | WEXITED),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_P(ReaperTest, SignalsTheChild) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  EXPECT_THAT(process->Signal(0), IsOk());
  EXPECT_THAT(process->Signal(-1), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process->Signal(999),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(process->IsAlive());
  EXPECT_THAT(process->Signal(SIGINT), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_THAT(process->Signal(0), HasCode(absl::StatusCode::kNotFound));
}

TEST_P(ReaperTest, KnowsWhetherTheChildIsStopped) {
  auto process = MustSpawn(Command({"cat"}));
  EXPECT_EQ(process->state(), ProcessState::kRunning);

  EXPECT_THAT(process->Signal(SIGSTOP), IsOk());
  while (process->state() != ProcessState::kStopped) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_TRUE(process->IsAlive());
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());
  while (process->state() != ProcessState::kRunning) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST_P(ReaperTest, TerminatesByEachStep) {
  EXPECT_THAT(MustSpawn(Command({"cat"}))->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(MustSpawn(Command({"sleep", "1000"}))->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  EXPECT_THAT(
      MustSpawn(Command({"sleep", "1000"}))->Terminate(absl::ZeroDuration()),
      IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST_P(ReaperTest, IsDestroyedWithARunningChild) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  const pid_t pid = process->pid();

  process = nullptr;

  EXPECT_FALSE(ProcessLives(pid));
}

TEST_P(ReaperTest, LooksAfterADetachedChild) {
  TemporaryDirectory directory;
  Command command = Command::Shell("read first; read line; echo $line > out");
  command.working_directory = directory.path();
  command.on_destroy = OnDestroy::Detach();
  auto process = MustSpawn(command);
  const pid_t pid = process->pid();
  EXPECT_THAT(process->Write("first\n"), IsOk());
  // A reader, the writer, and without pidfds a waiting thread. The test waits
  // for their names, because AwaitNoLibraryThread() finds threads by name.
  const size_t threads = GetParam() == 0 ? 2 : 3;
  while (LibraryThreads().size() < threads) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(process->Write("detached\n"), IsOk());

  process = nullptr;

  // The child is reaped: not even a zombie remains.
  while (internal::ReadProcessStat(pid).has_value()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(directory.Read("out"), "detached\n");
  AwaitNoLibraryThread();
}

TEST(ReaperFallbackTest, IsAThreadThatWaits) {
  OsWithoutPidfds os;
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command({"cat"}));
  // The thread sets its own name.
  while (testing::Value(LibraryThreads(),
                        testing::Not(testing::Contains("asyncproc-wait")))) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST(ReaperFallbackTest, IsNotNeededWhereThePidfdCanBeOpenedLater) {
  OsWithoutClonePidfd os;
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_THAT(LibraryThreads(),
              testing::Not(testing::Contains("asyncproc-wait")));
  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// As Linux 5.2 and 5.3, where waitid takes no pidfd.
class OsThatCannotWaitByPidfd : public Os {
 public:
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    if (type != static_cast<idtype_t>(P_PIDFD)) {
      return Os::Waitid(type, id, info, options, usage);
    }
    errno = EINVAL;
    return -1;
  }
};

TEST(ReaperFallbackTest, IsForAKernelThatHasPidfdsButCannotWaitByThem) {
  OsThatCannotWaitByPidfd os;
  ScopedOs scoped_os(&os);
  auto ends = MustSpawn(Command::Shell("exit 7"));
  auto runs = MustSpawn(Command({"sleep", "1000"}));

  EXPECT_THAT(ends->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(7)));
  EXPECT_TRUE(runs->IsAlive());
  EXPECT_THAT(runs->Signal(SIGTERM), IsOk());
  EXPECT_THAT(runs->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
}

// A filter of an old container that allows clone, but not the newer calls.
class OsThatRefusesToSignal : public Os {
 public:
  explicit OsThatRefusesToSignal(int error) : error_(error) {}
  int PidfdSendSignal(int, int) override {
    errno = error_;
    return -1;
  }

 protected:
  const int error_;
};

TEST(ReaperTest, SignalsByPidWhereThePidfdIsRefused) {
  for (int error : {ENOSYS, EPERM}) {
    OsThatRefusesToSignal os(error);
    ScopedOs scoped_os(&os);
    auto process = MustSpawn(Command({"sleep", "1000"}));
    auto destroyed = MustSpawn(Command({"sleep", "1000"}));

    EXPECT_THAT(process->Signal(SIGTERM), IsOk());
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
    destroyed = nullptr;
  }
}

// Another waiter has just reaped the child.
// A child that has ended can be reaped a moment after its pidfd is readable.
class OsThatReapsLate : public Os {
 public:
  int PidfdSendSignal(int pidfd, int signal) override {
    reapable_ = absl::GetCurrentTimeNanos() + 50'000'000;
    return Os::PidfdSendSignal(pidfd, signal);
  }
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    if (absl::GetCurrentTimeNanos() >= reapable_) {
      return Os::Waitid(type, id, info, options, usage);
    }
    *info = {};
    return 0;
  }

 private:
  std::atomic<int64_t> reapable_{0};  // In nanoseconds since 1970.
};

TEST(ReaperTest, DestroysAChildThatCannotBeReapedAtOnce) {
  OsThatReapsLate os;
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command({"sleep", "1000"}));
  const pid_t pid = process->pid();

  process = nullptr;

  siginfo_t info;
  EXPECT_EQ(
      waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT),
      -1);
}

TEST(ReaperTest, ReportsThatTheChildHasEndedWhenASignalFindsNone) {
  OsThatRefusesToSignal os(ESRCH);
  auto process = MustSpawn(Command({"cat"}));
  {
    ScopedOs scoped_os(&os);
    EXPECT_THAT(process->Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  }
}

// A child with another identity, such as sudo started by a host that is not
// root.
template <typename Base>
class OsThatMayNotKill : public Base {
 public:
  int PidfdSendSignal(int, int) override { return Fail(); }
  int Kill(pid_t, int) override { return Fail(); }

 private:
  static int Fail() {
    errno = EPERM;
    return -1;
  }
};

// Expects that the library reaps a child that it no longer waits for.
void ExpectReapedInTheBackground(pid_t pid) {
  EXPECT_TRUE(ProcessLives(pid));
  kill(pid, SIGKILL);
  while (internal::ReadProcessStat(pid).has_value()) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  AwaitNoLibraryThread();
}

template <typename Base>
void ExpectNoWaitForAChildThatMayNotBeKilled() {
  // Never deleted, as in ReaperTest.
  static auto* const os = new OsThatMayNotKill<Base>;
  ScopedOs scoped_os(os);
  auto process = MustSpawn(Command({"sleep", "1000"}));
  const pid_t pid = process->pid();
  EXPECT_THAT(process->Signal(SIGTERM),
              HasCode(absl::StatusCode::kPermissionDenied));

  process = nullptr;

  ExpectReapedInTheBackground(pid);
}

TEST(ReaperTest, DoesNotWaitForAChildThatItMayNotKill) {
  ExpectNoWaitForAChildThatMayNotBeKilled<Os>();
}

TEST(ReaperFallbackTest, DoesNotWaitForAChildThatItMayNotKill) {
  ExpectNoWaitForAChildThatMayNotBeKilled<OsWithoutPidfds>();
}

template <typename Base>
void ExpectThatAPollerLetsGoOfAChildThatMayNotBeKilled() {
  class Poller : public ProcessPoller<int> {
   public:
    absl::Status OnOutput(const int&, ChildStream,
                          absl::string_view data) override {
      EXPECT_TRUE(absl::SimpleAtoi(data, &pid));
      return absl::OkStatus();
    }
    pid_t pid = 0;
  };
  static auto* const os = new OsThatMayNotKill<Base>;
  ScopedOs scoped_os(os);
  auto poller = std::make_unique<Poller>();
  EXPECT_THAT(poller->Run(1, Command::Shell("echo $$; exec sleep 1000")),
              IsOk());
  EXPECT_THAT(poller->PollUntil([&] { return poller->pid > 0; }, kNeverReached),
              IsOk());
  const pid_t pid = poller->pid;

  poller = nullptr;

  ExpectReapedInTheBackground(pid);
}

TEST(ReaperTest, OfAPollerLetsGoOfAChildThatItMayNotKill) {
  ExpectThatAPollerLetsGoOfAChildThatMayNotBeKilled<Os>();
}

TEST(ReaperFallbackTest, OfAPollerLetsGoOfAChildThatItMayNotKill) {
  ExpectThatAPollerLetsGoOfAChildThatMayNotBeKilled<OsWithoutPidfds>();
}

// THR-03: with pidfds and without.
template <typename Base>
void ExpectNoSignalToAReapedChild() {
  SignalCounter<Base> os;
  ScopedOs scoped_os(&os);
  for (int round = 0; round < 1000 / kSlowness; ++round) {
    os.OnNextChild();
    const int before = os.sent();
    auto process = MustSpawn(Command({"cat"}));
    std::thread killer([&process] {
      while (process->Signal(SIGCONT).ok()) {
      }
    });
    while (os.sent() == before) std::this_thread::yield();
    EXPECT_THAT(process->CloseStdin(), IsOk());
    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    killer.join();
    EXPECT_THAT(process->Signal(SIGKILL), HasCode(absl::StatusCode::kNotFound));
  }
  EXPECT_EQ(os.sent_to_reaped(), 0);
}

TEST(ReaperTest, NeverSignalsAChildThatHasBeenReaped) {
  ExpectNoSignalToAReapedChild<Os>();
}

TEST(ReaperFallbackTest, NeverSignalsAChildThatHasBeenReaped) {
  ExpectNoSignalToAReapedChild<OsWithoutPidfds>();
}

// A thread of the host waits for any child, and is always faster.
template <typename Base>
class ThievingOs : public Base {
 public:
  int Waitid(idtype_t type, id_t id, siginfo_t* info, int options,
             rusage* usage) override {
    if ((options & WNOWAIT) == 0) {
      siginfo_t stolen;
      Base::Waitid(type, id, &stolen, options, nullptr);
    }
    return Base::Waitid(type, id, info, options, usage);
  }
};

template <typename Base>
void ExpectDataLossWhenStolen() {
  ThievingOs<Base> os;
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command::Shell("echo hello; exit 7"));

  auto status = process->WaitFor(kNeverReached);

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(status.status().message(),
              HasSubstr("is lost: this program ignores SIGCHLD"));
  EXPECT_THAT(process->Wait(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(process->Terminate(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(process->Signal(SIGKILL), HasCode(absl::StatusCode::kNotFound));
  EXPECT_FALSE(process->IsAlive());
  EXPECT_EQ(process->state(), ProcessState::kDrained);
  EXPECT_EQ(process->Read(), "hello\n");
}

TEST(ReaperTest, ReportsWhenTheStatusWasStolen) {
  ExpectDataLossWhenStolen<Os>();
}

TEST(ReaperFallbackTest, ReportsWhenTheStatusWasStolen) {
  ExpectDataLossWhenStolen<OsWithoutPidfds>();
}

void ExpectDataLossWhenSigchldIsIgnored() {
  signal(SIGCHLD, SIG_IGN);
  auto ends = MustSpawn(Command::Shell("exit 7"));
  auto runs = MustSpawn(Command({"cat"}));
  auto destroyed = MustSpawn(Command({"cat"}));

  EXPECT_THAT(ends->WaitFor(kNeverReached),
              HasCode(absl::StatusCode::kDataLoss));
  EXPECT_TRUE(runs->IsAlive());
  EXPECT_THAT(runs->Terminate(kNeverReached),
              HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(runs->Signal(SIGKILL), HasCode(absl::StatusCode::kNotFound));
  destroyed = nullptr;
}

// EMFILE does not mean a kernel without pidfds: the start fails.
TEST(ReaperTest, NeedsADescriptorForTheStart) {
  OsWithoutPidfds os(EMFILE);
  const ScopedOs scoped_os(&os);

  EXPECT_THAT(Process::Spawn(Command({"true"})),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(LibraryThreads(), testing::IsEmpty());
}

TEST(ReaperTest, ReportsWhenSigchldIsIgnored) {
  EXPECT_HOLDS_IN_OWN_HOST(ExpectDataLossWhenSigchldIsIgnored);
}

TEST(ReaperFallbackTest, ReportsWhenSigchldIsIgnored) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    OsWithoutPidfds os;
    ScopedOs scoped_os(&os);
    ExpectDataLossWhenSigchldIsIgnored();
  });
}

// A kernel without CLONE_PIDFD, where the child has ended, and the host has
// reaped it, before pidfd_open can open a pidfd for its pid.
class LatePidfdOpen : public OsWithoutClonePidfd {
 public:
  // `named`: the process that has the pid by then; nullopt: no process has it.
  explicit LatePidfdOpen(std::optional<pid_t> named) : named_(named) {}

  int PidfdOpen(pid_t pid) override {
    if (pid == getpid()) return Os::PidfdOpen(pid);
    while (Os::Kill(pid, 0) == 0) absl::SleepFor(absl::Milliseconds(1));
    return Os::PidfdOpen(named_.value_or(pid));
  }
  int PidfdSendSignal(int, int) override { return CountSignal(); }
  int Kill(pid_t, int) override { return CountSignal(); }

  int signals() const { return signals_; }

 private:
  int CountSignal() {
    ++signals_;
    errno = EPERM;
    return -1;
  }

  const std::optional<pid_t> named_;
  std::atomic<int> signals_{0};
};

void ExpectNoStrangerForTheChild(std::optional<pid_t> named) {
  signal(SIGCHLD, SIG_IGN);
  LatePidfdOpen os(named);
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command({"echo", "x"}));

  EXPECT_THAT(process->WaitFor(kNeverReached),
              HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(process->Read(), "x\n");
  EXPECT_FALSE(process->IsAlive());
  EXPECT_THAT(process->Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(process->Terminate(), HasCode(absl::StatusCode::kDataLoss));
  process = nullptr;
  EXPECT_EQ(os.signals(), 0);
}

TEST(ReaperTest, TakesNoStrangerForAChildThatWasReapedBeforeItsPidfd) {
  EXPECT_HOLDS_IN_OWN_HOST([] { ExpectNoStrangerForTheChild(getppid()); });
}

TEST(ReaperTest, StartsAChildThatWasReapedBeforeItsPidfd) {
  EXPECT_HOLDS_IN_OWN_HOST([] { ExpectNoStrangerForTheChild(std::nullopt); });
}

// Either waiter may get the status first: the result is the right status or an
// error, but never a wrong status.
TEST(ReaperTest, NeverTellsAWrongStatusBesidesAHostThatWaitsForAnyChild) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    std::atomic<bool> stop{false};
    std::thread thief([&stop] {
      while (!stop) waitpid(-1, nullptr, WNOHANG);
    });
    for (int round = 0; round < 300 / kSlowness; ++round) {
      auto process = MustSpawn(Command::Shell("exit 7"));
      auto status = process->WaitFor(kNeverReached);
      if (status.ok()) {
        EXPECT_EQ(*status, ExitStatus::Exited(7));
      } else {
        EXPECT_THAT(status, HasCode(absl::StatusCode::kDataLoss));
      }
    }
    stop = true;
    thief.join();
  });
}

// When poll itself fails, the threads continue without spinning.
TEST(ReaperTest, ReadersAndTheWriterGoOnWherePollFails) {
  class NoPoll : public Os {
   public:
    int Poll(pollfd*, nfds_t, absl::Time) override {
      ++calls;
      errno = ENOMEM;
      return -1;
    }
    std::atomic<int> calls{0};
  } os;
  ScopedOs scoped_os(&os);
  auto process = MustSpawn(Command({"cat"}));
  const absl::Time start = MonotonicNow();
  EXPECT_THAT(process->Write(std::string(1 << 20, 'x') + "\n"), IsOk());

  auto line = process->out().ReadLine(kNeverReached);
  absl::SleepFor(kShort);

  ASSERT_THAT(line, IsOk());
  EXPECT_EQ(line->size(), 1 << 20);
  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  // Three threads poll, each every 5 ms.
  EXPECT_LE(os.calls, (MonotonicNow() - start) / absl::Milliseconds(1));
}

}  // namespace
}  // namespace asyncproc

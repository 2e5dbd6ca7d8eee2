// The effect of the host's signals, mask and dispositions on its children, and
// of the children on the host.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/proc/signal_action.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::Os;
using internal::ScopedOs;
using testing::HasSubstr;

// The mask of the calling thread and all dispositions, as text to compare.
std::string SignalState() {
  std::string state;
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0) continue;
    absl::StrAppend(&state, signal, ":", sigismember(&mask, signal), "/",
                    reinterpret_cast<uintptr_t>(action.sa_handler), "/",
                    action.sa_flags, " ");
  }
  return state;
}

// SIG-01
TEST(SignalsTest, SigpipeIsDefaultInTheChildOfAHostThatIgnoresIt) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    signal(SIGPIPE, SIG_IGN);
    auto process = MustSpawn(Command::Shell("yes | head -1"));

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_EQ(process->Read(), "y\n");
    EXPECT_EQ(process->ReadErr(), "");
  });
}

// SIG-03
TEST(SignalsTest, TheChildStartsWithAnEmptyMaskAndNothingIgnored) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGURG);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);

    const std::string signals = OutputOf(Command({Helper("print_signals")}));

    EXPECT_THAT(signals, HasSubstr("SigBlk:\t0000000000000000\n"));
    EXPECT_THAT(signals, HasSubstr("SigIgn:\t0000000000000000\n"));
  });
}

std::atomic<int> handled_elsewhere{0};
std::atomic<int> handled{0};

// SIG-04
TEST(SignalsTest, NoHandlerOfTheHostsRunsOnAThreadOfOurs) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    struct sigaction action = {};
    action.sa_handler = [](int) {
      ++handled;
      if (syscall(SYS_gettid) != getpid()) ++handled_elsewhere;
    };
    sigaction(SIGUSR1, &action, nullptr);
    std::vector<std::unique_ptr<Process>> processes;
    std::vector<TapHandle> taps;
    for (int i = 0; i < 10; ++i) {
      processes.push_back(MustSpawn(Command({"cat"})));
      auto tap = processes.back()->out().AddTap([](absl::string_view) {});
      ASSERT_THAT(tap, IsOk());
      taps.push_back(*std::move(tap));
    }
    // While the main thread blocks the signal, another thread would have to
    // handle it.
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    for (int i = 0; i < 200; ++i) {
      pthread_sigmask(i % 2 == 0 ? SIG_BLOCK : SIG_UNBLOCK, &blocked, nullptr);
      kill(getpid(), SIGUSR1);
      ASSERT_THAT(processes[static_cast<size_t>(i) % 10]->Write("x\n"), IsOk());
    }
    pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);

    EXPECT_GT(handled, 0);
    EXPECT_EQ(handled_elsewhere, 0);
  });
}

// SIG-06
TEST(SignalsTest, NothingOfTheHostsIsTouched) {
  const std::string before = SignalState();

  auto failed = Process::Spawn(Command({"/no/such/file"}));
  auto process = MustSpawn(Command({"cat"}));
  process->Write("x\n").IgnoreError();
  process->WaitFor(kShort).IgnoreError();
  process->Signal(SIGSTOP).IgnoreError();
  EXPECT_EQ(SignalState(), before);
  process->Terminate(kShort).IgnoreError();
  // The child does not read.
  auto deaf = MustSpawn(Command::Shell("exec <&-; echo ready; sleep 1000"));
  AwaitLine(*deaf, "ready");
  EXPECT_THAT(deaf->Write("x"), HasCode(absl::StatusCode::kFailedPrecondition));
  deaf = nullptr;

  EXPECT_EQ(SignalState(), before);
}

// A process that waits in vfork takes no signal but SIGKILL.
TEST(SignalsTest, AnInterruptCancelsAStopThatIsStillPending) {
  const auto process = MustSpawn(Command::Shell(
      absl::StrCat("trap '' INT; exec ", Helper("vfork_and_wait"))));
  char state = '\0';
  while (state != 'D') {
    absl::SleepFor(absl::Milliseconds(1));
    const auto stat = internal::ReadProcessStat(process->pid());
    ASSERT_TRUE(stat.has_value());
    state = stat->state;
  }
  const auto stop = [&process] {
    return internal::ReadSignalAction(process->pid(), SIGSTOP);
  };
  ASSERT_THAT(process->Signal(SIGSTOP), IsOk());
  ASSERT_EQ(stop(), internal::SignalAction::kPending);

  EXPECT_THAT(process->Interrupt(TerminationScope::kChild), IsOk());

  EXPECT_EQ(stop(), internal::SignalAction::kDefault);
}

// Fails one of the calls that a start needs: pipe2 or clone.
class FailingOs : public Os {
 public:
  FailingOs(bool pipe, bool clone) : pipe_(pipe), clone_(clone) {}
  int Pipe2(int fds[2], int flags) override {
    if (!pipe_) return Os::Pipe2(fds, flags);
    errno = EMFILE;
    return -1;
  }
  pid_t Clone(int (*entry)(void*), void* stack_top, int flags, void* arg,
              int* pidfd) override {
    if (!clone_) return Os::Clone(entry, stack_top, flags, arg, pidfd);
    errno = EAGAIN;
    return -1;
  }

 private:
  const bool pipe_;
  const bool clone_;
};

// SIG-07
TEST(SignalsTest, TheMaskIsRestoredHoweverTheStartGoes) {
  sigset_t some, before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &some, &before);
  const std::string state = SignalState();
  const auto spawn = [](bool pipe, bool clone, const char* program) {
    FailingOs os(pipe, clone);
    ScopedOs scoped_os(&os);
    return Process::Spawn(Command({program})).status();
  };

  EXPECT_THAT(spawn(true, false, "true"),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(SignalState(), state);
  EXPECT_THAT(spawn(false, true, "true"),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(SignalState(), state);
  EXPECT_THAT(spawn(false, false, "/no/such/file"),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(SignalState(), state);
  EXPECT_THAT(spawn(false, false, "true"), IsOk());
  EXPECT_EQ(SignalState(), state);

  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// SIG-08
TEST(SignalsTest, CtrlCReachesTheHostsGroupAlone) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    // A session with a terminal, and this process in its foreground group.
    ASSERT_GE(setsid(), 0);
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(terminal, 0);
    ASSERT_EQ(grantpt(terminal), 0);
    ASSERT_EQ(unlockpt(terminal), 0);
    const int side = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(side, 0);
    ASSERT_EQ(ioctl(side, TIOCSCTTY, 0), 0) << strerror(errno);
    signal(SIGINT, SIG_IGN);
    auto in_group = MustSpawn(Command({"sleep", "1000"}));
    Command apart({"cat"});
    apart.process_group = ProcessGroup::New();
    auto in_own_group = MustSpawn(apart);
    Command own_session({"cat"});
    own_session.new_session = true;
    auto in_own_session = MustSpawn(own_session);

    ASSERT_EQ(write(terminal, "\003", 1), 1);

    EXPECT_THAT(in_group->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
    for (Process* survivor : {in_own_group.get(), in_own_session.get()}) {
      EXPECT_TRUE(survivor->IsAlive());
      EXPECT_THAT(survivor->Write("hello\n"), IsOk());
      EXPECT_THAT(survivor->out().ReadLine(kNeverReached),
                  IsOkAndHolds("hello"));
    }
  });
}

// SIG-09
TEST(SignalsTest, TheChildOutlivesTheThreadThatStartedIt) {
  for (bool die_with_parent : {false, true}) {
    Command command({"cat"});
    command.die_with_parent = die_with_parent;
    std::unique_ptr<Process> process;
    std::thread([&] { process = MustSpawn(command); }).join();

    // A kill would have happened by now, and the child answers.
    absl::SleepFor(kShort);
    EXPECT_THAT(process->Write("hello\n"), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("hello"));
    EXPECT_THAT(process->Terminate(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  }
}

// SIG-09
TEST(SignalsTest, TheChildEndsWithTheHostIfAsked) {
  const std::string file = testing::TempDir() + "/asyncproc-dies-with-parent";
  unlink(file.c_str());
  EXPECT_HOLDS_IN_OWN_HOST([&file] {
    Command command = Command::Shell(
        "echo $$ > \"$FILE\"; echo ready; "
        "exec sleep 1000");
    command.env.Set("FILE", file);
    command.die_with_parent = true;
    auto process = MustSpawn(command);
    AwaitLine(*process, "ready");
    _exit(testing::Test::HasFailure() ? 1 : 0);
  });
  const pid_t pid = std::stoi("0" + OutputOf(Command({"cat", file})));
  ASSERT_GT(pid, 0);

  EXPECT_TRUE(AwaitProcessEnd(pid));
  unlink(file.c_str());
}

pid_t host = 0;
std::atomic<int> handled_in_host{0};

// SIG-10
TEST(SignalsTest, NoHandlerOfTheHostsRunsInAChildThatStarts) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    ASSERT_EQ(setpgid(0, 0), 0);
    host = getpid();
    struct sigaction action = {};
    action.sa_flags = SA_RESTART;
    action.sa_handler = [](int) {
      // Before exec, the child shares the memory of the host.
      if (syscall(SYS_getpid) != host) abort();
      ++handled_in_host;
    };
    sigaction(SIGUSR1, &action, nullptr);
    std::atomic<bool> stop{false};
    std::thread sender([&stop] {
      while (!stop) {
        kill(-host, SIGUSR1);
        absl::SleepFor(absl::Microseconds(100));
      }
    });
    for (int round = 0; round < 1000 / kSlowness; ++round) {
      auto process = MustSpawn(Command({"true"}));
      // After exec, the child itself may have received one of the signals.
      auto status = process->WaitFor(kNeverReached);
      ASSERT_THAT(status, IsOk());
      EXPECT_TRUE(status->ok() || *status == ExitStatus::Signaled(SIGUSR1))
          << *status;
    }
    stop = true;
    sender.join();
    EXPECT_GT(handled_in_host, 0);
  });
}

// SIG-03
TEST(SignalsTest, BlocksTheSignalsThatTheCallerNames) {
  Command command({Helper("print_signals")});
  command.blocked_signals = {SIGINT, SIGTERM, SIGRTMAX};

  const std::string signals = OutputOf(command);

  EXPECT_THAT(signals, HasSubstr("SigBlk:\t8000000000004002\n"));
  EXPECT_THAT(signals, HasSubstr("SigIgn:\t0000000000000000\n"));
  EXPECT_THAT(command.Explain(),
              HasSubstr("blocked:     SIGINT SIGTERM SIGRTMIN+30\n"));
}

TEST(SignalsTest, IgnoresTheSignalsThatTheCallerNames) {
  Command command({Helper("print_signals")});
  command.ignored_signals = {SIGINT, SIGTERM, SIGRTMAX};

  const std::string signals = OutputOf(command);

  EXPECT_THAT(signals, HasSubstr("SigIgn:\t8000000000004002\n"));
  EXPECT_THAT(signals, HasSubstr("SigBlk:\t0000000000000000\n"));
  EXPECT_THAT(command.Explain(),
              HasSubstr("ignored:     SIGINT SIGTERM SIGRTMIN+30\n"));
}

TEST(SignalsTest, BlocksAndIgnoresNoneThatCannotBe) {
  for (const int signal : {-1, 0, SIGKILL, SIGSTOP, 32, 33, 65}) {
    Command command({"true"});
    command.blocked_signals = {signal};
    EXPECT_THAT(Process::Spawn(command),
                HasCode(absl::StatusCode::kInvalidArgument))
        << signal;
    command.blocked_signals = {};
    command.ignored_signals = {signal};
    EXPECT_THAT(Process::Spawn(command),
                HasCode(absl::StatusCode::kInvalidArgument))
        << signal;
  }
}

}  // namespace
}  // namespace asyncproc

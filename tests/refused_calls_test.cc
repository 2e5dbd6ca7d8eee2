// System calls that fail only in a sandbox, or when the machine is out of a
// resource: the kernel is made to refuse them.

#include "tests/refused_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <termios.h>

#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "asyncproc/terminal.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

Command Cat() { return Command({"cat"}); }

Command OnTerminal() {
  Command command = Cat();
  command.pty.emplace();
  return command;
}

Command LineBuffered() {
  Command command = Cat();
  command.out = Stdio::LineBuffered();
  return command;
}

// Expects that the start of `command` fails at `stage` with `error`.
void ExpectNoStart(const Command& command, SpawnStage stage, int error) {
  const absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Spawn(command);

  ASSERT_FALSE(process.ok());
  EXPECT_THAT(process.status().message(), HasSubstr("cannot start cat"));
  const auto failure = GetSpawnFailure(process.status());
  ASSERT_TRUE(failure.has_value()) << process.status();
  EXPECT_EQ(failure->stage, stage) << process.status();
  EXPECT_EQ(failure->error_number, error) << process.status();
}

struct StartCase {
  std::string name;
  RefusedCall call;
  Command (*command)();
  SpawnStage stage;
};

std::ostream& operator<<(std::ostream& out, const StartCase& test) {
  return out << test.name;
}

class RefusedStartTest : public testing::TestWithParam<StartCase> {};

TEST_P(RefusedStartTest, IsAnErrorThatNamesTheFailure) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    const StartCase& test = GetParam();
    const Command command = test.command();
    Refuse(test.call);
    ExpectNoStart(command, test.stage, test.call.error);
  });
}

INSTANTIATE_TEST_SUITE_P(
    InTheHost, RefusedStartTest,
    testing::Values(StartCase{"Nonblocking",
                              {SYS_fcntl, EINVAL, 1, F_SETFL},
                              Cat,
                              SpawnStage::kPipe},
                    StartCase{"NonblockingTerminal",
                              {SYS_fcntl, EINVAL, 1, F_SETFL},
                              OnTerminal,
                              SpawnStage::kTerminal},
                    StartCase{"NonblockingLineBuffered",
                              {SYS_fcntl, EINVAL, 1, F_SETFL},
                              [] {
                                Command command = LineBuffered();
                                command.in = Stdio::Null();
                                return command;
                              },
                              SpawnStage::kTerminal},
                    StartCase{"PipeSize",
                              {SYS_fcntl, EPERM, 1, F_SETPIPE_SZ},
                              [] {
                                Command command = Cat();
                                command.pipe_size = 1 << 16;
                                return command;
                              },
                              SpawnStage::kPipe},
                    StartCase{"Unlock",
                              {SYS_ioctl, EIO, 1, TIOCSPTLCK},
                              OnTerminal,
                              SpawnStage::kTerminal},
                    StartCase{"Slave",
                              {SYS_ioctl, ENOSPC, 1, TIOCGPTPEER},
                              OnTerminal,
                              SpawnStage::kTerminal},
                    StartCase{"Size",
                              {SYS_ioctl, EIO, 1, TIOCSWINSZ},
                              OnTerminal,
                              SpawnStage::kTerminal},
                    StartCase{"Settings",
                              {SYS_ioctl, EIO, 1, TCSETS},
                              LineBuffered,
                              SpawnStage::kTerminal},
                    StartCase{"Echo",
                              {SYS_ioctl, EIO, 1, TCSETS},
                              [] {
                                Command command = OnTerminal();
                                command.pty->echo = false;
                                return command;
                              },
                              SpawnStage::kTerminal}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    InTheChild, RefusedStartTest,
    testing::Values(StartCase{"Session",
                              {SYS_setsid, EPERM},
                              [] {
                                Command command = Cat();
                                command.new_session = true;
                                return command;
                              },
                              SpawnStage::kSession},
                    StartCase{"ProcessGroup",
                              {SYS_setpgid, EPERM},
                              [] {
                                Command command = Cat();
                                command.process_group = ProcessGroup::New();
                                return command;
                              },
                              SpawnStage::kProcessGroup},
                    StartCase{"Descriptors",
                              {SYS_dup3, EBUSY},
                              Cat,
                              SpawnStage::kDescriptors},
                    StartCase{"ControllingTerminal",
                              {SYS_ioctl, EPERM, 1, TIOCSCTTY},
                              OnTerminal,
                              SpawnStage::kTerminal},
                    StartCase{"CloseRange",
                              {SYS_close_range, ENOMEM, 2, 0},
                              Cat,
                              SpawnStage::kClose},
                    StartCase{"Rlimits",
                              {SYS_prlimit64, EPERM},
                              [] {
                                Command command = Cat();
                                command.rlimits[RLIMIT_CORE] = {0, 0};
                                return command;
                              },
                              SpawnStage::kRlimits},
                    StartCase{"Nice",
                              {SYS_setpriority, EACCES},
                              [] {
                                Command command = Cat();
                                command.nice = 1;
                                return command;
                              },
                              SpawnStage::kNice},
                    StartCase{"ParentDeath",
                              {SYS_prctl, EINVAL, 0, PR_SET_PDEATHSIG},
                              [] {
                                Command command = Cat();
                                command.die_with_parent = true;
                                return command;
                              },
                              SpawnStage::kParentDeath},
                    StartCase{"SignalAction",
                              {SYS_rt_sigaction, EINVAL, 0, SIGRTMAX},
                              Cat,
                              SpawnStage::kSignals}),
    [](const auto& info) { return info.param.name; });

// CLN-01: neither close_range nor the list of descriptors works.
TEST(RefusedCallsTest, AListThatCannotBeReadIsAnError) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    Refuse({SYS_close_range, ENOSYS});
    Refuse({SYS_getdents64, EIO});
    ExpectNoStart(Cat(), SpawnStage::kClose, EIO);
  });
}

// The host has ended before the child asked for the parent-death signal: the
// child detects this by its changed parent.
TEST(RefusedCallsTest, AChildWhoseParentHasEndedInTheMeantimeEnds) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    Command command = Cat();
    command.die_with_parent = true;
    Refuse({SYS_getppid, EPERM});

    const auto process = MustSpawn(command);

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
  });
}

// A sandbox that allows only calls older than itself, or refuses them all with
// the same error.
TEST(RefusedCallsTest, AWriteThatAFilterRefusesIsMadeInAnotherWay) {
  for (const int error : {EPERM, ENOSYS}) {
    EXPECT_HOLDS_IN_OWN_HOST([error] {
      Refuse({SYS_pwritev2, error});
      const auto process = MustSpawn(Cat());
      EXPECT_THAT(process->Write("text"), IsOk());
      EXPECT_THAT(process->Terminate(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(0)));
      EXPECT_EQ(process->Read(), "text");

      // SIGPIPE does not end this program when the child stops reading.
      const auto closed = MustSpawn(Command::Shell("exec <&-; echo x; exit 3"));
      EXPECT_THAT(closed->out().ReadLine(kNeverReached), IsOkAndHolds("x"));
      closed->Write("text").IgnoreError();
      closed->Flush(kNeverReached).IgnoreError();
      EXPECT_THAT(closed->WaitFor(kNeverReached),
                  IsOkAndHolds(ExitStatus::Exited(3)));
    });
  }
}

TEST(RefusedCallsTest, ATerminalThatCannotBeSetOrReadIsAnError) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    const auto process = MustSpawn(OnTerminal());
    Terminal& terminal = *process->pty();
    Refuse({SYS_ioctl, EIO, 1, TCSETS});
    EXPECT_THAT(terminal.SetEcho(false).message(), HasSubstr("echo"));
    Refuse({SYS_ioctl, EIO, 1, TIOCSWINSZ});
    EXPECT_THAT(terminal.SetSize(10, 20).message(), HasSubstr("size"));
    Refuse({SYS_ioctl, EIO, 1, TCGETS});
    for (const absl::Status& status :
         {terminal.SetEcho(true), terminal.Echo().status(),
          terminal.AwaitEcho(true, kNeverReached), terminal.SendInterrupt()}) {
      EXPECT_THAT(status.message(), HasSubstr("settings"));
    }
  });
}

TEST(RefusedCallsTest, ATimeoutWithoutATimerIsAnError) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    Refuse({SYS_timer_settime, EINVAL});
    const auto unset = WithTimeout(kNeverReached, [] { return 1; });
    EXPECT_THAT(unset.status().message(), HasSubstr("timer"));
    Refuse({SYS_timer_create, EAGAIN});
    const auto none = WithTimeout(kNeverReached, [] { return 1; });
    EXPECT_THAT(none, HasCode(absl::StatusCode::kResourceExhausted));
  });
}

}  // namespace
}  // namespace asyncproc

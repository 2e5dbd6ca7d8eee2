#include "asyncproc/diagnose.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/proc/proc_file.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::Field;
using ::testing::HasSubstr;

// Repeats Diagnose until the result matches: the child takes time to reach the
// state.
template <typename Matcher>
Diagnosis AwaitDiagnosis(Process& process, const Matcher& matcher) {
  const absl::Time deadline = absl::Now() + kNeverReached;
  for (;;) {
    Diagnosis found = Diagnose(process);
    if (testing::Matches(matcher)(found)) return found;
    if (absl::Now() > deadline) {
      EXPECT_THAT(found, matcher);
      return found;
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

Diagnosis AwaitActivity(Process& process, Activity activity) {
  return AwaitDiagnosis(process, Field(&Diagnosis::activity, activity));
}

Diagnosis AwaitExplanation(Process& process, const std::string& part) {
  return AwaitDiagnosis(process,
                        Field(&Diagnosis::explanation, HasSubstr(part)));
}

// Ends a child and its descendants.
Escalation EndTree() {
  Escalation escalation = Escalation::Standard(absl::ZeroDuration());
  escalation.scope = TerminationScope::kTree;
  return escalation;
}

TEST(DiagnoseTest, SeesThatItReadsItsStdin) {
  auto process = MustSpawn(Command({"cat"}));

  // Diagnose may have read the state before the child slept.
  const Diagnosis found = AwaitDiagnosis(
      *process, AllOf(Field(&Diagnosis::activity, Activity::kReadingStdin),
                      Field(&Diagnosis::state, 'S')));

  EXPECT_EQ(found.pid, process->pid());
  EXPECT_EQ(found.command, "cat");
  EXPECT_THAT(found.ToString(),
              HasSubstr(absl::StrCat("cat (pid ", process->pid(),
                                     "): it waits for input on its stdin")));
}

TEST(DiagnoseTest, SeesThatItPollsItsStdin) {
  auto process = MustSpawn(
      Command({"python3", "-c", "import select; select.select([0], [], [])"}));
  AwaitActivity(*process, Activity::kReadingStdin);

  process = MustSpawn(Command(
      {"python3", "-c",
       "import select; p = select.poll(); p.register(0, 1); p.poll()"}));
  AwaitActivity(*process, Activity::kReadingStdin);
}

TEST(DiagnoseTest, NamesTheHoldersOfAStdinThatIsClosedHere) {
  auto reader = MustSpawn(Command({"cat"}));
  // The write end is not inherited, but /proc lets a process open it again.
  auto holder = MustSpawn(Command::Shell(absl::StrCat(
      "exec 7>/proc/", reader->pid(), "/fd/0; echo ready; exec sleep 1000")));
  AwaitLine(*holder, "ready");

  EXPECT_THAT(reader->CloseStdin(), IsOk());
  const Diagnosis found = AwaitExplanation(*reader, "held open by");

  ASSERT_EQ(found.holders.size(), 1u);
  EXPECT_EQ(found.holders[0].pid, holder->pid());
  EXPECT_EQ(found.activity, Activity::kReadingStdin);
}

TEST(DiagnoseTest, SeesThatItsOutputIsNotRead) {
  for (const char* script : {"yes", "yes >&2"}) {
    Command command = Command::Shell(absl::StrCat("exec ", script));
    command.output_buffer = OutputBound::BlockChild(4096);
    auto process = MustSpawn(command);

    const Diagnosis found = AwaitExplanation(*process, "full pipe");

    EXPECT_EQ(found.activity, Activity::kWritingOutput);
    EXPECT_THAT(found.explanation, HasSubstr("4096 bytes"));
    EXPECT_FALSE(found.silent);
  }
}

TEST(DiagnoseTest, SeesThatItIsStopped) {
  auto process = MustSpawn(Command({"sleep", "1000"}));
  EXPECT_THAT(process->Signal(SIGSTOP), IsOk());

  const Diagnosis found = AwaitActivity(*process, Activity::kStopped);

  EXPECT_EQ(found.state, 'T');
  EXPECT_THAT(found.explanation, HasSubstr("SIGCONT"));
}

TEST(DiagnoseTest, SeesThatOnlyItsMainThreadHasEnded) {
  auto process = MustSpawn(
      Command({"python3", "-c",
               "import ctypes, threading, time\n"
               "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
               "ctypes.CDLL(None).pthread_exit(None)\n"}));

  const Diagnosis found = AwaitActivity(*process, Activity::kZombie);

  EXPECT_EQ(found.state, 'Z');
  EXPECT_THAT(found.explanation, HasSubstr("1 more run on"));
}

TEST(DiagnoseTest, SeesTheActivityOfTheChildThatItWaitsFor) {
  auto process = MustSpawn(Command::Shell("sh -c 'cat; true'; true"));

  const Diagnosis found =
      AwaitExplanation(*process, "it waits for input on its stdin");

  EXPECT_EQ(found.activity, Activity::kWaitingForChild);
  ASSERT_EQ(found.waits_for.size(), 1u);
  EXPECT_EQ(found.waits_for[0].activity, Activity::kWaitingForChild);
  EXPECT_THAT(found.explanation, HasSubstr("it waits for its child sh (pid "));
}

TEST(DiagnoseTest, SeesThatItSleeps) {
  auto process = MustSpawn(Command({"sleep", "1000"}));

  const Diagnosis found = AwaitDiagnosis(
      *process,
      testing::AllOf(
          Field(&Diagnosis::explanation, "it sleeps for a set time"),
          Field(&Diagnosis::wait_channel, testing::Not(testing::IsEmpty()))));

  EXPECT_EQ(found.activity, Activity::kWaiting);
}

TEST(DiagnoseTest, SeesThatItComputes) {
  auto process = MustSpawn(Command::Shell("while :; do :; done"));

  AwaitActivity(*process, Activity::kRunning);
}

TEST(DiagnoseTest, SeesTheCauseOfItsWait) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("file", "");
  const std::string fifo = absl::StrCat(directory.path(), "/fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const auto python = [](const std::string& script) {
    return Command({"python3", "-c", script});
  };

  const std::pair<Command, std::string> cases[] = {
      {python("import socket; s = socket.socket(); s.listen(); s.accept()"),
       "for a connection on descriptor 3 (socket:"},
      {python(absl::StrCat("from fcntl import *; a = open('", file,
                           "'); b = open('", file,
                           "'); flock(a, LOCK_EX); flock(b, LOCK_EX)")),
       "for the lock of a file on descriptor 4 (/"},
      {Command({"cat", fifo}), "it opens a file, perhaps a FIFO"},
      {python("import select; select.epoll().poll()"), "for events"},
      {python("import select; select.poll().poll()"), "for events"},
      {python("import select; select.select([], [], [])"), "for events"},
      {python("import select; select.select([], [1], [1])\n"
              "import signal; signal.pause()"),
       "for a signal"},
      {Command({Helper("await_io")}),
       absl::StrCat("system call ", SYS_io_getevents)},
  };
  for (const auto& [command, explanation] : cases) {
    const auto process = MustSpawn(command);
    EXPECT_EQ(AwaitExplanation(*process, explanation).activity,
              Activity::kWaiting);
  }
}

TEST(DiagnoseTest, NamesTheTerminalThatItReads) {
  Command command({"cat"});
  command.pty.emplace();
  const auto process = MustSpawn(command);

  const Diagnosis found = AwaitExplanation(*process, "/dev/pts/");

  EXPECT_EQ(found.activity, Activity::kReadingStdin);
  EXPECT_FALSE(found.silent);
}

// As ssh-keygen and getpass do.
TEST(DiagnoseTest, SeesThatItReadsTheTerminalOfItsStdin) {
  Command command({"head", "-n1", "/dev/tty"});
  command.pty = Pty();
  auto process = MustSpawn(command);

  AwaitActivity(*process, Activity::kReadingStdin);

  EXPECT_THAT(process->Write("x\n"), IsOk());
}

TEST(DiagnoseTest, ShowsNoControlCharacterOfANameOrAPath) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("\x1b[31m", "");
  const auto process =
      MustSpawn(Command({"python3", "-c",
                         "import sys; from fcntl import *\n"
                         "open('/proc/self/comm', 'w').write('\x1b]0;x\x07')\n"
                         "a = open(sys.argv[1]); b = open(sys.argv[1])\n"
                         "flock(a, LOCK_EX); flock(b, LOCK_EX)",
                         file}));

  const Diagnosis found = AwaitExplanation(*process, "for the lock");

  EXPECT_EQ(found.command, "\\x1b]0;x\\x07");
  EXPECT_THAT(found.ToString(), HasSubstr("/\\x1b[31m)"));
  EXPECT_THAT(found.ToString(), testing::Not(HasSubstr("\x1b")));
}

TEST(DiagnoseTest, SeesWhichChildItWaitsFor) {
  const auto process =
      MustSpawn(Command({"python3", "-c",
                         "import os, subprocess\n"
                         "subprocess.Popen(['sleep', '1000'])\n"
                         "cat = subprocess.Popen(['cat'])\n"
                         "print(cat.pid, flush=True)\n"
                         "os.waitid(os.P_PID, cat.pid, os.WEXITED)"}));

  const Diagnosis found = AwaitActivity(*process, Activity::kWaitingForChild);

  ASSERT_EQ(found.waits_for.size(), 1u);
  EXPECT_EQ(process->out().ReadLine(kNeverReached).value_or(""),
            absl::StrCat(found.waits_for[0].pid));
  EXPECT_THAT(process->Terminate(EndTree()), IsOk());
}

TEST(DiagnoseTest, SeesThatItWaitsInTheKernel) {
  const auto process = MustSpawn(Command({Helper("vfork_and_wait")}));

  const Diagnosis found = AwaitActivity(*process, Activity::kStuck);

  EXPECT_EQ(found.state, 'D');
}

TEST(DiagnoseTest, SeesADebugger) {
  const auto process = MustSpawn(Command({"cat"}));
  const auto debugger =
      MustSpawn(Command({Helper("trace"), absl::StrCat(process->pid())}));
  AwaitLine(*debugger, "stopped");
  const std::string name = absl::StrCat("its debugger, pid ", debugger->pid());

  Diagnosis found = AwaitActivity(*process, Activity::kTraced);
  EXPECT_THAT(found.explanation, HasSubstr(name));

  // A debugger learns of the end first.
  EXPECT_THAT(process->Signal(SIGKILL), IsOk());
  found = AwaitActivity(*process, Activity::kZombie);
  EXPECT_THAT(found.explanation, HasSubstr(name));
  EXPECT_THAT(debugger->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST(DiagnoseTest, SuspectsABufferWhenNothingIsSaid) {
  Command command(
      {"python3", "-c", "import sys; print('name?'); sys.stdin.readline()"});
  command.env.Unset("PYTHONUNBUFFERED");
  auto process = MustSpawn(command);

  const Diagnosis found = AwaitActivity(*process, Activity::kReadingStdin);

  EXPECT_TRUE(found.silent);
  EXPECT_THAT(found.ToString(), HasSubstr("pty"));
}

TEST(DiagnoseTest, SuspectsNoBufferWhenSomethingIsSaidOrThereIsNoPipe) {
  auto process = MustSpawn(Command::Shell("echo hello; exec cat"));
  AwaitLine(*process, "hello");
  EXPECT_FALSE(AwaitActivity(*process, Activity::kReadingStdin).silent);

  Command command({"cat"});
  command.out = Stdio::Null();
  process = MustSpawn(command);
  EXPECT_FALSE(AwaitActivity(*process, Activity::kReadingStdin).silent);
}

TEST(DiagnoseTest, SeesThatItHasEnded) {
  auto process = MustSpawn(Command({"true"}));
  EXPECT_THAT(process->Wait(), IsOk());

  const Diagnosis found = Diagnose(*process);

  EXPECT_EQ(found.activity, Activity::kEnded);
  EXPECT_EQ(found.pid, process->pid());
}

TEST(DiagnoseTest, NamesTheHoldersOfItsOutput) {
  auto process = MustSpawn(Command::Shell("sleep 1000 & echo $!"));
  EXPECT_THAT(process->Wait(), IsOk());
  const absl::StatusOr<std::string> line =
      process->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  pid_t grandchild = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*line, &grandchild));

  const Diagnosis found = Diagnose(*process);

  EXPECT_EQ(found.activity, Activity::kOutputHeldOpen);
  ASSERT_EQ(found.holders.size(), 1u);
  EXPECT_EQ(found.holders[0].pid, grandchild);
  kill(grandchild, SIGKILL);
  AwaitProcessEnd(grandchild);
}

TEST(DiagnoseTest, IsPartOfTheErrorOfAWaitThatTimedOut) {
  auto process = MustSpawn(Command({"cat"}));
  AwaitActivity(*process, Activity::kReadingStdin);

  const absl::StatusOr<ExitStatus> status = process->WaitFor(kShort);

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(
      status.status().message(),
      HasSubstr("still runs after 50ms: it waits for input on its stdin"));
}

// As in a container where the host is root but may not trace processes.
void GiveUpDebugging() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  CHECK_EQ(syscall(SYS_capget, &header, data), 0);
  data[0].effective &= ~(1u << CAP_SYS_PTRACE);
  data[0].permitted &= ~(1u << CAP_SYS_PTRACE);
  CHECK_EQ(syscall(SYS_capset, &header, data), 0);
}

// The file with the child's system call can be opened, but not read.
TEST(DiagnoseTest, TellsLessOfAChildThatMayNotBeLookedInto) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    GiveUpDebugging();
    auto process = MustSpawn(Command({Helper("undumpable")}));
    AwaitLine(*process, "ready");

    EXPECT_THAT(process->WaitFor(kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    AwaitExplanation(*process, "it waits in an unknown place");
  });
}

TEST(ProcFileTest, IsNoMoreThanCouldBeRead) {
  TemporaryDirectory directory;

  EXPECT_EQ(internal::ReadFile(directory.path()), "");
  EXPECT_EQ(internal::ReadFile(directory.path() + "/missing"), "");
  EXPECT_THAT(internal::ListNumbers(directory.path() + "/missing"),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(internal::ReadProcFile(directory.path() + "/missing"),
              HasCode(absl::StatusCode::kNotFound));
  const std::string long_text(3 * 1024, 'x');
  EXPECT_EQ(internal::ReadFile(directory.Write("7", long_text)), long_text);
  EXPECT_THAT(internal::ListNumbers(directory.path()),
              IsOkAndHolds(testing::ElementsAre(7)));
}

}  // namespace
}  // namespace asyncproc

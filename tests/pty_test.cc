#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/own_host.h"
#include "tests/scarce_memory.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

Command OnTerminal(Command command, bool echo = true) {
  command.pty = Pty{24, 80, echo};
  return command;
}

// All output until the end of the child, which must exit with 0.
std::string AllOf(Process& process) {
  EXPECT_THAT(process.WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  return process.Read();
}

// PTY-01
TEST(PtyTest, GivesTheChildATerminalOnAllThreeStreams) {
  auto process = MustSpawn(OnTerminal(Command::Shell(
      "tty; test -t 0 && test -t 1 && test -t 2 && echo yes; stty size")));

  EXPECT_THAT(AllOf(*process),
              MatchesRegex("/dev/pts/[0-9]+\r\nyes\r\n24 80\r\n"));
}

TEST(PtyTest, HasTheSizeThatItsTerminalHasWhateverTheHostsSays) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    setenv("LINES", "7", 1);
    setenv("COLUMNS", "9", 1);
    Command command =
        OnTerminal(Command::Shell("echo ${LINES-none} ${COLUMNS-none}"));
    EXPECT_EQ(AllOf(*MustSpawn(command)), "none none\r\n");

    command.env.Set("COLUMNS", "70");
    EXPECT_EQ(AllOf(*MustSpawn(command)), "none 70\r\n");

    EXPECT_EQ(OutputOf(Command::Shell("echo ${LINES-none} ${COLUMNS-none}")),
              "7 9\n");
  });
}

// PTY-02
TEST(PtyTest, IsTheControllingTerminal) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("exec 3<>/dev/tty; read line <&3; echo \"$line\" >&3")));

  EXPECT_THAT(process->Write("hello world!\n"), IsOk());

  EXPECT_EQ(AllOf(*process), "hello world!\r\nhello world!\r\n");
}

// As getpass does in a program that has closed its standard streams.
TEST(PtyTest, GoesOnWhenTheChildOpensItsTerminalAgain) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("trap '' HUP; exec <&- >&- 2>&-; sleep 0.2; "
                     "exec 3<>/dev/tty; printf 'Password: ' >&3; read x <&3; "
                     "test \"$x\" = secret"),
      /*echo=*/false));

  EXPECT_THAT(process->out().ReadUntil(": ", kNeverReached),
              IsOkAndHolds("Password"));
  EXPECT_THAT(process->Write("secret\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// PTY-03
TEST(PtyTest, EchoesTypedTextUnlessEchoIsOff) {
  for (bool echo : {true, false}) {
    auto process = MustSpawn(OnTerminal(Command({"cat"}), echo));

    EXPECT_THAT(process->Write("1234\n"), IsOk());
    EXPECT_THAT(process->CloseStdin(), IsOk());

    EXPECT_EQ(AllOf(*process), echo ? "1234\r\n1234\r\n" : "1234\r\n");
  }
}

// PTY-03
TEST(PtyTest, AwaitEchoWaitsForTheProgramThatAsksForAPassword) {
  auto process = MustSpawn(OnTerminal(Command::Shell(
      "read go; stty -echo; read secret; stty echo; echo \"got $secret\"")));

  EXPECT_THAT(process->pty()->Echo(), IsOkAndHolds(true));
  EXPECT_THAT(process->pty()->AwaitEcho(false, kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(process->Write("go\n"), IsOk());
  EXPECT_THAT(process->pty()->AwaitEcho(false, kNeverReached), IsOk());
  EXPECT_THAT(process->Write("hunter2\n"), IsOk());

  EXPECT_EQ(AllOf(*process), "go\r\ngot hunter2\r\n");
}

TEST(PtyTest, AwaitEchoEndsWithTheChild) {
  auto process =
      MustSpawn(OnTerminal(Command::Shell("stty -echo; read x; exit 3")));
  EXPECT_THAT(process->pty()->AwaitEcho(false, kNeverReached), IsOk());
  EXPECT_THAT(process->Write("\n"), IsOk());

  EXPECT_THAT(process->pty()->AwaitEcho(true, kNeverReached),
              HasCode(absl::StatusCode::kFailedPrecondition));

  EXPECT_THAT(process->pty()->AwaitEcho(false, kNeverReached), IsOk());
}

TEST(PtyTest, SetEchoTurnsItOffAndOn) {
  auto process = MustSpawn(OnTerminal(Command({"cat"})));

  EXPECT_THAT(process->pty()->SetEcho(false), IsOk());
  EXPECT_THAT(process->Write("a\n"), IsOk());
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("a"));
  EXPECT_THAT(process->pty()->SetEcho(true), IsOk());
  EXPECT_THAT(process->Write("b\n"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());

  EXPECT_EQ(AllOf(*process), "b\r\nb\r\n");
}

// PTY-03
TEST(PtyTest, SetEchoComesTooLateForTypedText) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("read first; read second; echo \"$first $second\"")));

  // The terminal echoes each line as it arrives, before the child reads it.
  EXPECT_THAT(process->Write("one\n"), IsOk());
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("one"));
  EXPECT_THAT(process->pty()->SetEcho(false), IsOk());
  EXPECT_THAT(process->Write("two\n"), IsOk());

  EXPECT_EQ(AllOf(*process), "one two\r\n");
}

// PTY-04
TEST(PtyTest, ReadsToTheEndWithoutAnError) {
  auto process = MustSpawn(OnTerminal(Command({"echo", "x"})));

  EXPECT_EQ(AllOf(*process), "x\r\n");
  EXPECT_TRUE(process->out().AtEof());
  EXPECT_THAT(process->out().ReadLine(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(PtyTest, LosesNoByteOfALargeOutput) {
  auto process = MustSpawn(OnTerminal(Command(
      {"python3", "-c", "print('\\n'.join(str(i) for i in range(100000)))"})));

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));

  for (int i = 0; i < 100000; ++i) {
    ASSERT_THAT(process->out().TryReadLine(), IsOkAndHolds(absl::StrCat(i)));
  }
}

// PTY-06
TEST(PtyTest, SendEofEndsTheInputAlsoWhenTheLineIsNotEmpty) {
  for (const char* typed : {"", "partial", "line\n"}) {
    auto process = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));

    EXPECT_THAT(process->Write(typed), IsOk());
    EXPECT_THAT(process->pty()->SendEof(), IsOk());

    EXPECT_THAT(AllOf(*process), testing::StartsWith(std::string(typed).substr(
                                     0, std::string(typed).find('\n'))));
  }
}

// PTY-07
TEST(PtyTest, SendInterruptReachesTheChildAsASignal) {
  auto process = MustSpawn(OnTerminal(Command({"cat"})));
  // The child runs as soon as it has answered.
  EXPECT_THAT(process->Write("x\n"), IsOk());
  EXPECT_THAT(process->out().ReadUntil("x\r\nx\r\n", kNeverReached), IsOk());

  EXPECT_THAT(process->pty()->SendInterrupt(), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_THAT(process->Interrupt(TerminationScope::kGroup),
              HasCode(absl::StatusCode::kNotFound));
}

TEST(PtyTest, TakesAnInterruptAfterTheEndOfItsInput) {
  auto process = MustSpawn(
      OnTerminal(Command::Shell("cat; echo at the end; exec sleep 1000")));
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->out().ReadUntil("at the end", kNeverReached), IsOk());

  EXPECT_THAT(process->Interrupt(TerminationScope::kGroup), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_THAT(process->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

// The child handles the signal: a terminal does not stop a session leader, such
// as this child.
TEST(PtyTest, SendSuspendReachesTheChildAsASignal) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("trap 'echo suspended; exit 5' TSTP; echo ready; "
                     "while :; do sleep 0.01; done")));
  EXPECT_THAT(process->out().ReadUntil("ready\r\n", kNeverReached), IsOk());

  EXPECT_THAT(process->pty()->SendSuspend(), IsOk());

  EXPECT_THAT(process->out().ReadUntil("suspended", kNeverReached), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(5)));
}

TEST(PtyTest, SendSuspendStopsAJobOfAShellAndNotTheChild) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  auto shell = MustSpawn(OnTerminal(
      Command({"bash", "-c", "set -m; cat; echo \"job $?\""}), false));
  for (Process* const process : {cat.get(), shell.get()}) {
    EXPECT_THAT(process->Write("x\n"), IsOk());
    AwaitLine(*process, "x");

    EXPECT_THAT(process->pty()->SendSuspend(), IsOk());
  }

  EXPECT_THAT(shell->out().ReadUntil("job 148\r\n", kNeverReached), IsOk());
  EXPECT_THAT(cat->Write("y\n"), IsOk());
  AwaitLine(*cat, "y");
}

TEST(PtyTest, TakesTheKeysOfAPerson) {
  auto process = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));

  EXPECT_THAT(process->Write("a\xc3\xbc\x7f\xe6\x97\xa5\x7f"
                             "b\r"),
              IsOk());

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("ab"));
}

TEST(PtyTest, TypesTheUsualCharacterWhereItsSettingIsOff) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("stty -icanon intr undef quit undef susp undef eof undef; "
                     "echo ready; head -c 4 | od -An -tx1"),
      /*echo=*/false));
  AwaitLine(*process, "ready");

  EXPECT_THAT(process->pty()->SendInterrupt(), IsOk());
  EXPECT_THAT(process->pty()->SendQuit(), IsOk());
  EXPECT_THAT(process->pty()->SendSuspend(), IsOk());
  EXPECT_THAT(process->pty()->SendEof(), IsOk());

  EXPECT_EQ(AllOf(*process), " 03 1c 1a 04\r\n");
}

TEST(PtyTest, SendQuitReachesTheChildAsASignal) {
  Command command = OnTerminal(Command({"cat"}));
  command.rlimits[RLIMIT_CORE] = {0, 0};
  auto process = MustSpawn(command);
  EXPECT_THAT(process->Write("x\n"), IsOk());
  EXPECT_THAT(process->out().ReadUntil("x\r\nx\r\n", kNeverReached), IsOk());

  EXPECT_THAT(process->pty()->SendQuit(), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGQUIT)));
}

TEST(PtyTest, SetSizeTellsTheChild) {
  auto process = MustSpawn(OnTerminal(Command::Shell(
      "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.02; "
      "done")));
  AwaitLine(*process, "ready");

  EXPECT_THAT(process->pty()->SetSize(50, 132), IsOk());

  EXPECT_EQ(AllOf(*process), "50 132\r\n");
}

TEST(PtyTest, GetSizeSeesASizeSetByTheChild) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("read x; stty rows 7 cols 9; echo ready; read x"),
      /*echo=*/false));

  EXPECT_THAT(process->pty()->GetSize(), IsOkAndHolds(TerminalSize{24, 80}));
  ASSERT_THAT(process->Write("\n"), IsOk());
  AwaitLine(*process, "ready");
  EXPECT_THAT(process->pty()->GetSize(), IsOkAndHolds(TerminalSize{7, 9}));
}

// PTY-08
TEST(PtyTest, CloseStdinTypesTheEndBehindAllThatMayWait) {
  Command command = OnTerminal(
      Command::Shell("echo ready; kill -STOP $$; cat > /dev/null; echo done"),
      /*echo=*/false);
  command.input_limit = 100000;
  auto process = MustSpawn(command);
  AwaitLine(*process, "ready");
  while (process->state() != ProcessState::kStopped) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  while (process->Write(std::string(999, 'x') + "\n").ok()) {
  }
  while (process->Write("\n").ok()) {
  }

  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Signal(SIGCONT), IsOk());

  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("done"));
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(PtyTest, TerminateTypesTheEndOfTheInputFirst) {
  auto process = MustSpawn(OnTerminal(Command({"cat"})));

  EXPECT_THAT(process->Terminate(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

// PTY-08
TEST(PtyTest, TerminateGoesOnWhenTheChildIgnoresTheEndOfTheInput) {
  auto process = MustSpawn(OnTerminal(Command::Shell(
      "trap '' HUP TERM; echo ready; while :; do sleep 1000; done")));
  AwaitLine(*process, "ready");

  EXPECT_THAT(process->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

// PTY-10
TEST(PtyTest, RefusesALineThatTheTerminalWouldCutOff) {
  auto process = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  const std::string longest(4095, 'x');

  EXPECT_THAT(process->Write(absl::StrCat(longest, "\n")), IsOk());
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds(longest));
  EXPECT_THAT(process->Write(absl::StrCat(longest, "x\n")),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process->Write(longest), IsOk());
  EXPECT_THAT(process->Write("x"), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_EQ(AllOf(*process), absl::StrCat(longest, "\r\n"));
}

// PTY-10
TEST(PtyTest, TakesALongLineInRawMode) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell("stty raw -echo; echo ready; head -c 1000000 | wc -c")));
  EXPECT_THAT(process->out().ReadUntil("ready", kNeverReached), IsOk());

  EXPECT_THAT(process->Write(std::string(1000000, 'x')), IsOk());

  EXPECT_THAT(AllOf(*process), HasSubstr("1000000"));
}

// PTY-10
TEST(PtyTest, CountsNoKeyOfRawModeIntoALine) {
  auto process = MustSpawn(OnTerminal(
      Command::Shell(
          "stty raw -echo; echo ready; head -c 5000 | wc -c; "
          "stty sane -echo; echo ready; read line; echo \"[$line]\""),
      /*echo=*/false));
  EXPECT_THAT(process->out().ReadUntil("ready", kNeverReached), IsOk());
  EXPECT_THAT(process->Write(std::string(5000, 'x')), IsOk());
  EXPECT_THAT(process->out().ReadUntil("ready", kNeverReached), IsOk());

  EXPECT_THAT(process->Write("hello\n"), IsOk());

  EXPECT_THAT(AllOf(*process), HasSubstr("[hello]"));
}

// PTY-11
TEST(PtyTest, KeepsItsTerminalFromOtherChildren) {
  auto process = MustSpawn(OnTerminal(Command({"cat"})));

  const std::string others = OutputOf(Command({"ls", "-l", "/proc/self/fd"}));

  EXPECT_FALSE(absl::StrContains(others, "ptmx")) << others;
  EXPECT_FALSE(absl::StrContains(others, "/dev/pts")) << others;
}

// PTY-12
TEST(PtyTest, WorksInAHostWithoutStdinAndStdout) {
  const std::string seen = InForkedHost([]() -> std::string {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    auto process = Process::Spawn(OnTerminal(Command({"cat"}), false));
    if (!process.ok()) return process.status().ToString();
    (*process)->Write("x\n").IgnoreError();
    (*process)->pty()->SendEof().IgnoreError();
    const auto status = (*process)->WaitFor(kNeverReached);
    if (!status.ok()) return status.status().ToString();
    return absl::StrCat((*process)->Read(), status->ToString());
  });

  EXPECT_EQ(seen, "x\r\nexited with status 0");
}

TEST(PtyTest, LeavesNothingOfAFailedStart) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(Process::Spawn(OnTerminal(Command({"/no/such/program"}))),
                HasCode(absl::StatusCode::kNotFound));
  }
}

// RED-14
TEST(PtyTest, RefusesStreamsThatAreSetToSomethingElse) {
  Command command = OnTerminal(Command({"cat"}));
  command.out = Stdio::Null();

  EXPECT_THAT(Process::Spawn(command),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(PtyTest, IsAbsentWithoutBeingAskedFor) {
  auto process = MustSpawn(Command({"cat"}));

  EXPECT_EQ(process->pty(), nullptr);
}

// Each word must come back at once.
void ExpectConversation(Command command) {
  command.env.Unset("PYTHONUNBUFFERED");
  auto process = MustSpawn(command);
  for (const char* word : {"one", "two", "four"}) {
    EXPECT_THAT(process->Write(absl::StrCat(word, "\n")), IsOk());
    EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds(word))
        << command.DebugString();
  }
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_EQ(AllOf(*process), "");
}

// All of these programs buffer their lines when they write to a pipe.
std::vector<Command> ProgramsThatBuffer() {
  return {Command({"python3", "-c",
                   "import sys\n"
                   "for line in sys.stdin: print(line.strip())"}),
          Command({"grep", "o"}), Command({"sed", "s/x/y/"}),
          Command({"cut", "-c", "1-"})};
}

TEST(LineBufferedTest, DeliversEachLineAtOnceFromProgramsThatBuffer) {
  for (Command command : ProgramsThatBuffer()) {
    command.out = Stdio::LineBuffered();
    ExpectConversation(command);
  }
}

TEST(PtyTest, DeliversEachLineAtOnceFromProgramsThatBuffer) {
  std::vector<Command> commands = ProgramsThatBuffer();
  // Debian's awk also buffers its input from a pipe.
  commands.push_back(Command({"awk", "{print $1}"}));
  for (const Command& command : commands) {
    ExpectConversation(OnTerminal(command, /*echo=*/false));
  }
}

// RED-13
TEST(PtyTest, DropsTheOutputOnceItIsClosed) {
  auto process = MustSpawn(OnTerminal(Command::Shell("seq 1 100000; exit 3")));

  process->out().Close();

  EXPECT_THAT(process->out().ReadToEnd(kNeverReached), IsOk());
  EXPECT_TRUE(process->out().AtEof());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
}

TEST(PtyTest, DropsTheOutputOfAChildThatABoundHeldUp) {
  Command command = OnTerminal(Command::Shell("yes | head -c 1000000; exit 3"));
  command.output_buffer = OutputBound::BlockChild(10);
  auto process = MustSpawn(command);
  auto watcher = process->out().NewCursor();
  EXPECT_THAT(watcher.ReadExactly(10, kNeverReached), IsOk());

  process->out().Close();

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(process->Read().substr(0, 6), "y\r\ny\r\n");
}

TEST(PtyTest, TakesInputAndASizeAfterItsOutputIsClosed) {
  auto process = MustSpawn(OnTerminal(Command::Shell(
      "read go; seq 1 100000; test \"$(stty size)\" = '30 90' && exit 4")));

  process->out().Close();

  EXPECT_THAT(process->pty()->SetSize(30, 90), IsOk());
  EXPECT_THAT(process->Write("go\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(4)));
}

TEST(PtyTest, IsNotWaitedForOnceItsOutputIsClosed) {
  Command command = OnTerminal(
      Command::Shell("trap '' HUP; sleep 1000 & echo $!; read x; exit 3"));
  command.drain_grace = kNeverReached * 2;
  auto process = MustSpawn(command);
  const auto grandchild = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(grandchild, IsOk());

  process->out().Close();

  EXPECT_THAT(process->Write("\n"), IsOk());
  const auto status = process->WaitFor(kNeverReached);
  ASSERT_THAT(status, IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_TRUE(status->output_complete());
  kill(std::stoi(*grandchild), SIGKILL);
}

TEST(PtyTest, DropsTheOutputThatMemoryIsTooSmallFor) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    auto process = MustSpawn(OnTerminal(Command::Shell(
        "read x; echo ready; read x; head -c 30000000 /dev/zero; exit 3")));
    EXPECT_THAT(process->Write("\n"), IsOk());
    EXPECT_THAT(process->out().ReadUntil("ready\r\n", kNeverReached), IsOk());
    LeaveMemory(8 << 20);

    EXPECT_THAT(process->Write("\n"), IsOk());

    EXPECT_THAT(process->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(3)));
    EXPECT_THAT(process->out().ReadToEnd(kNeverReached),
                HasCode(absl::StatusCode::kResourceExhausted));
  });
}

// RED-13
TEST(LineBufferedTest, IsAWriteErrorToTheChildOnceItIsClosed) {
  Command command({"python3", "-c",
                   "import os\n"
                   "input()\n"
                   "try: os.write(1, b'x')\n"
                   "except OSError as error: exit(error.errno)"});
  command.out = Stdio::LineBuffered();
  auto process = MustSpawn(command);

  process->out().Close();

  EXPECT_THAT(process->Write("\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(EIO)));
}

TEST(LineBufferedTest, HasTheSizeOfATerminal) {
  Command command = Command::Shell("stty size <&1; stty size <&2");
  command.out = command.err = Stdio::LineBuffered();

  EXPECT_EQ(OutputOf(command), "24 80\n24 80\n");
}

TEST(LineBufferedTest, LeavesBytesAndTheOtherStreamsAsTheyAre) {
  Command command = Command::Shell(
      "test -t 0 || echo pipe; test -t 1 && echo terminal; "
      "test -t 2 || echo pipe >&2; printf 'a\\tb\\r\\n\\001\\377'");
  command.out = Stdio::LineBuffered();
  auto process = MustSpawn(command);

  EXPECT_EQ(AllOf(*process), "pipe\nterminal\na\tb\r\n\001\377");
  EXPECT_EQ(process->ReadErr(), "pipe\n");
}

}  // namespace
}  // namespace asyncproc

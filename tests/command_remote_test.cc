// Command::Via and Command::OverSsh, with a real sshd.

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "tests/loopback_sshd.h"
#include "tests/own_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Words that challenge a shell, careless quoting, or an option parser.
std::vector<std::string> HostileWords() {
  return {"",           " ",      "two words", "don't",     "\"double\"",
          "a\nb\n",     "$HOME",  "`id`",      "$(id)",     "\\",
          "\\\\'",      "*",      "~",         "-n",        "--",
          "; exit 9",   "a=b",    "#no",       "!history!", "{a,b}",
          "\t\x01\x7f", "ü€\xff", "%s%n",      "&&",        "'"};
}

class OverSshTest : public testing::Test {
 protected:
  Command There(const Command& command) const {
    return command.OverSsh(sshd_.host(), sshd_.options());
  }

  LoopbackSshd sshd_;
};

// The pids in the first line of a remote shell.
std::vector<pid_t> ReadPids(Process& process) {
  const auto line = process.out().ReadLine(kNeverReached);
  EXPECT_THAT(line, IsOk());
  std::vector<pid_t> pids;
  for (absl::string_view word :
       absl::StrSplit(line.value_or(""), ' ', absl::SkipEmpty())) {
    int pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(word, &pid)) << word;
    pids.push_back(pid);
  }
  return pids;
}

void ExpectAllEnd(const std::vector<pid_t>& pids) {
  for (pid_t pid : pids) EXPECT_TRUE(AwaitProcessEnd(pid)) << pid;
}

// Prints its own pid and the pids of two descendants. None of them ends by
// itself, and one ignores SIGTERM. The pids are those of this machine, because
// it is also the remote one.
Command Family() {
  return {"sh", "-c",
          "sleep 1000 & a=$!; "
          "sh -c 'trap \"\" TERM; while :; do sleep 1; done' & b=$!; "
          "echo $$ $a $b; wait"};
}

TEST(ViaTest, PutsTheOtherCommandFirst) {
  Command command({"print", "a b"});
  command.working_directory = "/tmp";

  const Command via = command.Via({"srun", "-n1"});

  EXPECT_THAT(via.argv, ElementsAre("srun", "-n1", "print", "a b"));
  EXPECT_EQ(via.working_directory, "/tmp");
}

TEST(ViaTest, NamesTheFileThatIsToBeRun) {
  Command command({"-sh", "-c", "echo $0"});
  command.executable = "sh";

  EXPECT_EQ(OutputOf(command.Via({"env", "A=1"})), "sh\n");
}

TEST(ViaTest, PassesHostileArgumentsOn) {
  Command command({Helper("print_args")});
  for (const std::string& word : HostileWords()) command.argv.push_back(word);

  EXPECT_EQ(OutputOf(command.Via({"nice", "-n", "1"})), OutputOf(command));
}

TEST_F(OverSshTest, PassesHostileArgumentsOn) {
  Command command({Helper("print_args")});
  for (const std::string& word : HostileWords()) command.argv.push_back(word);

  EXPECT_EQ(OutputOf(There(command)), OutputOf(command));
}

TEST_F(OverSshTest, CarriesDirectoryAndEnvironmentOver) {
  const TemporaryDirectory directory;
  Command command(
      {"sh", "-c", "pwd -P; printf '[%s]' \"$A\" \"$B\" \"${HOME-none}\""});
  command.working_directory = directory.path();
  command.env.Set("A", "it's\n$HOME").Set("B", "").Unset("HOME");

  const std::string there = OutputOf(There(command));

  EXPECT_EQ(there, OutputOf(command));
  EXPECT_THAT(there, testing::EndsWith("\n[it's\n$HOME][][none]"));
}

TEST_F(OverSshTest, CanClearTheEnvironment) {
  Command command({"/usr/bin/env"});
  command.env.Clear().Set("ONLY", "this").Set("strange.name", "too");

  const std::vector<std::string> lines =
      absl::StrSplit(OutputOf(There(command)), '\n', absl::SkipEmpty());

  EXPECT_THAT(lines, testing::IsSupersetOf({"ONLY=this", "strange.name=too"}));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("HOME="))));
}

// env -S would run a program, and so would a login shell that does not know the
// option.
TEST_F(OverSshTest, CarriesVariablesWhoseNamesLookLikeOptions) {
  const TemporaryDirectory directory;
  const std::string trap = absl::StrCat(directory.path(), "/trap");
  Command command({"/usr/bin/env"});
  command.env.Clear()
      .Set("-S", absl::StrCat("touch ", trap))
      .Set("--split-string", "x")
      .Set("-", "y")
      .Unset("-u");

  const std::vector<std::string> lines =
      absl::StrSplit(OutputOf(There(command)), '\n', absl::SkipEmpty());

  EXPECT_THAT(lines, testing::IsSupersetOf({absl::StrCat("-S=touch ", trap),
                                            std::string("--split-string=x"),
                                            std::string("-=y")}));
  EXPECT_FALSE(std::filesystem::exists(trap));
}

TEST_F(OverSshTest, RunsAProgramWhoseNameLooksLikeAnOption) {
  const TemporaryDirectory directory;
  for (const char* name : {"-a", "-a=b", "--", "-"}) {
    directory.Write(name, "#!/bin/sh\nprintf '[%s]' \"$@\" \"$X\"\n", 0755);
    for (const bool with_variable : {false, true}) {
      Command command({name, "echo", "-n"});
      command.env.Set("PATH", directory.path() + ":/usr/bin:/bin");
      if (with_variable) command.env.Set("X", "here");

      EXPECT_EQ(OutputOf(There(command)),
                with_variable ? "[echo][-n][here]" : "[echo][-n][]")
          << name;
    }
  }
}

// When /bin/sh is bash, exec has options.
TEST(OverSshWordsTest, LeaveNoNameToAShellsExecThatLooksLikeAnOption) {
  const std::string line =
      Command({"-a", "echo"}).OverSsh("there", SshOptions()).argv.back();

  EXPECT_THAT(line, testing::EndsWith(" /bin/sh -c '\"$@\"' sh -a echo"));
}

TEST_F(OverSshTest, IsRefusedForAVariableThatIsNone) {
  Command command({"true"});
  command.env.Set("A=B", "c");

  EXPECT_THAT(Process::Spawn(There(command)),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(OverSshTest, RunsAProgramWithAnEqualsSignInItsName) {
  const TemporaryDirectory directory;
  Command command({directory.Write("a=b", "#!/bin/sh\necho \"$X\"\n", 0755)});
  command.argv[0] = "./a=b";
  command.working_directory = directory.path();
  command.env.Set("X", "here");

  EXPECT_EQ(OutputOf(There(command)), "here\n");
}

TEST_F(OverSshTest, RunsAProgramNeverABuiltinOfTheShell) {
  // The builtin would end the shell with 3.
  const auto result = asyncproc::Run(There({"exit", "3"}));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(127));
}

TEST_F(OverSshTest, ReportsHowTheCommandEnded) {
  struct Case {
    Command command;
    int code;
  };
  for (const Case& c :
       {Case{{"true"}, 0}, Case{{"sh", "-c", "exit 42"}, 42},
        Case{{"sh", "-c", "kill -9 $$"}, 137}, Case{{"no_such_program"}, 127},
        Case{{"/etc/passwd"}, 126}}) {
    const auto result = asyncproc::Run(There(c.command));
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->status, ExitStatus::Exited(c.code))
        << c.command.DebugString();
  }
  Command nowhere({"true"});
  nowhere.working_directory = "/no/such/directory";
  const auto result = asyncproc::Run(There(nowhere));
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(126));
  EXPECT_THAT(std::string(result->err), HasSubstr("/no/such/directory"));
}

TEST_F(OverSshTest, KeepsStreamsApartAndBinaryClean) {
  std::string bytes;
  for (int i = 0; i < 300000; ++i)
    bytes.push_back(static_cast<char>(i * 7 + i / 256));
  RunOptions options;
  options.input = bytes;

  const auto result =
      asyncproc::Run(There({"sh", "-c", "tee /dev/stderr"}), options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(0));
  EXPECT_TRUE(result->out == bytes);
  EXPECT_TRUE(result->err == bytes);
}

TEST_F(OverSshTest, EndsAsSoonAsTheCommandDoes) {
  // The next poll of the watcher comes a second later. A busy machine may need
  // that time as well, though not always.
  const absl::Duration soon = absl::Milliseconds(500) * kSlowness;
  absl::Duration shortest = absl::InfiniteDuration();
  for (int i = 0; i < 20 && shortest >= soon; ++i) {
    int64_t ended = 0;
    ASSERT_TRUE(absl::SimpleAtoi(OutputOf(There({"date", "+%s%N"})), &ended));
    shortest = std::min(shortest, absl::Now() - absl::FromUnixNanos(ended));
  }
  EXPECT_LT(shortest, soon);
}

TEST_F(OverSshTest, SharesTheConnection) {
  const Command connection = There({"sh", "-c", "echo $SSH_CONNECTION"});
  SshOptions alone = sshd_.options();
  alone.share_connection = false;

  const std::string first = OutputOf(connection);

  EXPECT_EQ(OutputOf(connection), first);
  EXPECT_NE(OutputOf(Command({"sh", "-c", "echo $SSH_CONNECTION"})
                         .OverSsh(sshd_.host(), alone)),
            first);
}

TEST_F(OverSshTest, LeavesNoRemoteProcessWhenTheLocalSshEnds) {
  // This includes the first command, whose ssh opens the shared connection.
  for (int signal : {SIGTERM, SIGKILL, SIGTERM, SIGKILL}) {
    const auto process = MustSpawn(There(Family()));
    const std::vector<pid_t> pids = ReadPids(*process);
    ASSERT_EQ(pids.size(), 3);

    ASSERT_THAT(process->Signal(signal), IsOk());

    EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
    ExpectAllEnd(pids);
  }
}

TEST_F(OverSshTest, LeavesNoRemoteProcessWithoutASharedConnection) {
  SshOptions alone = sshd_.options();
  alone.share_connection = false;
  for (int signal : {SIGTERM, SIGKILL}) {
    const auto process = MustSpawn(Family().OverSsh(sshd_.host(), alone));
    const std::vector<pid_t> pids = ReadPids(*process);
    ASSERT_EQ(pids.size(), 3);

    ASSERT_THAT(process->Signal(signal), IsOk());

    ExpectAllEnd(pids);
  }
}

TEST_F(OverSshTest, LeavesNoRemoteProcessOfATerminal) {
  Command command = Family();
  command.pty = Pty();
  for (int signal : {SIGTERM, SIGKILL}) {
    const auto process = MustSpawn(There(command));
    const std::vector<pid_t> pids = ReadPids(*process);
    ASSERT_EQ(pids.size(), 3);

    ASSERT_THAT(process->Signal(signal), IsOk());

    ExpectAllEnd(pids);
  }
}

TEST_F(OverSshTest, DoesNotEndACommandWhoseInputHasEnded) {
  const auto process = MustSpawn(
      There({"sh", "-c", "cat; echo at end; sleep 3; echo still here"}));

  ASSERT_THAT(process->CloseStdin(), IsOk());

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(process->Read(), "at end\nstill here\n");
}

TEST_F(OverSshTest, GivesTheCommandATerminal) {
  Command command({"sh", "-c", "test -t 0 && test -t 1 && tty"});
  command.pty = Pty();

  const auto process = MustSpawn(There(command));

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_THAT(process->Read(), testing::StartsWith("/dev/pts/"));
}

TEST_F(OverSshTest, FailsAsSshDoesForAHostThatIsNone) {
  for (const char* host : {"no-such-host.invalid", "", "-oProxyCommand=id"}) {
    const auto result =
        asyncproc::Run(Command({"true"}).OverSsh(host, sshd_.options()));
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->status, ExitStatus::Exited(255)) << host;
    EXPECT_THAT(std::string(result->err), Not(IsEmpty()));
  }
}

TEST(OverSshWordsTest, SayHowLongAConnectionIsKept) {
  SshOptions options;
  options.control_path = "/x";
  const auto words = [&options] {
    return Command({"true"}).OverSsh("there", options).argv;
  };

  options.persist = absl::InfiniteDuration();
  EXPECT_THAT(words(), Contains("ControlPersist=yes"));
  options.persist = absl::Minutes(1);
  EXPECT_THAT(words(), Contains("ControlPersist=60"));
  options.persist = absl::ZeroDuration();
  EXPECT_THAT(words(), Contains("ControlPersist=1"));
}

TEST(OverSshWordsTest, TakeARelativeDirectoryForNothingElse) {
  Command command({"true"});
  command.working_directory = "-";

  EXPECT_THAT(command.OverSsh("there", SshOptions()).argv.back(),
              HasSubstr(" ./- "));
}

TEST(OverSshWordsTest, PutTheSocketWhereItCanBe) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    const auto words = [] {
      return Command({"true"}).OverSsh("there", SshOptions()).argv;
    };
    char folder[] = "/tmp/asyncproc-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    const std::string home = folder;
    const std::string ssh = home + "/.ssh";
    ASSERT_EQ(mkdir(ssh.c_str(), 0700), 0);

    setenv("HOME", home.c_str(), 1);
    setenv("XDG_RUNTIME_DIR", home.c_str(), 1);
    EXPECT_THAT(words(), Contains("ControlPath=" + home + "/asyncproc-%C"));
    for (const char* nowhere :
         {"relative", "/no/such/folder", "/run/a b", "/run/%h", "/run/\""}) {
      setenv("XDG_RUNTIME_DIR", nowhere, 1);
      EXPECT_THAT(words(), Contains("ControlPath=" + ssh + "/asyncproc-%C"));
    }
    rmdir(ssh.c_str());
    rmdir(home.c_str());
    // Without ~/.ssh, or with a path that is too long for a socket, the
    // connection is not shared there.
    for (const std::string& no_home :
         {home, "/" + std::string(100, 'x'), std::string()}) {
      setenv("HOME", no_home.c_str(), 1);
      EXPECT_THAT(words(),
                  Not(Contains("ControlPath=" + ssh + "/asyncproc-%C")));
    }
  });
}

}  // namespace
}  // namespace asyncproc

// asyncproc ends the processes that it has started, and no others. Each test is
// a session of a user.

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "asyncproc/process.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kOwnFailure = 125;

// Starts an orphan in another session and a background process, writes their
// pids and its own to the file "pids", and then waits.
constexpr char kEscape[] =
    "setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo $! >>pids'; "
    "sleep 1000 >/dev/null 2>&1 & echo $! >>pids; echo $$ >>pids; wait";

// A folder in which such commands run.
class Scene {
 public:
  std::string Script(absl::string_view script = kEscape) const {
    return absl::StrCat("cd ", directory_.path(), "; ", script);
  }
  const TemporaryDirectory& directory() const { return directory_; }

  std::vector<pid_t> AwaitPids(size_t count) const {
    std::vector<pid_t> pids;
    for (const absl::Time end = absl::Now() + kNeverReached;
         pids.size() < count && absl::Now() < end;
         absl::SleepFor(absl::Milliseconds(10))) {
      pids.clear();
      for (absl::string_view line :
           absl::StrSplit(directory_.Read("pids"), absl::ByAnyChar(" \n"),
                          absl::SkipEmpty())) {
        int pid = 0;
        if (absl::SimpleAtoi(line, &pid)) pids.push_back(pid);
      }
    }
    EXPECT_THAT(pids, SizeIs(count));
    return pids;
  }

 private:
  TemporaryDirectory directory_;
};

char StateOf(pid_t pid) {
  const std::string stat = OutputOf(
      Command::Shell(absl::StrCat("cat /proc/", pid, "/stat 2>&1 || true")));
  const size_t end = stat.rfind(')');
  return end == std::string::npos || end + 2 >= stat.size() ? '?'
                                                            : stat[end + 2];
}

bool AwaitState(pid_t pid, absl::string_view states) {
  for (const absl::Time end = absl::Now() + kNeverReached; absl::Now() < end;
       absl::SleepFor(absl::Milliseconds(10))) {
    if (absl::StrContains(states, StateOf(pid))) return true;
  }
  return false;
}

std::string Guards(pid_t tool) {
  return OutputOf(Command::Shell(
      absl::StrCat("pgrep -P ", tool, " asyncproc-guard || true")));
}

TEST(CliEndingTest, EndsTheOrphansOfAJobThatTimesOut) {
  const Scene scene;

  const ToolResult result =
      RunTool({"pool", "-j2", "--timeout", "1s",
               "case {} in 1) " + scene.Script() + ";; esac", ":::", "1", "2"});

  EXPECT_EQ(result.code, 1);
  for (pid_t pid : scene.AwaitPids(3)) EXPECT_FALSE(ProcessLives(pid));
}

TEST(CliEndingTest, LeavesTheOrphansOfAJobThatEndsByItself) {
  const Scene scene;

  const ToolResult result =
      RunTool({"pool", "-j1", "--timeout", "1s",
               absl::StrCat("case {} in 1) ",
                            scene.Script("setsid sleep 1000 >/dev/null 2>&1 & "
                                         "echo $! >pids"),
                            ";; 2) sleep 1000;; esac"),
               ":::", "1", "2"});

  EXPECT_EQ(result.code, 1);
  const std::vector<pid_t> pids = scene.AwaitPids(1);
  ASSERT_THAT(pids, SizeIs(1));
  EXPECT_TRUE(ProcessLives(pids[0]));
  kill(pids[0], SIGKILL);
}

TEST(CliEndingTest, EndsAllThatAPoolHasStartedWhenItIsEnded) {
  for (int signal :
       {SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF,
        SIGXCPU, SIGIO, SIGPWR, SIGSTKFLT, SIGRTMIN, SIGRTMAX}) {
    const Scene scene;
    const auto pool =
        MustSpawn(Tool({"pool", scene.Script() + "; : {}", ":::", "1"}));
    const std::vector<pid_t> pids = scene.AwaitPids(3);

    ASSERT_THAT(pool->Signal(signal), IsOk());

    EXPECT_THAT(pool->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(signal)));
    for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid));
  }
}

TEST(CliEndingTest, LeavesASignalIgnoredThatWasIgnored) {
  const Scene scene;
  const auto pool = MustSpawn(Command::Shell(
      absl::StrCat("trap '' USR1 ALRM; exec ", ShellQuote(ToolPath()), " pool ",
                   ShellQuote(scene.Script() + "; : {}"), " ::: 1")));
  scene.AwaitPids(3);

  ASSERT_THAT(pool->Signal(SIGUSR1), IsOk());
  ASSERT_THAT(pool->Signal(SIGALRM), IsOk());
  ASSERT_THAT(pool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
}

TEST(CliEndingTest, EndsTheOrphansOfACommandThatAnInterruptEnds) {
  for (const auto& [trap, signal] : {std::pair{"", SIGINT},
                                     {"", SIGQUIT},
                                     {"trap 'exit 130' INT; ", SIGINT}}) {
    const Scene scene;
    const auto tool = MustSpawn(Tool(
        {"run", "--", "sh", "-c", scene.Script(absl::StrCat(trap, kEscape))}));
    const std::vector<pid_t> pids = scene.AwaitPids(3);

    ASSERT_THAT(tool->Signal(signal), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(signal)));
    for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << trap << signal;
  }
}

TEST(CliEndingTest, LeavesTheOrphansOfACommandThatSurvivesAnInterrupt) {
  const Scene scene;
  const auto tool =
      MustSpawn(Tool({"run", "--", "sh", "-c",
                      scene.Script("trap 'echo interrupted' INT; echo ready; "
                                   "until [ -e go ]; do sleep 0.01; done; "
                                   "setsid sleep 1000 >/dev/null 2>&1 & "
                                   "echo $! >pids; exit 0")}));
  AwaitLine(*tool, "ready");
  ASSERT_THAT(tool->Signal(SIGINT), IsOk());
  AwaitLine(*tool, "interrupted");

  scene.directory().Write("go", "");

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  const std::vector<pid_t> pids = scene.AwaitPids(1);
  ASSERT_THAT(pids, SizeIs(1));
  EXPECT_TRUE(ProcessLives(pids[0]));
  kill(pids[0], SIGKILL);
}

TEST(CliEndingTest, EndsAllThatAReplHasStartedWhenItIsEnded) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGRTMIN}) {
    const Scene scene;
    Command command = Tool({"repl", "--preset", "sh"});
    const auto repl = MustSpawn(command);
    ASSERT_THAT(repl->Write(scene.Script() + "\n"), IsOk());
    ASSERT_THAT(repl->CloseStdin(), IsOk());
    const std::vector<pid_t> pids = scene.AwaitPids(3);

    ASSERT_THAT(repl->Signal(signal), IsOk());

    EXPECT_THAT(repl->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(signal)));
    for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid)) << signal;
  }
}

TEST(CliEndingTest, EndsAllThatAReplHasStartedWhenItsTimeIsUp) {
  const Scene scene;

  const ToolResult result =
      ResultOf(Tool({"repl", "--preset", "sh", "--timeout", "1s"}),
               scene.Script() + "\n");

  EXPECT_EQ(result.code, 124);
  for (pid_t pid : scene.AwaitPids(3)) EXPECT_FALSE(ProcessLives(pid));
}

// Forty orphans that end at once: none of them stays a zombie.
constexpr char kZombies[] =
    "i=0; while [ $((i += 1)) -le 40 ]; do sh -c 'true & exit' ; done; "
    "n=1; while [ $n != 0 ]; do sleep 0.05; "
    "n=$(ps --ppid $PPID -o stat= | grep -c Z); done; echo none is left";

TEST(CliEndingTest, ReapsOrphansAtOnce) {
  EXPECT_EQ(
      RunTool({"run", "--timeout", "30s", "--", "sh", "-c", kZombies}).out,
      "none is left\n");
  EXPECT_EQ(RunTool({"pool", "--timeout", "30s", "--display", "none",
                     absl::StrCat(kZombies, "; : {}"), ":::", "1"})
                .out,
            "none is left\n");
}

TEST(CliEndingTest, ReapsOrphansAsProcess1Too) {
  if (getuid() != 0 ||
      RunTool({"run", "--", "unshare", "-pf", "--mount-proc", "true"}).code !=
          0) {
    GTEST_SKIP() << "no pid namespace is to be had";
  }
  const ToolResult result =
      ResultOf(Command({"unshare", "-pf", "--mount-proc", ToolPath(), "run",
                        "--timeout", "30s", "--", "sh", "-c", kZombies}));

  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "none is left\n");
}

TEST(CliEndingTest, LeavesNothingWhenItIsKilled) {
  for (const char* subcommand : {"run", "pool", "repl"}) {
    const Scene scene;
    const std::string script = scene.Script();
    Command command = std::string(subcommand) == "run"
                          ? Tool({"run", "--", "sh", "-c", script})
                      : std::string(subcommand) == "pool"
                          ? Tool({"pool", script + "; : {}", ":::", "1"})
                          : Tool({"repl", "--preset", "sh"});
    const auto tool = MustSpawn(command);
    if (std::string(subcommand) == "repl") {
      ASSERT_THAT(tool->Write(script + "\n"), IsOk());
      ASSERT_THAT(tool->CloseStdin(), IsOk());
    }
    const std::vector<pid_t> pids = scene.AwaitPids(3);

    ASSERT_THAT(tool->Signal(SIGKILL), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
    for (pid_t pid : pids) EXPECT_TRUE(AwaitProcessEnd(pid)) << subcommand;
  }
}

TEST(CliEndingTest, HasAGuardThatEndsWithIt) {
  const Scene scene;
  const auto tool = MustSpawn(Tool(
      {"run", "--", "sh", "-c", scene.Script("echo $$ >pids; sleep 1000")}));
  scene.AwaitPids(1);
  int guard = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Guards(tool->pid()), &guard));

  ASSERT_THAT(tool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
  EXPECT_FALSE(ProcessLives(guard));
}

TEST(CliEndingTest, EndsThoughItsGuardIsStopped) {
  const Scene scene;
  const auto tool = MustSpawn(Tool(
      {"run", "--", "sh", "-c", scene.Script("echo $$ >pids; sleep 1000")}));
  scene.AwaitPids(1);
  int guard = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Guards(tool->pid()), &guard));
  ASSERT_EQ(kill(guard, SIGSTOP), 0);
  ASSERT_TRUE(AwaitState(guard, "T"));

  ASSERT_THAT(tool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
  EXPECT_FALSE(ProcessLives(guard));
}

TEST(CliEndingTest, ResumesTheJobsOfAKilledPool) {
  const Scene scene;
  const std::string log = scene.directory().path() + "/log";
  const std::vector<std::string> words = {
      "pool",
      "-j1",
      "--joblog",
      log,
      "--resume",
      scene.Script("if [ {} = 2 ] && [ ! -e pids ]; then echo $$ >pids; sleep "
                   "1000; fi; echo {}"),
      ":::",
      "1",
      "2"};
  const auto pool = MustSpawn(Tool(words));
  const std::vector<pid_t> pids = scene.AwaitPids(1);
  // The note of the start of a job may come after its first output.
  while (!absl::StrContains(scene.directory().Read("log.running"), "+2\n")) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  ASSERT_THAT(pool->Signal(SIGKILL), IsOk());
  EXPECT_THAT(pool->WaitFor(kNeverReached), IsOk());
  EXPECT_TRUE(AwaitProcessEnd(pids[0]));

  const ToolResult rest = RunTool(words);

  EXPECT_EQ(rest.code, 0);
  EXPECT_EQ(rest.out, "2\n");
  EXPECT_THAT(rest.err, HasSubstr("killed while these jobs ran, which run "
                                  "again: 2"));
  EXPECT_THAT(RunTool(words).err, IsEmpty());
}

TEST(CliEndingTest, KnowsHowCommandsEndThoughSigchldIsIgnored) {
  const auto session = [](const std::string& line) {
    Command command({"bash", "-c", "trap '' CHLD; exec " + line});
    command.env.Set("A", ToolPath());
    return ResultOf(command).code;
  };

  EXPECT_EQ(session("$A run -- sh -c 'exit 3'"), 3);
  EXPECT_EQ(session("$A pool --display none 'exit {}' ::: 0 1 0"), 1);
}

TEST(CliEndingTest, ReportsThatNoThreadCanBeStarted) {
  if (kSlowness != 1) GTEST_SKIP() << "sanitizers take all addresses";
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"run", "true"},
        {"pool", "true", ":::", "1"},
        {"repl", "--preset", "sh"}}) {
    Command command = Tool(words);
    // The stack of a thread is larger than the limit of the address space.
    command.rlimits[RLIMIT_STACK] = {1 << 30, 1 << 30};
    command.rlimits[RLIMIT_AS] = {512 << 20, 512 << 20};

    const ToolResult result = ResultOf(command);

    EXPECT_EQ(result.code, kOwnFailure) << words[0];
    EXPECT_THAT(result.err, HasSubstr("cannot start a thread")) << words[0];
  }
}

TEST(CliEndingTest, FailsWhenTheServerEndsDuringThen) {
  for (int status : {0, 3}) {
    const ToolResult result = RunTool(
        {"run", "--ready-line", "ready", "--then", "sleep 1000", "--", "sh",
         "-c", absl::StrCat("echo ready; sleep 0.2; exit ", status)});

    EXPECT_EQ(result.code, status == 0 ? kOwnFailure : status);
    EXPECT_THAT(result.err, HasSubstr("before --then ended"));
  }
}

// The tool notices the end of the server before, while or after it starts the
// command of --then.
TEST(CliEndingTest, FailsWhenTheServerEndsAsSoonAsItIsReady) {
  for (int round = 0; round < 20; ++round) {
    const int status = round % 2 == 0 ? 0 : 3;

    const ToolResult result =
        RunTool({"run", "--ready-line", "ready", "--then", "exec sleep 1000",
                 "--", "sh", "-c", absl::StrCat("echo ready; exit ", status)});

    EXPECT_EQ(result.code, status == 0 ? kOwnFailure : status);
    EXPECT_THAT(result.err, HasSubstr("before --then ended"));
  }
}

TEST(CliEndingTest, LetsADaemonWriteOnWithKeepOutput) {
  const Scene scene;
  const std::string file = scene.directory().path() + "/out";
  const std::string line = absl::StrCat(
      ShellQuote(ToolPath()), " run --keep-output -- sh -c ",
      ShellQuote(scene.Script("(until [ -e go ]; do sleep 0.01; done; "
                              "echo late; echo $? >status) & echo $! >pids")),
      " >", file, " 2>&1");
  EXPECT_EQ(ResultOf(Command({"bash", "-c", line})).code, 0);
  const std::vector<pid_t> pids = scene.AwaitPids(1);

  scene.directory().Write("go", "");

  EXPECT_TRUE(AwaitProcessEnd(pids[0]));
  EXPECT_EQ(scene.directory().Read("out"), "late\n");
  EXPECT_EQ(scene.directory().Read("status"), "0\n");
  EXPECT_THAT(RunTool({"run", "--keep-output", "--prefix", "x", "true"}).err,
              HasSubstr("not with --prefix"));
}

// In this test and the next, the shell starts no program when the stop comes: a
// shell whose vfork child is stopped before its exec waits in state D, not T.
TEST(CliEndingTest, StopsAndContinuesTheCommand) {
  const Scene scene;
  const auto tool =
      MustSpawn(Tool({"run", "--", "sh", "-c",
                      scene.Script("echo $$ >pids; exec sleep 1000")}));
  const std::vector<pid_t> pids = scene.AwaitPids(1);

  ASSERT_THAT(tool->Signal(SIGTSTP), IsOk());
  EXPECT_TRUE(AwaitState(pids[0], "T"));
  // A SIGCONT that comes before the tool has stopped itself is lost. (A shell
  // waits for the stop.)
  const absl::Time deadline = absl::Now() + kNeverReached;
  do {
    ASSERT_THAT(tool->Signal(SIGCONT), IsOk());
    absl::SleepFor(kShort);
  } while (StateOf(pids[0]) == 'T' && absl::Now() < deadline);
  EXPECT_TRUE(AwaitState(pids[0], "SR"));

  ASSERT_THAT(tool->Signal(SIGTERM), IsOk());
  EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
}

// A shell in a window, as users run it.
std::vector<std::string> InteractiveShell() {
  return {"env", "PS1=prompt>", "bash", "--norc", "-i"};
}

TEST(CliEndingTest, StopsAndContinuesTheJobsOfAPool) {
  const Scene scene;
  const TerminalWindow window(InteractiveShell(), 80, 24);
  ASSERT_TRUE(window.AwaitText("prompt>")) << window.Text();
  window.SendKeys(
      {absl::StrCat("cd ", scene.directory().path(), "; ",
                    ShellQuote(ToolPath()),
                    " pool 'mkfifo {}; echo $$ >pids; read x <{}; true' ::: "
                    "go"),
       "Enter"});
  const std::vector<pid_t> pids = scene.AwaitPids(1);

  window.SendKeys({"C-z"});
  ASSERT_TRUE(window.AwaitText("Stopped")) << window.Text();
  EXPECT_TRUE(AwaitState(pids[0], "T"));
  window.SendKeys({"fg; echo code $?", "Enter"});
  EXPECT_TRUE(AwaitState(pids[0], "SR"));

  scene.directory().Write("go", "");
  EXPECT_TRUE(window.AwaitText("code 0")) << window.Text();
}

TEST(CliEndingTest, GivesTheTerminalToACommandInAGroupOfItsOwn) {
  const TerminalWindow window(InteractiveShell(), 80, 24);
  ASSERT_TRUE(window.AwaitText("prompt>")) << window.Text();
  window.SendKeys({absl::StrCat(ShellQuote(ToolPath()),
                                " run --scope group -- sh -c 'echo rea\"\"dy; "
                                "read x; echo got $x; exec cat'; echo code $?"),
                   "Enter"});
  ASSERT_TRUE(window.AwaitText("\nready")) << window.Text();

  window.SendKeys({"one", "Enter"});
  ASSERT_TRUE(window.AwaitText("got one")) << window.Text();
  window.SendKeys({"C-z"});
  ASSERT_TRUE(window.AwaitText("Stopped")) << window.Text();
  window.SendKeys({"fg", "Enter"});
  ASSERT_TRUE(window.AwaitText("prompt>fg\n")) << window.Text();
  const absl::Time deadline = absl::Now() + kNeverReached;
  do {
    window.SendKeys({"two", "Enter"});
    absl::SleepFor(2 * kShort);
  } while (!absl::StrContains(window.Text(), "two\ntwo") &&
           absl::Now() < deadline);
  EXPECT_THAT(window.Text(), HasSubstr("two\ntwo"));

  // Ctrl-C ends the command, and the shell has the terminal again.
  window.SendKeys({"C-c"});
  while (!absl::StrContains(window.Text(), "\nstill here") &&
         absl::Now() < deadline) {
    window.SendKeys({"echo still here", "Enter"});
    absl::SleepFor(2 * kShort);
  }
  EXPECT_THAT(window.Text(), HasSubstr("\nstill here"));
}

}  // namespace
}  // namespace asyncproc

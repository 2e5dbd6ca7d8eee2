// asyncproc run without a terminal, run as users run it. With a terminal:
// cli_terminal_test.cc.

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "asyncproc/process.h"
#include "asyncproc/transcript.h"
#include "nlohmann/json.hpp"
#include "tests/cli_testing.h"
#include "tests/loopback_sshd.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// asyncproc run, with `options` and then `command`.
Command RunOf(std::vector<std::string> options,
              const std::vector<std::string>& command) {
  options.insert(options.begin(), "run");
  options.push_back("--");
  options.insert(options.end(), command.begin(), command.end());
  return Tool(std::move(options));
}

Command RunOfShell(std::vector<std::string> options,
                   const std::string& script) {
  return RunOf(std::move(options), {"sh", "-c", script});
}

// The last line of stderr: the report of --report json.
nlohmann::json ReportOf(const ToolResult& result) {
  const std::vector<std::string> lines =
      absl::StrSplit(result.err, '\n', absl::SkipEmpty());
  const auto report = nlohmann::json::parse(
      lines.empty() ? "" : lines.back(), nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(report.is_object()) << result.err;
  return report.is_object() ? report : nlohmann::json::object();
}

pid_t ReadPid(Process& process) {
  const auto line = process.out().ReadLine(kNeverReached);
  EXPECT_THAT(line, IsOk());
  int pid = 0;
  EXPECT_TRUE(absl::SimpleAtoi(line.value_or(""), &pid)) << line.value_or("");
  return pid;
}

TEST(CliRunTest, EndsAsTheCommandDoes) {
  EXPECT_EQ(ResultOf(RunOf({}, {"true"})).code, 0);
  EXPECT_EQ(ResultOf(RunOfShell({}, "exit 42")).code, 42);
  EXPECT_EQ(ResultOf(RunOfShell({}, "kill -9 $$")).code, 128 + 9);
  EXPECT_EQ(ResultOf(RunOf({}, {"no_such_program"})).code, 127);
  EXPECT_EQ(ResultOf(RunOf({}, {"/etc/passwd"})).code, 126);
  EXPECT_EQ(ResultOf(RunOf({"--timeout", "50ms"}, {"sleep", "1000"})).code,
            124);
}

TEST(CliRunTest, ReportsWhyItDoesNotStart) {
  const ToolResult result = ResultOf(RunOf({}, {"no_such_program"}));

  EXPECT_THAT(result.err, StartsWith("asyncproc run: "));
  EXPECT_THAT(result.err, HasSubstr("searched for in PATH="));
}

TEST(CliRunTest, ReportsThatItSkipsTheCurrentDirectoryInThePath) {
  for (const char* path : {"/bin:.", ":/bin", ""}) {
    Command command = RunOf({}, {"no_such_program"});
    command.env.Set("PATH", path);

    EXPECT_THAT(ResultOf(command).err,
                HasSubstr(absl::StrCat(
                    "searched for in PATH=", path,
                    " (empty entries and \".\" are skipped): No such file")));
  }
}

TEST(CliRunTest, LosesNothingOfBothStreams) {
  const ToolResult result =
      ResultOf(RunOfShell({}, "seq 200000 & seq 200001 400000 >&2; wait"));

  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, OutputOf({"seq", "200000"}));
  EXPECT_EQ(result.err, OutputOf({"seq", "200001", "400000"}));
}

TEST(CliRunTest, KeepsTheOrderWhereBothStreamsAreTheSame) {
  std::string expected;
  for (int i = 1; i <= 50; ++i) absl::StrAppend(&expected, i, "\n");
  const TemporaryDirectory directory;
  const std::string script =
      "i=0; while [ $((i += 1)) -le 50 ]; do "
      "if [ $((i % 2)) = 0 ]; then echo $i >&2; else echo $i; fi; done";

  // A pipe.
  Command command = RunOfShell({}, script);
  command.err = Stdio::ToStdout();
  EXPECT_EQ(ResultOf(command).out, expected);
  // A file.
  command.out =
      Stdio::File(directory.path() + "/log", Stdio::FileMode::kTruncate);
  EXPECT_EQ(ResultOf(command).code, 0);
  EXPECT_EQ(directory.Read("log"), expected);
  // A terminal.
  command = RunOfShell({}, script);
  command.pty = Pty{24, 80, /*echo=*/false};
  EXPECT_EQ(absl::StrReplaceAll(ResultOf(command).out, {{"\r\n", "\n"}}),
            expected);
}

TEST(CliRunTest, ShowsAPromptThoughBothStreamsAreTheSame) {
  Command command = RunOf({}, {"sh", "-c", "printf 'name? '; read name"});
  command.err = Stdio::ToStdout();
  const auto tool = MustSpawn(command);

  EXPECT_THAT(tool->out().ReadExactly(6, kNeverReached),
              IsOkAndHolds("name? "));

  EXPECT_THAT(tool->CloseStdin(), IsOk());
  EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
}

// In bytes.
int64_t MemoryOf(pid_t pid) {
  const auto status = OutputOf({"cat", absl::StrCat("/proc/", pid, "/status")});
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::ConsumePrefix(&line, "VmRSS:")) continue;
    int64_t kilobytes = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        absl::StripSuffix(absl::StripAsciiWhitespace(line), " kB"),
        &kilobytes));
    return kilobytes * 1024;
  }
  ADD_FAILURE() << status;
  return 0;
}

TEST(CliRunTest, LetsTheCommandWaitForASlowReader) {
  Command command = RunOfShell({}, "head -c 1G /dev/zero; echo the end >&2");
  // The test reads no more than this from the tool's stdout.
  command.output_buffer = OutputBound::BlockChild(100 * 1000);
  const auto tool = MustSpawn(command);
  EXPECT_THAT(tool->out().ReadExactly(100 * 1000, kNeverReached), IsOk());

  // The line must not arrive. A tool that buffers everything would soon print
  // it.
  EXPECT_THAT(tool->err().ReadLine(10 * kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(MemoryOf(tool->pid()), (kSlowness == 1 ? 64 : 1024) << 20);

  EXPECT_THAT(tool->Signal(SIGTERM), IsOk());
  EXPECT_THAT(tool->Terminate(), IsOk());
}

TEST(CliRunTest, GivesUpOnAReaderThatDoesNotReadOnceTimeIsUp) {
  Command command = RunOf({"--timeout", "50ms"}, {"yes"});
  command.output_buffer = OutputBound::BlockChild(1000);
  const auto tool = MustSpawn(command);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));
  EXPECT_THAT(tool->ReadErr(), HasSubstr("does not read"));
}

TEST(CliRunTest, GivesUpAlsoWhereBothStreamsAreTheSame) {
  Command command = RunOf({"--timeout", "50ms", "--report", "json"}, {"yes"});
  command.output_buffer = OutputBound::BlockChild(1000);
  command.err = Stdio::ToStdout();
  // TSan would write its report about the blocked thread to the full stream.
  command.env.Set("TSAN_OPTIONS", "report_thread_leaks=0");
  const auto tool = MustSpawn(command);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));
}

TEST(CliRunTest, EndsWhenHeadClosesThePipe) {
  const std::string tool = ShellQuote(ToolPath());

  const ToolResult result =
      ResultOf(Command({"bash", "-c",
                        absl::StrCat(tool,
                                     " run -- yes | head -n 1; echo "
                                     "${PIPESTATUS[0]}")}));

  EXPECT_EQ(result.out, absl::StrCat("y\n", 128 + SIGPIPE, "\n"));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST(CliRunTest, RunsOnWithClosedStreams) {
  const std::string tool = ShellQuote(ToolPath());

  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
    const ToolResult result =
        ResultOf(Command({"bash", "-c",
                          absl::StrCat(tool,
                                       " run -- sh -c 'cat; echo out; echo "
                                       "err >&2; exit 3' ",
                                       closed)}));
    EXPECT_EQ(result.code, 3) << closed;
  }
}

TEST(CliRunTest, LeavesTheInputThatTheCommandDoesNotRead) {
  const std::string tool = ShellQuote(ToolPath());

  const ToolResult result =
      ResultOf(Command::Shell(absl::StrCat(tool, " run -- true; ", tool,
                                           " run -- head -c 2; cat")),
               "one two");

  EXPECT_EQ(result.out, "one two");
}

TEST(CliRunTest, PassesItsInputOn) {
  const std::string input = OutputOf({"seq", "100000"});

  // The default, and with --escalate, where the tool forwards the input.
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{}, {"--escalate", "close,5s:KILL"}}) {
    const ToolResult result = ResultOf(RunOf(options, {"cat"}), input);
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.out, input);
  }
}

TEST(CliRunTest, FailsWhenItCannotReadItsInput) {
  const TemporaryDirectory directory;
  const auto run = [&](absl::string_view words) {
    return ResultOf(
        Command({"bash", "-c",
                 absl::StrCat("cd ", directory.path(), "; ",
                              ShellQuote(ToolPath()), " run ", words, " <.")}));
  };

  for (const char* option :
       {"--record file", "--pty", "--escalate close,5s:KILL"}) {
    const ToolResult result = run(absl::StrCat(option, " -- cat"));

    EXPECT_EQ(result.code, 125) << option;
    EXPECT_EQ(result.err, "asyncproc run: cannot read stdin: Is a directory\n")
        << option;
  }
  EXPECT_EQ(run("--record file -- sh -c 'cat; exit 3'").code, 3);
}

TEST(CliRunTest, ClosesTheInputAsAStep) {
  Command command = RunOf(
      {"--timeout", "50ms", "--escalate", "close,60s:KILL", "--report", "json"},
      {"sh", "-c", "cat; echo at the end"});
  const auto tool = MustSpawn(command);

  // The tool's own stdin is not at end-of-file.
  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));

  EXPECT_EQ(tool->Read(), "at the end\n");
  const auto report = ReportOf({124, "", tool->ReadErr()});
  EXPECT_EQ(report["ended_by_step"], 0);
  EXPECT_EQ(report["ended_by"], "close stdin");
  EXPECT_EQ(report["code"], 0);
}

TEST(CliRunTest, ReportsWhichStepEndedIt) {
  const ToolResult result =
      ResultOf(RunOf({"--timeout", "200ms", "--escalate", "TERM,50ms:KILL",
                      "--report", "json"},
                     {Helper("ignore_sigterm")}));

  EXPECT_EQ(result.code, 124);
  EXPECT_EQ(result.out, "ready\n");
  const auto report = ReportOf(result);
  EXPECT_EQ(report["ended_because"], "timeout");
  EXPECT_EQ(report["ended_by_step"], 1);
  EXPECT_EQ(report["signal"], SIGKILL);
  EXPECT_EQ(report["signal_name"], "SIGKILL");
  EXPECT_EQ(report["exit_code"], 124);
  EXPECT_GT(report["usage"]["wall_seconds"], 0.1);
  EXPECT_EQ(report["stdout"]["bytes"], 6);
}

TEST(CliRunTest, ReportsTheProcessesThatHoldTheOutputOpen) {
  const auto tool =
      MustSpawn(RunOf({"--report", "json"}, {Helper("hold_pipe"), "0", "12"}));
  const pid_t holder = ReadPid(*tool);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));

  const auto report = ReportOf({0, "", tool->ReadErr()});
  EXPECT_EQ(report["output_complete"], false);
  ASSERT_THAT(report["held_by"], SizeIs(1));
  EXPECT_EQ(report["held_by"][0]["pid"], holder);
  // The command ended by itself, so its grandchild runs on.
  EXPECT_TRUE(ProcessLives(holder));
  kill(holder, SIGKILL);
  EXPECT_TRUE(AwaitProcessEnd(holder));
}

TEST(CliRunTest, ReportsAsTextToo) {
  const ToolResult result =
      ResultOf(RunOfShell({"--report", "text"}, "exit 7"));

  EXPECT_EQ(result.code, 7);
  EXPECT_THAT(result.err, HasSubstr("exited with status 7"));
}

TEST(CliRunTest, ReportsACommandThatIsNoUtf8) {
  EXPECT_EQ(ReportOf(ResultOf(
                RunOf({"--report", "json"}, {"true", "\xff"})))["exit_code"],
            0);
}

// Starts a background process, a process in a session of its own, and a process
// of another session whose parent has ended. Then prints their pids and waits,
// and after a signal has ended them, waits for one more signal.
constexpr char kFamily[] =
    "sleep 1000 & a=$!; setsid sleep 1000 & b=$!; "
    "c=$(setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'); "
    "echo $a $b $c; wait; exec sleep 1000";

std::vector<pid_t> ReadPids(Process& process) {
  const auto line = process.out().ReadLine(kNeverReached);
  EXPECT_THAT(line, IsOk());
  std::vector<pid_t> pids;
  for (absl::string_view word : absl::StrSplit(line.value_or(""), ' ')) {
    int pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(word, &pid)) << word;
    pids.push_back(pid);
  }
  return pids;
}

TEST(CliRunTest, EndsTheWholeTreeWhenTimeIsUp) {
  const auto tool = MustSpawn(RunOfShell({"--timeout", "1s"}, kFamily));
  const std::vector<pid_t> pids = ReadPids(*tool);
  ASSERT_THAT(pids, SizeIs(3));

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));

  for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid));
}

TEST(CliRunTest, EndsTheWholeTreeWhenItIsTerminated) {
  for (int signal : {SIGTERM, SIGHUP, SIGINT}) {
    const auto tool = MustSpawn(RunOfShell({}, kFamily));
    const std::vector<pid_t> pids = ReadPids(*tool);
    ASSERT_THAT(pids, SizeIs(3));

    EXPECT_THAT(tool->Signal(signal), IsOk());
    // As service managers do, and Terminate.
    EXPECT_THAT(tool->Signal(SIGCONT), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Signaled(signal)));
    for (pid_t pid : pids) EXPECT_FALSE(ProcessLives(pid));
  }
}

TEST(CliRunTest, EndsOnlyTheCommandInTheScopeOfTheChild) {
  const auto tool =
      MustSpawn(RunOfShell({"--timeout", "300ms", "--scope", "child"},
                           "sleep 1000 >/dev/null 2>&1 & echo $!; wait"));
  const pid_t pid = ReadPid(*tool);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));

  EXPECT_TRUE(ProcessLives(pid));
  kill(pid, SIGKILL);
}

TEST(CliRunTest, PassesAnInterruptOn) {
  const auto tool =
      MustSpawn(RunOfShell({},
                           "trap 'echo got it; exit 5' INT; echo ready; "
                           "while :; do sleep 0.1; done"));
  AwaitLine(*tool, "ready");

  EXPECT_THAT(tool->Signal(SIGINT), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(5)));
  EXPECT_EQ(tool->Read(), "got it\n");
}

// The shell ends, because its child was ended by the interrupt.
TEST(CliRunTest, AnInterruptEndsTheLoopOfAShell) {
  Command loop(
      {"bash", "-c",
       absl::StrCat("for i in 1 2; do ", ShellQuote(ToolPath()),
                    " run sh -c 'echo ready; exec sleep 1000'; done")});
  loop.process_group = ProcessGroup::New();
  const auto shell = MustSpawn(loop);
  AwaitLine(*shell, "ready");

  EXPECT_THAT(shell->Signal(SIGINT, TerminationScope::kGroup), IsOk());

  EXPECT_THAT(shell->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
}

TEST(CliRunTest, KeepsWhatItsParentIgnoresAndHasOpen) {
  const std::string read = "cat <&7; grep ^SigIgn /proc/self/status; :";
  for (const std::string& subcommand :
       {absl::StrCat("run sh -c ", ShellQuote(read)),
        absl::StrCat("pool --display none ", ShellQuote(read), " ::: ''"),
        absl::StrCat("run --ready-line ready --then ", ShellQuote(read),
                     " sh -c 'echo ready >&2; exec sleep 1000'")}) {
    const ToolResult result = ResultOf(
        Command({"bash", "-c",
                 absl::StrCat("trap '' HUP INT; exec 7< <(echo hello); ",
                              ShellQuote(ToolPath()), " ", subcommand)}));

    EXPECT_EQ(result.out, "hello\nSigIgn:\t0000000000000003\n") << subcommand;
  }
}

TEST(CliRunTest, PassesOtherSignalsOn) {
  for (const auto& [signal, name] :
       {std::pair{SIGUSR1, "USR1"}, std::pair{SIGALRM, "ALRM"},
        std::pair{SIGXCPU, "XCPU"}, std::pair{SIGPROF, "PROF"},
        std::pair{SIGIO, "IO"}, std::pair{SIGRTMIN + 2, "RTMIN+2"}}) {
    const auto tool = MustSpawn(
        RunOf({}, {"bash", "-c",
                   absl::StrCat("trap 'echo got it; exit 5' ", name,
                                "; echo ready; while :; do sleep 0.1; done")}));
    AwaitLine(*tool, "ready");

    EXPECT_THAT(tool->Signal(signal), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(5)))
        << name;
    EXPECT_EQ(tool->Read(), "got it\n");
  }
}

// A signal of the kernel that no terminal has sent goes to the tool alone.
TEST(CliRunTest, PassesTheSignalOfATimerOnWhenThereIsATerminal) {
  Command command = RunOf({}, {"bash", "-c",
                               "trap 'echo got it; exit 5' ALRM; "
                               "while :; do sleep 0.1; done"});
  command.argv.insert(command.argv.begin(),
                      {"perl", "-e", "alarm 2; exec @ARGV"});
  command.pty = Pty();

  const auto tool = MustSpawn(command);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(5)));
}

TEST(CliRunTest, KillsACommandThatIgnoresSigterm) {
  const auto tool = MustSpawn(
      RunOf({"--escalate", "INT,50ms:KILL"}, {Helper("ignore_sigterm")}));
  AwaitLine(*tool, "ready");

  EXPECT_THAT(tool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(128 + SIGKILL)));
}

TEST(CliRunTest, KillsAtOnceWhenItIsTerminatedTwice) {
  const auto tool = MustSpawn(
      RunOf({"--escalate", "INT,1h:KILL"}, {Helper("ignore_sigterm")}));
  AwaitLine(*tool, "ready");

  EXPECT_THAT(tool->Signal(SIGTERM), IsOk());
  // Two pending signals would be merged into one.
  EXPECT_THAT(tool->WaitFor(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(tool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(128 + SIGKILL)));
}

TEST(CliRunTest, TakesTheCommandWithItWhenItIsKilled) {
  const auto tool = MustSpawn(RunOfShell({}, "echo $$; exec sleep 1000"));
  const pid_t pid = ReadPid(*tool);

  EXPECT_THAT(tool->Signal(SIGKILL), IsOk());

  EXPECT_TRUE(AwaitProcessEnd(pid));
}

TEST(CliRunTest, EndsOnlyAnIdleCommand) {
  const absl::Time start = absl::Now();
  const ToolResult silent = ResultOf(RunOfShell(
      {"--idle-timeout", "200ms", "--report", "json"}, "echo hi; sleep 1000"));
  EXPECT_EQ(silent.code, 124);
  EXPECT_EQ(silent.out, "hi\n");
  EXPECT_EQ(ReportOf(silent)["ended_because"], "idle-timeout");
  EXPECT_LT(absl::Now() - start, absl::Seconds(20) * kSlowness);

  // The command writes for longer than the limit, to stdout and stderr in turn.
  const ToolResult talks = ResultOf(RunOfShell(
      {"--idle-timeout", absl::StrCat(kSlowness, "s")},
      "for i in 1 2 3 4 5 6; do sleep 0.3; echo $i >&$((i % 2 + 1)); done"));
  EXPECT_EQ(talks.code, 0);
}

TEST(CliRunTest, ShowsTheHeadTheTailAndTheSizeOfTheGap) {
  const ToolResult result = ResultOf(
      RunOf({"--keep-head", "6", "--keep-tail", "10", "--report", "json"},
            {"seq", "1000"}));

  EXPECT_EQ(result.out, "1\n2\n3\n[... 3878 bytes left out ...]\n999\n1000\n");
  EXPECT_EQ(ReportOf(result)["stdout"]["left_out"], 3878);
  // Output that fits is unchanged.
  EXPECT_EQ(ResultOf(RunOf({"--keep-head", "1K", "--keep-tail", "1K"},
                           {"seq", "300"}))
                .out,
            OutputOf({"seq", "300"}));
}

TEST(CliRunTest, PutsNameAndTimeBeforeEachLine) {
  const ToolResult result = ResultOf(
      RunOfShell({"--prefix", "db", "--timestamps"}, "printf 'one\ntw'"));

  EXPECT_THAT(result.out, MatchesRegex("[0-9:.]{12} db: one\n"
                                       "[0-9:.]{12} db: tw\n"));
  EXPECT_EQ(ResultOf(RunOfShell({"--prefix", "x"}, "echo a >&2; echo")).err,
            "x: a\n");
}

TEST(CliRunTest, PutsTheNameOnceBeforeALongLine) {
  const ToolResult result = ResultOf(
      RunOfShell({"--prefix", "x"},
                 "head -c 1000000 /dev/zero | tr '\\0' y; echo; echo z"));

  // Without the text, which would fill the log.
  EXPECT_TRUE(result.out ==
              absl::StrCat("x: ", std::string(1000000, 'y'), "\nx: z\n"));
}

TEST(CliRunTest, ShowsProgressAsLinesWhereThereIsNoTerminal) {
  const ToolResult result = ResultOf(RunOfShell(
      {"--progress", R"(\((\d+)%\))"},
      R"(printf 'start\n'; for i in 10 10 55 100; do printf 'copy (%d%%)\r' $i; done; echo done)"));

  EXPECT_EQ(result.out, "start\ndone\n");
  EXPECT_EQ(result.err, "copy (10%)\ncopy (55%)\ncopy (100%)\n");
}

TEST(CliRunTest, RunsACommandForAsLongAsAServerIsNeeded) {
  const auto tool = MustSpawn(RunOfShell(
      {"--ready-line", "port (\\d+) of (\\w+)", "--then",
       "echo $ASYNCPROC_READY_1 $ASYNCPROC_READY_2; "
       "echo \"$ASYNCPROC_READY\"; exit 9"},
      "echo $$ >&2; echo starting; echo listening on port 80 of web; "
      "exec sleep 1000"));
  int pid = 0;
  EXPECT_TRUE(
      absl::SimpleAtoi(tool->err().ReadLine(kNeverReached).value_or(""), &pid));

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(9)));

  EXPECT_EQ(tool->Read(),
            "starting\nlistening on port 80 of web\n80 web\n"
            "listening on port 80 of web\n");
  EXPECT_FALSE(ProcessLives(pid));
}

TEST(CliRunTest, FailsForAServerThatEndsBeforeItIsReady) {
  EXPECT_EQ(ResultOf(RunOfShell({"--ready-line", "ready", "--then", "true"},
                                "echo hi; exit 3"))
                .code,
            3);
  const ToolResult ended = ResultOf(
      RunOfShell({"--ready-line", "ready", "--then", "true"}, "echo hi"));
  EXPECT_EQ(ended.code, 125);
  EXPECT_THAT(ended.err, HasSubstr("ended before it was ready"));
}

TEST(CliRunTest, EndsTheThenCommandAtTheTimeout) {
  const auto tool =
      MustSpawn(RunOfShell({"--timeout", "1s", "--ready-line", "ready",
                            "--then", "echo $$; exec sleep 1000"},
                           "echo ready >&2; exec sleep 1000"));
  const pid_t then = ReadPid(*tool);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));

  EXPECT_FALSE(ProcessLives(then));
}

TEST(CliRunTest, ExplainsTheCommandAndItsEnd) {
  const auto tool =
      MustSpawn(RunOf({"--explain", "--timeout", "500ms"}, {"cat"}));

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));

  const std::string said = tool->ReadErr();
  EXPECT_THAT(said, HasSubstr("file:        "));
  EXPECT_THAT(said, HasSubstr("timeout"));
  EXPECT_THAT(said, HasSubstr("waits for input"));  // From Diagnose.
}

TEST(CliRunTest, RecordsBothStreamsAndTheInput) {
  const TemporaryDirectory directory;
  const std::string file = directory.path() + "/{host}.jsonl";

  const ToolResult result = ResultOf(
      RunOfShell({"--record", file, "--via", "env A={host}", "--hosts", "red"},
                 "cat; echo error >&2; exit 3"),
      "typed\n");

  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "typed\n");
  const auto transcript = Transcript::Load(directory.path() + "/red.jsonl");
  ASSERT_THAT(transcript, IsOk());
  std::string in, out, err;
  for (const TranscriptEvent& event : transcript->events) {
    if (event.kind == TranscriptEvent::Kind::kIn) in += event.data;
    if (event.kind == TranscriptEvent::Kind::kOut) out += event.data;
    if (event.kind == TranscriptEvent::Kind::kErr) err += event.data;
  }
  EXPECT_EQ(in, "typed\n");
  EXPECT_EQ(out, "typed\n");
  EXPECT_EQ(err, "error\n");
}

TEST(CliRunTest, FailsWhenItCannotRecord) {
  const ToolResult result =
      ResultOf(RunOf({"--record", "/no/such/folder/x.jsonl"}, {"true"}));

  EXPECT_EQ(result.code, 125);
  EXPECT_THAT(result.err, HasSubstr("/no/such/folder/x.jsonl"));
}

TEST(CliRunTest, GivesTheCommandATerminal) {
  const ToolResult result = ResultOf(
      RunOfShell({"--pty"}, "test -t 0 && test -t 2 && cat"), "typed\n");

  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "typed\r\n");  // No echo: the input is not typed.
}

TEST(CliRunTest, EndsTheInputOfATerminalForEachProgramThatReadsIt) {
  // Line editing turns the terminal to raw mode while it waits, and only then.
  const ToolResult result =
      ResultOf(RunOfShell({"--pty"}, "python3 -q; stty sane; cat; echo $?"),
               "print(6 * 7)\n");

  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("42\r\n"));
}

TEST(CliRunTest, EndsTheInputAfterALineThatTheTerminalRefuses) {
  const ToolResult result = ResultOf(
      RunOf({"--pty"}, {"cat"}), absl::StrCat(std::string(5000, 'x'), "\n"));

  EXPECT_EQ(result.code, 125);
  EXPECT_THAT(result.err, HasSubstr("a line of more than 4095 bytes"));
}

TEST(CliRunTest, RunsOnSeveralHostsWithTheirNames) {
  const ToolResult result =
      ResultOf(RunOfShell({"--via", "env HERE={host}", "--hosts", "red,blue"},
                          "echo on $HERE; test $HERE = red || exit 4"));

  EXPECT_EQ(result.code, 4);
  EXPECT_THAT(std::vector<std::string>(
                  absl::StrSplit(result.out, '\n', absl::SkipEmpty())),
              testing::UnorderedElementsAre("red: on red", "blue: on blue"));
}

// ssh to `sshd`, as a value of --via.
std::string Via(const LoopbackSshd& sshd) {
  return absl::StrCat(
      absl::StrJoin(sshd.options().ssh, " "),
      " -o ControlMaster=auto -o ControlPersist=60 -o ControlPath=",
      sshd.options().control_path, " {host}");
}

TEST(CliRunTest, RunsOverSsh) {
  const LoopbackSshd sshd;

  const ToolResult result = ResultOf(
      RunOfShell({"--via", Via(sshd), "--hosts", "loopback,other"},
                 "printf '%s\n' \"it's\" \"$SSH_CONNECTION\" | cut -c 1-9"));

  EXPECT_EQ(result.code, 0) << result.err;
  std::vector<std::string> lines =
      absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, testing::UnorderedElementsAre(
                         "loopback: it's", "loopback: 127.0.0.1", "other: it's",
                         "other: 127.0.0.1"));
}

TEST(CliRunTest, EndsTheRemoteCommandOverSsh) {
  const LoopbackSshd sshd;
  for (int signal : {SIGTERM, SIGINT, SIGKILL}) {
    const auto tool =
        MustSpawn(RunOfShell({"--via", Via(sshd), "--hosts", "loopback"},
                             "sleep 1000 & echo $!; wait"));
    const pid_t pid = ReadPid(*tool);

    EXPECT_THAT(tool->Signal(signal), IsOk());

    EXPECT_THAT(tool->WaitFor(kNeverReached), IsOk());
    EXPECT_TRUE(AwaitProcessEnd(pid)) << signal;
  }
}

// A user whose limit of threads is reached: before the command has started, or
// when the threads that print its output or feed its stdin are to start.
TEST(CliRunTest, EndsAndSaysSoWhereAThreadCannotBeStarted) {
  const std::string user = absl::StrCat(100000 + getpid());
  const std::string as_user =
      absl::StrCat("setpriv --reuid ", user, " --clear-groups ");
  if (ResultOf(Command::Shell(absl::StrCat(as_user, "true"))).code != 0) {
    GTEST_SKIP() << "the user cannot be changed";
  }
  for (const char* run : {"cat", "--pty cat", "--escalate close cat"}) {
    std::set<int> codes;
    for (int threads = 2; threads <= 16; ++threads) {
      // The user cannot search the folders of the tool: a descriptor has it.
      const ToolResult result = ResultOf(
          Command({"bash", "-c",
                   absl::StrCat("exec 9<", ToolPath(), "; echo hello | ",
                                as_user, "bash -c 'ulimit -u ", threads,
                                "; exec /proc/self/fd/9 run ", run, "'")}));

      const std::string out = absl::StrReplaceAll(result.out, {{"\r", ""}});
      codes.insert(result.code);
      if (result.code == 0) {
        EXPECT_EQ(out, "hello\n") << run << threads << result.err;
        EXPECT_EQ(result.err, "") << run << threads;
      } else {
        EXPECT_EQ(result.code, 125) << run << threads << result.err;
        EXPECT_NE(result.err, "") << run << threads;
      }
    }
    EXPECT_THAT(codes, testing::ElementsAre(0, 125)) << run;
  }
}

}  // namespace
}  // namespace asyncproc

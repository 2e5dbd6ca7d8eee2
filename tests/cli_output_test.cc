// asyncproc loses none of its output, or reports the loss. Each test is a
// session of a user.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "re2/re2.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kOwnFailure = 125;

// Runs `line` in bash, where $A is the tool.
ToolResult Session(const std::string& line) {
  Command command({"bash", "-c", line});
  command.env.Set("A", ToolPath());
  command.new_session = true;
  return ResultOf(command);
}

std::vector<std::string> Lines(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

TEST(CliOutputTest, ReportsAFullDiskForEveryKindOfOutput) {
  for (const char* what :
       {"run -- seq 5", "run -- seq 100000", "run --pty -- seq 5",
        "run --pty -- yes", "run --prefix x -- seq 5",
        "run --keep-tail 4 -- seq 5", "run --timestamps -- echo hi", "--help",
        "help run", "--man", "--completion bash", "--version", "pool --help",
        "pool echo ::: 1 2 3", "pool -k echo ::: 1 2 3",
        "pool --line-buffer echo ::: 1 2", "pool --dry-run echo ::: 1 2",
        "pool --tag --display none echo ::: 1 2",
        "repl --preset bc < <(echo 1+1)"}) {
    const ToolResult result = Session(absl::StrCat("$A ", what, " >/dev/full"));

    EXPECT_EQ(result.code, kOwnFailure) << what;
    EXPECT_THAT(result.err, HasSubstr("stdout: No space left on device"))
        << what;
  }
}

TEST(CliOutputTest, FailsWhereItCannotWriteToStderr) {
  for (const char* what :
       {"run --report json -- true", "run --report text -- true",
        "run --explain -- true", "run -- sh -c 'echo err >&2'",
        "pool --display lines true ::: 1 2",
        "pool --display none 'echo err >&2' ::: 1 2"}) {
    EXPECT_EQ(Session(absl::StrCat("$A ", what, " 2>/dev/full")).code,
              kOwnFailure)
        << what;
  }
}

TEST(CliOutputTest, FailsWhereStdoutIsClosedAndSomethingIsWritten) {
  for (const char* what : {"run -- seq 5", "--help", "pool echo ::: 1 2"}) {
    const ToolResult result = Session(absl::StrCat("$A ", what, " >&-"));

    EXPECT_EQ(result.code, kOwnFailure) << what;
    EXPECT_THAT(result.err, HasSubstr("stdout: Bad file descriptor")) << what;
  }
  EXPECT_EQ(Session("$A run -- true >&-").code, 0);
}

TEST(CliOutputTest, FailsAtTheLimitOfTheSizeOfAFile) {
  if (kSlowness > 1) GTEST_SKIP() << "sanitizers have large files of their own";
  const TemporaryDirectory directory;

  const ToolResult result = Session(absl::StrCat(
      "ulimit -f 1; $A run -- seq 100000 >", directory.path(), "/file"));

  EXPECT_EQ(result.code, kOwnFailure);
  EXPECT_THAT(result.err, HasSubstr("stdout: File too large"));
}

TEST(CliOutputTest, NamesTheFileThatCannotBeWritten) {
  const TemporaryDirectory directory;
  for (const std::string& option :
       {absl::StrCat("--joblog /dev/full"),
        absl::StrCat("--trace ", directory.path(), "/no/file")}) {
    const ToolResult result =
        Session(absl::StrCat("$A pool ", option, " true ::: 1"));

    EXPECT_EQ(result.code, kOwnFailure) << option;
    EXPECT_THAT(result.err, HasSubstr(option.substr(option.find(' ') + 1)));
  }
}

TEST(CliOutputTest, NamesTheResultThatCannotBeWritten) {
  if (kSlowness > 1) GTEST_SKIP() << "sanitizers have large files of their own";
  const TemporaryDirectory directory;

  const ToolResult results =
      Session(absl::StrCat("ulimit -f 1; $A pool --results ", directory.path(),
                           "/results 'seq 100000; : {}' ::: 1 >/dev/null"));

  EXPECT_EQ(results.code, kOwnFailure);
  EXPECT_THAT(results.err, HasSubstr("/1/stdout: File too large"));
}

TEST(CliOutputTest, LeavesTheStatusOfACommandThatFailsByItself) {
  EXPECT_EQ(
      Session("$A run -- sh -c 'echo hi; sleep 0.1; trap \"\" PIPE; exit 3' "
              ">/dev/full")
          .code,
      3);
}

TEST(CliOutputTest, EndsSilentlyWithoutAReader) {
  for (const char* what : {"run -- yes", "run --pty -- yes",
                           "run --pty -- sh -c 'while echo y; do sleep 0.05; "
                           "done'",
                           "run --pty --escalate TERM,50ms:KILL -- sh -c "
                           "'trap \"\" HUP PIPE; while :; do echo y; done'",
                           "pool --display none 'yes {}' ::: 1 2",
                           "pool --display none --line-buffer 'yes {}' ::: 1 2",
                           "pool --display none -k 'yes {}' ::: 1 2",
                           "repl --preset bc < <(seq 20000)"}) {
    const ToolResult result = Session(
        absl::StrCat("$A ", what, " | head -n 1; exit ${PIPESTATUS[0]}"));

    EXPECT_EQ(result.code, 128 + SIGPIPE) << what;
    EXPECT_THAT(Lines(result.out), SizeIs(1)) << what;
    EXPECT_THAT(result.err, IsEmpty()) << what;
  }
}

TEST(CliOutputTest, ReportsThatACommandWithATerminalHasLostItsReader) {
  const ToolResult result = Session(
      "$A run --pty --report json -- yes | head -n 1; exit ${PIPESTATUS[0]}");

  EXPECT_EQ(result.code, 128 + SIGPIPE);
  EXPECT_THAT(result.err, AllOf(HasSubstr("\"ended_because\":\"lost-output\""),
                                HasSubstr("\"ended_by\":\"SIGHUP"),
                                HasSubstr("\"exit_code\":141")));
}

TEST(CliOutputTest, EndsSilentJobsWhoseReaderHasGone) {
  const ToolResult result = Session(
      "$A pool --display none -j2 "
      "'case {} in 1) echo 1;; 2) exec sleep 1000;; esac' ::: 1 2 | head -n 1; "
      "exit ${PIPESTATUS[0]}");

  EXPECT_EQ(result.code, 128 + SIGPIPE);
  EXPECT_EQ(result.out, "1\n");
  EXPECT_THAT(result.err, IsEmpty());
}

TEST(CliOutputTest, FinishesJobsThatWriteNothingWithoutAReader) {
  // The jobs outlast two checks for a reader.
  const ToolResult result = Session(
      "$A pool --display none -j2 'sleep 1.2; echo {} >&2' ::: x x | :; "
      "exit ${PIPESTATUS[0]}");

  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "x\nx\n");
}

TEST(CliOutputTest, EndsSilentlyWithoutAReaderWhereSigpipeIsIgnored) {
  for (const char* what : {"--help", "--version", "--man repl", "repl --help",
                           "repl --preset bc <<<1"}) {
    const ToolResult result = Session(absl::StrCat(
        "trap '' PIPE; exec 3> >(true); wait $!; $A ", what, " >&3"));

    EXPECT_EQ(result.code, 128 + SIGPIPE) << what;
    EXPECT_THAT(result.err, IsEmpty()) << what;
  }
}

TEST(CliOutputTest, KeepsTheOrderOfAJobWhereBothStreamsAreTheSame) {
  const ToolResult result = Session(
      "$A pool --display none 'echo 1; echo 2 >&2; echo 3; echo 4 >&2; : {}' "
      "::: x "
      "2>&1");

  EXPECT_EQ(result.out, "1\n2\n3\n4\n");
}

TEST(CliOutputTest, PrintsLinesAsTheyComeWithLineBuffer) {
  const TemporaryDirectory directory;
  const std::string go = directory.path() + "/go";
  Command command = Tool({"pool", "-j2", "--display", "none", "--line-buffer",
                          absl::StrCat("echo begun {}; until [ -e ", go,
                                       " ]; do sleep 0.01; done; printf end"),
                          ":::", "1", "2"});
  const auto pool = MustSpawn(command);

  // Before any job has ended.
  std::vector<std::string> begun;
  for (int i = 0; i < 2; ++i) {
    begun.push_back(pool->out().ReadLine(kNeverReached).value_or(""));
  }
  EXPECT_THAT(begun, testing::UnorderedElementsAre("begun 1", "begun 2"));

  directory.Write("go", "");
  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(pool->Read(), "endend");
}

TEST(CliOutputTest, PrintsLongLinesWholeWithLineBuffer) {
  // Each job waits in the middle of its line until both have begun theirs.
  const TemporaryDirectory directory;
  const ToolResult result = Session(absl::StrCat(
      "cd ", directory.path(),
      "; $A pool -j2 --display none --line-buffer --tag '"
      "half() { head -c 300000 /dev/zero | tr \"\\0\" {}; }; half; "
      "touch {}; until [ -e a ] && [ -e b ]; do sleep 0.01; done; half; "
      "echo' ::: a b"));

  EXPECT_EQ(result.code, 0) << result.err;
  const std::string a = absl::StrCat("a\t", std::string(600000, 'a'), "\n");
  const std::string b = absl::StrCat("b\t", std::string(600000, 'b'), "\n");
  // Without the text, which would fill the log.
  EXPECT_TRUE(result.out == a + b || result.out == b + a);
}

TEST(CliOutputTest, PrintsAJobThatWritesMuchWhileItRuns) {
  const TemporaryDirectory directory;
  const std::string go = directory.path() + "/go";
  const auto pool =
      MustSpawn(Tool({"pool", "-j2", "--display", "none", "--tag",
                      absl::StrCat("seq 100000; until [ -e ", go,
                                   " ]; do sleep 0.01; done; : {}"),
                      ":::", "x"}));

  EXPECT_THAT(pool->out().ReadLine(kNeverReached), IsOkAndHolds("x\t1"));

  directory.Write("go", "");
  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  const std::string rest = pool->Read();
  const std::vector<std::string> lines = Lines(rest);
  ASSERT_THAT(lines, SizeIs(99999));
  for (size_t i = 0; i < lines.size(); ++i) {
    ASSERT_EQ(lines[i], absl::StrCat("x\t", i + 2));
  }
}

TEST(CliOutputTest, KeepsTheBeginningAndTheEndOfEachJob) {
  const ToolResult result = Session(
      "$A pool -k --display none --keep-head 4 --keep-tail 4 'seq {}' ::: 9 "
      "1");

  EXPECT_EQ(result.out, "1\n2\n[... 12 bytes left out ...]\n9\n1\n");
}

TEST(CliOutputTest, ListsTheJobsThatHaveFailedAtTheEnd) {
  const ToolResult result =
      Session("$A pool -j1 'exit {}' ::: 0 3 0 1; exit 0");

  const size_t summary = result.err.find("asyncproc pool: 2 of 4 jobs failed");
  ASSERT_NE(summary, std::string::npos) << result.err;
  const std::string text = result.err.substr(summary);
  EXPECT_THAT(text, AllOf(HasSubstr("job 2: exited with status 3"),
                          HasSubstr("job 4: exited with status 1"),
                          HasSubstr(": exit 3\n"), Not(HasSubstr("job 1"))));
}

TEST(CliOutputTest, HasNoPanelWhereAPagerMayWriteToItsTerminal) {
  const TerminalWindow window(
      {"sh", "-c",
       absl::StrCat(ShellQuote(ToolPath()),
                    " pool -k 'echo line {}; exit {}' ::: 0 1 0 | cat; "
                    "echo over; sleep 1000")},
      80, 24);

  ASSERT_TRUE(window.AwaitText("over")) << window.Text();
  const std::string text = window.Text();
  EXPECT_THAT(text, AllOf(HasSubstr("line 0\n"), HasSubstr("line 1\n"),
                          HasSubstr("1 of 3 jobs failed")));
}

TEST(CliOutputTest, ShowsTheValuesInThePanelAndTheFailuresBehindIt) {
  const TemporaryDirectory directory;
  const TerminalWindow window(
      {"sh", "-c",
       absl::StrCat(ShellQuote(ToolPath()), " pool ",
                    ShellQuote(absl::StrCat(
                        "cd ", directory.path(),
                        "; until [ -e go ]; do sleep 0.01; done; exit {}")),
                    " ::: 7; echo over; sleep 1000")},
      80, 24);
  ASSERT_TRUE(window.AwaitText("0/1")) << window.Text();
  ASSERT_TRUE(window.AwaitText("0:00 7")) << window.Text();

  directory.Write("go", "");

  ASSERT_TRUE(window.AwaitText("over")) << window.Text();
  EXPECT_THAT(window.Text(), HasSubstr("job 1: exited with status 7"));
}

// A check of the whole tool: all output goes through Output.
TEST(CliOutputTest, HasOneClassThroughWhichEverythingIsWritten) {
  // The descriptors of the guard and of a control group carry no user data.
  const std::vector<std::string> others = {"output.cc", "guard.cc",
                                           "control_group.cc"};
  const RE2 raw(
      R"((^|[^A-Za-z0-9_.>"])(write|pwrite|writev|send|fwrite|f?puts|f?putc|v?d?f?printf|perror|putchar)\(|std::(cout|cerr|clog|ofstream|fstream)|absl::PrintF|absl::FPrintF)");
  ASSERT_TRUE(raw.ok()) << raw.error();
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator("tools/asyncproc")) {
    const std::string name = entry.path().filename().string();
    if (!absl::EndsWith(name, ".cc") && !absl::EndsWith(name, ".h")) continue;
    ++files;
    if (std::find(others.begin(), others.end(), name) != others.end()) continue;
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    int number = 0;
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      ++number;
      if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "//")) {
        continue;
      }
      // Public headers of the library are enough for the tool.
      EXPECT_THAT(line, Not(HasSubstr("asyncproc/internal/")))
          << entry.path() << ":" << number;
      EXPECT_FALSE(RE2::PartialMatch(line, raw))
          << entry.path() << ":" << number << ": " << line;
    }
  }
  EXPECT_GT(files, 50);
}

}  // namespace
}  // namespace asyncproc

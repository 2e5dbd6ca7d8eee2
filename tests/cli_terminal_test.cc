// asyncproc run inside a terminal: a window of tmux.

#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Runs the tool in a shell, so that the window also shows the text after it.
std::vector<std::string> ToolInShell(const std::vector<std::string>& options,
                                     const std::string& script) {
  std::string line = absl::StrCat(ShellQuote(ToolPath()), " run");
  for (const std::string& option : options) {
    absl::StrAppend(&line, " ", ShellQuote(option));
  }
  absl::StrAppend(&line, " -- sh -c ", ShellQuote(script),
                  "; echo \"status: $?\"; exec sleep 1000");
  return {"sh", "-c", line};
}

// Waits for a line in a file that a program in the window writes.
std::string AwaitFile(const TemporaryDirectory& directory,
                      absl::string_view name) {
  const absl::Time deadline = absl::Now() + kNeverReached;
  while (absl::Now() < deadline) {
    const std::string text = directory.Read(name);
    if (absl::EndsWith(text, "\n")) return text.substr(0, text.size() - 1);
    absl::SleepFor(absl::Milliseconds(10));
  }
  ADD_FAILURE() << "nobody wrote " << name;
  return "";
}

pid_t AwaitPid(const TemporaryDirectory& directory, absl::string_view name) {
  int pid = 0;
  EXPECT_TRUE(absl::SimpleAtoi(AwaitFile(directory, name), &pid));
  return pid;
}

TEST(CliTerminalTest, DrawsProgressBelowTheOutputAndErasesIt) {
  const TemporaryDirectory directory;
  // A key would be echoed, and move the bar.
  const std::string wait = absl::StrCat("until test -e ", directory.path(),
                                        "/$n; do sleep 0.01; done");
  const TerminalWindow window(
      ToolInShell(
          {"--progress", R"(\((\d+)%\))"},
          absl::StrCat(
              R"(echo first; printf 'copy (30%%)\r'; echo second; n=1; )", wait,
              R"(; printf 'copy (60%%)\r'; n=2; )", wait, "; echo third")),
      80, 24);

  ASSERT_TRUE(window.AwaitText("second\n 30% [#########")) << window.Text();
  EXPECT_TRUE(absl::StartsWith(window.Text(), "first\nsecond\n 30% [####"));
  EXPECT_THAT(window.Text(), HasSubstr("] copy (30%)"));

  directory.Write("1", "");
  ASSERT_TRUE(window.AwaitText(" 60% [##################")) << window.Text();
  EXPECT_TRUE(window.AwaitNoText("30%")) << window.Text();

  directory.Write("2", "");
  ASSERT_TRUE(window.AwaitText("status: 0")) << window.Text();
  EXPECT_THAT(window.Text(), HasSubstr("third\n"));
  EXPECT_THAT(window.Text(), Not(HasSubstr("%")));
}

TEST(CliTerminalTest, DrawsProgressAnewWhenTheTerminalIsResized) {
  const TerminalWindow window(
      ToolInShell(
          {"--progress", R"(\((\d+)%\))"},
          R"(echo first; printf 'a long line of progress that fills it (50%%)\r';
                     sleep 1000)"),
      100, 24);
  ASSERT_TRUE(window.AwaitText("fills it (50%)")) << window.Text();

  window.Resize(40, 24);

  ASSERT_TRUE(window.AwaitNoText("fills it")) << window.Text();
  ASSERT_TRUE(window.AwaitText("50% [")) << window.Text();
  // The bar appears once, within the line. (tmux may have scrolled the first
  // line away, because the bar took two lines while it was too long.)
  const std::vector<std::string> lines =
      absl::StrSplit(window.Text(), '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, Not(testing::IsEmpty()));
  EXPECT_TRUE(absl::StartsWith(lines.back(), " 50% [")) << window.Text();
  EXPECT_LT(lines.back().size(), 40);
  EXPECT_LE(lines.size(), 2) << window.Text();
  if (lines.size() == 2) {
    EXPECT_EQ(lines[0], "first");
  }

  window.Resize(100, 24);
  EXPECT_TRUE(window.AwaitText("fills it (50%)")) << window.Text();
}

TEST(CliTerminalTest, ReadsTypedLines) {
  const TerminalWindow window(
      ToolInShell({}, "printf 'name? '; read name; echo \"hello $name\""), 80,
      24);
  ASSERT_TRUE(window.AwaitText("name?")) << window.Text();

  window.SendKeys({"you", "Enter"});

  EXPECT_TRUE(window.AwaitText("hello you")) << window.Text();
  EXPECT_TRUE(window.AwaitText("status: 0")) << window.Text();
}

TEST(CliTerminalTest, PassesOneInterruptForOneCtrlC) {
  // Python counts each signal; a shell may merge two.
  const TerminalWindow window(ToolInShell({}, R"(exec python3 -uc '
import signal
n = 0
def count(*_):
  global n
  n += 1
  print("interrupt", n)
signal.signal(signal.SIGINT, count)
print("ready")
while n < 2: signal.pause()
')"),
                              80, 24);
  ASSERT_TRUE(window.AwaitText("ready")) << window.Text();

  window.SendKeys({"C-c"});
  ASSERT_TRUE(window.AwaitText("interrupt 1")) << window.Text();
  absl::SleepFor(10 * kShort);
  EXPECT_THAT(window.Text(), Not(HasSubstr("interrupt 2")));

  window.SendKeys({"C-c"});
  EXPECT_TRUE(window.AwaitText("interrupt 2")) << window.Text();
}

TEST(CliTerminalTest, EndsByCtrlCAsTheCommandDoes) {
  const TemporaryDirectory directory;
  // The same key ends the shell that runs the command.
  const TerminalWindow window(
      ToolInShell({}, absl::StrCat("sleep 1000 & echo $! >", directory.path(),
                                   "/pid; wait")),
      80, 24);
  const pid_t pid = AwaitPid(directory, "pid");

  window.SendKeys({"C-c"});

  EXPECT_TRUE(AwaitProcessEnd(pid));
}

TEST(CliTerminalTest, IsSuspendedAndContinuedWithTheCommand) {
  const TerminalWindow window({"env", "PS1=prompt>", "bash", "--norc", "-i"},
                              80, 24);
  ASSERT_TRUE(window.AwaitText("prompt>")) << window.Text();
  window.SendKeys({absl::StrCat(ShellQuote(ToolPath()),
                                " run -- sh -c 'echo rea\"\"dy; exec cat'"),
                   "Enter"});
  // Earlier keys would go to bash.
  ASSERT_TRUE(window.AwaitText("\nready")) << window.Text();
  window.SendKeys({"one", "Enter"});
  ASSERT_TRUE(window.AwaitText("one\none")) << window.Text();

  window.SendKeys({"C-z"});
  ASSERT_TRUE(window.AwaitText("Stopped")) << window.Text();
  window.SendKeys({"fg", "Enter"});

  // Keys go to bash as long as bash still has the terminal.
  const absl::Time deadline = absl::Now() + kNeverReached;
  do {
    window.SendKeys({"two", "Enter"});
    absl::SleepFor(kShort);
  } while (!absl::StrContains(window.Text(), "two\ntwo") &&
           absl::Now() < deadline);
  EXPECT_THAT(window.Text(), HasSubstr("two\ntwo"));
}

// The same time limit by timeout, by run, and by run with a group scope.
std::vector<std::string> Limiters(absl::string_view time) {
  const std::string tool = ShellQuote(ToolPath());
  return {absl::StrCat("timeout ", time),
          absl::StrCat(tool, " run --timeout ", time),
          absl::StrCat(tool, " run --scope group --timeout ", time)};
}

TEST(CliTerminalTest, LimitsTheTimeOfABackgroundJobThatReadsAsTimeoutDoes) {
  for (const std::string& limiter : Limiters("0.5")) {
    const TerminalWindow window({"env", "PS1=prompt>", "bash", "--norc", "-i"},
                                80, 24);
    ASSERT_TRUE(window.AwaitText("prompt>")) << window.Text();

    window.SendKeys({"-l", absl::StrCat(limiter,
                                        " cat & wait $!; echo status:"
                                        "$?")});
    window.SendKeys({"Enter"});

    EXPECT_TRUE(window.AwaitText("status:124")) << limiter << window.Text();
  }
}

TEST(CliTerminalTest, ReadsAgainWhenItsJobIsBroughtToTheForeground) {
  // timeout leaves the command stopped.
  std::vector<std::string> limiters = Limiters("60");
  limiters.erase(limiters.begin());
  for (const std::string& limiter : limiters) {
    const TerminalWindow window(
        {"env", "PS1=prompt\\#>", "bash", "--norc", "-i"}, 250, 24);
    ASSERT_TRUE(window.AwaitText("prompt1>")) << window.Text();
    window.SendKeys({"-l", absl::StrCat(limiter, " cat & sleep 0.2")});
    window.SendKeys({"Enter"});
    ASSERT_TRUE(window.AwaitText("prompt2>")) << limiter << window.Text();

    window.SendKeys({"-l", "fg"});
    window.SendKeys({"Enter"});
    ASSERT_TRUE(window.AwaitText("prompt2>fg\n")) << limiter << window.Text();
    window.SendKeys({"-l", "hello"});
    window.SendKeys({"Enter"});
    EXPECT_TRUE(window.AwaitText("hello\nhello")) << limiter << window.Text();

    window.SendKeys({"C-d"});
    ASSERT_TRUE(window.AwaitText("prompt3>")) << limiter << window.Text();
    window.SendKeys({"-l", "echo status:$?"});
    window.SendKeys({"Enter"});
    EXPECT_TRUE(window.AwaitText("status:0")) << limiter << window.Text();
  }
}

TEST(CliTerminalTest, PassesKeysAndSizeOnToATerminalOfTheCommands) {
  const TemporaryDirectory directory;
  const TerminalWindow window(
      ToolInShell({"--pty"},
                  "trap 'stty size' WINCH; stty size; echo ready; "
                  "read line; echo \"got $line\"; "
                  "trap 'echo interrupted; exit 0' INT; "
                  "while :; do sleep 0.1; done"),
      90, 20);
  ASSERT_TRUE(window.AwaitText("20 90")) << window.Text();
  ASSERT_TRUE(window.AwaitText("ready")) << window.Text();

  window.SendKeys({"abc", "Enter"});
  ASSERT_TRUE(window.AwaitText("got abc")) << window.Text();
  window.Resize(70, 15);
  EXPECT_TRUE(window.AwaitText("15 70")) << window.Text();
  window.SendKeys({"C-c"});

  EXPECT_TRUE(window.AwaitText("interrupted")) << window.Text();
  // The terminal has its old settings: the shell's line starts at the first
  // column.
  EXPECT_TRUE(window.AwaitText("\nstatus: 0")) << window.Text();
}

TEST(CliTerminalTest, EndsTheWholeTreeWhenTheTerminalIsGone) {
  const TemporaryDirectory directory;
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{}, {"--pty"}, {"--progress", "x"}}) {
    const std::string name =
        absl::StrCat("pids", options.size(), options.empty() ? "" : options[0]);
    TerminalWindow window(
        ToolInShell(options,
                    absl::StrCat("trap '' HUP; setsid sleep 1000 & a=$!; "
                                 "sleep 1000 & echo $$ $a $! >",
                                 directory.path(), "/", name,
                                 "; while :; do echo talk; sleep 0.1; done")),
        80, 24);
    const std::string pids = AwaitFile(directory, name);

    window.Close();

    for (absl::string_view word : absl::StrSplit(pids, ' ')) {
      int pid = 0;
      ASSERT_TRUE(absl::SimpleAtoi(word, &pid)) << pids;
      EXPECT_TRUE(AwaitProcessEnd(pid)) << pids;
    }
  }
}

}  // namespace
}  // namespace asyncproc

// asyncproc repl: programs with prompts, and commands that come one by one.

#include <signal.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/cli_repl_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

TEST(CliReplTest, TalksToAnyProgramByItsPrompt) {
  const Said said = Repl({"--prompt", ">>> $", "--", "python3", "-q"},
                         "20+22\nprint('a\\nb')\n");

  EXPECT_EQ(said.out, ">>> 20+22\n42\n>>> print('a\\nb')\na\nb\n");
  EXPECT_EQ(said.code, 0);

  const Said by_pipes =
      Repl({"--prompt", "\\? ", "--no-terminal", "--", "sh", "-c",
            "printf '? '; while read x; do printf \"$x!\\n? \"; done"},
           "a\nb\n");
  EXPECT_EQ(by_pipes.out, ">>> a\na!\n>>> b\nb!\n");

  // python3 writes its prompts to stderr there.
  const Said python = Repl({"--prompt", ">>> $", "--continuation", "[.]{3} $",
                            "--no-terminal", "--", "python3", "-i", "-q"},
                           "for i in range(2):\n  print(i)\n1/0\n6*7\n");
  EXPECT_THAT(python.out,
              AllOf(StartsWith(">>> for i in range(2):\n...   print(i)\n0\n1\n"
                               ">>> 1/0\nTraceback"),
                    EndsWith(">>> 6*7\n42\n")));
  EXPECT_EQ(python.code, 0) << python.err;
}

TEST(CliReplTest, TakesTheTextBeforeTheFirstPromptForAPartOfEachPrompt) {
  const Said said = Repl({"--prompt", "[$] $", "--continuation=[.]> $", "--",
                          "env", "PS1=host:dir$ ", "PS2=  .> ", "dash", "-i"},
                         "echo a\nprintf b\nif :; then\n  echo host:dir\n  "
                         "fi\nPS1='c$ '\necho d\n");

  EXPECT_EQ(said.out,
            ">>> echo a\na\n>>> printf b\nb\n"
            ">>> if :; then\n...   echo host:dir\n...   fi\nhost:dir\n"
            ">>> PS1='c$ '\nc\n>>> echo d\nd\nc\n");
}

// As JLine and readline do in jshell and clisp.
TEST(CliReplTest, KnowsAPromptWhoseLastCharacterIsWrittenTwice) {
  for (const char* again : {" \\b", "\\b "}) {
    const std::string program =
        absl::StrCat("stty -echo; while printf '\\nReady> ", again,
                     "' && read x; do printf '(%s\\b )' \"$x\"; done");

    const Said said =
        Repl({"--prompt", "\nReady> $", "--", "sh", "-c", program}, "a\nb\n");

    EXPECT_EQ(said.out, ">>> a\n(a\b )\n>>> b\n(b\b )\n") << again;
    EXPECT_EQ(said.code, 0) << said.err;
  }
}

TEST(CliReplTest, TakesALineAfterAContinuationForTheRestOfACommand) {
  const Said said = Repl({"--prompt", ">>> $", "--continuation", "\\.\\.\\. $",
                          "--", "python3", "-q"},
                         "def f(x):\n  return 2 * x\nf(21)\n(1 +\n2)\n");

  EXPECT_EQ(said.out,
            ">>> def f(x):\n...   return 2 * x\n>>> f(21)\n42\n"
            ">>> (1 +\n... 2)\n3\n");
  EXPECT_EQ(said.code, 0) << said.err;
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--prompt=x", "--continuation=(", "cat"},
        {"--preset=bc", "--continuation=x"}}) {
    EXPECT_EQ(Repl(wrong, "1\n").code, 125);
    EXPECT_THAT(Repl(wrong, "1\n").err,
                StartsWith("asyncproc repl: --continuation"));
  }
}

// A program that repeats its lines, and asks for more after '{'. A signal would
// end it.
constexpr absl::string_view kBraces =
    "printf 'P> '; while read -r x; do printf '<%s>' \"$x\"; case $x in "
    "*{) printf 'C> ';; *) printf '\\nP> ';; esac; done";

std::vector<std::string> WithBraces() {
  return {
      "--prompt", "P> $", "--continuation",    "C> $", "--no-terminal", "--",
      "sh",       "-c",   std::string(kBraces)};
}

TEST(CliReplTest, WritesEachLineOfACommandOnce) {
  const Said said = Repl(WithBraces(), "f {\nb {\n\n\nc {\n  d {\ne\nf\n");

  EXPECT_EQ(said.out,
            ">>> f {\n... b {\n<f {><b {><>\n"
            ">>> c {\n...   d {\n... e\n<c {><d {><e>\n"
            ">>> f\n<f>\n");
  EXPECT_EQ(said.err, "");
  EXPECT_EQ(said.code, 0);
}

TEST(CliReplTest, NamesTheLineOfACommandWithoutItsEnd) {
  const Said said = Repl({"--prompt", ">>> $", "--continuation", "\\.\\.\\. $",
                          "--", "python3", "-q"},
                         "x = 1\n(1 +\n2 +\n");

  EXPECT_EQ(said.out, ">>> x = 1\n>>> (1 +\n... 2 +\n");
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 2: "), HasSubstr("\"(1 +\" is "),
                              HasSubstr("not complete")));
  EXPECT_EQ(said.code, 125);
}

TEST(CliReplTest, EndsABlockOfPythonBeforeTheNextCommand) {
  const Said said =
      Repl({"--prompt", ">>> $", "--continuation", "\\.\\.\\. $", "--",
            "python3", "-q"},
           "if 1: print(2)\nif 0:\n  3\nelse:\n  4\nfor i in [5]:\n  i\n\n6\n"
           "(7 +\n8)\n");

  EXPECT_EQ(said.out,
            ">>> if 1: print(2)\n2\n>>> if 0:\n...   3\n... else:\n...   4\n4\n"
            ">>> for i in [5]:\n...   i\n5\n>>> 6\n6\n"
            ">>> (7 +\n... 8)\n15\n");
  EXPECT_EQ(said.code, 0) << said.err;
}

TEST(CliReplTest, WritesTheEmptyLinesOfTheSessionAfterAContinuation) {
  EXPECT_EQ(Repl({"--prompt", "d> $", "--continuation", "m> $", "--", "env",
                  "PS1=d> ", "PS2=m> ", "dash", "-i"},
                 "cat <<E\na:\n\n  b\nc\nE\n")
                .out,
            ">>> cat <<E\n... a:\n...\n...   b\n... c\n... E\n"
            "a:\n<BLANKLINE>\n  b\nc\n");
}

TEST(CliReplTest, AsksForFurtherLinesAtATerminal) {
  Command command = Tool(WithBraces());
  command.pty = Pty{24, 80, /*echo=*/false};
  auto tool = MustSpawn(command);

  ReadUntil(*tool, ">>> ");
  EXPECT_THAT(tool->Write("f {\n"), IsOk());
  EXPECT_EQ(ReadUntil(*tool, "... "), "");
  EXPECT_THAT(tool->Write("b\n"), IsOk());
  EXPECT_EQ(ReadUntil(*tool, ">>> "), "<f {><b>\r\n");
}

TEST(CliReplTest, SaysAfterWhichLineNoPromptCame) {
  TemporaryDirectory directory;
  const std::string path = absl::StrCat(directory.path(), "/session");
  std::ofstream(path) << "a\n b\n";

  const Said said =
      Repl({"--timeout=500ms", "--prompt", "> $", "--file", path, "--", "sh",
            "-c", "printf '> '; read x; read y; printf '> '"},
           "");

  EXPECT_THAT(said.err, AllOf(HasSubstr("no prompt came after line 1 of 2"),
                              HasSubstr("its stdin without a prompt: see "
                                        "--whole, ")));
  EXPECT_EQ(said.code, 124);
}

// The program asks for nothing before the end of a command.
TEST(CliReplTest, WritesTheLinesOfACommandAtOnceOnRequest) {
  for (const bool terminal : {true, false}) {
    const Said said =
        Repl({"--whole", "--prompt", "> $",
              terminal ? "--terminal" : "--no-terminal", "--", "sh", "-c",
              "printf '> '; while read x && read y; do "
              "printf \"<$x><$y>\\n> \"; done"},
             "a\n b\nc\n d\n");

    EXPECT_EQ(said.out, ">>> a\n...  b\n<a><b>\n>>> c\n...  d\n<c><d>\n");
    EXPECT_EQ(said.code, 0) << said.err;
  }
}

TEST(CliReplTest, NamesTheOptionForALineThatATerminalCutsOff) {
  const std::string line = absl::StrCat("a=", std::string(5000, '1'), "\n");

  const Said said =
      Repl({"--prompt", "d> $", "--", "env", "PS1=d> ", "dash", "-i"}, line);

  EXPECT_THAT(said.err, AllOf(HasSubstr("4095 bytes"),
                              HasSubstr("use --no-terminal; the session")));
}

TEST(CliReplTest, ExecutesEachCommandWhenItComes) {
  struct {
    const char* preset;
    const char* command;
    const char* end;  // Of its output.
  } const each[] = {
      {"bc", "6*7\n", "42\n"},
      {"bc", "define f(x) {\nreturn x\n}\nf(42)\n", "f(42)\n42\n"},
      {"python3", "6*7\n", "42\n"},
      {"python3", "def f():\n  return 42\n\nf()\n", "f()\n42\n"},
      {"python3", "[6,\n7]\n", "[6, 7]\n"},
      {"sh", "echo 4''2\n", "42\n"},
      {"sh", "if true; then\n  echo 4''2\nfi\n", "fi\n42\n"},
      {"sqlite3", "select 6*\n7;\n", "42\n"},
  };
  for (const auto& one : each) {
    auto tool = MustSpawn(Tool({absl::StrCat("--preset=", one.preset)}));

    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(tool->Write(one.command), IsOk());
      ReadUntil(*tool, one.end);
    }

    EXPECT_THAT(tool->CloseStdin(), IsOk());
    EXPECT_THAT(tool->WaitFor(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
    EXPECT_EQ(tool->out().Read(), "") << one.command;
  }
}

TEST(CliReplTest, ExecutesTheCommandsOfADoctestWhenTheyCome) {
  auto tool = MustSpawn(Tool({"--preset=bc"}));

  EXPECT_THAT(tool->Write("\n>>> 6*7\n\n"), IsOk());

  EXPECT_EQ(ReadUntil(*tool, "42\n"), ">>> 6*7\n");
}

TEST(CliReplTest, JoinsAnIndentedLineToACompleteOneIfItHasArrived) {
  TemporaryDirectory directory;
  const std::string path = absl::StrCat(directory.path(), "/session");
  const std::string session = "echo a\n  echo b\n";
  std::ofstream(path) << session;
  const std::string joined = ">>> echo a\n...   echo b\na\nb\n";
  auto tool = MustSpawn(Tool({"--preset=sh"}));

  EXPECT_EQ(Repl({"--preset=sh"}, session).out, joined);
  EXPECT_EQ(Repl({"--preset=sh", "--file", path}, "").out, joined);
  EXPECT_THAT(tool->Write("echo a\n"), IsOk());
  ReadUntil(*tool, ">>> echo a\na\n");
  EXPECT_THAT(tool->Write("  echo b\n"), IsOk());
  ReadUntil(*tool, ">>>   echo b\nb\n");
}

TEST(CliReplTest, WaitsForTheEndOfAStatementOfOcamlAndProlog) {
  EXPECT_THAT(
      Repl({"--preset=ocaml"}, "let x = 40\n  + 2;;\nx + 1;;\n").out,
      AllOf(StartsWith(">>> let x = 40\n...   + 2;;\n"), HasSubstr("43")));
  EXPECT_THAT(Repl({"--preset=prolog"}, "X is 40\n  + 2.\n").out,
              AllOf(StartsWith(">>> X is 40\n...   + 2.\n"), HasSubstr("42")));
}

TEST(CliReplTest, ReadsASessionThatNeverEnds) {
  const std::string tool = Tool({}).argv[0];

  EXPECT_EQ(OutputOf(Command::Shell(absl::StrCat(
                "yes 6*7 | ", tool, " repl --preset bc | head -3"))),
            ">>> 6*7\n42\n>>> 6*7\n");
  const Said said = Repl({"--preset=bc", "--file=/dev/zero"}, "");
  EXPECT_THAT(said.err, HasSubstr("line 1: a command of the session has more "
                                  "than 67108864 bytes"));
  EXPECT_EQ(said.code, 125);
}

TEST(CliReplTest, KnowsADoctestByTheLinesThatHaveArrived) {
  EXPECT_EQ(Repl({"--preset=sh"}, "Some prose.\n\n>>> echo b\n").out,
            ">>> echo b\nb\n");

  auto tool = MustSpawn(Tool({"--preset=sh"}));
  EXPECT_THAT(tool->Write("echo a\n"), IsOk());
  ReadUntil(*tool, ">>> echo a\na\n");
  EXPECT_THAT(tool->Write("\n>>> echo b\n"), IsOk());
  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(125)));
  EXPECT_THAT(tool->err().Read(), AllOf(HasSubstr("line 3 begins with '>>> '"),
                                        HasSubstr("--file")));
}

TEST(CliReplTest, ReadsNoByteOrderMark) {
  EXPECT_EQ(Repl({"--preset=bc"},
                 "\xef\xbb\xbf"
                 "6*7\n")
                .out,
            ">>> 6*7\n42\n");
}

TEST(CliReplTest, EndsWithItsProgramWhileItWaitsForACommand) {
  auto tool = MustSpawn(Tool({"--preset=sh", "--json"}));
  EXPECT_THAT(tool->Write("echo $$\n"), IsOk());
  auto line = tool->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  const std::string shell = nlohmann::json::parse(*line)["out"];

  ASSERT_EQ(kill(std::stoi(shell), SIGKILL), 0);

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(128 + SIGKILL)));
  EXPECT_THAT(tool->err().Read(),
              HasSubstr("has ended while no command ran: killed by SIGKILL"));
}

TEST(CliReplTest, EndsAfterTheCommandThatEndsItsProgram) {
  auto tool = MustSpawn(Tool({"--preset=sh"}));

  EXPECT_THAT(tool->Write("exit 3\n"), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(tool->err().Read(), "");
}

TEST(CliReplTest, PassesArgumentsToAPreset) {
  TemporaryDirectory directory;
  const std::string path = absl::StrCat(directory.path(), "/db");

  EXPECT_EQ(Repl({"--preset=sqlite3", path},
                 "create table t(x); insert into t values (42);")
                .code,
            0);

  EXPECT_EQ(Repl({"--preset=sqlite3", path}, "select x from t;").out,
            ">>> select x from t;\n42\n");
}

}  // namespace
}  // namespace asyncproc

// asyncproc repl: questions, the ends of a session, signals, terminals.

#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
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

using namespace std::string_literals;

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(CliReplTest, AnswersAQuestionAtTheTerminal) {
  EXPECT_EQ(
      Repl({"--prompt", ">>> $", "--answer", "Password: $=secret", "--",
            "python3", "-q"},
           "import getpass\ngetpass.getpass()\n")
          .out,
      ">>> import getpass\n>>> getpass.getpass()\nPassword: \n'secret'\n");
}

TEST(CliReplTest, AnswersAQuestion) {
  const Said said = Repl({"--preset=python3", "--answer", "name\\? $=Ada"},
                         "input('Your name? ')\ninput('Age? ')\n1\n");

  EXPECT_EQ(said.out,
            ">>> input('Your name? ')\nYour name? 'Ada'\n"
            ">>> input('Age? ')\n>>> 1\n1\n");
  EXPECT_THAT(said.err, AllOf(HasSubstr("no answer to \"Age? \""),
                              HasSubstr("the session goes on")));
  EXPECT_EQ(said.code, 125);
}

TEST(CliReplTest, AnswersEachQuestionByTheFirstAnswerThatMatches) {
  const Said said =
      Repl({"--preset=python3", "--answer", "[Nn]ame=ada", "--answer",
            "Password=secret", "--answer", "=other"},
           "input('Name? ') + input('Password? ') + input('City? ')\n");

  EXPECT_THAT(said.out, HasSubstr("'adasecretother'"));
  EXPECT_EQ(said.code, 0) << said.err;
}

TEST(CliReplTest, EndsAsTheProgramDoes) {
  EXPECT_EQ(Repl({"--preset=sh"}, "exit 3\n").code, 3);
  EXPECT_EQ(Repl({"--preset=sh"}, "exit 0\n").code, 0);
  EXPECT_EQ(Repl({"--preset=sh"}, "kill -9 $$\n").code, 128 + SIGKILL);
  // An early exit is an error when statements remain.
  const Said early = Repl({"--preset=sh"}, "exit 0\necho more\n");
  EXPECT_EQ(early.code, 125);
  EXPECT_THAT(early.err, HasSubstr("line 1"));
}

TEST(CliReplTest, ReportsAnEarlierFailureThoughTheLastCommandEndsTheProgram) {
  const struct {
    std::vector<std::string> options;
    std::string input;
    int code;
  } sessions[] = {
      {{"--timeout=100ms"}, "sleep 1000\nexit\n", 124},
      {{"--timeout=100ms"}, "sleep 1000\nexit 3\n", 124},
      {{"--timeout=100ms"}, "sleep 1000\nkill -9 $$\n", 124},
      {{"--timeout=100ms"}, "sleep 1000\nexit 3\necho more\n", 124},
      {{"--timeout=100ms", "--check"}, ">>> sleep 1000\n\n>>> exit\n", 124},
      {{}, "echo a\0b\nexit\n"s, 125},
      {{"--check"}, ">>> echo 1\n2\n\n>>> exit 3\n", 1},
      {{"--check"}, ">>> echo 1\n2\n\n>>> kill -9 $$\n", 1},
      {{"--check"}, ">>> echo 1\n1\n\n>>> exit 3\n", 3},
      {{"--check", "--stop-on-error"}, ">>> echo 1; (exit 3)\n2\n", 1},
      {{"--check", "--stop-on-error"}, ">>> echo 1; (exit 3)\n1\n", 3}};
  for (const auto& session : sessions) {
    std::vector<std::string> arguments = session.options;
    arguments.push_back("--preset=bash");
    EXPECT_EQ(Repl(arguments, session.input).code, session.code)
        << session.input;
  }
}

TEST(CliReplTest, ReportsAnEarlierFailureAtATerminal) {
  Command command = Tool({"--preset=bash", "--timeout=100ms"});
  command.pty = Pty{24, 80, /*echo=*/false};
  auto tool = MustSpawn(command);
  EXPECT_THAT(tool->Write("sleep 1000\n"), IsOk());
  EXPECT_THAT(
      tool->out().ReadUntil("the session goes on\r\n>>> ", kNeverReached),
      IsOk());
  EXPECT_THAT(tool->Write("exit\n"), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));
}

TEST(CliReplTest, PrintsTheLastWordsOfAProgram) {
  EXPECT_EQ(Repl({"--preset=sh"}, "echo a\necho b; exit 3\n").out,
            ">>> echo a\na\n>>> echo b; exit 3\nb\n");
  EXPECT_EQ(Repl({"--preset=sh"}, "trap 'echo bye' EXIT\necho a\n").out,
            ">>> trap 'echo bye' EXIT\n>>> echo a\na\n\nbye\n");
  const Said differs =
      Repl({"--preset=sh", "--check"}, ">>> echo a; echo b; exit\na\nc\n\n");
  EXPECT_EQ(differs.code, 1);
  EXPECT_THAT(differs.out, HasSubstr("got:\n    a\n    b\n"));
}

TEST(CliReplTest, PrintsTheLastWordsOfAProgramWithAPrompt) {
  EXPECT_EQ(Repl({"--prompt", ">>> $", "--", "python3", "-q"},
                 "print(1)\nprint(5); exit()\n")
                .out,
            ">>> print(1)\n1\n>>> print(5); exit()\n5\n");
  EXPECT_EQ(Repl({"--prompt", ">>> $", "--", "python3", "-q"},
                 ">>> 5\n... print(6); exit(3)\n")
                .out,
            ">>> 5\n... print(6); exit(3)\n5\n6\n");

  const Said shell =
      Repl({"--prompt", "[#$] $", "--no-terminal", "--json", "--", "sh", "-c",
            "printf '$ '; while read x; do eval \"$x\"; printf '$ '; done"},
           "echo a; echo b >&2; exit 3\n");
  EXPECT_EQ(nlohmann::json::parse(shell.out)["out"], "a\nb\n");
  EXPECT_EQ(shell.code, 3);
}

TEST(CliReplTest, PrintsTheCommandThatEndsTheProgramAsAnyOther) {
  EXPECT_EQ(Repl({"--preset=sh"}, "exit 3\n").out, ">>> exit 3\n");
  for (const char* input : {"echo b; exit\n", "echo b; exit\necho more\n",
                            "echo b; exit 3\necho more\n"}) {
    const std::string command(input, std::string(input).find('\n'));
    EXPECT_EQ(Repl({"--preset=sh"}, input).out,
              absl::StrCat(">>> ", command, "\nb\n"))
        << input;
  }
  const Said differs = Repl({"--preset=sh", "--check"}, ">>> exit\nbye\n");
  EXPECT_EQ(differs.code, 1);
  EXPECT_THAT(differs.out, HasSubstr("got:\n    (nothing)\n"));
}

TEST(CliReplTest, ReportsWhyAProgramCannotBeRun) {
  TemporaryDirectory directory;

  EXPECT_EQ(Repl({"--prompt=x", "no-such-program"}, "").code, 127);
  EXPECT_EQ(Repl({"--prompt=x", directory.Write("data", "")}, "").code, 126);
  EXPECT_EQ(Repl({"--prompt=x", "true"}, "").code, 125);
}

TEST(CliReplTest, GivesItsProgramTheTimeoutIfLongerToBecomeReady) {
  const auto start = [](const char* timeout) {
    auto tool =
        MustSpawn(Tool({"--timeout", timeout, "--prompt=x", "--no-terminal",
                        "--", "sh", "-c", "sleep 22; printf x; read line"}));
    EXPECT_THAT(tool->CloseStdin(), IsOk());
    return tool;
  };
  auto brief = start("100ms");
  auto longer = start("1m");

  EXPECT_THAT(brief->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(124)));
  EXPECT_THAT(brief->err().ReadToEnd(kNeverReached),
              IsOkAndHolds(HasSubstr("; the limit is 20s: see --timeout")));
  EXPECT_THAT(longer->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(CliReplTest, RefusesContradictoryOptions) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"--preset=bc", "--prompt=x", "cat"},
      {"--dialect=/no/such/file"},
      {"--preset=nope"},
      {"--prompt=("},
      {"--prompt=(", "cat"},
      {"--preset=bc", "--file=/no/such/file"},
      {"--preset=bc", "--timeout=soon"},
      {"--preset=bc", "--whole"},
      {"--prompt=x", "--continuation=y", "--whole", "cat"},
      {"--preset=bc", "--answer=x"},
      {"--preset=bc", "--answer=(=x"},
      {"--preset=bc", "--answer=(=x", "--answer=x=y"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const Said said = Repl(arguments, "1\n");
    EXPECT_EQ(said.code, 125) << testing::PrintToString(arguments);
    EXPECT_THAT(said.err, StartsWith("asyncproc"));
    EXPECT_EQ(said.out, "");
  }
  EXPECT_THAT(Repl({"--preset=bc", "--check"}, "1+1\n").err,
              HasSubstr("nothing to check"));
}

TEST(CliReplTest, EndsWithItsProgramWhenItGetsASignal) {
  auto tool = MustSpawn(Tool({"--preset=sh", "--json"}));
  EXPECT_THAT(tool->Write("echo $$\nsleep 1000\n"), IsOk());
  EXPECT_THAT(tool->CloseStdin(), IsOk());
  auto line = tool->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  const std::string shell = nlohmann::json::parse(*line)["out"];

  EXPECT_THAT(tool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  EXPECT_TRUE(AwaitProcessEnd(std::stoi(shell)));
  EXPECT_EQ(tool->err().Read(), "");
}

TEST(CliReplTest, EndsWhileItReadsTheSessionWhenItGetsASignal) {
  auto tool = MustSpawn(Tool({"--preset=bc"}));
  // The tool blocks SIGPIPE, SIGCHLD and all signals that ask it to end before
  // it reads.
  while (!absl::StrContains(
      OutputOf(
          Command({"cat", absl::StrCat("/proc/", tool->pid(), "/status")})),
      "SigBlk:\tfffffffe3681fa07\n")) {
  }

  EXPECT_THAT(tool->Signal(SIGINT), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_EQ(tool->err().Read(), "");
}

TEST(CliReplTest, AsksForCommandsAtATerminal) {
  Command command = Tool({"--preset=bc"});
  command.pty = Pty{24, 80, /*echo=*/false};
  auto tool = MustSpawn(command);
  const auto await = [&](absl::string_view text) {
    return ReadUntil(*tool, text);
  };

  await(">>> ");
  EXPECT_THAT(tool->Write("6*7\n"), IsOk());
  EXPECT_EQ(await(">>> "), "42\r\n");
  EXPECT_THAT(tool->Write("define f(x) {\n"), IsOk());
  await("... ");
  EXPECT_THAT(tool->Write("return 2*x }\n"), IsOk());
  await("... ");
  EXPECT_THAT(tool->Write("\n"), IsOk());
  EXPECT_EQ(await(">>> "), "");
  EXPECT_THAT(tool->Write("f(4)\n"), IsOk());
  EXPECT_EQ(await(">>> "), "8\r\n");
  EXPECT_THAT(tool->pty()->SendEof(), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(CliReplTest, AnInterruptAtTheTerminalEndsItWhileACommandRuns) {
  Command command = Tool({"--preset=bash"});
  command.pty = Pty{24, 80, /*echo=*/false};
  auto tool = MustSpawn(command);
  EXPECT_THAT(tool->Write("echo $$\n"), IsOk());
  EXPECT_THAT(tool->out().ReadUntil(">>> ", kNeverReached), IsOk());
  const auto line = tool->out().ReadLine(kNeverReached);
  ASSERT_THAT(line, IsOk());
  EXPECT_THAT(tool->Write("echo ready >/dev/tty; sleep 1000\n"), IsOk());
  EXPECT_THAT(tool->out().ReadUntil("ready", kNeverReached), IsOk());

  EXPECT_THAT(tool->pty()->SendInterrupt(), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_TRUE(AwaitProcessEnd(std::stoi(*line)));
}

TEST(CliReplTest, AnInterruptAtTheTerminalEndsIt) {
  Command command = Tool({"--preset=bc"});
  command.pty = Pty{24, 80, /*echo=*/false};
  auto tool = MustSpawn(command);
  EXPECT_THAT(tool->Write("1\n"), IsOk());
  EXPECT_THAT(tool->out().ReadUntil("1\r\n>>> ", kNeverReached), IsOk());

  EXPECT_THAT(tool->pty()->SendInterrupt(), IsOk());

  EXPECT_THAT(tool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_EQ(tool->out().Read(), "");
}

}  // namespace
}  // namespace asyncproc

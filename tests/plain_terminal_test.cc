// Problems of programs on a terminal: decoration that is meant for people.

#include "asyncproc/plain_terminal.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// The command on a default terminal.
Command OnFancyTerminal(Command command) {
  command.pty = Pty{24, 80, /*echo=*/false};
  command.env.Set("TERM", "xterm-256color");
  return command;
}

// The output of a line editor around one line.
std::string Around(const Command& command, absl::string_view prompt,
                   absl::string_view line, absl::string_view answer) {
  auto process = MustSpawn(command);
  Expect expect(process.get());
  std::string said;
  const auto await = [&](absl::string_view what) {
    auto found =
        expect.Await(Pattern::Literal(std::string(what)), kNeverReached);
    EXPECT_THAT(found.status(), IsOk());
    if (found.ok()) absl::StrAppend(&said, found->before, found->match);
  };
  await(prompt);
  EXPECT_THAT(process->Write(absl::StrCat(line, "\n")), IsOk());
  await(answer);
  await(prompt);
  return said;
}

const char kBracketedPaste[] = "\x1b[?2004h";

TEST(PlainTerminalTest, BashDoesNotAnnounceBracketedPaste) {
  Command bash({"bash", "--norc", "--noprofile", "-i"});
  bash.env.Set("PS1", "ready> ");

  EXPECT_THAT(Around(OnFancyTerminal(bash), "ready> ", "echo $((6*7))", "42"),
              HasSubstr(kBracketedPaste));
  EXPECT_THAT(Around(OnPlainTerminal(bash), "ready> ", "echo $((6*7))", "42"),
              Not(HasSubstr("\x1b")));
}

TEST(PlainTerminalTest, PythonSendsNoEscapeSequences) {
  EXPECT_THAT(
      Around(OnPlainTerminal(Command({"python3", "-q"})), ">>> ", "6*7", "42"),
      Not(HasSubstr("\x1b")));
}

TEST(PlainTerminalTest, PromptCommandSaysNothingBetweenReplies) {
  Command bash({"bash", "--norc", "--noprofile", "-i"});
  bash.env.Set("PS1", "ready> ").Set("PROMPT_COMMAND", "echo junk");

  EXPECT_THAT(Around(OnFancyTerminal(bash), "ready> ", "echo $((6*7))", "42"),
              HasSubstr("junk"));
  EXPECT_THAT(Around(OnPlainTerminal(bash), "ready> ", "echo $((6*7))", "42"),
              Not(HasSubstr("junk")));
}

TEST(DialectTest, PromptCommandIsNoPartOfAReplyOfBash) {
  ReplDialect dialect = BashDialect();
  dialect.command.env.Set("PROMPT_COMMAND", "echo junk").Set("PS1", "junk$ ");
  auto bash = Repl::Start(dialect);
  ASSERT_THAT(bash.status(), IsOk());

  auto reply = (*bash)->Eval("echo one", kNeverReached);
  auto set =
      (*bash)->Eval("PROMPT_COMMAND='echo junk'; PS1='junk$ '", kNeverReached);
  auto next = (*bash)->Eval("echo two", kNeverReached);

  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_EQ(reply->out, "one\n");
  EXPECT_EQ(reply->err, "");
  ASSERT_THAT(set.status(), IsOk());
  EXPECT_EQ(set->out, "");
  ASSERT_THAT(next.status(), IsOk());
  EXPECT_EQ(next->out, "two\n");
}

// `command` shows more than a page.
void ExpectNoPager(const Command& command) {
  {
    auto paged = MustSpawn(OnFancyTerminal(command));
    EXPECT_THAT(paged->WaitFor(10 * kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded))
        << "it does not wait for a key, whatever the terminal is";
  }
  auto plain = MustSpawn(OnPlainTerminal(command));
  EXPECT_THAT(plain->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  const std::string said = plain->Read();
  EXPECT_THAT(said, Not(HasSubstr("\x1b")));
  EXPECT_GT(said.size(), 500);
}

bool HaveLess() { return access("/usr/bin/less", X_OK) == 0; }

TEST(PlainTerminalTest, GitWaitsForNoKey) {
  if (!HaveLess()) GTEST_SKIP() << "there is no pager";
  Command git({"git", "--paginate", "help", "-a"});
  git.env.Unset("PAGER").Unset("GIT_PAGER").Set("LESS", "");
  ExpectNoPager(git);
}

TEST(PlainTerminalTest, ManWaitsForNoKey) {
  if (!HaveLess()) GTEST_SKIP() << "there is no pager";
  if (access("/usr/bin/man", X_OK) != 0) GTEST_SKIP() << "there is no man";
  TemporaryDirectory directory;
  std::string page = ".TH LONG 1\n.SH NAME\nlong - a long page\n.nf\n";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&page, "line ", i, "\n");
  Command man({"man", "-l", directory.Write("long.1", page)});
  man.env.Unset("PAGER").Unset("MANPAGER").Set("LESS", "");
  ExpectNoPager(man);
}

TEST(PlainTerminalTest, PythonsHelpWaitsForNoKey) {
  if (!HaveLess()) GTEST_SKIP() << "there is no pager";
  Command help({"python3", "-c", "help(str)"});
  help.env.Unset("PAGER").Unset("MANPAGER").Set("LESS", "");
  ExpectNoPager(help);
}

TEST(PlainTerminalTest, KeepsTheVariablesOfTheCommand) {
  Command command = Command::Shell("echo $TERM $PAGER; stty size; stty -a");
  command.pty = Pty{50, 132, /*echo=*/true};
  command.env.Set("TERM", "vt100").Set("PAGER", "more");

  auto process = MustSpawn(OnPlainTerminal(command));

  // OnPlainTerminal overrides TERM and PAGER, but not the size.
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  const std::string said = process->Read();
  EXPECT_THAT(said, testing::StartsWith("dumb cat\r\n50 132\r\n"));
  EXPECT_THAT(said, HasSubstr(" -echo "));
}

TEST(PlainTerminalTest, LeavesLineBufferedStreamsAndTurnsOffTheirPagers) {
  Command command = Command::Shell(
      "test -t 0 || test ! -t 1 || test -t 2 || echo $TERM $PAGER");
  command.out = Stdio::LineBuffered();

  const Command plain = OnPlainTerminal(command);

  EXPECT_FALSE(plain.pty.has_value());
  EXPECT_EQ(OutputOf(plain), "dumb cat\n");
}

TEST(PlainTerminalTest, WritesNoHistoryUnlessAsked) {
  const TemporaryDirectory home;
  Command bash({"bash", "--norc", "--noprofile", "-i"});
  bash.env.Set("PS1", "ready> ").Set("HOME", home.path());
  const auto talk = [](Command command) {
    auto process = MustSpawn(OnPlainTerminal(std::move(command)));
    EXPECT_THAT(process->out().ReadUntil("ready> ", kNeverReached), IsOk());
    EXPECT_THAT(process->Write("echo secret\n"), IsOk());
    EXPECT_THAT(process->out().ReadUntil("ready> ", kNeverReached), IsOk());
    EXPECT_THAT(process->Write("exit\n"), IsOk());
    EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  };

  talk(bash);
  Command asked = bash;
  asked.env.Set("HISTFILE", home.path() + "/asked");
  talk(asked);
  Command sqlite({"sqlite3", "-interactive"});
  sqlite.env.Set("HOME", home.path());
  auto process = MustSpawn(OnPlainTerminal(sqlite));
  EXPECT_THAT(process->out().ReadUntil("sqlite> ", kNeverReached), IsOk());
  EXPECT_THAT(process->Write("select 1;\n.exit\n"), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());

  EXPECT_THAT(home.Read("asked"), HasSubstr("echo secret"));
  EXPECT_FALSE(std::filesystem::exists(home.path() + "/.bash_history"));
  EXPECT_FALSE(std::filesystem::exists(home.path() + "/.sqlite_history"));
}

TEST(PlainTerminalTest, FishWritesNoHistory) {
  const TemporaryDirectory home;
  // If it is missing, fish starts a program that makes it.
  std::filesystem::create_directories(home.path() +
                                      "/fish/generated_completions");
  Command fish({"fish", "-i"});
  for (const char* name : {"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}) {
    fish.env.Set(name, home.path());
  }
  auto process = Process::Spawn(OnPlainTerminal(fish));
  if (absl::IsNotFound(process.status())) GTEST_SKIP() << "there is no fish";
  ASSERT_THAT(process, IsOk());

  EXPECT_THAT((*process)->Write("echo se(echo cr)et\nexit\n"), IsOk());
  EXPECT_THAT((*process)->WaitFor(kNeverReached), IsOk());

  EXPECT_THAT((*process)->Read(), HasSubstr("secret"));
  EXPECT_FALSE(std::filesystem::exists(home.path() + "/fish/fish_history"));
}

// A prompt in the output, at the end of a piece, would end a reply too early.
TEST(PromptTest, AUniquePromptIsNotFoundInTheOutput) {
  ReplDialect dialect;
  dialect.command = OnPlainTerminal(Command({"python3", "-q"}));
  dialect.setup =
      "import sys, time; sys.ps1 = 'ready' + '-4711> '; "
      "sys.ps2 = 'more' + '-4711> '\n";
  dialect.prompt = "ready-4711> ";
  dialect.continuation = "more-4711> ";
  dialect.echoes = true;
  auto python = Repl::Start(dialect);
  ASSERT_THAT(python.status(), IsOk());

  auto reply = (*python)->Eval(
      "for word in ('>>> ', '... ', '$ ', 'end'):\n"
      "  _ = sys.stdout.write(word), sys.stdout.flush(), time.sleep(0.02)\n",
      kNeverReached);
  auto next = (*python)->Eval("6*7", kNeverReached);

  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_THAT(reply->out, HasSubstr(">>> ... $ end"));
  ASSERT_THAT(next.status(), IsOk());
  EXPECT_EQ(next->out, "42\n");
}

// A dialect for a program with the prompt "ready> ", whose terminal echoes
// until the program turns that off.
ReplDialect OnEchoingTerminal(Command command) {
  ReplDialect dialect;
  dialect.command = OnPlainTerminal(std::move(command));
  dialect.command.pty->echo = true;
  dialect.prompt = "ready> $";
  dialect.echoes = true;
  return dialect;
}

// A program that edits its lines: it echoes each line with `echo`, a command of
// sh for $line, and then writes "got LINE".
ReplDialect Editing(const std::string& echo) {
  return OnEchoingTerminal(Command::Shell(
      absl::StrCat("while printf 'ready> '; stty -echo; read -r line; do ",
                   "stty echo; ", echo, "; echo \"got $line\"; done")));
}

// The replies to `lines`.
std::vector<std::string> RepliesTo(const std::vector<std::string>& lines,
                                   const ReplDialect& dialect) {
  auto repl = Repl::Start(dialect);
  EXPECT_THAT(repl, IsOk());
  std::vector<std::string> replies;
  for (const std::string& line : lines) {
    if (!repl.ok()) break;
    const auto reply = (*repl)->Eval(line, kNeverReached);
    EXPECT_THAT(reply, IsOk());
    replies.push_back(reply.ok() ? reply->out : "");
  }
  return replies;
}

// sftp, gnuplot, nslookup and clisp do this, by libedit and readline.
TEST(PromptTest, AProgramMayTurnOffTheEchoAfterItsPrompt) {
  EXPECT_THAT(RepliesTo({"one", "two", "three"}, Editing("echo \"$line\"")),
              ElementsAre("got one\n", "got two\n", "got three\n"));
}

// readline does this to show a pair of parentheses.
TEST(PromptTest, ALineThatIsWrittenAgainIsAnEcho) {
  const char* const echo = R"(printf '%s\b\b\b\rready> ' "$line"
                              echo "$line")";

  EXPECT_THAT(RepliesTo({"f(1)", "\xc3\xa4(2)"}, Editing(echo)),
              ElementsAre("got f(1)\n", "got \xc3\xa4(2)\n"));
}

TEST(PromptTest, ALineThatIsWrittenAgainMayComeInPieces) {
  // The Repl has read the prompt when it sends the next piece.
  const char* const echo = R"(printf '%s\b\b\b\rready> ' "$line"
                              sleep 0.05; echo "$line")";

  EXPECT_THAT(RepliesTo({"f(1)", "f(2)"}, Editing(echo)),
              ElementsAre("got f(1)\n", "got f(2)\n"));
}

TEST(PromptTest, AReplyThatIsOverwrittenIsNoEcho) {
  EXPECT_THAT(RepliesTo({"one"}, Editing("printf '%s\\n50%%\\r99%%\\n' one")),
              ElementsAre("50%\r99%\ngot one\n"));
  EXPECT_THAT(RepliesTo({"one"}, Editing("printf 'two\\rone\\n'")),
              ElementsAre("two\rone\ngot one\n"));
}

TEST(PromptTest, BashShowsParenthesesOutsideTheReply) {
  const TemporaryDirectory directory;
  Command bash({"bash", "--norc", "--noprofile", "-i"});
  bash.env.Set("PS1", "ready> ")
      .Set("INPUTRC",
           directory.Write("inputrc", "set blink-matching-paren on\n"));

  EXPECT_THAT(RepliesTo({"(echo 1); (echo 2)"}, OnEchoingTerminal(bash)),
              ElementsAre("1\n2\n"));
}

TEST(PromptTest, ALineMayBeLongerThanTheTerminalIsWide) {
  Command bash({"bash", "--norc", "--noprofile", "-i"});
  bash.env.Set("PS1", "ready> ");

  EXPECT_THAT(
      RepliesTo({absl::StrCat("x=", std::string(9000, 'x')), "echo ${#x}"},
                OnEchoingTerminal(bash)),
      ElementsAre("", "9000\n"));
}

TEST(PromptTest, ZshFillsNoLineOfAReply) {
  Command zsh({"zsh", "-f", "-i", "+Z"});
  zsh.env.Set("PS1", "ready> ");
  if (absl::IsNotFound(Process::Spawn(zsh).status())) {
    GTEST_SKIP() << "there is no zsh";
  }

  EXPECT_THAT(RepliesTo({"echo 1", "printf abc"}, OnEchoingTerminal(zsh)),
              ElementsAre("1\n", "abc"));
}

}  // namespace
}  // namespace asyncproc

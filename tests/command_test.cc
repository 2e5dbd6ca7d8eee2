#include "asyncproc/command.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using std::string_literals::operator""s;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A mistake in an otherwise valid command, and a part of the error message.
struct Mistake {
  std::function<void(Command&)> make;
  std::string said;
};

void ExpectRefused(const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    Command command({"true", "argument"});
    mistake.make(command);

    const absl::Status status = command.Validate();

    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(status.message()), HasSubstr(mistake.said));
    EXPECT_EQ(command.Explain(),
              absl::StrCat("cannot be run: ", status.message(), "\n"));
  }
}

TEST(CommandTest, IsValidAsItIsMade) {
  EXPECT_THAT(Command({"true"}).Validate(), IsOk());
  EXPECT_THAT(Command::Shell("exit").Validate(), IsOk());
}

// ARG-04
TEST(CommandTest, RefusesToRunNothing) {
  EXPECT_THAT(Command().Validate(),
              HasCode(absl::StatusCode::kInvalidArgument));
  ExpectRefused({
      {[](Command& c) { c.argv.clear(); }, "argv is empty"},
      {[](Command& c) { c.argv[0] = ""; }, "name of the program is empty"},
  });
}

TEST(CommandTest, TakesAnEmptyNameWithAnExecutable) {
  Command command({""});
  command.executable = "/bin/true";

  EXPECT_THAT(command.Validate(), IsOk());
}

// ARG-03
TEST(CommandTest, RefusesNulBytes) {
  ExpectRefused({
      {[](Command& c) { c.argv[0] = "rm\0-safe"s; }, "argv[0] has a NUL"},
      {[](Command& c) { c.argv[1] = "a\0b"s; }, "argv[1] has a NUL"},
      {[](Command& c) { c.executable = "/bin/\0"s; }, "executable has a NUL"},
      {[](Command& c) { c.working_directory = "/\0"s; },
       "working_directory has a NUL"},
      {[](Command& c) { c.env.Set("A\0B"s, "x"); }, "name of variable"},
      {[](Command& c) { c.env.Unset("A\0B"s); }, "name of variable"},
      {[](Command& c) { c.env.Set("A", "x\0y"s); }, "value of variable \"A\""},
      {[](Command& c) {
         c.out = Stdio::File("/tmp/\0x"s, Stdio::FileMode::kTruncate);
       },
       "path of out"},
  });
}

// ARG-16
TEST(CommandTest, RefusesNamesThatNoVariableCanHave) {
  ExpectRefused({
      {[](Command& c) { c.env.Set("", "x"); }, "name of a variable is empty"},
      {[](Command& c) { c.env.Set("A=B", "x"); }, "\"A=B\" has a '='"},
      {[](Command& c) { c.env.Unset("A=B"); }, "\"A=B\" has a '='"},
  });
}

// RED-14
TEST(CommandTest, RefusesStreamsThatCannotBe) {
  const auto kRead = Stdio::FileMode::kRead;
  const auto kAppend = Stdio::FileMode::kAppend;
  ExpectRefused({
      {[](Command& c) { c.in = Stdio::ToStdout(); }, "not in"},
      {[](Command& c) { c.out = Stdio::ToStdout(); }, "not out"},
      {[](Command& c) { c.in = Stdio::Fd(-1); }, "in is set to descriptor -1"},
      {[=](Command& c) { c.in = Stdio::File("f", kAppend); }, "wrong way"},
      {[=](Command& c) { c.out = Stdio::File("f", kRead); }, "wrong way"},
      {[=](Command& c) { c.err = Stdio::File("f", kRead); }, "wrong way"},
      {[=](Command& c) { c.in = Stdio::File("", kRead); }, "path of in"},
      {[](Command& c) {
         c.pty.emplace();
         c.out = Stdio::Null();
       },
       "with a pty"},
  });
}

// FDI-13
TEST(CommandTest, RefusesDescriptorsThatCannotBePassed) {
  ExpectRefused({
      {[](Command& c) { c.pass_fds[3] = -1; }, "descriptor -1"},
      {[](Command& c) { c.pass_fds[-4] = 1; }, "descriptor -4"},
      {[](Command& c) { c.pass_fds[0] = 1; }, "0 of the child"},
      {[](Command& c) { c.pass_fds[2] = 2; }, "2 of the child"},
  });
}

// SEC-04
TEST(CommandTest, RefusesImpossibleIds) {
  ExpectRefused({
      {[](Command& c) { c.user = -1; }, "user is -1"},
      {[](Command& c) { c.group = -1; }, "group is -1"},
      {[](Command& c) {
         c.supplementary_groups = {1, static_cast<gid_t>(-1)};
       },
       "supplementary_groups has -1"},
      {[](Command& c) { c.supplementary_groups.emplace(NGROUPS_MAX + 1, 1); },
       absl::StrCat(NGROUPS_MAX + 1, " supplementary groups")},
  });
}

TEST(CommandTest, RefusesNumbersOutOfRange) {
  ExpectRefused({
      {[](Command& c) { c.nice = 20; }, "nice is 20"},
      {[](Command& c) { c.nice = -21; }, "nice is -21"},
      {[](Command& c) { c.umask = 01000; }, "umask"},
      {[](Command& c) {
         c.rlimits[-1] = {1, 1};
       },
       "no resource"},
      {[](Command& c) {
         c.rlimits[RLIM_NLIMITS] = {1, 1};
       },
       "no resource"},
      {[](Command& c) {
         c.rlimits[RLIMIT_CORE] = {2, 1};
       },
       "soft limit"},
      {[](Command& c) { c.drain_grace = -absl::Seconds(1); }, "drain_grace"},
      {[](Command& c) {
         c.pty = Pty{-1, 80};
       },
       "a pty of -1 rows"},
      {[](Command& c) {
         c.pty = Pty{24, 65536};
       },
       "and 65536 columns"},
      {[](Command& c) { c.pipe_size = size_t{INT_MAX} + 1; }, "pipe_size"},
      {[](Command& c) { c.output_buffer = OutputBound::BlockChild(0); },
       "output_buffer"},
      {[](Command& c) { c.process_group = ProcessGroup::Join(0); },
       "no process"},
      {[](Command& c) { c.process_group = ProcessGroup::Join(-1); },
       "no process"},
  });
}

TEST(CommandTest, RefusesContradictions) {
  ExpectRefused({
      {[](Command& c) {
         c.new_session = true;
         c.process_group = ProcessGroup::Join(12345);
       },
       "cannot join group 12345"},
      {[](Command& c) {
         c.pty.emplace();
         c.process_group = ProcessGroup::Join(12345);
       },
       "cannot join group 12345"},
      {[](Command& c) {
         c.die_with_parent = true;
         c.on_destroy = OnDestroy::Detach();
       },
       "on_destroy"},
      {[](Command& c) { c.on_destroy = OnDestroy::Terminate(Escalation()); },
       ""},
  });
}

TEST(CommandTest, TakesASessionAndANewGroup) {
  Command command({"true"});
  command.new_session = true;
  command.process_group = ProcessGroup::New();

  EXPECT_THAT(command.Validate(), IsOk());
}

// ARG-17
TEST(CommandTest, ShellHandsTheScriptToSh) {
  EXPECT_THAT(Command::Shell("a | b").argv,
              ElementsAre("/bin/sh", "-c", "a | b"));
  // sh would read these scripts as options.
  for (const std::string script : {"-i", "+x; echo pwned"}) {
    EXPECT_THAT(Command::Shell(script).argv,
                ElementsAre("/bin/sh", "-c", "--", script));
  }
}

TEST(CommandTest, PrintsItselfAsALineForAShell) {
  EXPECT_EQ(Command({"ls", "-l", "a b", "", "don't"}).DebugString(),
            "ls -l 'a b' '' 'don'\\''t'");
}

TEST(CommandTest, ShowsNoControlCharacter) {
  const std::string evil = "\x1b]0;owned\a\r\xc2\x9b";
  Command command({evil, "a\nb"});
  command.executable = "/nowhere/" + evil;
  command.working_directory = "/tmp/" + evil;
  command.env.Set("PATH", evil).Set(evil, "").Unset("X" + evil);
  command.out = Stdio::File(evil, Stdio::FileMode::kAppend);

  EXPECT_EQ(Command({"echo", "a\nb'\x1b"}).DebugString(),
            "echo $'a\\012b\\'\\033'");
  for (const std::string& text : {command.DebugString(), command.Explain()}) {
    EXPECT_THAT(text, Not(testing::ContainsRegex("[\x01-\x09\x0b-\x1f]")));
    EXPECT_THAT(text, Not(HasSubstr("\xc2\x9b")));
  }
}

TEST(CommandTest, NeverShowsTheValuesOfVariables) {
  Command command({"true"});
  command.env.Set("TOKEN", "secret");

  EXPECT_THAT(command.DebugString(), Not(HasSubstr("secret")));
  EXPECT_THAT(command.Explain(), Not(HasSubstr("secret")));
  EXPECT_THAT(command.Explain(), HasSubstr("TOKEN"));
}

TEST(CommandTest, ExplainsTheStart) {
  TemporaryDirectory directory;
  const std::string tool = directory.Write("tool", "#!/bin/sh\n", 0755);
  Command command({"tool", "a b"});
  command.env.Clear().Set("PATH", directory.path()).Unset("HOME");
  command.working_directory = "/tmp";
  command.in = Stdio::Null();
  command.out = Stdio::File("log", Stdio::FileMode::kAppend);
  command.err = Stdio::ToStdout();
  command.pass_fds[7] = 2;
  command.process_group = ProcessGroup::New();
  command.user = 65534;
  command.umask = 027;
  command.nice = 5;
  command.die_with_parent = true;

  const std::string text = command.Explain();

  for (const std::string& part :
       {"tool 'a b'"s, tool, "/tmp"s, "nothing; set: PATH; unset: HOME"s,
        "0 (stdin):   /dev/null"s, "1 (stdout):  >> log"s,
        "2 (stderr):  as stdout"s, "7:           descriptor 2"s, "its own"s,
        "65534"s, "umask:       0027"s, "nice:        5"s, "with the host"s}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(CommandTest, ExplainsATerminal) {
  Command command({"true"});
  command.pty = Pty{24, 80};
  EXPECT_THAT(command.Explain(), HasSubstr("0 (stdin):   terminal\n"));
  EXPECT_THAT(command.Explain(), HasSubstr("2 (stderr):  terminal\n"));
  EXPECT_THAT(command.Explain(), HasSubstr("24 rows, 80 columns, echo\n"));
  EXPECT_THAT(command.Explain(), HasSubstr("session:     its own\n"));

  command.pty->echo = false;
  EXPECT_THAT(command.Explain(), HasSubstr("80 columns, no echo\n"));
}

TEST(CommandTest, ExplainsItsIdentityAndLimits) {
  Command command({"true"});
  command.group = 100;
  command.supplementary_groups = {10, 20};
  command.rlimits[RLIMIT_NOFILE] = {64, 128};
  command.process_group = ProcessGroup::Join(12345);

  const std::string text = command.Explain();

  EXPECT_THAT(text, HasSubstr("group id:    100\n"));
  EXPECT_THAT(text, HasSubstr("groups:      10 20\n"));
  EXPECT_THAT(text, HasSubstr("64 of 128\n"));
  EXPECT_THAT(text, HasSubstr("group:       12345\n"));
}

TEST(CommandTest, ExplainsLimitsAndSignalsByTheirNames) {
  Command command({"true"});
  command.rlimits[RLIMIT_NOFILE] = {50, 50};
  command.rlimits[RLIMIT_CORE] = {0, RLIM_INFINITY};
  command.blocked_signals = {SIGUSR1, SIGUSR2};
  command.ignored_signals = {SIGHUP};

  const std::string text = command.Explain();

  EXPECT_THAT(text, HasSubstr("limit:       RLIMIT_NOFILE 50 of 50\n"));
  EXPECT_THAT(text, HasSubstr("limit:       RLIMIT_CORE 0 of unlimited\n"));
  EXPECT_THAT(text, HasSubstr("blocked:     SIGUSR1 SIGUSR2\n"));
  EXPECT_THAT(text, HasSubstr("ignored:     SIGHUP\n"));
}

TEST(CommandTest, ExplainsThatThereIsNoSuchProgram) {
  Command command({"no-such-tool"});
  command.env.Set("PATH", "/nowhere:/neverwhere");

  EXPECT_THAT(command.Explain(), HasSubstr("none: \"no-such-tool\" is not in "
                                           "/nowhere:/neverwhere"));
  EXPECT_THAT(Command({"/etc/passwd"}).Explain(),
              HasSubstr("/etc/passwd (which cannot be executed)"));
}

TEST(CommandTest, ExplainsARelativeProgramFromTheChildsDirectory) {
  TemporaryDirectory directory;
  directory.Write("tool", "#!/bin/sh\n", 0755);
  Command command({"./tool"});
  command.working_directory = directory.path();

  EXPECT_THAT(command.Explain(), HasSubstr(directory.path() + "/./tool\n"));
}

TEST(EnvironmentTest, InheritsUnlessItIsCleared) {
  Environment environment;
  ASSERT_NE(getenv("PATH"), nullptr);

  EXPECT_TRUE(environment.inherits());
  EXPECT_EQ(environment.Get("PATH"), getenv("PATH"));
  EXPECT_THAT(environment.ToVector(),
              Contains(absl::StrCat("PATH=", getenv("PATH"))));

  environment.Clear();

  EXPECT_FALSE(environment.inherits());
  EXPECT_EQ(environment.Get("PATH"), std::nullopt);
  EXPECT_THAT(environment.ToVector(), ElementsAre());
}

TEST(EnvironmentTest, KeepsTheLastChangeToAVariable) {
  Environment environment;
  environment.Clear().Set("A", "1").Set("B", "2").Set("A", "x=y").Unset("B");

  EXPECT_EQ(environment.Get("A"), "x=y");
  EXPECT_EQ(environment.Get("B"), std::nullopt);
  EXPECT_THAT(environment.ToVector(), ElementsAre("A=x=y"));
  environment.Set("B", "");
  EXPECT_EQ(environment.Get("B"), "");
  EXPECT_THAT(environment.ToVector(), ElementsAre("A=x=y", "B="));
}

TEST(EnvironmentTest, SetsAndUnsetsVariablesOfTheHost) {
  Environment environment;
  environment.Set("PATH", "/x").Unset("HOME");

  const std::vector<std::string> entries = environment.ToVector();

  EXPECT_THAT(entries, Contains("PATH=/x").Times(1));
  EXPECT_THAT(entries, Contains(testing::StartsWith("PATH=")).Times(1));
  EXPECT_THAT(entries, Not(Contains(testing::StartsWith("HOME="))));
}

TEST(StdioTest, PrintsItself) {
  EXPECT_EQ(Stdio::Pipe().ToString(), "pipe");
  EXPECT_EQ(Stdio::LineBuffered().ToString(), "line-buffered");
  EXPECT_EQ(Stdio::Null().ToString(), "/dev/null");
  EXPECT_EQ(Stdio::Inherit().ToString(), "inherited");
  EXPECT_EQ(Stdio::Fd(7).ToString(), "descriptor 7");
  EXPECT_EQ(Stdio::ToStdout().ToString(), "as stdout");
  EXPECT_EQ(Stdio::File("a b", Stdio::FileMode::kRead).ToString(), "< 'a b'");
  EXPECT_EQ(Stdio::File("f", Stdio::FileMode::kTruncate).ToString(), "> f");
  EXPECT_EQ(Stdio::File("f", Stdio::FileMode::kAppend).ToString(), ">> f");
}

TEST(ProcessGroupTest, IsInheritedNewOrAnothers) {
  EXPECT_TRUE(ProcessGroup::Inherit().inherits());
  EXPECT_TRUE(ProcessGroup::New().is_new());
  EXPECT_FALSE(ProcessGroup::New().inherits());
  EXPECT_FALSE(ProcessGroup::Join(12).inherits());
  EXPECT_FALSE(ProcessGroup::Join(12).is_new());
  EXPECT_EQ(ProcessGroup::Join(12).id(), 12);
  EXPECT_FALSE(ProcessGroup::Join(-1).inherits());
  EXPECT_FALSE(ProcessGroup::Join(0).is_new());
}

TEST(ShellQuoteTest, LeavesPlainWordsAsTheyAre) {
  for (const absl::string_view word :
       {"ls", "-l", "/usr/bin/c++", "a.b_c-d", "user@host:1,2%"}) {
    EXPECT_EQ(ShellQuote(word), word);
  }
}

TEST(ShellQuoteTest, QuotesAllElse) {
  EXPECT_EQ(ShellQuote(""), "''");
  EXPECT_EQ(ShellQuote("a b"), "'a b'");
  EXPECT_EQ(ShellQuote("$HOME"), "'$HOME'");
  EXPECT_EQ(ShellQuote("don't"), "'don'\\''t'");
  EXPECT_EQ(ShellQuote("A=1"), "'A=1'");
  EXPECT_EQ(ShellQuote("~"), "'~'");
  EXPECT_EQ(ShellQuote("\n"), "'\n'");
}

TEST(EnvironmentTest, IsMadeOfAMap) {
  const auto only = Environment::Only({{"B", "2"}, {"A", "1"}});
  Environment more;
  more.Set({{"A", "1"}, {"PATH", "/bin"}});

  EXPECT_THAT(only.ToVector(), testing::ElementsAre("A=1", "B=2"));
  EXPECT_TRUE(more.inherits());
  EXPECT_EQ(more.Get("A"), "1");
  EXPECT_EQ(more.Get("PATH"), "/bin");
}

TEST(EnvironmentTest, IsMadeOfAList) {
  const auto list = Environment::FromList({"A=1", "B=x=y", "C=", "A=2"});

  ASSERT_THAT(list, IsOk());
  EXPECT_FALSE(list->inherits());
  EXPECT_THAT(list->ToVector(), testing::ElementsAre("A=2", "B=x=y", "C="));
  for (const char* wrong : {"secret", "=secret", ""}) {
    const absl::Status status = Environment::FromList({wrong}).status();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(status.message(), testing::Not(testing::HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace asyncproc

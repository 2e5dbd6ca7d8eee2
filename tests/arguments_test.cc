// The input of the child's program: arguments, environment and directory. Also
// the search for the program.

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/internal/spawn/path_search.h"
#include "asyncproc/process.h"
#include "asyncproc/spawn_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forked_host.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::ProgramCandidates;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

// All bytes from 1 to 255; 0 ends a string.
std::string AllBytes() {
  std::string bytes;
  for (int byte = 1; byte < 256; ++byte) bytes += static_cast<char>(byte);
  return bytes;
}

std::vector<std::string> EnvironmentOf(Command command) {
  command.argv = {"/usr/bin/env", "-0"};
  std::vector<std::string> entries =
      absl::StrSplit(OutputOf(command), '\0', absl::SkipEmpty());
  return entries;
}

SpawnFailure FailureOf(const Command& command) {
  const auto process = Process::Spawn(command);
  return GetSpawnFailure(process.status()).value_or(SpawnFailure());
}

std::string SelfNaming(const TemporaryDirectory& directory) {
  return directory.Write("tool", "#!/bin/sh\necho \"${0%/*}\"\n", 0755);
}

// ARG-01
TEST(ArgumentsTest, ArriveByteForByte) {
  const std::vector<std::string> arguments = {"hello world",
                                              "\"",
                                              " \t|<>^&",
                                              "\\\"\\\\\"hello\\\\\"",
                                              "a\"b",
                                              "a'b",
                                              "$HOME",
                                              "*",
                                              "",
                                              "end ",
                                              "a\nb",
                                              "-"};
  Command command({"printf", "%s\\0"});
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());

  const std::string output = OutputOf(command);

  EXPECT_EQ(output, absl::StrJoin(arguments, std::string(1, '\0')) + '\0');
}

// ARG-02
TEST(ArgumentsTest, HoldAnyByteButNul) {
  Command command({"/bin/echo", "-n", AllBytes()});

  EXPECT_EQ(OutputOf(command), AllBytes());
}

// ARG-02
TEST(EnvironmentOfChildTest, HoldsAnyByteButNul) {
  Command command({"printenv", "NAME"});
  command.env.Set("NAME", AllBytes());

  EXPECT_EQ(OutputOf(command), AllBytes() + "\n");
}

// ARG-05
TEST(ArgumentsTest, MayNameTheProgramOtherwise) {
  Command command({"login", "-c", "echo $0"});
  command.executable = "/bin/sh";

  EXPECT_EQ(OutputOf(command), "login\n");
}

// ARG-05
TEST(ArgumentsTest, MayNameAProgramOtherwiseThatIsSearchedFor) {
  Command command({"login", "-c", "echo $0"});
  command.executable = "sh";

  EXPECT_EQ(OutputOf(command), "login\n");
}

// ARG-06
TEST(PathSearchTest, GoesByTheChildsPath) {
  TemporaryDirectory wrong, right;
  SelfNaming(wrong);
  SelfNaming(right);

  const std::string output = InForkedHost([&] {
    setenv("PATH", wrong.path().c_str(), 1);
    Command command({"tool"});
    command.env.Set("PATH", right.path());
    return OutputOf(command);
  });

  EXPECT_EQ(output, right.path() + "\n");
}

// ARG-07
TEST(PathSearchTest, SkipsFilesThatCannotBeExecuted) {
  TemporaryDirectory first, second;
  const std::string refused = first.Write("tool", "", 0644);
  second.Write("tool", "#!/bin/sh\necho two\n", 0755);
  Command command({"tool"});
  command.env.Set("PATH", absl::StrCat(first.path(), ":", second.path()));

  EXPECT_EQ(OutputOf(command), "two\n");

  for (const std::string& path :
       {first.path() + ":/nonexistent", "/nonexistent:" + first.path(),
        "/etc/passwd:" + first.path()}) {
    command.env.Set("PATH", path);
    const auto process = Process::Spawn(command);
    EXPECT_THAT(process, HasCode(absl::StatusCode::kPermissionDenied));
    EXPECT_THAT(std::string(process.status().message()),
                HasSubstr(absl::StrCat("found as ", refused)));
  }
}

// ARG-08
TEST(PathSearchTest, NeverSearchesTheCurrentDirectory) {
  TemporaryDirectory directory;
  directory.Write("exec_me", "#!/bin/sh\n", 0755);
  Command command({"exec_me"});
  command.working_directory = directory.path();

  for (const char* path : {"", ":", ":/bin", "/bin:", "/bin::/usr/bin", ".",
                           "./", "./.:.//", ".:/bin"}) {
    command.env.Set("PATH", path);
    EXPECT_THAT(Process::Spawn(command), HasCode(absl::StatusCode::kNotFound))
        << path;
  }
  command.env.Unset("PATH");
  EXPECT_THAT(Process::Spawn(command), HasCode(absl::StatusCode::kNotFound));
}

// ARG-08
TEST(PathSearchTest, HasADefaultForAChildWithoutPath) {
  Command command({"echo", "found"});
  command.env.Clear();

  EXPECT_EQ(OutputOf(command), "found\n");
}

TEST(PathSearchTest, TriesEachDirectoryInOrder) {
  EXPECT_THAT(ProgramCandidates("x", "/a:b:.:/c/:..:./d"),
              ElementsAre("/a/x", "b/x", "/c//x", "../x", "./d/x"));
  EXPECT_THAT(ProgramCandidates("./x", "/a"), ElementsAre("./x"));
  EXPECT_THAT(ProgramCandidates("/x", "/a"), ElementsAre("/x"));
  EXPECT_THAT(ProgramCandidates("x", std::nullopt),
              ElementsAre("/bin/x", "/usr/bin/x"));
  EXPECT_THAT(ProgramCandidates("x", ""), ElementsAre());
}

// ARG-09
// The PWD that `command`, an env, prints.
std::string PwdOf(const Command& command) {
  const std::string output = OutputOf(command);
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    if (absl::ConsumePrefix(&line, "PWD=")) return std::string(line);
  }
  return "unset";
}

std::string PwdIn(const std::string& directory) {
  Command command({"/usr/bin/env"});
  command.working_directory = directory;
  return PwdOf(command);
}

TEST(DirectoryTest, IsThePwdOfTheChild) {
  TemporaryDirectory directory;
  const std::string real = std::filesystem::canonical(directory.path());
  std::filesystem::create_directories(real + "/a/b");
  std::filesystem::create_directory_symlink(real + "/a/b", real + "/link");

  EXPECT_EQ(PwdIn("/"), "/");
  EXPECT_EQ(PwdIn(real + "//a/"), real + "/a");
  // The name that the caller uses, as with `cd`.
  EXPECT_EQ(PwdIn(real + "/link"), real + "/link");
  EXPECT_EQ(PwdIn(real + "/link/.."), real + "/a");
  EXPECT_EQ(PwdIn(std::filesystem::relative(real + "/a")), real + "/a");
  EXPECT_EQ(PwdIn("."), std::filesystem::current_path());
}

TEST(DirectoryTest, LeavesAPwdThatIsSet) {
  Command command({"/usr/bin/env"});
  command.working_directory = "/tmp";
  command.env.Set("PWD", "/elsewhere");
  EXPECT_EQ(PwdOf(command), "/elsewhere");

  command.env.Unset("PWD");
  EXPECT_EQ(PwdOf(command), "unset");

  command.env.Clear();
  EXPECT_EQ(PwdOf(command), "unset");
}

TEST(DirectoryTest, IsWhereARelativeProgramIsLookedFor) {
  TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() + "/sub");
  directory.Write("sub/tool", "#!/bin/sh\npwd\n", 0755);
  Command command({"./sub/tool"});

  EXPECT_THAT(Process::Spawn(command), HasCode(absl::StatusCode::kNotFound));

  command.working_directory = directory.path();
  EXPECT_EQ(OutputOf(command),
            std::filesystem::canonical(directory.path()).string() + "\n");
}

TEST(DirectoryTest, IsTheHostsUnlessItIsSet) {
  EXPECT_EQ(OutputOf(Command({"pwd", "-P"})),
            std::filesystem::current_path().string() + "\n");
}

// ARG-11
TEST(DirectoryTest, IsNamedWhenItIsNone) {
  TemporaryDirectory directory;
  const std::string file = directory.Write("file", "");
  Command command({"true"});

  for (const auto& [path, error] : std::vector<std::pair<std::string, int>>{
           {"/no/such/dir", ENOENT}, {file, ENOTDIR}}) {
    command.working_directory = path;
    const auto process = Process::Spawn(command);
    const auto failure = GetSpawnFailure(process.status());
    ASSERT_TRUE(failure.has_value()) << process.status();
    EXPECT_EQ(failure->stage, SpawnStage::kDirectory);
    EXPECT_EQ(failure->error_number, error);
    EXPECT_THAT(std::string(process.status().message()),
                HasSubstr("chdir to " + path));
  }
}

// ARG-12
TEST(EnvironmentOfChildTest, HasOnlyTheVariablesSetAfterClear) {
  Command command;
  command.env.Clear().Set("A", "1").Set("B", "x=y");

  EXPECT_THAT(EnvironmentOf(command), UnorderedElementsAre("A=1", "B=x=y"));
}

// ARG-12
TEST(EnvironmentOfChildTest, IsTheHostsWithChanges) {
  const std::string seen = InForkedHost([] {
    setenv("KEPT", "host", 1);
    setenv("CHANGED", "host", 1);
    setenv("GONE", "host", 1);
    Command command;
    command.env.Set("FRUIT", "orange").Set("CHANGED", "").Unset("GONE");
    return absl::StrJoin(EnvironmentOf(command), "\n");
  });

  const std::vector<std::string> entries = absl::StrSplit(seen, '\n');
  EXPECT_THAT(entries, IsSupersetOf({"KEPT=host", "FRUIT=orange", "CHANGED="}));
  EXPECT_THAT(entries, Not(testing::Contains(testing::StartsWith("GONE="))));
  EXPECT_THAT(entries, Not(testing::Contains("CHANGED=host")));
}

// ARG-13
TEST(EnvironmentOfChildTest, IsInheritedByDefaultAndEmptyAfterClear) {
  Command command;
  std::vector<std::string> hosts;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    hosts.push_back(*entry);
  }

  EXPECT_THAT(EnvironmentOf(command),
              testing::UnorderedElementsAreArray(hosts));
  command.env.Clear();
  EXPECT_THAT(EnvironmentOf(command), ElementsAre());
}

// ARG-17
TEST(ShellTest, RunsAScript) {
  Command command = Command::Shell("echo $FRUIT; echo $0; exit 7");
  command.env.Set("FRUIT", "apple");

  auto process = MustSpawn(command);

  EXPECT_THAT(process->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(7)));
  EXPECT_EQ(process->Read(), "apple\n/bin/sh\n");
}

// SEC-07
TEST(ShellTest, IsNotInvolvedElsewhere) {
  TemporaryDirectory directory;
  const std::string trap = directory.path() + "/pwn";
  const std::string odd = directory.path() + "/it's; touch pwn";
  std::filesystem::create_directory(odd);
  Command command({"echo", "; touch " + trap, "$(touch " + trap + ")",
                   "`touch " + trap + "`", "\ntouch " + trap});
  command.working_directory = odd;
  command.env.Set("X", "; touch " + trap);

  const std::string output = OutputOf(command);

  EXPECT_EQ(output, absl::StrCat("; touch ", trap, " $(touch ", trap,
                                 ") `touch ", trap, "` \ntouch ", trap, "\n"));
  EXPECT_FALSE(std::filesystem::exists(trap));
  EXPECT_TRUE(std::filesystem::is_empty(odd));
}

// SEC-07
TEST(ShellTest, TakesNoScriptForAnOption) {
  TemporaryDirectory directory;
  directory.Write("-x", "#!/bin/sh\necho \"$@\"\n", 0755);
  Command command = Command::Shell("-x \"$0\" \"$@\"");
  command.argv.insert(command.argv.end(), {"zero", "one"});
  command.env.Set("PATH", directory.path() + ":/usr/bin:/bin");

  EXPECT_EQ(OutputOf(command), "zero one\n");
}

// SEC-07
TEST(ShellQuoteTest, IsUndoneByAShell) {
  const std::string all = AllBytes();
  for (const std::string& text :
       {all, std::string("$(x)"), std::string("don't"), std::string("''"),
        std::string("\\"), std::string("!"), std::string()}) {
    EXPECT_EQ(
        OutputOf(Command::Shell("/bin/echo -n " + ShellQuote(text) + "x")),
        text + "x");
  }
}

// SEC-07
TEST(ShellQuoteTest, MakesADebugStringThatAShellCanRun) {
  const Command command({"printf", "%s|", "a b", "$HOME", "", "it's"});

  EXPECT_EQ(OutputOf(Command::Shell(command.DebugString())),
            "a b|$HOME||it's|");
}

TEST(ArgumentsTest, ThatAreTooLongAreRefused) {
  const Command command({"/bin/true", std::string(4 * 1024 * 1024, 'x')});

  const SpawnFailure failure = FailureOf(command);

  EXPECT_EQ(failure.stage, SpawnStage::kExec);
  EXPECT_EQ(failure.error_number, E2BIG);
}

}  // namespace
}  // namespace asyncproc

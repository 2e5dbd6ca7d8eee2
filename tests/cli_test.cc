// The command line of the tool: its options, its help, its manual.

#include <signal.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"
#include "tools/asyncproc/flags.h"

namespace asyncproc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr int kOwnFailure = 125;

TEST(CommandLineTest, NamesItsSubcommandsAndExitCodesInItsHelp) {
  const ToolResult help = RunTool({"--help"});

  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("\n  run "));
  EXPECT_THAT(help.out, HasSubstr("\n  124 "));
  EXPECT_THAT(help.err, IsEmpty());
}

TEST(CommandLineTest, NamesItsOptionsInTheHelpOfASubcommand) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"run", "--help"},
        {"run", "--timeout", "3s", "-h"}}) {
    const ToolResult help = RunTool(words);

    EXPECT_EQ(help.code, 0);
    for (const char* option :
         {"--timeout TIME", "--idle-timeout TIME", "--escalate STEPS",
          "--scope SCOPE", "--pty", "--prefix NAME", "--timestamps",
          "--keep-head SIZE", "--keep-tail SIZE", "--progress REGEX",
          "--ready-line REGEX", "--then COMMAND", "--explain",
          "--report FORMAT", "--record FILE", "--via COMMAND",
          "--hosts HOST,..."}) {
      EXPECT_THAT(help.out, HasSubstr(absl::StrCat("\n  ", option)));
    }
  }
}

TEST(CommandLineTest, FitsItsHelpIntoATerminal) {
  for (absl::string_view line : absl::StrSplit(RunTool({"--help"}).out, '\n')) {
    EXPECT_LE(line.size(), 79) << line;
  }
}

TEST(CommandLineTest, HasTheVersionOfTheModule) {
  std::ifstream file("MODULE.bazel");
  const std::string module(std::istreambuf_iterator<char>(file), {});
  const std::vector<std::string> words =
      absl::StrSplit(RunTool({"--version"}).out, ' ');

  ASSERT_EQ(words.size(), 2);
  const std::string version(absl::StripTrailingAsciiWhitespace(words[1]));
  EXPECT_THAT(module, HasSubstr(absl::StrCat("version = \"", version, "\"")));
}

TEST(CommandLineTest, HasAManPageThatGroffTakes) {
  const ToolResult page = RunTool({"--man"});
  ASSERT_EQ(page.code, 0);

  const ToolResult groff = ResultOf(
      Command({"groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b"}), page.out);

  EXPECT_EQ(groff.code, 0);
  EXPECT_THAT(groff.err, IsEmpty());
  EXPECT_THAT(groff.out, HasSubstr("--idle-timeout"));
  EXPECT_THAT(groff.out, HasSubstr("'\\((\\d+)%\\)'"));  // Of an example.
}

// What bash offers behind `words`, the last of which is being typed.
std::string Complete(const std::vector<std::string>& words) {
  std::string script = absl::StrCat("eval \"$(", ShellQuote(ToolPath()),
                                    " --completion bash)\"; COMP_WORDS=(");
  for (const std::string& word : words) {
    absl::StrAppend(&script, ShellQuote(word), " ");
  }
  absl::StrAppend(&script, "); COMP_CWORD=", words.size() - 1,
                  "; _asyncproc; echo \"${COMPREPLY[*]}\"");
  return OutputOf({"bash", "-c", script});
}

TEST(CommandLineTest, CompletesSubcommandsOptionsAndCommands) {
  EXPECT_EQ(Complete({"asyncproc", "ru"}), "run\n");
  EXPECT_EQ(Complete({"asyncproc", "run", "--idle"}), "--idle-timeout\n");
  // Behind the value of an option, which is no command.
  EXPECT_EQ(Complete({"asyncproc", "run", "--timeout", "3", "--idle"}),
            "--idle-timeout\n");
  EXPECT_THAT(Complete({"asyncproc", "run", "--pty", "basena"}),
              StartsWith("basename"));
  // The options of the command are its own.
  EXPECT_EQ(Complete({"asyncproc", "run", "ls", "--idle"}), "\n");
}

TEST(CommandLineTest, RefusesWhatItDoesNotKnow) {
  struct Case {
    std::vector<std::string> words;
    const char* error;
  };
  for (const Case& c : {
           Case{{}, "which subcommand?"},
           Case{{"frob"}, "no subcommand 'frob'"},
           Case{{"run"}, "which command?"},
           Case{{"run", "--frob", "ls"}, "no option --frob"},
           // A flag of the program's libraries is no option.
           Case{{"run", "--stderrthreshold=1", "ls"}, "no option"},
           Case{{"run", "--timeout"}, "--timeout needs a value"},
           Case{{"run", "--timeout", "soon", "ls"}, "'soon' is no value"},
           Case{{"run", "--timeout", "-1", "ls"}, "'-1' is no value"},
           Case{{"run", "--escalate", "HUH", "ls"}, "'HUH' is neither"},
           Case{{"run", "--keep-head", "1X", "ls"}, "'1X' is no value"},
           Case{{"run", "--scope", "all", "ls"}, "child, group or tree"},
           Case{{"run", "--report", "xml", "ls"}, "json or text"},
           Case{{"run", "--progress", "(", "ls"}, "no regular expression"},
           Case{{"run", "--then", "true", "ls"}, "needs a --ready-line"},
           Case{{"run", "--via", "ssh {host}", "ls"}, "which --hosts?"},
           Case{{"run", "--via", "nice", "--hosts", "a", "ls"}, "no {host}"},
           Case{{"--completion", "tcsh"}, "bash alone"},
       }) {
    const ToolResult result = RunTool(c.words);

    EXPECT_EQ(result.code, kOwnFailure) << c.error;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr(c.error));
    EXPECT_THAT(result.err, StartsWith("asyncproc"));
  }
}

TEST(CommandLineTest, LeavesToTheCommandWhatIsBehindItsName) {
  const std::string args = Helper("print_args");
  const std::vector<std::string> rest = {"-l", "--timeout=x", "--", "--help"};
  Command direct({args});
  direct.argv.insert(direct.argv.end(), rest.begin(), rest.end());
  const std::string expected = OutputOf(direct);

  std::vector<std::string> bare = {"run", "--timeout", "60", args};
  std::vector<std::string> dashes = {"run", "--timeout=60", "--", args};
  for (std::vector<std::string>* words : {&bare, &dashes}) {
    words->insert(words->end(), rest.begin(), rest.end());
    const ToolResult result = RunTool(*words);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, expected);
  }
}

TEST(FlagsTest, TakeTimesInSecondsAndUnits) {
  std::string error;
  for (const auto& [text, duration] :
       {std::pair{"30", absl::Seconds(30)},
        std::pair{"1.5", absl::Milliseconds(1500)},
        std::pair{"500ms", absl::Milliseconds(500)},
        std::pair{"1h30m", absl::Minutes(90)}, std::pair{"2d", absl::Hours(48)},
        std::pair{"1d12h", absl::Hours(36)}}) {
    cli::TimeSpan span;
    EXPECT_TRUE(AbslParseFlag(text, &span, &error)) << text;
    EXPECT_EQ(span.value, duration) << text;
  }
  for (const char* text : {"", "0", "-1", "x", "1x", "d", "nan", "1d1x"}) {
    cli::TimeSpan span;
    EXPECT_FALSE(AbslParseFlag(text, &span, &error)) << text;
  }
}

TEST(FlagsTest, TakeSizesWithUnits) {
  std::string error;
  for (const auto& [text, size] :
       {std::pair{"0", size_t{0}}, std::pair{"123", size_t{123}},
        std::pair{"64K", size_t{65536}}, std::pair{"1m", size_t{1} << 20},
        std::pair{"2G", size_t{1} << 31}}) {
    cli::ByteSize parsed;
    EXPECT_TRUE(AbslParseFlag(text, &parsed, &error)) << text;
    EXPECT_EQ(parsed.value, size) << text;
  }
  for (const char* text : {"", "K", "-1", "1.5M", "1T", "99999999999999999G"}) {
    cli::ByteSize parsed;
    EXPECT_FALSE(AbslParseFlag(text, &parsed, &error)) << text;
  }
}

TEST(FlagsTest, TakeTheStepsOfAnEscalation) {
  std::string error;
  cli::EscalationSteps parsed;
  ASSERT_TRUE(AbslParseFlag("close,1s:INT,2:sigterm,500ms:9", &parsed, &error));

  ASSERT_EQ(parsed.steps.size(), 4);
  EXPECT_EQ(parsed.steps[0].signal, 0);
  EXPECT_EQ(parsed.steps[0].grace, absl::Seconds(1));
  EXPECT_EQ(parsed.steps[1].signal, SIGINT);
  EXPECT_EQ(parsed.steps[1].grace, absl::Seconds(2));
  EXPECT_EQ(parsed.steps[2].signal, SIGTERM);
  EXPECT_EQ(parsed.steps[2].grace, absl::Milliseconds(500));
  EXPECT_EQ(parsed.steps[3].signal, SIGKILL);
  EXPECT_EQ(AbslUnparseFlag(parsed), "close,1s:INT,2s:TERM,500ms:KILL");
  for (const char* text : {"", "1s:INT", "INT,", "INT,x:TERM", "INT,-1:TERM"}) {
    EXPECT_FALSE(AbslParseFlag(text, &parsed, &error)) << text;
  }
}

}  // namespace
}  // namespace asyncproc

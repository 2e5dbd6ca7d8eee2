// The command line of the tool: its options, its help, its manual.

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/cli_testing.h"
#include "tests/testing.h"
#include "tools/asyncproc/flags.h"

namespace asyncproc {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
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

TEST(CommandLineTest, HasAWholeSentenceForEachOption) {
  for (const char* subcommand : {"run", "pool", "repl", "replay"}) {
    const std::string help = RunTool({subcommand, "--help"}).out;
    const std::string options =
        help.substr(0, help.find("\nExit status:")) + "\n";
    std::string last;
    for (absl::string_view line : absl::StrSplit(options, '\n')) {
      const bool ends = line.empty() || absl::StartsWith(line, "  -");
      if (ends && absl::StartsWith(last, "    ")) {
        EXPECT_THAT(last, EndsWith(".")) << subcommand;
      }
      last = std::string(line);
    }
    EXPECT_EQ(std::count(options.begin(), options.end(), '('),
              std::count(options.begin(), options.end(), ')'))
        << subcommand;
  }
}

TEST(CommandLineTest, ListsTheExitCodesOfEachSubcommand) {
  for (const auto& [subcommand, expected] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"run", {"124", "125", "126", "127", "128+n", "other"}},
           {"pool", {"0", "1-100", "101", "125", "128+n"}},
           {"repl", {"0", "1", "124", "125", "126", "127", "128+n", "other"}},
           {"replay", {"0", "125", "128+n"}}}) {
    const std::string help = RunTool({subcommand, "--help"}).out;
    const size_t begin = help.find("\nExit status:\n") + 14;
    std::vector<std::string> codes;
    for (absl::string_view line : absl::StrSplit(
             help.substr(begin, help.find("\n\n", begin) - begin), '\n')) {
      if (!absl::ConsumePrefix(&line, "  ") || absl::StartsWith(line, " ")) {
        continue;
      }
      codes.emplace_back(line.substr(0, line.find(' ')));
    }

    EXPECT_EQ(codes, expected) << subcommand;
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

TEST(CommandLineTest, HasManPagesThatGroffTakes) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--man"},
        {"--man", "run"},
        {"--man", "pool"},
        {"--man", "repl"},
        {"--man", "replay"}}) {
    const ToolResult page = RunTool(words);
    ASSERT_EQ(page.code, 0);

    const ToolResult groff = ResultOf(
        Command({"groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b"}), page.out);

    EXPECT_EQ(groff.code, 0);
    EXPECT_THAT(groff.err, IsEmpty()) << words.back();
    EXPECT_THAT(groff.out, HasSubstr("EXIT STATUS"));
    if (words.back() == "run") {
      EXPECT_THAT(groff.out, HasSubstr("--idle-timeout"));
      EXPECT_THAT(groff.out, HasSubstr("'\\((\\d+)%\\)'"));  // From an example.
    }
  }
  EXPECT_THAT(RunTool({"--man", "frob"}).err, HasSubstr("no subcommand"));
}

// The completions that fish offers for a partial line: the words, without their
// descriptions.
std::vector<std::string> FishOffers(const std::string& line) {
  const TemporaryDirectory home;
  Command command({"fish", "--no-config", "-c",
                   absl::StrCat(ShellQuote(ToolPath()),
                                " --completion fish | source; complete -C ",
                                ShellQuote(line))});
  command.env.Set("HOME", home.path()).Set("PATH", "/usr/bin:/bin");
  std::vector<std::string> words;
  for (absl::string_view offer :
       absl::StrSplit(OutputOf(command), '\n', absl::SkipEmpty())) {
    words.emplace_back(offer.substr(0, offer.find('\t')));
  }
  return words;
}

TEST(CommandLineTest, CompletesInFish) {
  if (OutputOf(Command::Shell("command -v fish || true")).empty()) {
    GTEST_SKIP() << "there is no fish";
  }
  EXPECT_THAT(FishOffers("asyncproc re"), ElementsAre("repl", "replay"));
  EXPECT_THAT(FishOffers("asyncproc run --idle"),
              ElementsAre("--idle-timeout"));
  EXPECT_THAT(FishOffers("asyncproc run --timeout 3 --idle"),
              ElementsAre("--idle-timeout"));
  EXPECT_THAT(FishOffers("asyncproc run --report j"), ElementsAre("json"));
  EXPECT_THAT(FishOffers("asyncproc pool --keep-o"),
              ElementsAre("--keep-order"));
  // The options of the command are its own.
  EXPECT_THAT(FishOffers("asyncproc run sleep --idle"), IsEmpty());
}

// The line that zsh makes of a partial line when Tab is pressed, on a terminal
// of its own.
std::string ZshMakes(const std::string& line) {
  const TemporaryDirectory home;
  home.Write("_asyncproc", RunTool({"--completion", "zsh"}).out);
  home.Write(".zshrc",
             absl::StrCat("fpath=(", home.path(), " $fpath)\n",
                          "autoload -Uz compinit; compinit -u -d ", home.path(),
                          "/dump\nPS1='ready> '\n", "asyncproc() { : }\n"));
  const TerminalWindow window({"env", "HOME=" + home.path(),
                               "ZDOTDIR=" + home.path(), "zsh", "-d", "-i"},
                              100, 24);
  EXPECT_TRUE(window.AwaitText("ready>")) << window.Text();
  window.SendKeys({line, "Tab"});
  window.SendKeys({"C-e", "; echo d\"\"one", "Enter"});
  EXPECT_TRUE(window.AwaitText("\ndone")) << window.Text();
  const std::string text = window.Text();
  const size_t begin = text.find("ready> ") + 7;
  return text.substr(begin, text.find(';') - begin);
}

TEST(CommandLineTest, CompletesInZsh) {
  if (OutputOf(Command::Shell("command -v zsh || true")).empty()) {
    GTEST_SKIP() << "there is no zsh";
  }
  EXPECT_EQ(ZshMakes("asyncproc repla"), "asyncproc replay");
  EXPECT_EQ(ZshMakes("asyncproc run --idle"), "asyncproc run --idle-timeout");
  EXPECT_EQ(ZshMakes("asyncproc run --report=j"),
            "asyncproc run --report=json");
  EXPECT_EQ(ZshMakes("asyncproc pool --keep-o"), "asyncproc pool --keep-order");
}

// tools/install puts all files where users have programs, and removes them.
TEST(CommandLineTest, IsInstalledWithItsManualAndCompletions) {
  const TemporaryDirectory directory;
  Command install({"bash", "tools/install", "--prefix", directory.path() + "/p",
                   "--binary", ToolPath()});

  EXPECT_EQ(ResultOf(install).code, 0);

  for (const char* file :
       {"bin/asyncproc", "share/man/man1/asyncproc.1",
        "share/man/man1/asyncproc-run.1", "share/man/man1/asyncproc-pool.1",
        "share/man/man1/asyncproc-repl.1", "share/man/man1/asyncproc-replay.1",
        "share/bash-completion/completions/asyncproc",
        "share/zsh/site-functions/_asyncproc",
        "share/fish/vendor_completions.d/asyncproc.fish"}) {
    EXPECT_THAT(directory.Read(absl::StrCat("p/", file)), Not(IsEmpty()))
        << file;
  }
  EXPECT_THAT(OutputOf({directory.path() + "/p/bin/asyncproc", "--version"}),
              StartsWith("asyncproc "));
  install.argv.push_back("--uninstall");
  EXPECT_EQ(ResultOf(install).code, 0);
  EXPECT_EQ(OutputOf({"find", directory.path() + "/p", "-type", "f"}), "");
  install.argv.push_back("--frob");
  EXPECT_EQ(ResultOf(install).code, 2);
}

// The completions that bash offers for the last of `words`.
std::string Complete(const std::vector<std::string>& words) {
  std::string script = absl::StrCat("eval \"$(", ShellQuote(ToolPath()),
                                    " --completion bash)\"; COMP_WORDS=(");
  for (const std::string& word : words) {
    absl::StrAppend(&script, ShellQuote(word), " ");
  }
  absl::StrAppend(
      &script, "); COMP_CWORD=", words.size() - 1,
      "; _asyncproc; printf '%s\n' \"${COMPREPLY[@]}\" | LC_ALL=C sort");
  return OutputOf({"bash", "-c", script});
}

TEST(CommandLineTest, CompletesSubcommandsOptionsAndCommands) {
  EXPECT_EQ(Complete({"asyncproc", "ru"}), "run\n");
  EXPECT_EQ(Complete({"asyncproc", "run", "--idle"}), "--idle-timeout\n");
  // The next word follows the value of an option, so it is no command.
  EXPECT_EQ(Complete({"asyncproc", "run", "--timeout", "3", "--idle"}),
            "--idle-timeout\n");
  EXPECT_THAT(Complete({"asyncproc", "run", "--pty", "basena"}),
              StartsWith("basename"));
  EXPECT_EQ(Complete({"asyncproc", "run", "--scope", ""}),
            "child\ngroup\ntree\n");
  EXPECT_EQ(Complete({"asyncproc", "run", "--scope", "="}),
            "child\ngroup\ntree\n");
  EXPECT_EQ(Complete({"asyncproc", "run", "--scope", "=", "gr"}), "group\n");
  // The words after the command are its own.
  EXPECT_THAT(Complete({"asyncproc", "run", "make", "--scope", "="}),
              Not(HasSubstr("child")));
  // The options of the command are its own.
  EXPECT_EQ(Complete({"asyncproc", "run", "ls", "--idle"}), "\n");
}

TEST(CommandLineTest, CompletesNamesOfFilesThatHaveSpaces) {
  const TemporaryDirectory directory;
  directory.Write("my file.cast", "");
  directory.Write("my *.cast", "");
  const std::string start = directory.path() + "/my";
  const std::string names =
      absl::StrCat(start, " *.cast\n", start, " file.cast\n");
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{
           {"asyncproc", "replay", start},
           {"asyncproc", "run", "cat", start},
           {"asyncproc", "run", "--record", start}}) {
    EXPECT_EQ(Complete(words), names) << absl::StrJoin(words, " ");
  }
}

TEST(CommandLineTest, RefusesUnknownWords) {
  struct Case {
    std::vector<std::string> words;
    const char* error;
  };
  for (const Case& c : {
           Case{{}, "no subcommand is given"},
           Case{{"frob"}, "no subcommand 'frob'"},
           Case{{"run"}, "no command is given"},
           Case{{"run", "--frob", "ls"}, "no option --frob"},
           // A flag of Abseil is no option.
           Case{{"run", "--stderrthreshold=1", "ls"}, "no option"},
           Case{{"run", "--timeout"}, "--timeout needs a value"},
           Case{{"run", "--timeout", "soon", "ls"}, "'soon' is not a value"},
           Case{{"run", "--timeout", "-1", "ls"}, "'-1' is not a value"},
           Case{{"run", "--escalate", "HUH", "ls"}, "'HUH' is neither"},
           Case{{"pool", "--retries", "0x1", "ls"}, "it is a whole number"},
           Case{{"replay", "--speed", " 1", "x"}, "it is a number"},
           Case{{"run", "--keep-head", "1X", "ls"}, "'1X' is not a value"},
           Case{{"run", "--scope", "all", "ls"}, "child, group or tree"},
           Case{{"run", "--report", "xml", "ls"}, "json or text"},
           Case{{"run", "--progress", "(", "ls"}, "not a regular expression"},
           Case{{"run", "--then", "true", "ls"}, "needs a --ready-line"},
           Case{{"run", "--via", "ssh {host}", "ls"}, "there are no --hosts"},
           Case{{"run", "--via", "nice", "--hosts", "a", "ls"}, "no {host}"},
           Case{{"--completion", "tcsh"}, "bash, zsh or fish"},
       }) {
    const ToolResult result = RunTool(c.words);

    EXPECT_EQ(result.code, kOwnFailure) << c.error;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr(c.error));
    EXPECT_THAT(result.err, StartsWith("asyncproc"));
  }
}

// A script whose variable is unset gives an empty value: the option must not
// look as if it had not been given.
TEST(CommandLineTest, RefusesAnEmptyValueOfAnOption) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> options =
      {{"run",
        {"--timeout", "--idle-timeout", "--escalate", "--signal",
         "--kill-after", "--scope", "--drain", "--keep-head", "--keep-tail",
         "--progress", "--ready-line", "--then", "--report", "--record",
         "--via", "--hosts"}},
       {"pool",
        {"--jobs", "--retries", "--halt", "--delay", "--arg-file",
         "--max-replace-args", "--replace", "--via", "--hosts", "--timeout",
         "--display", "--joblog", "--results", "--trace"}},
       {"repl",
        {"--preset", "--dialect", "--prompt", "--file", "--timeout", "--answer",
         "--record"}},
       {"replay", {"--speed", "--longest-pause"}}};
  for (const auto& [subcommand, names] : options) {
    for (const std::string& name : names) {
      for (const std::vector<std::string>& option :
           {std::vector<std::string>{name + "="}, {name, ""}}) {
        std::vector<std::string> words = {subcommand};
        words.insert(words.end(), option.begin(), option.end());
        words.insert(words.end(), {"echo", "ran"});

        const ToolResult result = RunTool(words);

        EXPECT_EQ(result.code, kOwnFailure) << subcommand << " " << name;
        EXPECT_EQ(result.err,
                  absl::StrCat("asyncproc ", subcommand, ": the value of ",
                               name, " is empty\n"));
        EXPECT_THAT(result.out, IsEmpty());
      }
    }
  }
  EXPECT_THAT(RunTool({"pool", "-j", "", "echo", ":::", "1"}).err,
              HasSubstr("the value of --jobs is empty"));
  EXPECT_THAT(RunTool({"run", "--via", " ", "echo"}).err,
              HasSubstr("--via names no program"));
  EXPECT_THAT(RunTool({"pool", "echo", "::::", ""}).err,
              HasSubstr("the name of a file after :::: is empty"));
}

TEST(CommandLineTest, TakesAnEmptyPrefixForNoPrefix) {
  EXPECT_EQ(RunTool({"run", "--prefix", "", "echo", "x"}).out, "x\n");
  EXPECT_EQ(RunTool({"run", "--via", "echo {host}", "--hosts", "a,a",
                     "--prefix=", "x"})
                .out,
            "a x\na x\n");
}

TEST(CommandLineTest, NamesItsCounterpartOfOtherPrograms) {
  for (const auto& [words, advice] :
       std::vector<std::pair<std::vector<std::string>, const char*>>{
           {{"timeout", "5", "ls"}, "asyncproc run --timeout"},
           {{"xargs"}, "asyncproc pool"},
           {{"version"}, "asyncproc --version"},
           {{"run", "5", "sleep", "1"}, "use --timeout 5"},
           {{"run", "1m30s", "sleep", "1"}, "use --timeout 1m30s"},
           {{"run", "echo hi"}, "use sh -c"},
           {{"run", "-c", "echo hi"}, "sh -c"},
           {{"pool", "-q", "echo", ":::", "1"}, "always quoted"},
           {{"pool", "-r", "echo", ":::", "1"}, "no job runs"},
           {{"pool", "--linebuffer", "echo", ":::", "1"}, "--line-buffer"},
           {{"pool", "--trc", "{}.o", "echo", ":::", "1"}, "scp"},
       }) {
    const ToolResult result = RunTool(words);

    EXPECT_NE(result.code, 0) << advice;
    EXPECT_THAT(result.err, HasSubstr(advice));
  }
  EXPECT_THAT(RunTool({"run", "no_such_program", "1"}).err,
              Not(HasSubstr("use ")));
}

TEST(CommandLineTest, SuggestsTheNearestWord) {
  struct Case {
    std::vector<std::string> words;
    const char* error;
  };
  for (const Case& c :
       {Case{{"run", "--timout", "3", "ls"}, "did you mean --timeout?"},
        Case{{"run", "--idle", "3", "ls"}, "did you mean --idle-timeout?"},
        Case{{"pool", "--retrys", "3", "ls"}, "did you mean --retries?"},
        Case{{"run", "--report", "jsn", "ls"},
             "json or text; did you mean "
             "json?"},
        Case{{"puol", "ls"}, "did you mean pool?"},
        Case{{"help", "rum"}, "did you mean run?"},
        Case{{"pool", "--bar", "x"}, "--display panel"},
        Case{{"pool", "--eta", "x"}, "--display panel"},
        Case{{"pool", "--pipe", "x"}, "jobs read nothing from stdin"},
        Case{{"pool", "-X", "x"}, "--max-replace-args"},
        Case{{"pool", "-P4", "x"}, "--jobs"},
        Case{{"run", "--foreground", "x"}, "in the foreground"}}) {
    const ToolResult result = RunTool(c.words);

    EXPECT_EQ(result.code, kOwnFailure);
    EXPECT_THAT(result.err, HasSubstr(c.error));
  }
}

TEST(CommandLineTest, HelpsWhereverItIsAsked) {
  const std::string help = RunTool({"run", "--help"}).out;
  EXPECT_EQ(RunTool({"help", "run"}).out, help);
  EXPECT_EQ(RunTool({"run", "-h"}).out, help);
  const std::string version = RunTool({"--version"}).out;
  EXPECT_EQ(RunTool({"-V"}).out, version);
  EXPECT_EQ(RunTool({"pool", "--version"}).out, version);
  EXPECT_EQ(RunTool({"run", "-V"}).out, version);
  EXPECT_THAT(RunTool({"pool", "--help"}).out, Not(HasSubstr("Default: 0.")));
}

// Command lines of users of GNU parallel.
TEST(CommandLineTest, DoesAsParallelDoes) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("values", "a b\nc\n");
  const std::string nulls =
      directory.Write("nulls", std::string("x\ny\0z\0", 6));
  struct Case {
    std::vector<std::string> words;
    const char* out;
  };
  for (const Case& c :
       {Case{{"-kj2", "echo", ":::", "a", "b"}, "a\nb\n"},
        Case{{"-k", "echo", ":::", "a", "b", ":::+", "1", "2"}, "a 1\nb 2\n"},
        Case{{"-k", "echo", "::::", file}, "a b\nc\n"},
        Case{{"-k", "echo", ":::", "1", "::::+", file}, "1 a b\n"},
        Case{{"-k", "-a", file, "echo got"}, "got a b\ngot c\n"},
        Case{{"-k", "-0", "-a", nulls, "printf '<%s>'"}, "<x\ny><z>"},
        Case{{"-k", "-N2", "echo {2} {1}", ":::", "a", "b", "c"}, "b a\nc\n"},
        Case{{"-k", "-I", "@@", "echo @@ {}", ":::", "a"}, "a {}\n"},
        Case{{"-k", "-j+2", "echo", ":::", "a"}, "a\n"},
        Case{{"-k", "-j50%", "echo", ":::", "a"}, "a\n"},
        Case{{"-k", "-j0", "echo", ":::", "a", "b"}, "a\nb\n"},
        Case{{"-k", "--timeout", "0", "echo", ":::", "a"}, "a\n"},
        Case{{"-k", "--delay", "0.01", "echo", ":::", "a", "b"}, "a\nb\n"},
        Case{{"-j1", "--halt", "now,fail=30%", "echo {}; test {} -gt 9",
              ":::", "1", "2", "3", "4", "5", "6"},
             "1\n2\n3\n"}}) {
    std::vector<std::string> words = {"pool", "--display", "none"};
    words.insert(words.end(), c.words.begin(), c.words.end());
    EXPECT_EQ(RunTool(words).out, c.out) << c.words[0] << " " << c.words[1];
  }
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-j", "2000000000", "true", ":::", "1"},
        {"-a", file, "-a", nulls, "true"},
        {"-N", "0", "true", ":::", "1"},
        {"-N2", "true", ":::", "1", ":::", "2"},
        {"true", ":::+", "1"},
        {"--retries", "-1", "true", ":::", "1"}}) {
    std::vector<std::string> all = {"pool"};
    all.insert(all.end(), words.begin(), words.end());
    EXPECT_EQ(RunTool(all).code, kOwnFailure) << words[0] << " " << words[1];
  }
}

// Command lines of users of timeout.
TEST(CommandLineTest, DoesAsTimeoutDoes) {
  EXPECT_EQ(RunTool({"run", "--timeout", "0", "true"}).code, 0);
  EXPECT_EQ(RunTool({"run", "--timeout", "0.2", "-s", "INT", "--", "sh", "-c",
                     "trap 'echo int; exit' INT; sleep 1000 & wait"})
                .out,
            "int\n");
  EXPECT_EQ(RunTool({"run", "--timeout", "0.2", "-k", "0.2", "--report", "json",
                     "--", Helper("ignore_sigterm")})
                .code,
            124);
  EXPECT_EQ(
      RunTool({"run", "--timeout", "0.2", "--preserve-status", "sleep", "1000"})
          .code,
      128 + SIGTERM);
  EXPECT_EQ(RunTool({"run", ""}).code, 127);
  EXPECT_THAT(RunTool({"run", "-s", "HUH", "true"}).err,
              HasSubstr("'HUH' is not a value of --signal"));
}

TEST(CommandLineTest, PassesTheWordsAfterTheCommandOn) {
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
  for (const char* text :
       {"", "0", "-1", "x", "1x", "d", "nan", "1d1x", "0x10", " 1", "1 ", "+1",
        "+1h", "1d+2h", "1d -2h", "1e3", "inf", "."}) {
    cli::TimeSpan span;
    EXPECT_FALSE(AbslParseFlag(text, &span, &error)) << text;
  }
}

TEST(FlagsTest, SayWhichTimesAreAllowed) {
  std::string error;
  cli::TimeSpan span;
  EXPECT_FALSE(AbslParseFlag("0", &span, &error));
  EXPECT_EQ(error, "it must be more than 0");
  EXPECT_FALSE(AbslParseFlag("0s", &span, &error));
  EXPECT_EQ(error, "it must be more than 0");
  EXPECT_FALSE(AbslParseFlag("soon", &span, &error));
  EXPECT_THAT(error, EndsWith("like 500ms, 30s, 1h30m, 2d"));
  cli::TimeLimit limit;
  for (const char* text : {"inf", "infinity", "-1"}) {
    EXPECT_FALSE(AbslParseFlag(text, &limit, &error)) << text;
    EXPECT_THAT(error, EndsWith("; 0 is no limit")) << text;
  }
  EXPECT_TRUE(AbslParseFlag("0", &limit, &error));
  EXPECT_EQ(limit.value, absl::InfiniteDuration());
  cli::Pause pause;
  EXPECT_FALSE(AbslParseFlag("inf", &pause, &error));
  EXPECT_THAT(error, HasSubstr("may be 0"));
  EXPECT_THAT(RunTool({"replay", "-i", "0", "x"}).err,
              EndsWith("'0' is not a value of --longest-pause: it must be more "
                       "than 0\n"));
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
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 K", "0x10", "1.5M",
                           "1T", "99999999999999999G"}) {
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
  for (const char* text : {"", "1s:INT", "INT,", "INT,x:TERM", "INT,-1:TERM",
                           "INT,:TERM", "INT,5s:TERM,KILL"}) {
    EXPECT_FALSE(AbslParseFlag(text, &parsed, &error)) << text;
  }
}

// Without a grace period the second signal would come with the first.
TEST(FlagsTest, AskForTheGracePeriodOfAnEscalation) {
  std::string error;
  cli::EscalationSteps parsed;

  EXPECT_FALSE(AbslParseFlag("INT,TERM", &parsed, &error));

  EXPECT_EQ(error,
            "there is no grace period before TERM: write 5s:TERM, or 0:TERM");
  EXPECT_TRUE(AbslParseFlag("INT,0:TERM", &parsed, &error));
  EXPECT_EQ(parsed.steps[0].grace, absl::ZeroDuration());
}

}  // namespace
}  // namespace asyncproc

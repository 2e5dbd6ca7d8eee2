// asyncproc repl, run as users run it: commands, replies, checks.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "asyncproc/process.h"
#include "asyncproc/transcript.h"
#include "asyncproc/transcript_event.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/cli_repl_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using namespace std::string_literals;

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(CliReplTest, PrintsEachCommandWithItsReply) {
  const Said said = Repl({"--preset", "bc"}, "2+2\n\n2^100\n1/0\n");

  EXPECT_THAT(said.out,
              StartsWith(">>> 2+2\n4\n"
                         ">>> 2^100\n1267650600228229401496703205376\n"
                         ">>> 1/0\n"));
  EXPECT_THAT(said.out, HasSubstr("Divide by zero"));
  EXPECT_EQ(said.err, "");
  EXPECT_EQ(said.code, 0);
}

TEST(CliReplTest, TakesIndentedLinesAsPartOfTheCommandBefore) {
  const Said said = Repl({"--preset=python"},
                         "def f(x):\n    y = 2 * x\n\n    return y\n\nf(21)\n");

  EXPECT_EQ(said.out,
            ">>> def f(x):\n...     y = 2 * x\n...\n...     return y\n"
            ">>> f(21)\n42\n");
  EXPECT_EQ(said.code, 0);
}

TEST(CliReplTest, TakesTheLinesThatACommandIsNotCompleteWithout) {
  const Said said =
      Repl({"--preset=bc"}, "define f(x) {\nreturn 2 * x\n}\nf(21)\n");

  EXPECT_EQ(said.out,
            ">>> define f(x) {\n... return 2 * x\n... }\n>>> f(21)\n42\n");
}

TEST(CliReplTest, KeepsTheEmptyLinesOfACommand) {
  EXPECT_EQ(Repl({"--preset=python3"},
                 "x = \"\"\"a\n\n  \nb\"\"\"\nx\n\n"
                 "def f():\n  return '''c\n\n  d'''\n\nf()\n")
                .out,
            ">>> x = \"\"\"a\n...\n...   \n... b\"\"\"\n"
            ">>> x\n'a\\n\\n  \\nb'\n"
            ">>> def f():\n...   return '''c\n...\n...   d'''\n"
            ">>> f()\n'c\\n\\n  d'\n");
  EXPECT_EQ(Repl({"--preset=bash"}, "cat <<E\na\n\nb\nE\n\necho c\n").out,
            ">>> cat <<E\n... a\n...\n... b\n... E\na\n<BLANKLINE>\nb\n"
            ">>> echo c\nc\n");
  EXPECT_EQ(Repl({"--preset=sqlite3"}, "select 'a\n\nb';\n").out,
            ">>> select 'a\n...\n... b';\na\n<BLANKLINE>\nb\n");
}

TEST(CliReplTest, TakesTheLinesOfAnSqlStatementTogether) {
  const Said said =
      Repl({"--preset=sqlite3"},
           "create table t(\n  a int, -- ;\n\nb [;\n] /* ;\n*/\n);\n"
           "-- A comment.\n.tables\n"
           "create trigger r after insert on t begin\n"
           "update t set b = case when a > 1 then 'it''s;\n' end;\n"
           "end;\n"
           "insert into t\nvalues (1, 2), (2, 3);\n"
           "delete from t\nwhere a = 1;\n"
           "select * from t; select\n';' -- no end");

  EXPECT_EQ(
      said.out,
      ">>> create table t(\n...   a int, -- ;\n...\n... b [;\n... ] /* ;\n"
      "... */\n... );\n"
      ">>> -- A comment.\n>>> .tables\nt\n"
      ">>> create trigger r after insert on t begin\n"
      "... update t set b = case when a > 1 then 'it''s;\n... ' end;\n"
      "... end;\n"
      ">>> insert into t\n... values (1, 2), (2, 3);\n"
      ">>> delete from t\n... where a = 1;\n"
      ">>> select * from t; select\n... ';' -- no end\n"
      "2|it's;\n<BLANKLINE>\n;\n");
  EXPECT_EQ(said.err, "");
  EXPECT_EQ(said.code, 0);
}

TEST(CliReplTest, SendsALongSqlStatementOnce) {
  std::string statement = "select length('\n";
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&statement, i, "\n");

  const Said said = Repl({"--preset=sqlite3", "--json"},
                         absl::StrCat(statement, "');\nselect 2;\n"));

  const std::vector<std::string> lines = absl::StrSplit(said.out, '\n');
  ASSERT_EQ(lines.size(), 3);
  EXPECT_EQ(nlohmann::json::parse(lines[0])["out"], "23891\n");
  EXPECT_EQ(nlohmann::json::parse(lines[1])["line"], 5003);
}

TEST(CliReplTest, TakesTheLinesOfAnSqlStatementTogetherAtATerminal) {
  Command command = Tool({"--preset=sqlite3"});
  command.pty = Pty{24, 80, /*echo=*/false};
  auto tool = MustSpawn(command);
  const auto await = [&](absl::string_view text) {
    return ReadUntil(*tool, text);
  };

  await(">>> ");
  EXPECT_THAT(tool->Write("select 1,\n"), IsOk());
  EXPECT_EQ(await("... "), "");
  EXPECT_THAT(tool->Write("2;\n"), IsOk());
  EXPECT_EQ(await(">>> "), "1|2\r\n");
  // An empty line ends a statement, too.
  EXPECT_THAT(tool->Write("select 3\n"), IsOk());
  EXPECT_EQ(await("... "), "");
  EXPECT_THAT(tool->Write("\n"), IsOk());
  EXPECT_EQ(await(">>> "), "3\r\n");
}

TEST(CliReplTest, TakesTheFurtherBranchesOfAPythonStatement) {
  const Said said =
      Repl({"--preset=python3"},
           "if 0:\n  1\n\n# No.\nelif 0:\n  2\nelse:\n  3\n"
           "for i in []:\n  1\nelse:\n  4\n"
           "try:\n  1/0\nexcept(ArithmeticError):\n  5\nfinally :\n  6\n"
           "elsewhere = 7\n"
           "def f():\n  return 8\n# A comment.\n  return 9\nf()\n");

  EXPECT_EQ(said.out,
            ">>> if 0:\n...   1\n...\n... # No.\n... elif 0:\n...   2\n"
            "... else:\n...   3\n3\n"
            ">>> for i in []:\n...   1\n... else:\n...   4\n4\n"
            ">>> try:\n...   1/0\n... except(ArithmeticError):\n...   5\n"
            "... finally :\n...   6\n5\n6\n"
            ">>> elsewhere = 7\n"
            ">>> def f():\n...   return 8\n... # A comment.\n...   return 9\n"
            ">>> f()\n8\n");
  EXPECT_EQ(said.code, 0) << said.err;
}

TEST(CliReplTest, SendsALongBlockOnlyWhenItIsWhole) {
  TemporaryDirectory directory;
  const std::string path = absl::StrCat(directory.path(), "/session.jsonl");
  struct {
    const char* preset;
    std::string first, line, last, reply;
  } const blocks[] = {
      {"bc", "define f(x) {\n", "\"{\"; /* { */ x = x + 1 # {\n",
       "return x\n}\n", ">>> f(2) # {\n"},
      {"dc", "[\n", "1 + # [a]\n", "]sa\n", ">>> 2 lax p # [\n"},
  };
  for (const auto& block : blocks) {
    std::string session = block.first;
    for (int i = 0; i < 40; ++i) session += block.line;
    absl::StrAppend(&session, block.last, block.reply.substr(4));

    const Said said = Repl(
        {absl::StrCat("--preset=", block.preset), "--record", path}, session);

    EXPECT_THAT(said.out, HasSubstr(block.reply));
    EXPECT_THAT(said.out, EndsWith("42\n"));
    EXPECT_EQ(said.code, 0) << said.err;
    auto transcript = Transcript::Load(path);
    ASSERT_THAT(transcript.status(), IsOk());
    int sent = 0;
    for (const TranscriptEvent& event : transcript->events) {
      if (event.kind == TranscriptEvent::Kind::kSent) ++sent;
    }
    EXPECT_LT(sent, 10);
  }
}

TEST(CliReplTest, RefusesACommandThatIsNeverComplete) {
  const Said said = Repl({"--preset=bc"}, "1\ndefine f(x) {\nreturn x\n");

  EXPECT_EQ(said.out, ">>> 1\n1\n>>> define f(x) {\n... return x\n");
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 2"), HasSubstr("not complete")));
  EXPECT_EQ(said.code, 125);
}

constexpr absl::string_view kSession = R"(A session of bc.

    >>> define f(x) {
    ...   return 2 * x
    ... }
    >>> f(21)
    42

and so on:
>>> print "a\n\nb\n"
a
<BLANKLINE>
b
)";

TEST(CliReplTest, ChecksASessionThatIsWrittenDown) {
  const Said same = Repl({"--preset=bc", "--check"}, kSession);
  EXPECT_EQ(same.out, "");
  EXPECT_EQ(same.err, "");
  EXPECT_EQ(same.code, 0);

  TemporaryDirectory directory;
  const std::string path = directory.Write(
      "session.txt",
      absl::StrCat(kSession, ">>> 1+1\n3\n>>> 1+2\n3\n>>> x=1\n1\n"));
  const Said differs = Repl({"--preset=bc", "--check", "--file", path}, "");
  EXPECT_EQ(differs.out, absl::StrCat(path,
                                      ":14:\n>>> 1+1\nexpected:\n    3\n"
                                      "got:\n    2\n",
                                      path,
                                      ":18:\n>>> x=1\nexpected:\n    1\n"
                                      "got:\n    (nothing)\n"));
  EXPECT_EQ(differs.code, 1);
}

TEST(CliReplTest, PrintsASessionThatItCanCheck) {
  const Said said = Repl({"--preset=python"},
                         "for i in range(2):\n  print(i, end='\\n\\n')\n"
                         "1/0\nx = '...'\nx\nprint('a\\n')\n");
  ASSERT_EQ(said.code, 0) << said.err;

  const Said checked = Repl({"--preset=python", "--check"}, said.out);

  EXPECT_EQ(checked.out, "");
  EXPECT_EQ(checked.code, 0);
}

TEST(CliReplTest, ReadsNoReplyAsACommand) {
  const std::pair<const char*, const char*> replies[] = {
      {">>> exit 3", "\\>>> exit 3"},
      {"  >>> exit 3", "  \\>>> exit 3"},
      {">>>", "\\>>>"},
      {"... x", "\\... x"},
      {"...", "\\..."},
      {"<BLANKLINE>", "\\<BLANKLINE>"},
      {"\\>>> x", "\\\\>>> x"},
      {"\\\\<BLANKLINE>", "\\\\\\<BLANKLINE>"},
      {"\\x", "\\x"},
      {">>>x", ">>>x"}};
  std::string commands, session;
  for (const auto& [reply, written] : replies) {
    const std::string command =
        absl::StrCat("printf '%s\\n' '", reply, "' '", reply, "'\n");
    absl::StrAppend(&commands, command);
    absl::StrAppend(&session, ">>> ", command, written, "\n", written, "\n");
  }
  EXPECT_EQ(Repl({"--preset=bash"}, commands).out, session);

  const Said checked = Repl({"--preset=bash", "--check"}, session);

  EXPECT_EQ(checked.out, "");
  EXPECT_EQ(checked.err, "");
  EXPECT_EQ(checked.code, 0);
}

TEST(CliReplTest, ReadsNoLastWordsAsACommand) {
  const Said said = Repl({"--preset=bash"},
                         "trap 'printf \">>> exit 3\\n>>>\\r\\n\"' EXIT\n");
  EXPECT_THAT(said.out, EndsWith("\n\n\\>>> exit 3\n\\>>>\n"));

  EXPECT_EQ(Repl({"--preset=bash", "--check"}, said.out).code, 0);
}

TEST(CliReplTest, TakesAnIdenticalReplyForTheExpectedOne) {
  const Said said = Repl({"--preset=bash"},
                         "printf 'x\\r\\r\\n'\n"
                         "echo 'Traceback (most recent call last):'\n");

  EXPECT_EQ(Repl({"--preset=bash", "--check"}, said.out).out, "");
}

TEST(CliReplTest, ChecksNoStackOfATraceback) {
  const Said said = Repl({"--preset=python", "--check"},
                         ">>> 1/0\nTraceback (most recent call last):\n"
                         "    ...\nZeroDivisionError: division by zero\n"
                         ">>> int('x')\nTraceback (most recent call last):\n"
                         "ValueError: something else\n");

  EXPECT_THAT(said.out, StartsWith("stdin:5:\n>>> int('x')\nexpected:\n"));
  EXPECT_EQ(said.code, 1);
}

TEST(CliReplTest, ComparesStderrToo) {
  for (const char* different :
       {">>> echo out; echo err >&2\nout\n", ">>> echo err >&2\n",
        ">>> echo out; echo err >&2\nerr\n"}) {
    EXPECT_EQ(Repl({"--preset=bash", "--check"}, different).code, 1)
        << different;
  }
  EXPECT_EQ(Repl({"--preset=bash", "--check"},
                 ">>> echo err >&2; echo out\nout\nerr\n")
                .code,
            0);

  // doctest ignores the stderr of a statement that does not fail.
  EXPECT_EQ(Repl({"--preset=python3", "--check"},
                 ">>> import sys; print(1); _ = sys.stderr.write('warning')\n"
                 "1\n")
                .code,
            0);
  EXPECT_EQ(
      Repl({"--preset=python3", "--check"}, ">>> print(1); 1/0\n1\n").code, 1);
}

TEST(CliReplTest, ComparesByTheRulesOfDoctest) {
  constexpr absl::string_view kSame =
      ">>> 1 == 1\n1\n>>> False\n0\n"
      ">>> list(range(20))  # doctest: +ELLIPSIS\n[0, 1, ..., 19]\n"
      ">>> print('a  b\\nc')  # doctest: +NORMALIZE_WHITESPACE\na b c\n"
      ">>> raise KeyError(1)  # doctest: +IGNORE_EXCEPTION_DETAIL\n"
      "Traceback (most recent call last):\nKeyError: 2\n"
      ">>> 1/0  # doctest: +SKIP\n7\n";

  const Said same = Repl({"--preset=python3", "--check"}, kSame);

  EXPECT_EQ(same.out, "");
  EXPECT_EQ(same.code, 0);
  for (const char* different :
       {">>> 1\n2\n", ">>> 2\nTrue\n",
        ">>> 'ac'  # doctest: +ELLIPSIS\n'a...b...c'\n",
        ">>> raise KeyError(1)  # doctest: +IGNORE_EXCEPTION_DETAIL\n"
        "Traceback (most recent call last):\nValueError: 1\n",
        ">>> 'quiet'\nTraceback (most recent call last):\nKeyError: 2\n"}) {
    EXPECT_EQ(Repl({"--preset=python3", "--check"}, different).code, 1)
        << different;
  }
}

TEST(CliReplTest, TakesADialectFromAFile) {
  TemporaryDirectory directory;
  const std::string path =
      directory.Write("cat.json",
                      R"({"command": ["sed", "-u", "s/,//"],
          "environment": {"LANG": null},
          "statement": "{statement}\n{head},{tail}\n"})");

  const Said said = Repl({"--dialect", path}, "abc\n");

  EXPECT_EQ(said.out, ">>> abc\nabc\n") << said.err;
  for (const char* wrong :
       {"[]", "{\"command\": [\"cat\"], \"nope\": 1}", "{\"prompt\": \"x\"}",
        "{\"command\": [\"cat\"], \"prompt\": \"(\"}",
        "{\"command\": [\"cat\", 1], \"prompt\": \"x\"}"}) {
    EXPECT_EQ(
        Repl({"--dialect", directory.Write("wrong.json", wrong)}, "1\n").code,
        125)
        << wrong;
  }
}

TEST(CliReplTest, RefusesADialectWithoutEnd) {
  const Said said = Repl({"--dialect", "/dev/zero"}, "abc\n");

  EXPECT_EQ(said.code, 125);
  EXPECT_THAT(said.err, HasSubstr("--dialect /dev/zero has more than 16 MiB"));
}

TEST(CliReplTest, PrintsLinesOfJson) {
  const Said said = Repl({"--preset=sh", "--json"},
                         "echo out; echo err >&2; (exit 7)\nprintf '\\377'\n");

  const std::vector<std::string> lines = absl::StrSplit(said.out, '\n');
  ASSERT_EQ(lines.size(), 3);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["line"], 1);
  EXPECT_EQ(first["command"], "echo out; echo err >&2; (exit 7)");
  EXPECT_EQ(first["out"], "out\n");
  EXPECT_EQ(first["err"], "err\n");
  EXPECT_EQ(first["status"], 7);
  EXPECT_GE(first["seconds"], 0.0);
  EXPECT_EQ(nlohmann::json::parse(lines[1])["out"], "\xEF\xBF\xBD");
  EXPECT_EQ(said.code, 0);
}

TEST(CliReplTest, PrintsALineOfJsonForACommandWithoutAReply) {
  const Said said = Repl({"--preset=bash", "--json", "--timeout=100ms"},
                         "sleep 1000\necho a\0b\necho hi; exit 3\nexit\n"s);

  const std::vector<std::string> lines = absl::StrSplit(said.out, '\n');
  ASSERT_EQ(lines.size(), 4) << said.out;
  const auto late = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(late["line"], 1);
  EXPECT_EQ(late["command"], "sleep 1000");
  EXPECT_THAT(late["error"].get<std::string>(), HasSubstr("was not done"));
  EXPECT_GE(late["seconds"], 0.1);
  EXPECT_FALSE(late.contains("out"));
  const auto refused = nlohmann::json::parse(lines[1]);
  EXPECT_THAT(refused["error"].get<std::string>(), HasSubstr("cannot take"));
  const auto end = nlohmann::json::parse(lines[2]);
  EXPECT_EQ(end["out"], "hi\n");
  EXPECT_THAT(end["error"].get<std::string>(), HasSubstr("has ended"));
  EXPECT_EQ(said.code, 124);

  const Said last = Repl({"--preset=bash", "--json", "--check"}, ">>> exit\n");
  const auto line = nlohmann::json::parse(last.out);
  EXPECT_EQ(line["out"], "");
  EXPECT_EQ(line["same"], true);
  EXPECT_FALSE(line.contains("error"));
  EXPECT_EQ(last.code, 0);
}

TEST(CliReplTest, TellsInJsonWhetherAReplyIsTheOneExpected) {
  const Said said =
      Repl({"--preset=bc", "--json", "--check"}, ">>> 1\n1\n>>> 2\n3\n");

  const std::vector<std::string> lines = absl::StrSplit(said.out, '\n');
  ASSERT_EQ(lines.size(), 3);
  EXPECT_EQ(nlohmann::json::parse(lines[0])["same"], true);
  EXPECT_EQ(nlohmann::json::parse(lines[1])["same"], false);
  EXPECT_EQ(nlohmann::json::parse(lines[1])["expected"], "3\n");
  EXPECT_EQ(said.code, 1);
}

TEST(CliReplTest, InterruptsACommandThatTakesTooLongAndGoesOn) {
  const Said said = Repl({"--preset=bash", "--timeout", "100ms"},
                         "echo before\nsleep 1000\necho after\n");

  EXPECT_EQ(said.out,
            ">>> echo before\nbefore\n>>> sleep 1000\n"
            ">>> echo after\nafter\n");
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 2"), HasSubstr("sleep 1000"),
                              HasSubstr("the session goes on")));
  EXPECT_EQ(said.code, 124);
}

TEST(CliReplTest, EndsTheSessionWithAProgramThatEndsAtTheInterrupt) {
  const Said said =
      Repl({"--prompt=> $", "--timeout=100ms", "--", "sh", "-c",
            "stty -echo; printf '> '; while read line; do eval \"$line\"; "
            "printf '> '; done"},
           "echo a\nexec sleep 1000\necho b\n");

  EXPECT_THAT(said.out, StartsWith(">>> echo a\na\n>>> exec sleep 1000\n"));
  EXPECT_THAT(said.out, Not(HasSubstr("echo b")));
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 2"),
                              HasSubstr("the interrupt ended the program: "
                                        "killed by SIGINT")));
  EXPECT_EQ(said.code, 124);
}

TEST(CliReplTest, EndsTheSessionAtTheFirstErrorOnRequest) {
  const Said shell =
      Repl({"--preset=sh", "--stop-on-error"}, "true\n(exit 7)\necho after\n");
  EXPECT_EQ(shell.out, ">>> true\n>>> (exit 7)\n");
  EXPECT_THAT(shell.err, HasSubstr("line 2: the command failed with status 7; "
                                   "the session ends"));
  EXPECT_EQ(shell.code, 7);

  const Said python =
      Repl({"--preset=python", "--stop-on-error"}, "1\n1/0\nprint('after')\n");
  EXPECT_THAT(python.out, HasSubstr("ZeroDivisionError"));
  EXPECT_THAT(python.out, Not(HasSubstr("after")));
  EXPECT_EQ(python.code, 1);

  // bc reports no status.
  const Said bc = Repl({"--preset=bc", "--stop-on-error"}, "1+1\n1/0\n2+2\n");
  EXPECT_THAT(bc.out, Not(HasSubstr("2+2")));
  EXPECT_THAT(bc.err, HasSubstr("line 2: the command wrote to stderr"));
  EXPECT_EQ(bc.code, 1);

  const Said late =
      Repl({"--preset=bash", "--timeout", "100ms", "--stop-on-error"},
           "sleep 1000\necho after\n");
  EXPECT_EQ(late.out, ">>> sleep 1000\n");
  EXPECT_EQ(late.code, 124);

  const Said same =
      Repl({"--preset=sh", "--stop-on-error"}, "true\necho end\n");
  EXPECT_THAT(same.out, HasSubstr("\nend\n"));
  EXPECT_EQ(same.err, "");
  EXPECT_EQ(same.code, 0);
}

TEST(CliReplTest, StopsAtTheFirstDifferentReplyOnRequest) {
  const Said said = Repl({"--preset=bc", "--check", "--stop-on-error"},
                         ">>> 1\n2\n>>> 3\n4\n");

  EXPECT_THAT(said.out, HasSubstr("stdin:1:"));
  EXPECT_THAT(said.out, Not(HasSubstr("stdin:3:")));
  EXPECT_EQ(said.code, 1);
}

TEST(CliReplTest, ReportsThatTheSessionGoesOnAfterACommandThatIsRefused) {
  const Said said = Repl({"--preset=sh"}, "echo 1\necho a\0b\necho 2\n"s);

  EXPECT_EQ(said.out, ">>> echo 1\n1\n>>> echo a\0b\n>>> echo 2\n2\n"s);
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 2"), HasSubstr("cannot take"),
                              HasSubstr("the session goes on")));
  EXPECT_EQ(said.code, 125);
}

TEST(CliReplTest, TakesNoLineForTheRestOfACommandThatIsRefused) {
  const Said said =
      Repl({"--prompt", "[#$] $", "--", "dash", "-i"},
           absl::StrCat("echo ", std::string(5000, 'x'), "\necho ok\n"));

  EXPECT_THAT(said.out, EndsWith("x\n>>> echo ok\nok\n"));
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 1"), HasSubstr("4095 bytes"),
                              HasSubstr("the session goes on")));
  EXPECT_EQ(said.code, 125);
}

TEST(CliReplTest, RefusesControlCharactersForATerminal) {
  // bash edits its lines: a tab would complete a word.
  const Said bash =
      Repl({"--prompt", "bash\\S*[#$] $", "--", "bash", "--norc", "-i"},
           "echo a\tb\necho a\x03\necho a\x7f\necho \xc3\xa4\n");
  EXPECT_EQ(bash.out,
            ">>> echo a\tb\n>>> echo a\x03\n>>> echo a\x7f\n"
            ">>> echo \xc3\xa4\n\xc3\xa4\n");
  EXPECT_THAT(bash.err,
              AllOf(HasSubstr("line 1: bash cannot take the tab at offset 6"),
                    HasSubstr("line 2: bash cannot take the byte \"\\x03\""),
                    HasSubstr("line 3: bash cannot take the byte \"\\x7f\""),
                    HasSubstr("the session goes on")));
  EXPECT_EQ(bash.code, 125);

  // dash leaves its lines to the terminal, for which a tab is text.
  const Said dash = Repl({"--prompt", "[#$] $", "--", "dash", "-i"},
                         "printf '%s\\n' 'a\tb'\necho \x15\n");
  EXPECT_EQ(dash.out, ">>> printf '%s\\n' 'a\tb'\na\tb\n>>> echo \x15\n");
  EXPECT_EQ(dash.code, 125);

  // A pipe takes all bytes.
  EXPECT_EQ(Repl({"--prompt", "\\? $", "--no-terminal", "--", "sh", "-c",
                  "printf '? '; while read x; do echo \"$x\"; printf '? '; "
                  "done"},
                 "a\tb\x03\n")
                .out,
            ">>> a\tb\x03\na\tb\x03\n");
}

TEST(CliReplTest, SuggestsThePresetThatIsNearest) {
  EXPECT_THAT(Repl({"--preset=pyhton3"}, "").err,
              AllOf(HasSubstr("bash, bc"), HasSubstr("did you mean python3?")));
}

TEST(CliReplTest, NamesAProgramThatHasEndedWithoutTheCodeOfItsDialect) {
  for (const auto& [preset, command] :
       {std::pair{"python3", "import os; os._exit(7)\n1+1\n"},
        std::pair{"bash", "kill -9 $$\necho 1\n"},
        std::pair{"node", "process.exit(7)\n1+1\n"}}) {
    const Said said = Repl({absl::StrCat("--preset=", preset)}, command);

    EXPECT_THAT(said.err, HasSubstr(absl::StrCat(preset, " (pid ")));
    EXPECT_THAT(said.err, HasSubstr("has ended"));
    EXPECT_THAT(said.err, Not(HasSubstr(" -c "))) << said.err;
    EXPECT_THAT(said.err, Not(HasSubstr("/dev/fd"))) << said.err;
    EXPECT_LT(said.err.size(), 300u) << said.err;
  }
}

TEST(CliReplTest, ShowsNoMarkAndNoPrivateCodeInAMessage) {
  const std::pair<const char*, const char*> endless[] = {
      {"sh", "echo 1; sleep 1000"},
      {"bash", "echo 1; sleep 1000"},
      {"python3", "import time; print(1); time.sleep(1000)"},
      {"bc", "1; while (1) {}"},
      {"sqlite3",
       "with recursive t(x) as (select 1 union all select x + 1 "
       "from t) select max(x) from t;"},
      {"node", "console.log(1); while (1) {}"},
      {"lua", "print(1) while true do end"},
      {"gdb", "shell sleep 1000"},
      {"dc", "1p [lax]sa lax"}};
  for (const auto& [preset, command] : endless) {
    for (const std::string& input : {absl::StrCat(command, "\n"), "(\n"s}) {
      const Said said =
          Repl({absl::StrCat("--preset=", preset), "--timeout=500ms"}, input);
      for (const char* hidden : {"asyncproc_", "__", "ASYNCPROC", "printf"}) {
        EXPECT_THAT(said.err, Not(HasSubstr(hidden))) << preset << input;
      }
      EXPECT_THAT(said.err,
                  Not(testing::ContainsRegex("[a-zA-Z]{12}[0-9]*[a-zA-Z]{12}")))
          << preset << input;
    }
  }
}

TEST(CliReplTest, ShowsNoMarkOfEarlierRepliesWhenItsProgramEnds) {
  for (const auto& [preset, command] :
       {std::pair{"bc", "1\nquit\n2\n"}, std::pair{"dc", "1p\nq\n2p\n"},
        std::pair{"sqlite3", "select 1;\n.quit\nselect 2;\n"},
        std::pair{"bash", "nothing\nexit 3\necho 2\n"}}) {
    const Said said = Repl({absl::StrCat("--preset=", preset)}, command);

    EXPECT_THAT(said.err, HasSubstr("has ended at"));
    EXPECT_THAT(said.err, Not(testing::ContainsRegex("[a-p]{16}"))) << preset;
    EXPECT_THAT(said.err, Not(HasSubstr("/dev/fd"))) << preset;
  }
}

TEST(CliReplTest, SaysWhyItsProgramNeverAnswers) {
  if (OutputOf(Command::Shell("command -v redis-cli || true")).empty()) {
    GTEST_SKIP() << "there is no redis-cli";
  }
  // No server has this port.
  const Said said = Repl({"--preset=redis", "--", "-p", "1"}, "PING\n");

  EXPECT_EQ(said.code, 125);
  EXPECT_THAT(said.err, HasSubstr("Could not connect"));
}

TEST(CliReplTest, KeepsAnAnswerThatEqualsItsCommand) {
  EXPECT_EQ(Repl({"--prompt", "\\? $", "--", "sh", "-c",
                  "while printf '? '; read x; do echo $((x)); done"},
                 "5\n7\n")
                .out,
            ">>> 5\n5\n>>> 7\n7\n");
  EXPECT_EQ(Repl({"--prompt", ">>> $", "--", "python3", "-q"}, "5\n").out,
            ">>> 5\n5\n");
}

TEST(CliReplTest, ExplainsItself) {
  const Said said = Repl({"--help"}, "");

  EXPECT_THAT(said.out, AllOf(HasSubstr("--preset NAME"), HasSubstr("doctest"),
                              HasSubstr("124"), HasSubstr("--check"),
                              HasSubstr("--no-terminal")));
  EXPECT_EQ(said.code, 0);
}

}  // namespace
}  // namespace asyncproc

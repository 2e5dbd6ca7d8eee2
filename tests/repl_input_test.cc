#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/plain_terminal.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/repl_testing.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;
using testing::Not;

// ---- Text that stdin refuses

std::string TooLongForATerminal() { return std::string(5000, '1'); }

// Evaluates `statement`, which is refused, and then `next`, which prints 42.
std::string RefusalOf(Repl& repl, absl::string_view statement,
                      absl::StatusCode code, absl::string_view next) {
  const absl::Status refused = repl.Eval(statement, kNeverReached).status();
  EXPECT_THAT(refused, HasCode(code));
  EXPECT_FALSE(IsIncomplete(refused));
  EXPECT_THAT(refused.message(), HasSubstr("the session goes on"));
  EXPECT_EQ(MustEval(repl, next).out, "42\n");
  return std::string(refused.message());
}

TEST(RefusedTextTest, LeavesASessionWithPromptsAsItWas) {
  auto dash = MustStart(PromptedDash());
  MustEval(*dash, "x=42");

  EXPECT_THAT(
      RefusalOf(*dash, "echo " + TooLongForATerminal(),
                absl::StatusCode::kInvalidArgument, "echo $x"),
      testing::AllOf(HasSubstr(": nothing of \"echo 111"),
                     HasSubstr(" was sent: "), HasSubstr("4095 bytes")));
}

TEST(RefusedTextTest, LeavesASessionWithMarksAsItWas) {
  ReplDialect dialect;
  dialect.command = OnPlainTerminal(Command({"dc"}));
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";
  auto dc = MustStart(dialect);

  EXPECT_THAT(RefusalOf(*dc, TooLongForATerminal(),
                        absl::StatusCode::kInvalidArgument, "6 7*p"),
              HasSubstr(": nothing of \"111"));
}

TEST(RefusedTextTest, MayBeALaterLineOfAStatement) {
  auto dash = MustStart(PromptedDash());

  EXPECT_THAT(RefusalOf(*dash, "x=41\nx=42\necho " + TooLongForATerminal(),
                        absl::StatusCode::kInvalidArgument, "echo $x"),
              HasSubstr(": only the first 2 lines of \"x=41"));
}

TEST(RefusedTextTest, MayBeInTheMiddleOfAnIncompleteStatement) {
  auto dash = MustStart(PromptedDash());

  EXPECT_THAT(RefusalOf(*dash, "{\necho " + TooLongForATerminal() + "\n}",
                        absl::StatusCode::kInvalidArgument, "echo 42"),
              HasSubstr(": only the first line of \"{"));
}

TEST(RefusedTextTest, MayExceedTheLimitOfTheInput) {
  ReplDialect dialect;
  dialect.command = Command({"dc"});
  dialect.command.input_limit = 200;
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";
  auto dc = MustStart(dialect);

  EXPECT_THAT(
      RefusalOf(*dc, TooLongForATerminal(),
                absl::StatusCode::kResourceExhausted, "6 7*p"),
      testing::AllOf(HasSubstr(": nothing of \"111"), HasSubstr("input_limit"),
                     Not(HasSubstr("wrote more"))));
}

TEST(RefusedTextTest, MayBeAnAnswer) {
  ReplDialect dialect = BashDialect();
  dialect.command.in = Stdio::Pipe();
  dialect.command.input_limit = 200;
  auto bash = MustStart(dialect);
  bash->set_on_question(
      [](absl::string_view) { return TooLongForATerminal(); });

  EXPECT_THAT(
      RefusalOf(*bash, "printf 'n? '; read x",
                absl::StatusCode::kResourceExhausted, "echo 42"),
      testing::AllOf(HasSubstr("the answer to \"n? \" was refused"),
                     HasSubstr("input_limit"), Not(HasSubstr("wrote more"))));
}

TEST(RefusedTextTest, IsTheReasonWhyAProgramIsNotReady) {
  ReplDialect dialect;
  dialect.command = Command({"dc"});
  dialect.command.input_limit = 20;
  dialect.statement = "{statement}\n[{head}]n\n[{tail}]p s_\n";

  const absl::Status status = Repl::Start(dialect).status();

  EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(status.message(), testing::AllOf(HasSubstr("is not ready"),
                                               HasSubstr("input_limit"),
                                               Not(HasSubstr("wrote too"))));
}

// ---- The further lines of a statement

// Supplies `lines`, one after the other.
Repl::NextLine Lines(std::vector<std::string> lines) {
  return
      [lines,
       i = size_t{0}]() mutable -> absl::StatusOr<std::optional<std::string>> {
        if (i == lines.size()) return std::nullopt;
        return lines[i++];
      };
}

TEST(NextLineTest, CompletesAStatement) {
  auto dash = MustStart(PromptedDash());
  dash->set_on_incomplete(Lines({"then", "echo 4''2", "fi", "echo no"}));

  EXPECT_EQ(MustEval(*dash, "if true").out, "42\n");
  EXPECT_EQ(MustEval(*dash, "echo 43").out, "43\n");
}

TEST(NextLineTest, MayBeMissing) {
  auto dash = MustStart(PromptedDash());
  dash->set_on_incomplete(Lines({"then"}));

  EXPECT_TRUE(IsIncomplete(dash->Eval("if true", kNeverReached).status()));
  EXPECT_EQ(MustEval(*dash, "echo 42").out, "42\n");
}

TEST(NextLineTest, AbandonsTheStatementAtAnError) {
  ReplDialect dialect = PromptedDash();
  dialect.refused = "\x7f";
  auto dash = MustStart(dialect);
  dash->set_on_incomplete([] { return absl::DataLossError("gone"); });

  EXPECT_THAT(
      RefusalOf(*dash, "if true", absl::StatusCode::kDataLoss, "echo 42"),
      HasSubstr("only the first line of \"if true\" was sent: gone"));

  dash->set_on_incomplete(Lines({"then \x7f"}));
  EXPECT_THAT(
      RefusalOf(*dash, "if true", absl::StatusCode::kUnimplemented, "echo 42"),
      HasSubstr("cannot take the byte \"\\x7f\""));
}

TEST(NextLineTest, TakesNoTimeOfTheStatement) {
  static constexpr absl::Duration kTimeout = absl::Seconds(3);
  auto dash = MustStart(PromptedDash());
  dash->set_on_incomplete([]() -> absl::StatusOr<std::optional<std::string>> {
    absl::SleepFor(kTimeout);
    return "fi";
  });

  const auto reply = dash->Eval("if true; then echo 4''2", kTimeout);

  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->out, "42\n");
}

// ---- Questions

// Statements that read a line, and print it.
struct Questioner {
  const char* name;
  ReplDialect (*dialect)();
  const char* asks;      // Writes "n? ", and reads.
  const char* question;  // The output at that time.
  const char* reply;     // With the answer 42.
  const char* next;      // Prints 42.
};

class QuestionTest : public testing::TestWithParam<Questioner> {
 protected:
  void SetUp() override {
    ReplDialect dialect = GetParam().dialect();
    dialect.command.in = Stdio::Pipe();
    auto repl = Repl::Start(dialect, kNeverReached);
    if (absl::IsNotFound(repl.status())) GTEST_SKIP() << repl.status();
    ASSERT_THAT(repl, IsOk());
    repl_ = *std::move(repl);
  }

  void ExpectToGoOn() {
    EXPECT_EQ(
        MustEval(*repl_, GetParam().next).out,
        absl::StrCat("42\n",
                     GetParam().dialect == PrologDialect ? "true.\n" : ""));
  }

  std::unique_ptr<Repl> repl_;
};

TEST_P(QuestionTest, IsAnsweredByAFunction) {
  std::vector<std::string> questions;
  repl_->set_on_question([&](absl::string_view question) {
    questions.emplace_back(question);
    return GetParam().dialect == PrologDialect ? "42.\n" : "42\n";
  });

  for (int i = 0; i < 2; ++i) {
    const Reply reply = MustEval(*repl_, GetParam().asks);
    EXPECT_EQ(reply.out + reply.err, GetParam().reply);
    ExpectToGoOn();
  }

  EXPECT_THAT(questions, testing::Each(GetParam().question));
  EXPECT_EQ(questions.size(), 2);
}

TEST_P(QuestionTest, IsInTheErrorWhenThereIsNoAnswer) {
  repl_->set_on_question([](absl::string_view) { return std::nullopt; });

  for (int i = 0; i < 2; ++i) {
    auto reply = repl_->Eval(GetParam().asks, kNeverReached);

    EXPECT_THAT(reply, HasCode(absl::StatusCode::kAborted));
    EXPECT_THAT(reply.status().message(),
                testing::AllOf(HasSubstr("no answer to \""),
                               HasSubstr(GetParam().question),
                               HasSubstr("the session goes on")));
    ExpectToGoOn();
    // The first read after an interrupted one fails.
    if (GetParam().dialect == PrologDialect) break;
  }
}

TEST_P(QuestionTest, IsInTheErrorAfterATimeout) {
  auto reply = repl_->Eval(GetParam().asks, absl::Seconds(1) * kSlowness);

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(reply.status().message(),
              testing::AllOf(HasSubstr("it waited for its stdin"),
                             HasSubstr(GetParam().question),
                             HasSubstr("the session goes on")));
  ExpectToGoOn();
}

INSTANTIATE_TEST_SUITE_P(
    All, QuestionTest,
    testing::ValuesIn(std::vector<Questioner>{
        {"python", PythonDialect, "print(int(input('n? ')) + 1)", "n? ",
         "n? 43\n", "42"},
        {"sh", ShDialect, "printf 'n? '; read x; echo $x", "n? ", "n? 42\n",
         "echo 42"},
        {"bash", BashDialect, "printf 'n? ' >&2; read x; echo $x", "n? ",
         "42\nn? ", "echo 42"},
        // A child asks.
        {"bash_child", BashDialect, "sh -c 'printf \"n? \"; read x; echo $x'",
         "n? ", "n? 42\n", "echo 42"},
        {"zsh", ZshDialect, "printf 'n? '; read x; echo $x", "n? ", "n? 42\n",
         "echo 42"},
        {"bc", BcDialect, "print \"n? \"; x = read(); x", "n? ", "n? 42\n",
         "42"},
        {"dc", DcDialect, "[n? ]n ? p", "n? ", "n? 42\n", "42p"},
        {"ruby", RubyDialect, "print 'n? '; puts gets", "n? ", "n? 42\n",
         "puts 42"},
        {"perl", PerlDialect, "print 'n? '; print scalar <STDIN>", "n? ",
         "n? 42\n", "print qq(42\n)"},
        {"tcl", TclDialect, "puts -nonewline {n? }; gets stdin x; puts $x",
         "n? ", "n? 42\n", "puts 42"},
        {"prolog", PrologDialect, "write('n? '), read(X), writeln(X)", "n? ",
         "n? 42\nX = 42.\n", "writeln(42)"},
        {"lua", LuaDialect, "io.write('n? '); local x = io.read(); print(x)",
         "n? ", "n? 42\n", "print(42)"},
        {"guile", GuileDialect,
         "(begin (display \"n? \") (display (read)) (newline))", "n? ",
         "n? 42\n", "(begin (display 42) (newline))"},
    }),
    [](const testing::TestParamInfo<Questioner>& info) {
      return std::string(info.param.name);
    });

TEST(QuestionsTest, IsTheOutputSinceTheAnswerBefore) {
  ReplDialect dialect = PythonDialect();
  dialect.command.in = Stdio::Pipe();
  auto python = MustStart(dialect);
  std::vector<std::string> questions;
  python->set_on_question([&](absl::string_view question) {
    questions.emplace_back(question);
    return absl::StrCat(questions.size(), "\n");
  });

  EXPECT_EQ(MustEval(*python, "[input('a? '), input('b? ')]").out,
            "a? b? ['1', '2']\n");

  EXPECT_THAT(questions, testing::ElementsAre("a? ", "b? "));
}

// The streams are one socket for stdin alone, or for stdin and stdout.
class SocketQuestionTest : public testing::TestWithParam<bool> {
 protected:
  static std::unique_ptr<Repl> StartOnSocket(ReplDialect dialect) {
    dialect.command.in = Stdio::Socket();
    if (GetParam()) dialect.command.out = Stdio::ToStdin();
    return MustStart(dialect);
  }
};

TEST_P(SocketQuestionTest, IsAnsweredByAFunction) {
  for (ReplDialect (*dialect)() : {PythonDialect, BashDialect}) {
    const bool is_python = dialect == PythonDialect;
    auto repl = StartOnSocket(dialect());
    repl->set_on_question([](absl::string_view question) {
      return absl::StrCat(question, "42\n");
    });

    EXPECT_EQ(
        MustEval(*repl, is_python ? "print(input('n? '))"
                                  : "printf 'n? '; read -r x; echo \"$x\"")
            .out,
        "n? n? 42\n");
  }
}

TEST_P(SocketQuestionTest, IsInTheErrorAfterATimeout) {
  auto python = StartOnSocket(PythonDialect());

  EXPECT_THAT(
      python->Eval("input('n? ')", absl::Seconds(1) * kSlowness).status(),
      testing::AllOf(
          HasCode(absl::StatusCode::kDeadlineExceeded),
          testing::Property(&absl::Status::message,
                            HasSubstr("; it waited for its stdin"))));
  EXPECT_EQ(MustEval(*python, "6*7").out, "42\n");
}

INSTANTIATE_TEST_SUITE_P(Sockets, SocketQuestionTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) {
                           return std::string(info.param ? "StdinAndStdout"
                                                         : "Stdin");
                         });

TEST(QuestionsTest, EndsItsStatementWhenItIsInterrupted) {
  ReplDialect dialect = BashDialect();
  dialect.command.in = Stdio::Pipe();
  auto bash = MustStart(dialect);

  EXPECT_THAT(bash->Eval("read x; y=1", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_EQ(MustEval(*bash, "echo $y").out, "\n");
  // The answer to the interrupt does not remain.
  EXPECT_EQ(MustEval(*bash, "read -t 0; echo $?").out, "1\n");
}

TEST(QuestionsTest, IsNotAskedWhileAChildReadsSomethingElse) {
  ReplDialect dialect = BashDialect();
  dialect.command.in = Stdio::Pipe();
  auto bash = MustStart(dialect);
  bash->set_on_question([](absl::string_view) { return std::nullopt; });

  EXPECT_EQ(MustEval(*bash, "(sleep 0.5; echo 42) | cat").out, "42\n");
}

}  // namespace
}  // namespace asyncproc

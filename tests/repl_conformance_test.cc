// The requirements for every dialect: statements and their replies. The table
// in repl_conformance_rows.cc has the limits of each program, with the reason.

#include <stdlib.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "asyncproc/process.h"
#include "asyncproc/repl.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/repl_conformance_rows.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

// Variables of this process's own environment; the destructor restores them.
class EnvironmentVariables {
 public:
  EnvironmentVariables() = default;
  EnvironmentVariables(const EnvironmentVariables&) = delete;
  EnvironmentVariables& operator=(const EnvironmentVariables&) = delete;
  ~EnvironmentVariables() {
    for (const auto& [name, value] : before_) {
      if (value.has_value()) {
        setenv(name.c_str(), value->c_str(), 1);
      } else {
        unsetenv(name.c_str());
      }
    }
  }

  void Set(const std::string& name, const std::string& value) {
    const char* const before = getenv(name.c_str());
    before_.emplace(name, before == nullptr
                              ? std::nullopt
                              : std::optional<std::string>(before));
    setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

class ReplyTest : public ConformanceTest {
 protected:
  void ExpectToWrite(absl::string_view text) {
    auto reply = repl_->Eval(GetParam().write(text), kNeverReached);
    ASSERT_THAT(reply.status(), IsOk()) << text;
    EXPECT_EQ(reply->out, absl::StrCat(text, GetParam().after));
  }

  // Statements are executed and paired with their completions, whether or not
  // their output arrives.
  void ExpectToGoOnAfter(const char* statement) {
    if (statement == nullptr) GTEST_SKIP() << "see its row";
    EXPECT_THAT(repl_->Eval(statement, kNeverReached).status(), IsOk());
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(repl_->Eval(GetParam().print("1"), kNeverReached).status(),
                  IsOk());
      EXPECT_THAT(repl_->Eval(GetParam().incomplete, kNeverReached).status(),
                  HasCode(absl::StatusCode::kInvalidArgument));
    }
  }
};

TEST_P(ReplyTest, TakesEveryByteOrRefusesIt) {
  std::string refused = repl_ == nullptr ? "" : GetParam().refused;
  for (int byte = 1; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (refused.find(c) != std::string::npos) continue;
    // The statements of Python and node are UTF-8.
    const std::string text = byte < 128 ? std::string(1, c) : "\xC3\xA4";
    auto reply = repl_->Eval(GetParam().string(text), kNeverReached);
    if (Dialect().refused.find(c) != std::string::npos) {
      EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kUnimplemented));
      continue;
    }
    ASSERT_THAT(reply.status(), IsOk()) << byte;
  }
  ExpectToWork();
}

TEST_P(ReplyTest, GoesOnAfterAByteThatIsNoText) {
  for (const std::string& text : {std::string("\xE9"), std::string(1, '\0')}) {
    EXPECT_THAT(
        repl_->Eval(GetParam().string(text), kNeverReached).status(),
        testing::AnyOf(IsOk(), HasCode(absl::StatusCode::kUnimplemented)));
    ExpectToWork();
  }
}

TEST_P(ReplyTest, TakesAStatementOfAMegabyte) {
  EXPECT_THAT(
      repl_->Eval(GetParam().string(std::string(1'000'000, 'x')), kNeverReached)
          .status(),
      IsOk());
  ExpectToWork();
}

TEST_P(ReplyTest, TakesAStatementOfSeveralLines) {
  auto reply = repl_->Eval(GetParam().lines, kNeverReached);

  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_EQ(reply->out, "4711\n" + GetParam().after);
  ExpectToWork();
}

TEST_P(ReplyTest, RefusesAStatementThatIsNotComplete) {
  if (GetParam().incomplete == nullptr) GTEST_SKIP() << "see its row";
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(repl_->Eval(GetParam().incomplete, kNeverReached).status(),
                HasCode(absl::StatusCode::kInvalidArgument));
    ExpectToWork();
  }
}

TEST_P(ReplyTest, TakesEmptyStatementsAndNewlinesAtTheEnd) {
  EXPECT_THAT(repl_->Eval("", kNeverReached).status(), IsOk());
  EXPECT_THAT(repl_->Eval("\n", kNeverReached).status(), IsOk());
  auto reply =
      repl_->Eval(absl::StrCat(GetParam().print("42"), "\n"), kNeverReached);
  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_EQ(reply->out, "42\n" + GetParam().after);
  EXPECT_EQ(repl_->Eval("", kNeverReached)->out, "");
}

TEST_P(ReplyTest, GoesOnAfterASyntaxError) {
  for (int i = 0; i < 3; ++i) {
    auto reply = repl_->Eval(GetParam().wrong, kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    EXPECT_NE(reply->err + reply->out, "");
    ExpectToWork();
  }
}

TEST_P(ReplyTest, TakesAReplyOfAMegabyte) {
  for (int i = 0; i < 2; ++i) {
    auto reply = repl_->Eval(GetParam().megabyte, kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    EXPECT_EQ(reply->out.size(), 1'000'001 + GetParam().after.size());
    EXPECT_EQ(reply->out.find('\n'), 1'000'000);
    ExpectToWork();
  }
}

TEST_P(ReplyTest, TakesAReplyWithoutANewlineAtItsEnd) {
  if (GetParam().write == nullptr) GTEST_SKIP() << "see its row";
  for (int i = 0; i < 2; ++i) {
    ExpectToWrite("abc");
    ExpectToWork();
  }
}

TEST_P(ReplyTest, TakesAReplyThatLooksLikeAPrompt) {
  if (GetParam().write == nullptr) GTEST_SKIP() << "see its row";
  for (const char* text :
       {"> ", ">> ", ">>> ", "sqlite> ", "a\n> ", "> \n>> \n> ", "> a\n"}) {
    ExpectToWrite(text);
    ExpectToWork();
  }
}

TEST_P(ReplyTest, TakesAReplyThatLooksLikeAnEarlierMark) {
  const ReplDialect dialect = Dialect();
  if (!absl::StrContains(dialect.statement, "{head}")) {
    GTEST_SKIP() << "the dialect has no marks";
  }
  if (GetParam().write == nullptr) GTEST_SKIP() << "see its row";
  std::string mark;
  absl::Notification complete;
  auto tap = repl_->child().out().AddTap([&](absl::string_view piece) {
    absl::StrAppend(&mark, piece);
    if (absl::ConsumeSuffix(&piece, "\n")) complete.Notify();
  });
  ASSERT_THAT(tap, IsOk());
  EXPECT_THAT(repl_->Eval("", kNeverReached).status(), IsOk());
  complete.WaitForNotification();
  tap->Remove();
  absl::StripTrailingAsciiWhitespace(&mark);
  ASSERT_EQ(mark.size(), 32);

  ExpectToWrite(mark);
  ExpectToWrite(mark + "\n");
  ExpectToWrite(mark.substr(0, 16));
  ExpectToWrite(mark.substr(16) + "\n");
  ExpectToWork();
}

TEST_P(ReplyTest, GoesOnWithItsStdoutClosed) {
  ExpectToGoOnAfter(GetParam().closes_stdout);
}

TEST_P(ReplyTest, GoesOnWithItsStdoutDiscarded) {
  ExpectToGoOnAfter(GetParam().discards_stdout);
}

TEST_P(ReplyTest, ACopyOfTheProgramTakesNoStatement) {
  if (GetParam().forks == nullptr) GTEST_SKIP() << "the program has no fork";
  EXPECT_THAT(repl_->Eval(GetParam().forks, kNeverReached).status(), IsOk());

  const std::string pid = absl::StrCat(repl_->process().pid(), "\n");
  for (int i = 0; i < 20; ++i) {
    auto reply = repl_->Eval(GetParam().pid, kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    // The copy may print the result of its fork.
    EXPECT_THAT(reply->out, HasSubstr(pid));
  }
}

TEST_P(ReplyTest, GoesOnAfterNamesOfTheLibraryHaveOtherValues) {
  ExpectToGoOnAfter(GetParam().shadows);
}

TEST_P(ReplyTest, PairsRepliesWhileABackgroundProcessWrites) {
  if (GetParam().shell == nullptr) GTEST_SKIP() << "see its row";
  // Each line is one write, which the lines of the program do not divide.
  const std::string writer = GetParam().shell(
      "(i=0; while [ $i -lt 500 ]; do echo noise; i=$((i+1)); done) &");

  EXPECT_THAT(repl_->Eval(writer, kNeverReached).status(), IsOk());

  for (int i = 1000; i < 1030; ++i) {
    auto reply = repl_->Eval(GetParam().print(absl::StrCat(i)), kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    ASSERT_EQ(absl::StrReplaceAll(reply->out, {{"noise\n", ""}}),
              absl::StrCat(i, "\n", GetParam().after));
  }
}

TEST_P(ReplyTest, HasAnEmptyStdinForStatements) {
  if (GetParam().reads_stdin == nullptr) GTEST_SKIP() << "nothing reads it";
  if (repl_->process().command().in.kind() == Stdio::Kind::kPipe) {
    GTEST_SKIP() << "its stdin is a pipe";
  }

  EXPECT_THAT(repl_->Eval(GetParam().reads_stdin, kNeverReached).status(),
              IsOk());

  ExpectToWork();
}

TEST_P(ReplyTest, PairsTwoHundredStatementsWithTheirReplies) {
  for (int i = 1000; i < 1200; ++i) {
    auto reply = repl_->Eval(GetParam().print(absl::StrCat(i)), kNeverReached);
    ASSERT_THAT(reply.status(), IsOk());
    ASSERT_EQ(reply->out, absl::StrCat(i, "\n", GetParam().after));
  }
}

TEST_P(ReplyTest, WorksForAnyValueOfTerm) {
  for (const char* term : {"", "dumb", "xterm"}) {
    ReplDialect dialect = Dialect();
    if (*term == '\0') {
      dialect.command.env.Unset("TERM");
    } else {
      dialect.command.env.Set("TERM", term);
    }
    auto repl = Repl::Start(dialect, kNeverReached);
    ASSERT_THAT(repl, IsOk());
    const std::string statement = absl::StrCat(
        GetParam().string(std::string(100, 'x')), "\n", GetParam().print("7"));
    auto reply = (*repl)->Eval(statement, kNeverReached);
    ASSERT_THAT(reply.status(), IsOk()) << term;
  }
}

TEST_P(ReplyTest, PairsTheRepliesOfTenSessionsAtOnce) {
  std::vector<std::thread> sessions;
  for (int first = 1000; first < 1200; first += 20) {
    sessions.emplace_back([this, first] {
      auto repl = Repl::Start(Dialect(), kNeverReached);
      ASSERT_THAT(repl, IsOk());
      for (int i = first; i < first + 20; ++i) {
        auto reply =
            (*repl)->Eval(GetParam().print(absl::StrCat(i)), kNeverReached);
        ASSERT_THAT(reply.status(), IsOk());
        ASSERT_EQ(reply->out, absl::StrCat(i, "\n", GetParam().after));
      }
    });
  }
  for (std::thread& session : sessions) session.join();
}

// Each start file writes "noise", and creates a file "read".
const std::map<std::string, std::string>& StartFiles() {
  const char* const shell = "echo noise; touch read\n";
  const char* const gdb = "echo noise\nshell touch read\n";
  const char* const sqlite = ".print noise\n.shell touch read\n";
  static const auto* const files = new std::map<std::string, std::string>{
      {".Renviron", "R_DEFAULT_PACKAGES=noise\n"},
      {".Rprofile", "cat('noise'); file.create('read')\n"},
      {".bash_profile", shell},
      {".bashrc", shell},
      {".bcrc", "print \"noise\"\n"},
      {".config/fish/config.fish", shell},
      {".config/gdb/gdbinit", gdb},
      {".config/sqlite3/sqliterc", sqlite},
      {".config/swi-prolog/init.pl", ":- shell('echo noise; touch read').\n"},
      {".gdbearlyinit", "set startup-quietly off\n"},
      {".gdbinit", gdb},
      {".guile", "(display \"noise\") (open-output-file \"read\")\n"},
      {".inputrc", "$include read\n"},
      {".irbrc", "puts 'noise'; File.write('read', '')\n"},
      {".lua", "print('noise'); io.open('read', 'w')\n"},
      {".ocamlinit", "print_endline \"noise\";; open_out \"read\";;\n"},
      {".ocamlinit", "print_endline \"noise\";; open_out \"read\";;\n"},
      {".profile", shell},
      {".psqlrc", "\\echo noise\n\\! touch read\n"},
      {".python_history", ""},
      {".pythonrc", "print('noise'); open('read', 'w')\n"},
      {".sqliterc", sqlite},
      {".tclshrc", "puts noise; close [open read w]\n"},
      {".zlogin", shell},
      {".zprofile", shell},
      {".zshenv", shell},
      {".zshrc", shell},
  };
  return *files;
}

// The files in `directory`, with their contents.
std::map<std::string, std::string> FilesIn(
    const TemporaryDirectory& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory.path())) {
    if (entry.is_directory()) continue;
    const std::string name =
        entry.path().lexically_relative(directory.path()).string();
    files[name] = directory.Read(name);
  }
  return files;
}

TEST_P(ReplyTest, ReadsNoStartFileAndWritesNoHistory) {
  const TemporaryDirectory home;
  for (const auto& [name, text] : StartFiles()) {
    const std::filesystem::path path(home.path() + "/" + name);
    std::filesystem::create_directories(path.parent_path());
    home.Write(name, text);
  }
  EnvironmentVariables variables;
  variables.Set("HOME", home.path());
  variables.Set("ZDOTDIR", home.path());
  variables.Set("XDG_CONFIG_HOME", home.path() + "/.config");
  for (const char* name : {"HISTFILE", "NODE_REPL_HISTORY", "GDBHISTFILE",
                           "SQLITE_HISTORY", "PYTHON_HISTORY"}) {
    variables.Set(name, home.path() + "/history");
  }
  const auto& [variable, value] = GetParam().start_file;
  if (!variable.empty()) variables.Set(variable, value);
  ReplDialect dialect = Dialect();
  dialect.command.working_directory = home.path();
  auto repl = Repl::Start(dialect, kNeverReached);
  ASSERT_THAT(repl, IsOk());

  auto reply = (*repl)->Eval(GetParam().print("4711"), kNeverReached);

  ASSERT_THAT(reply.status(), IsOk());
  EXPECT_EQ(reply->out, "4711\n" + GetParam().after);
  EXPECT_EQ(reply->err, "");
  EXPECT_THAT((*repl)->Close(), IsOk());
  EXPECT_EQ(FilesIn(home), StartFiles());
}

INSTANTIATE_TEST_SUITE_P(All, ReplyTest, testing::ValuesIn(ConformanceRows()),
                         RowName);

}  // namespace
}  // namespace asyncproc

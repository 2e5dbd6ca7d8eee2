// psql, with a server of the test's own where one is installed, and without a
// server.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli_testing.h"
#include "tests/database_servers.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::HasSubstr;

class PsqlTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    server_ = StartPostgres(&why);
    if (server_ == nullptr) GTEST_SKIP() << why;
    auto psql = Repl::Start(server_->Client());
    ASSERT_THAT(psql, IsOk());
    psql_ = *std::move(psql);
  }
  void TearDown() override {
    if (psql_ == nullptr) return;
    EXPECT_THAT(psql_->Close(kNeverReached),
                IsOkAndHolds(ExitStatus::Exited(0)));
  }

  Reply Eval(absl::string_view statement) {
    auto reply = psql_->Eval(statement, kNeverReached);
    EXPECT_THAT(reply, IsOk()) << statement;
    return reply.value_or(Reply());
  }

  std::unique_ptr<DatabaseServer> server_;
  std::unique_ptr<Repl> psql_;
};

// A server takes a second to start, so one test covers a whole session.
TEST_F(PsqlTest, AnswersStatementsAndKeepsTables) {
  const Reply sum = Eval("select 20+22");
  EXPECT_EQ(sum.out, "42\n");
  EXPECT_EQ(sum.status, 0);
  EXPECT_EQ(Eval("").out, "");

  // Characters that a terminal treats as commands.
  EXPECT_EQ(Eval("select 'a\tb\x04\x03'").out, "a\tb\x04\x03\n");

  Eval(
      "create table t(x int, y text);\ninsert into t values (1, 'a'), (2, '')");
  EXPECT_EQ(Eval("select * from t order by x;").out, "1|a\n2|\n");
  EXPECT_EQ(Eval("select 1;\nselect 2").out, "1\n2\n");
  EXPECT_EQ(Eval("\\echo hi").out, "hi\n");
  EXPECT_THAT(Eval("\\dt").out, HasSubstr("public|t|table|tester"));

  const Reply failed = Eval("select nope");
  EXPECT_THAT(failed.out, HasSubstr("column \"nope\" does not exist"));
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(Eval("\\echo fine").status, 0);
  EXPECT_EQ(Eval("select 1").status, 0);

  EXPECT_EQ(Eval("select 1 -- done;").out, "1\n");
  EXPECT_EQ(Eval("select 2 /* done; */").out, "2\n");
  const Reply commented = Eval("select nope; -- done");
  EXPECT_EQ(commented.status, 1) << commented.out;

  // Text that looks like an end does not end a reply, and a prompt in a value
  // is text.
  EXPECT_EQ(
      Eval("select ';', e'\\'(', $$ ' $$, /* /* ' */ ( */ 'postgres=# '").out,
      ";|'(| ' |postgres=# \n");
  // More than a page of a pager.
  EXPECT_THAT(Eval("select * from generate_series(1, 1000)").out,
              testing::EndsWith("\n999\n1000\n"));
}

TEST_F(PsqlTest, GoesOnAfterAStatementThatTookTooLongOrIsNotComplete) {
  EXPECT_THAT(psql_->Eval("select pg_sleep(1000)", kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(Eval("select 1").out, "1\n");

  for (const char* incomplete :
       {"select 'abc", "select \"a", "select $$ '", "/* /* */ select 1"}) {
    EXPECT_THAT(psql_->Eval(incomplete, kNeverReached),
                HasCode(absl::StatusCode::kInvalidArgument))
        << incomplete;
    EXPECT_EQ(Eval("select 2").out, "2\n");
  }
}

// The tool takes the lines of a statement together, as psql does.
TEST_F(PsqlTest, GetsWholeStatementsFromTheTool) {
  std::vector<std::string> words = {"repl", "--preset=psql", "--"};
  for (const std::string& word : server_->Arguments()) words.push_back(word);

  const ToolResult said = ResultOf(
      Tool(words),
      "\\echo a\n\\! echo it\\\\\\'s\n\\set x '\\''\n\\o | cat # \\\\'\n\\o\n"
      "create table u(a int,\nb text);\n"
      "create function f() returns int language sql\n"
      "begin atomic\nselect case when true then 1 end;\nselect 2;\nend;\n"
      "create rule r as on update to u do also (\ndelete from u;\nselect 1);\n"
      "select e'\\';\n', $x$;\n$$$x$, /* /* */ ; */\nf();\n"
      "select 3\n\\g\nselect 4 as x \\gset\n\\echo :x\nselect 5\n");

  EXPECT_EQ(
      said.out,
      ">>> \\echo a\na\n>>> \\! echo it\\\\\\'s\nit\\'s\n"
      ">>> \\set x '\\''\n>>> \\o | cat # \\\\'\n>>> \\o\n>>> create table "
      "u(a int,\n... b text);\n"
      ">>> create function f() returns int language sql\n"
      "... begin atomic\n... select case when true then 1 end;\n"
      "... select 2;\n... end;\n"
      ">>> create rule r as on update to u do also (\n"
      "... delete from u;\n... select 1);\n"
      ">>> select e'\\';\n... ', $x$;\n... $$$x$, /* /* */ ; */\n"
      "... f();\n';\n|;\n$$|2\n"
      ">>> select 3\n... \\g\n3\n"
      ">>> select 4 as x \\gset\n>>> \\echo :x\n4\n>>> select 5\n5\n");
  EXPECT_EQ(said.code, 0) << said.err;
}

TEST_F(PsqlTest, ReportsTheEndOfTheServer) {
  server_.reset();

  const auto reply = psql_->Eval("select 1", kNeverReached);
  psql_ = nullptr;

  EXPECT_THAT(reply, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(reply.status().message(),
              HasSubstr("server closed the connection"));
}

TEST(PsqlWithoutServerTest, FailsToStartWithItsLastWords) {
  auto psql = Repl::Start(PsqlDialect({"-h", "/no/such/folder"}));
  if (absl::IsNotFound(psql.status())) GTEST_SKIP() << psql.status();

  EXPECT_THAT(psql, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(psql.status().message(),
              HasSubstr("/no/such/folder/.s.PGSQL.5432"));
}

}  // namespace
}  // namespace asyncproc

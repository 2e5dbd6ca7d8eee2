// RedisDialect, with a real server.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/process.h"
#include "asyncproc/readiness.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

class RedisTest : public testing::Test {
 protected:
  void SetUp() override {
    // By its name alone: the whole path is too long for a socket.
    Command command({"redis-server", "--port", "0", "--unixsocket", "socket",
                     "--save", ""});
    // The server's program under the name that it has in redis-tools: the
    // package redis-server would start a server of the machine.
    command.executable = "redis-check-rdb";
    command.working_directory = directory_.path();
    auto server = Process::Spawn(command);
    if (absl::IsNotFound(server.status())) GTEST_SKIP() << server.status();
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    ASSERT_THAT(
        WaitUntilReady(*server_,
                       ReadyCondition::Line("(?i)ready to accept connections"),
                       kNeverReached),
        IsOk());
    ReplDialect dialect = RedisDialect({"-s", "socket"});
    dialect.command.working_directory = directory_.path();
    auto redis = Repl::Start(dialect, kNeverReached);
    ASSERT_THAT(redis, IsOk());
    redis_ = *std::move(redis);
  }

  std::string Eval(absl::string_view statement) {
    auto reply = redis_->Eval(statement, kNeverReached);
    EXPECT_THAT(reply, IsOk()) << statement;
    return reply.ok() ? reply->out : "";
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Process> server_;
  std::unique_ptr<Repl> redis_;
};

TEST_F(RedisTest, PairsEachCommandWithItsReply) {
  EXPECT_EQ(Eval("SET key \"two words\""), "OK\n");
  EXPECT_EQ(Eval("GET key"), "two words\n");
  EXPECT_EQ(Eval("RPUSH list a b c\nLRANGE list 0 -1"), "3\na\nb\nc\n");
  EXPECT_EQ(Eval(""), "");
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(Eval(absl::StrCat("ECHO ", i)), absl::StrCat(i, "\n"));
  }
}

TEST_F(RedisTest, GoesOnAfterAnError) {
  EXPECT_THAT(Eval("NONSENSE 1"), testing::HasSubstr("unknown command"));
  EXPECT_NE(Eval("ECHO \"unbalanced"), "");
  EXPECT_EQ(Eval("ECHO 4711"), "4711\n");
}

TEST_F(RedisTest, SaysThatACommandThatBlocksCostsTheSession) {
  auto reply = redis_->Eval("BLPOP nothing 0", kShort);

  EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(reply.status().message(),
              testing::HasSubstr("the session is lost"));
}

}  // namespace
}  // namespace asyncproc

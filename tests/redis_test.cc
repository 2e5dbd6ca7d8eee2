// RedisDialect, with a real server.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/repl.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/database_servers.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

class RedisTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    server_ = StartRedis(&why);
    if (server_ == nullptr) GTEST_SKIP() << why;
    auto redis = Repl::Start(server_->Client(), kNeverReached);
    ASSERT_THAT(redis, IsOk());
    redis_ = *std::move(redis);
  }

  std::string Eval(absl::string_view statement) {
    auto reply = redis_->Eval(statement, kNeverReached);
    EXPECT_THAT(reply, IsOk()) << statement;
    return reply.ok() ? reply->out : "";
  }

  std::unique_ptr<DatabaseServer> server_;
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

TEST_F(RedisTest, ReportsThatACommandThatBlocksCostsTheSession) {
  auto reply = redis_->Eval("BLPOP nothing 0", kShort);

  EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(reply.status().message(),
              testing::HasSubstr("the session is lost"));
}

}  // namespace
}  // namespace asyncproc

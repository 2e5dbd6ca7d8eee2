// A server in a test: each of these tests has a web server of its own, which is
// ready when the test begins, and ended when it is over.

#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "asyncproc/readiness.h"
#include "asyncproc/testing/matchers.h"
#include "asyncproc/testing/server_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/examples/loopback.h"

namespace {

using ::testing::HasSubstr;

class HttpServerTest : public asyncproc::ServerFixture {
 protected:
  HttpServerTest() {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/greeting.txt") << "hello, world\n";
  }
  ~HttpServerTest() override { std::filesystem::remove_all(folder_); }

  asyncproc::ServerSpec MakeServer(int port) override {
    return {asyncproc::Command({"python3", "-m", "http.server", "--bind",
                                "127.0.0.1", "--directory", folder_,
                                absl::StrCat(port)}),
            asyncproc::ReadyCondition::TcpPort("127.0.0.1", port)};
  }

 private:
  const std::string folder_ = absl::StrCat(
      testing::TempDir(), "/",
      testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(HttpServerTest, ServesAFile) {
  const auto page = HttpGet(port(), "/greeting.txt");

  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(*page, HasSubstr("hello, world\n"));
  EXPECT_THAT(server(), asyncproc::SaysLine(
                            HasSubstr("\"GET /greeting.txt HTTP/1.0\" 200")));
}

TEST_F(HttpServerTest, LogsWhatItDoesNotHave) {
  const auto page = HttpGet(port(), "/nothing.txt");

  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(*page, HasSubstr("404"));
  EXPECT_THAT(server(), asyncproc::SaysLine(HasSubstr("File not found")));
}

TEST_F(HttpServerTest, EndsWhenItIsInterrupted) {
  ASSERT_TRUE(server().Signal(SIGINT).ok());

  EXPECT_THAT(server(), asyncproc::ExitsWith(0));
  EXPECT_TRUE(StopServer().ok());  // It has ended, and may.
}

}  // namespace

// A server in a test of another project.

#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "asyncproc/readiness.h"
#include "asyncproc/testing/matchers.h"
#include "asyncproc/testing/server_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace {

class WebServerTest : public asyncproc::ServerFixture {
  asyncproc::ServerSpec MakeServer(int port) override {
    return {asyncproc::Command(
                {"python3", "-u", "-m", "http.server", absl::StrCat(port)}),
            asyncproc::ReadyCondition::TcpPort("127.0.0.1", port)};
  }
};

TEST_F(WebServerTest, ServesAtTheFreePort) {
  EXPECT_THAT(server(),
              asyncproc::SaysLine(testing::HasSubstr(absl::StrCat(port()))));
}

}  // namespace

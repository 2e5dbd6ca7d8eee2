// The programs in tools/examples/loops, which run children in the event loops
// of other libraries. A program without its library is skipped.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::UnorderedElementsAre;

constexpr int kNotInstalled = 77;

class HostLoopExamplesTest : public testing::TestWithParam<const char*> {};

TEST_P(HostLoopExamplesTest, RunsChildrenInTheLoopOfTheLibrary) {
  RunOptions options;
  options.timeout = kNeverReached;
  auto result = asyncproc::Run(
      Command({absl::StrCat("tools/examples/loops/", GetParam())}), options);
  ASSERT_THAT(result, IsOk());
  if (result->status == ExitStatus::Exited(kNotInstalled)) {
    GTEST_SKIP() << std::string(result->err);
  }

  EXPECT_EQ(result->status, ExitStatus::Exited(0)) << std::string(result->err);
  const std::string out(result->out);
  EXPECT_THAT(
      std::vector<std::string>(absl::StrSplit(out, '\n')),
      UnorderedElementsAre("sum: '42', exited with status 0",
                           "upper: 'WORD', exited with status 0",
                           "fails: '', exited with status 1",
                           "hangs: '', killed by SIGTERM",
                           "the loop did other work meanwhile", "Poll: OK", ""))
      << out;
}

INSTANTIATE_TEST_SUITE_P(Loops, HostLoopExamplesTest,
                         testing::Values("asio", "epoll", "glib", "libuv"),
                         [](const testing::TestParamInfo<const char*>& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace asyncproc

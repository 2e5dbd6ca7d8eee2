// The tests of starting a child, under valgrind, which silently turns each
// clone into a fork, and has no pidfd_open (3.19).

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

// A hundred times the duration of the test on an idle machine.
constexpr absl::Duration kTimeout = absl::Minutes(4);

TEST(ValgrindTest, FindsNothingInAProgramThatStartsChildren) {
  if (kSlowness > 1) GTEST_SKIP() << "valgrind cannot run what sanitizers made";
  // Excludes a test of exec itself, which fails differently under valgrind.
  Command command =
      Command({std::filesystem::current_path().string() +
                   "/tests/spawn_fallback_test",
               "--gtest_filter=*/Linux:*/TakesFork-*TriesABusyProgram*"})
          .Via({"valgrind", "--quiet", "--error-exitcode=99",
                "--child-silent-after-fork=yes"});
  RunOptions options;
  options.timeout = kTimeout;
  command.err = Stdio::ToStdout();
  // The report file belongs to this test.
  command.env.Unset("XML_OUTPUT_FILE");

  const auto result = asyncproc::Run(command, options);

  if (absl::IsNotFound(result.status())) {
    GTEST_SKIP() << "there is no valgrind: install it to run this test";
  }
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(0)) << result->out;
  EXPECT_THAT(std::string(result->out), testing::HasSubstr("[  PASSED  ]"));
}

}  // namespace
}  // namespace asyncproc

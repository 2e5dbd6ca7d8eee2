// The tests of starting a child, in a program under qemu-user, as when images
// for another architecture are built. There, clone accepts only the flags that
// Linux uses itself, a vfork is a fork, and close_range is missing.

#include <sys/utsname.h>

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

// Loading a program takes 20 ms instead of one.
constexpr absl::Duration kTimeout = absl::Minutes(4);

// Runs `test` of this folder in qemu, with the tests that `filter` selects.
void ExpectToPass(const std::string& test, const std::string& filter) {
  utsname system;
  ASSERT_EQ(uname(&system), 0);
  Command command({absl::StrCat("qemu-", system.machine),
                   std::filesystem::current_path().string() + "/tests/" + test,
                   absl::StrCat("--gtest_filter=", filter)});
  // The report file belongs to this test.
  command.env.Unset("XML_OUTPUT_FILE");
  command.err = Stdio::ToStdout();
  RunOptions options;
  options.timeout = kTimeout;

  if (kSlowness > 1)
    GTEST_SKIP() << "qemu-user cannot run what sanitizers made";
  const auto result = asyncproc::Run(command, options);

  if (absl::IsNotFound(result.status())) {
    GTEST_SKIP() << "there is no " << command.argv[0]
                 << ": install qemu-user to run this test";
  }
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(0)) << std::string(result->out);
  EXPECT_THAT(std::string(result->out), testing::HasSubstr("[  PASSED  ]"));
}

TEST(QemuTest, StartsChildren) {
  // Excludes a test that counts clone calls, and the tests with many starts.
  ExpectToPass("spawn_test",
               "-BusyProgramTest.IsTriedAgain:*AThousandFailures:"
               "*AHundredFailures:*AnotherThreadsChild");
}

TEST(QemuTest, StartsChildrenInEachWay) {
  ExpectToPass("spawn_fallback_test", "*/MakesForkOfVfork:*/Linux");
}

}  // namespace
}  // namespace asyncproc

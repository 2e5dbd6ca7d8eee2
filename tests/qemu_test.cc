// The tests of starting a child, in a program that qemu-user emulates, as where
// images for another architecture are built: there clone takes no flags that
// Linux does not use itself, a vfork is a fork, and close_range is missing.

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

// A program is loaded in 20 ms rather than one.
constexpr absl::Duration kTimeout = absl::Minutes(4);

// Runs `test` of this folder in qemu, but for those that `filter` leaves out.
void ExpectToPass(const std::string& test, const std::string& filter) {
  utsname system;
  ASSERT_EQ(uname(&system), 0);
  Command command({absl::StrCat("qemu-", system.machine),
                   std::filesystem::current_path().string() + "/tests/" + test,
                   absl::StrCat("--gtest_filter=", filter)});
  // The report is that of this test.
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
  // Without a test that counts calls of clone, and those that start a thousand.
  ExpectToPass("spawn_test",
               "-BusyProgramTest.IsTriedAgain:*AThousandFailures:"
               "*AHundredFailures:*AnotherThreadsChild");
}

TEST(QemuTest, StartsChildrenInEachWay) {
  ExpectToPass("spawn_fallback_test", "*/MakesForkOfVfork:*/Linux");
}

}  // namespace
}  // namespace asyncproc

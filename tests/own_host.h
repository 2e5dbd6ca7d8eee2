#ifndef ASYNCPROC_TESTS_OWN_HOST_H_
#define ASYNCPROC_TESTS_OWN_HOST_H_

#include <stdio.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace asyncproc {

// Prints the failures of this test to stderr, where the parent process looks;
// GoogleTest prints none in a death test. Returns the exit code.
inline int ReportOwnHost() {
  const testing::TestResult& result =
      *testing::UnitTest::GetInstance()->current_test_info()->result();
  for (int i = 0; i < result.total_part_count(); ++i) {
    const testing::TestPartResult& part = result.GetTestPartResult(i);
    if (part.passed()) continue;
    fprintf(stderr, "%s:%d: %s\n", part.file_name(), part.line_number(),
            part.message());
  }
  fflush(nullptr);
  return result.Passed() ? 0 : 1;
}

}  // namespace asyncproc

// Runs `...`, a lambda without arguments, in a process of its own, and expects
// that its expectations hold: for tests that change their process, such as by
// ignoring SIGCHLD, which must not affect the host of the other tests. The new
// process runs this test from its start up to this line.
#define EXPECT_HOLDS_IN_OWN_HOST(...)             \
  GTEST_FLAG_SET(death_test_style, "threadsafe"); \
  EXPECT_EXIT(                                    \
      {                                           \
        (__VA_ARGS__)();                          \
        _exit(asyncproc::ReportOwnHost());        \
      },                                          \
      testing::ExitedWithCode(0), "")

#endif  // ASYNCPROC_TESTS_OWN_HOST_H_

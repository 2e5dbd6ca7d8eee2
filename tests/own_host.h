#ifndef ASYNCPROC_TESTS_OWN_HOST_H_
#define ASYNCPROC_TESTS_OWN_HOST_H_

#include <stdio.h>
#include <unistd.h>

#include "gtest/gtest.h"

// Runs `...`, a lambda without arguments, in a process of its own, and expects
// that nothing that it expects fails there: for what a test must not do to the
// host of all the others, such as to ignore SIGCHLD. That process runs this
// test from its start, up to here.
#define EXPECT_HOLDS_IN_OWN_HOST(...)               \
  GTEST_FLAG_SET(death_test_style, "threadsafe");   \
  EXPECT_EXIT(                                      \
      {                                             \
        (__VA_ARGS__)();                            \
        fflush(nullptr);                            \
        _exit(testing::Test::HasFailure() ? 1 : 0); \
      },                                            \
      testing::ExitedWithCode(0), "")

#endif  // ASYNCPROC_TESTS_OWN_HOST_H_

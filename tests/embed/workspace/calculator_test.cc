// A project that has asyncproc as a dependency, and no other part of it.

#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "gtest/gtest.h"

TEST(CalculatorTest, AnotherProjectDrivesBc) {
  asyncproc::Command command({"bc", "-q"});
  auto process = asyncproc::Process::Spawn(command);
  ASSERT_TRUE(process.ok()) << process.status();

  ASSERT_TRUE((*process)->Write("6*7\n").ok());
  auto answer = (*process)->out().ReadLine(absl::Minutes(1));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "42");

  ASSERT_TRUE((*process)->CloseStdin().ok());
  auto status = (*process)->Wait();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(status->ok()) << *status;
}

#include "tools/asyncproc/pool/halt_policy.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

TEST(HaltPolicyTest, KnowsWhenItIsReached) {
  auto policy = HaltPolicy::Parse("soon,fail=2");
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->when, HaltPolicy::When::kSoon);
  EXPECT_FALSE(policy->Reached(1, 5, 1000));
  EXPECT_TRUE(policy->Reached(2, 0, 1000));

  policy = HaltPolicy::Parse("now,success=1");
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->when, HaltPolicy::When::kNow);
  EXPECT_FALSE(policy->Reached(9, 0, 1000));
  EXPECT_TRUE(policy->Reached(0, 1, 1000));

  policy = HaltPolicy::Parse("now,done=3");
  ASSERT_THAT(policy, IsOk());
  EXPECT_FALSE(policy->Reached(1, 1, 1000));
  EXPECT_TRUE(policy->Reached(1, 2, 1000));

  policy = HaltPolicy::Parse("never");
  ASSERT_THAT(policy, IsOk());
  EXPECT_FALSE(policy->Reached(100, 100, 1000));
}

TEST(HaltPolicyTest, TakesAPercentageOfAllJobsFromTheThirdOn) {
  const auto policy = HaltPolicy::Parse("now,fail=30%");
  ASSERT_THAT(policy, IsOk());

  EXPECT_FALSE(policy->Reached(2, 0, 2));
  EXPECT_FALSE(policy->Reached(29, 71, 100));
  EXPECT_TRUE(policy->Reached(30, 0, 100));
  EXPECT_TRUE(policy->Reached(3, 0, 10));
}

TEST(HaltPolicyTest, IsNothingElse) {
  for (const std::string text :
       {"", "now", "fail=1", "now,fail", "now,fail=0", "now,fail=x",
        "later,fail=1", "now,fail=101%", "now,fail=%", "now,fail=1,"}) {
    EXPECT_THAT(HaltPolicy::Parse(text),
                HasCode(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace asyncproc::cli

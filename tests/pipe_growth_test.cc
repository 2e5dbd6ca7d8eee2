#include <fcntl.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "asyncproc/internal/os/pipe.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

constexpr int kLarge = 1024 * 1024;

class PipeGrowthTest : public testing::Test {
 protected:
  // Tries to grow one pipe more than the limit. Returns the number of grown
  // pipes.
  int GrowOneTooMany() {
    for (int i = 0; i <= PipeGrowth::kMostGrownPipes; ++i) {
      absl::StatusOr<Pipe> pipe = MakePipe();
      EXPECT_THAT(pipe, IsOk());
      pipes_.push_back(*std::move(pipe));
      growths_.push_back(std::make_unique<PipeGrowth>());
      growths_.back()->Grow(pipes_.back().write_end.get());
    }
    int large = 0;
    for (const Pipe& pipe : pipes_) {
      if (fcntl(pipe.write_end.get(), F_GETPIPE_SZ) >= kLarge) ++large;
    }
    return large;
  }

  std::vector<Pipe> pipes_;
  std::vector<std::unique_ptr<PipeGrowth>> growths_;
};

TEST_F(PipeGrowthTest, LeavesTheLimitOfTheUserToOtherPrograms) {
  EXPECT_LE(GrowOneTooMany(), PipeGrowth::kMostGrownPipes);
}

TEST_F(PipeGrowthTest, CountsOnlyPipesThatAreOpen) {
  const int large = GrowOneTooMany();
  if (large == 0) GTEST_SKIP() << "the kernel refuses large pipes here";
  growths_.clear();
  pipes_.clear();

  EXPECT_EQ(GrowOneTooMany(), large);
}

}  // namespace
}  // namespace asyncproc::internal

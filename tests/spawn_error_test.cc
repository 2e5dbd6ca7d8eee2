#include "asyncproc/spawn_error.h"

#include <errno.h>

#include <set>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace asyncproc {
namespace {

TEST(SpawnErrorTest, ComesBackFromAStatus) {
  absl::Status status = absl::NotFoundError("no such file");

  SetSpawnFailure({SpawnStage::kExec, ENOENT}, &status);

  const auto failure = GetSpawnFailure(status);
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->stage, SpawnStage::kExec);
  EXPECT_EQ(failure->error_number, ENOENT);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no such file");
}

TEST(SpawnErrorTest, IsNotInAnyOtherStatus) {
  EXPECT_FALSE(GetSpawnFailure(absl::OkStatus()).has_value());
  EXPECT_FALSE(GetSpawnFailure(absl::NotFoundError("")).has_value());
}

TEST(SpawnErrorTest, IsNotReadFromAnythingElse) {
  for (const absl::string_view text : {"", "1", "x y", "1 x", " "}) {
    absl::Status status = absl::InternalError("");
    status.SetPayload("asyncproc/SpawnFailure", absl::Cord(text));

    EXPECT_FALSE(GetSpawnFailure(status).has_value()) << text;
  }
}

TEST(SpawnStageTest, HasAWordOfItsOwnForEach) {
  std::set<absl::string_view> names;
  const int last = static_cast<int>(SpawnStage::kExec);

  for (int i = 0; i <= last; ++i) {
    names.insert(SpawnStageName(static_cast<SpawnStage>(i)));
  }

  EXPECT_EQ(names.size(), last + 1);
  EXPECT_THAT(names, testing::Not(testing::Contains("unknown")));
  EXPECT_EQ(SpawnStageName(static_cast<SpawnStage>(last + 1)), "unknown");
}

TEST(SpawnStageTest, PrintsItself) {
  std::ostringstream stream;
  stream << SpawnStage::kDirectory;
  EXPECT_EQ(stream.str(), "chdir");
}

}  // namespace
}  // namespace asyncproc

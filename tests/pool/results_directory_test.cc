#include "tools/asyncproc/pool/results_directory.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

TEST(ResultsDirectoryTest, PutsFilesWhereGnuParallelDoes) {
  const TemporaryDirectory directory;
  auto results = ResultsDirectory::Create(directory.path() + "/a/results");
  ASSERT_THAT(results, IsOk());

  auto files = results->Open(7, {"x y", "b/c"});
  ASSERT_THAT(files, IsOk());
  ASSERT_EQ(write(files->out.fd(), "out", 3), 3);
  ASSERT_EQ(write(files->err.fd(), "err", 3), 3);

  EXPECT_EQ(directory.Read("a/results/1/x y/2/b\\_c/stdout"), "out");
  EXPECT_EQ(directory.Read("a/results/1/x y/2/b\\_c/stderr"), "err");
  EXPECT_EQ(directory.Read("a/results/1/x y/2/b\\_c/seq"), "7");
}

TEST(ResultsDirectoryTest, EmptiesTheFilesOfAnEarlierTry) {
  const TemporaryDirectory directory;
  auto results = ResultsDirectory::Create(directory.path());
  ASSERT_THAT(results, IsOk());
  {
    auto files = results->Open(1, {"a"});
    ASSERT_THAT(files, IsOk());
    ASSERT_EQ(write(files->out.fd(), "first", 5), 5);
  }

  ASSERT_THAT(results->Open(1, {"a"}), IsOk());

  EXPECT_EQ(directory.Read("1/a/stdout"), "");
}

TEST(ResultsDirectoryTest, DistinguishesJobsOfTheSameValuesApart) {
  const TemporaryDirectory directory;
  auto results = ResultsDirectory::Create(directory.path());
  ASSERT_THAT(results, IsOk());

  EXPECT_EQ(results->PathFor(1, {"a"}), directory.path() + "/1/a");
  EXPECT_EQ(results->PathFor(2, {"a"}), directory.path() + "/1/a\\~2");
  EXPECT_EQ(results->PathFor(1, {"a"}), directory.path() + "/1/a");
}

TEST(ResultsDirectoryTest, HasANameForAnyValue) {
  EXPECT_EQ(ResultName("plain"), "plain");
  EXPECT_EQ(ResultName(""), "\\e");
  EXPECT_EQ(ResultName("."), "\\.");
  EXPECT_EQ(ResultName(".."), "\\..");
  EXPECT_EQ(ResultName("a/b\\c\td"), "a\\_b\\\\c\\td");
  const std::string longest(300, '/');
  EXPECT_LT(ResultName(longest).size(), 240);
  EXPECT_NE(ResultName(longest), ResultName(longest + "x"));
  const TemporaryDirectory directory;
  auto results = ResultsDirectory::Create(directory.path());
  ASSERT_THAT(results, IsOk());
  EXPECT_THAT(results->Open(1, {"", ".", "..", longest, "../../x", "a\nb"}),
              IsOk());
}

TEST(ResultsDirectoryTest, ReportsAnObstacle) {
  const TemporaryDirectory directory;
  directory.Write("file", "");

  EXPECT_FALSE(ResultsDirectory::Create(directory.path() + "/file/x").ok());
}

}  // namespace
}  // namespace asyncproc::cli

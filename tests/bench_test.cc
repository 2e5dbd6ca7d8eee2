// The benchmarks and the scripts that compare them work. Their speed is not
// tested here.

#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

std::string Here(absl::string_view path) {
  return absl::StrCat(std::filesystem::current_path().string(), "/tools/bench/",
                      path);
}

// `check`: the program must succeed.
std::string Output(Command command, bool check = true) {
  // Python must not write compiled files beside the sources.
  command.env.Set("PYTHONDONTWRITEBYTECODE", "1");
  RunOptions options;
  options.timeout = kSlowness * kNeverReached;
  options.check = check;
  auto result = Run(std::move(command), options);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? std::string(result->out) : "";
}

TEST(BenchTest, EveryWorkOfTheTableIsMeasured) {
  const TemporaryDirectory folder;
  const std::string json = absl::StrCat(folder.path(), "/figures.json");
  const std::string svg = absl::StrCat(folder.path(), "/figures.svg");

  const std::string table =
      Output({Here("compare"), absl::StrCat("--bin=", Here("")), "--rounds=2",
              "--divide=10000", "--min-time=0.001", "--no-peers",
              absl::StrCat("--json=", json), absl::StrCat("--svg=", svg)});

  EXPECT_THAT(table, StartsWith("| work "));
  const auto figures = nlohmann::json::parse(folder.Read("figures.json"));
  EXPECT_GE(figures["works"].size(), 10u);
  for (const auto& work : figures["works"]) {
    EXPECT_FALSE(work["value"].is_null()) << work["work"]["name"];
    EXPECT_THAT(table, HasSubstr(work["work"]["title"].get<std::string>()));
  }
  EXPECT_THAT(folder.Read("figures.svg"), StartsWith("<svg "));
}

TEST(BenchTest, PythonDoesTheSameWorks) {
  const auto figures = nlohmann::json::parse(
      Output({"python3", Here("peers/scripts"),
              absl::StrCat("--children=", Here("children")), "--divide=10000",
              "--benchmark_min_time=0.001", "--benchmark_filter=/python$"}));

  EXPECT_GE(figures["benchmarks"].size(), 8u);
  for (const auto& figure : figures["benchmarks"]) {
    EXPECT_GT(figure["real_time"].get<double>(), 0) << figure["name"];
  }
}

// Without g++: Abseil's headers are not beside the test.
TEST(BenchTest, SizesOfProgramsAreCompared) {
  // The exit status says whether the bar is met, which is not tested.
  const std::string sizes = Output(
      {Here("embed_cost"), "--no-parse", absl::StrCat("--bin=", Here("embed"))},
      /*check=*/false);

  EXPECT_THAT(sizes, MatchesRegex("size with Process: [0-9]+ KiB, .*\n"));
}

TEST(BenchTest, RatiosAreCalculatedAsTheyShouldBe) {
  Output({"python3", Here("ratios_test.py")});
}

}  // namespace
}  // namespace asyncproc

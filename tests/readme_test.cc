// The example on the first page of the README, compiled and run, and the
// projects there, which tests/embed/run builds.

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace {

using ::testing::HasSubstr;

// README: begin
absl::StatusOr<std::string> Calculate(absl::string_view sum) {
  auto bc = asyncproc::Process::Spawn(asyncproc::Command({"bc", "-q"}));
  if (!bc.ok()) return bc.status();  // Says what was searched for, and where.
  absl::Status status = (*bc)->Write(absl::StrCat(sum, "\n"));  // Never blocks.
  if (!status.ok()) return status;
  auto answer = (*bc)->out().ReadLine(absl::Seconds(5));
  if (!answer.ok()) return answer.status();  // Says what came instead.
  auto end = (*bc)->Terminate();  // End-of-file first; signals if need be.
  if (!end.ok()) return end.status();
  std::cerr << "bc: " << *end << "\n";  // bc: exit status 0
  return *answer;                       // Calculate("6*7"): "42"
}
// README: end

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return absl::StrSplit(text, '\n');
}

// The lines between the one that is `begin` and the next that is `end`.
std::string Between(const std::vector<std::string>& lines,
                    absl::string_view begin, absl::string_view end) {
  std::vector<absl::string_view> found;
  bool inside = false;
  for (absl::string_view line : lines) {
    if (inside && line == end) return absl::StrJoin(found, "\n");
    if (inside) found.push_back(line);
    if (line == begin) inside = true;
  }
  return "";
}

TEST(ReadmeTest, TheExampleDoesWhatItSays) {
  testing::internal::CaptureStderr();

  const auto answer = Calculate("6*7");

  EXPECT_EQ(testing::internal::GetCapturedStderr(), "bc: exit status 0\n");
  EXPECT_THAT(answer, asyncproc::IsOkAndHolds("42"));
}

TEST(ReadmeTest, HasTheExampleThatIsCompiled) {
  const std::string code = Between(Lines("tests/readme_test.cc"),
                                   "// README: begin", "// README: end");
  ASSERT_NE(code, "");

  // It is the first code in C++ there.
  EXPECT_EQ(Between(Lines("README.md"), "```cpp", "```"), code);
}

// A project's file, with asyncproc in the folder that the README names.
std::string ProjectFile(const std::string& path) {
  return absl::StrReplaceAll(absl::StrJoin(Lines("tests/embed/" + path), "\n"),
                             {{"../../..", "third_party/asyncproc"}});
}

TEST(ReadmeTest, HasTheProjectsThatAreTested) {
  const std::string readme = absl::StrJoin(Lines("README.md"), "\n");

  for (const char* path : {"module/.bazelignore", "module/.bazelrc",
                           "module/MODULE.bazel", "workspace/.bazelignore",
                           "workspace/.bazelrc", "workspace/WORKSPACE"}) {
    const std::string text = ProjectFile(path);
    ASSERT_NE(text, "") << path;
    EXPECT_THAT(readme, HasSubstr("\n" + text + "```\n")) << path;
  }
  // The first target of the build file, which both projects share.
  const std::string build = ProjectFile("workspace/BUILD.bazel");
  EXPECT_EQ(ProjectFile("module/BUILD.bazel"), build);
  EXPECT_THAT(
      readme,
      HasSubstr("\n" + build.substr(0, build.find("\n)\n") + 3) + "```\n"));
}

}  // namespace

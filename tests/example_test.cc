// The example on the first page of the README, compiled and run.

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace {

absl::StatusOr<asyncproc::ExitStatus> Calculate() {
  // README: begin
  auto bc = asyncproc::Process::Spawn({"bc", "-q"});
  if (!bc.ok()) return bc.status();  // Says what failed, and on which path.

  absl::Status written = (*bc)->Write("6 * 7\n");  // Never blocks.
  if (!written.ok()) return written;

  auto answer = (*bc)->out().ReadLine(absl::Seconds(5));  // Never longer.
  if (!answer.ok()) return answer.status();
  std::cout << *answer << "\n";  // 42

  return (*bc)->Terminate();  // End-of-file, SIGTERM, SIGKILL: what it takes.
  // README: end
}

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return absl::StrSplit(text, '\n');
}

// The lines between the one that is `begin` and the next that is `end`, without
// the indentation that the first of them has.
std::string Between(const std::vector<std::string>& lines,
                    absl::string_view begin, absl::string_view end) {
  std::vector<absl::string_view> found;
  bool inside = false;
  for (absl::string_view line : lines) {
    const absl::string_view stripped = absl::StripAsciiWhitespace(line);
    if (inside && stripped == end) break;
    if (inside) found.push_back(line);
    if (stripped == begin) inside = true;
  }
  if (found.empty()) return "";
  const size_t indentation = found[0].find_first_not_of(' ');
  const std::string spaces(indentation, ' ');
  for (absl::string_view& line : found) {
    line = absl::StripPrefix(line, spaces);
  }
  return absl::StrJoin(found, "\n");
}

TEST(ExampleTest, DoesWhatItSays) {
  testing::internal::CaptureStdout();

  const auto status = Calculate();

  EXPECT_EQ(testing::internal::GetCapturedStdout(), "42\n");
  EXPECT_THAT(status,
              asyncproc::IsOkAndHolds(asyncproc::ExitStatus::Exited(0)));
}

TEST(ExampleTest, IsTheOneInTheReadme) {
  const std::string code = Between(Lines("tests/example_test.cc"),
                                   "// README: begin", "// README: end");
  ASSERT_NE(code, "");
  const std::vector<std::string> readme = Lines("README.md");
  if (readme.size() <= 1) GTEST_SKIP() << "there is no README.md yet";

  // It is the first code in C++ there.
  EXPECT_EQ(Between(readme, "```cpp", "```"), code);
}

}  // namespace

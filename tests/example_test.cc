// The example on the first page of the README, and that of replay_process.h,
// compiled and run.

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/command.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace {

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

// What is indented in the first comment of a header that has such lines.
std::string InComment(const std::vector<std::string>& lines) {
  std::vector<absl::string_view> found;
  for (absl::string_view line : lines) {
    if (absl::ConsumePrefix(&line, "//   ")) {
      found.push_back(line);
    } else if (!found.empty()) {
      break;
    }
  }
  return absl::StrJoin(found, "\n");
}

// As the body of a function has them.
std::string Indented(absl::string_view code) {
  std::vector<std::string> lines = absl::StrSplit(code, '\n');
  for (std::string& line : lines) line.insert(0, "  ");
  return absl::StrJoin(lines, "\n");
}

TEST(ExampleTest, DoesWhatItSays) {
  testing::internal::CaptureStderr();

  const auto answer = Calculate("6*7");

  EXPECT_EQ(testing::internal::GetCapturedStderr(), "bc: exit status 0\n");
  EXPECT_THAT(answer, asyncproc::IsOkAndHolds("42"));
}

TEST(ExampleTest, IsTheOneInTheReadme) {
  const std::string code = Between(Lines("tests/example_test.cc"),
                                   "// README: begin", "// README: end");
  ASSERT_NE(code, "");

  // It is the first code in C++ there.
  EXPECT_EQ(Between(Lines("README.md"), "```cpp", "```"), code);
}

// What the example is a test of.
absl::Status Login(asyncproc::Child& router) {
  asyncproc::Expect expect(&router);
  const std::pair<std::string, std::string> dialog[] = {
      {"login: ", "admin\n"}, {"Password: ", "secret\n"}};
  for (const auto& [prompt, answer] : dialog) {
    auto seen = expect.Await(asyncproc::Pattern::Literal(prompt),
                             asyncproc::kNeverReached);
    if (!seen.ok()) return seen.status();
    absl::Status status = router.Write(answer);
    if (!status.ok()) return status;
  }
  return expect
      .Await(asyncproc::Pattern::Literal("> "), asyncproc::kNeverReached)
      .status();
}

TEST(ReplayExampleTest, DoesWhatItSays) {
  // replay_process.h: begin
  auto transcript = asyncproc::Transcript::Load("tests/data/login.jsonl");
  ASSERT_TRUE(transcript.ok()) << transcript.status();
  auto router = asyncproc::ReplayProcess::Start(*transcript);
  ASSERT_TRUE(router.ok()) << router.status();
  EXPECT_TRUE(Login(**router).ok());  // It takes an asyncproc::Child&.
  EXPECT_TRUE((*router)->CheckComplete().ok());
  // replay_process.h: end
}

TEST(ReplayExampleTest, IsTheOneInTheHeader) {
  const std::string code =
      Between(Lines("tests/example_test.cc"), "  // replay_process.h: begin",
              "  // replay_process.h: end");
  ASSERT_NE(code, "");

  EXPECT_EQ(Indented(InComment(Lines("asyncproc/testing/replay_process.h"))),
            code);
}

}  // namespace

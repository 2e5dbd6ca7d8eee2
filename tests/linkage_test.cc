// The dependencies of a user's program, for the headers that it includes.

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The names of all functions and variables that the linker put into `program`.
std::string SymbolsOf(const std::string& program) {
  return OutputOf(Command({"nm", "--demangle", program}));
}

// The labels of all targets that the target `name` depends on.
std::string DependenciesOf(absl::string_view name) {
  std::ifstream file("tests/dependencies_of_" + std::string(name));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(LinkageTest, AProgramWithProcessLinksNeitherRe2NorJson) {
  EXPECT_EQ(OutputOf(Command({Helper("hello")})), "hello\n");

  EXPECT_THAT(SymbolsOf(Helper("hello")),
              AllOf(HasSubstr("asyncproc::Process::Spawn"),
                    Not(HasSubstr("re2::")), Not(HasSubstr("nlohmann::"))));
}

TEST(LinkageTest, AProgramWithExpectAndRecordingsLinksBoth) {
  EXPECT_THAT(SymbolsOf("tools/asyncproc/asyncproc"),
              AllOf(HasSubstr("re2::"), HasSubstr("nlohmann::")));
}

TEST(LinkageTest, ProcessDoesNotFetchRe2OrJson) {
  EXPECT_THAT(DependenciesOf("process"),
              AllOf(HasSubstr("//asyncproc:process\n"), HasSubstr("absl"),
                    Not(HasSubstr("re2")), Not(HasSubstr("nlohmann"))));
}

TEST(LinkageTest, ExpectFetchesRe2) {
  EXPECT_THAT(DependenciesOf("expect"), HasSubstr("re2"));
}

}  // namespace
}  // namespace asyncproc

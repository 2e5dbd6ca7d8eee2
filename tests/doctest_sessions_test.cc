// Third-party sessions: the doctests of Python's standard library, as sessions
// of asyncproc repl.

#include <filesystem>
#include <string>

#include "asyncproc/command.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

TEST(DoctestSessionsTest, GoThroughTheReplWithTheRepliesThatTheyExpect) {
  TemporaryDirectory directory;
  Command extract({"python3", "tests/doctest_sessions.py", directory.path()});
  extract.err = Stdio::Null();
  ASSERT_GE(std::stoi(OutputOf(extract)), 500);

  for (const auto& session :
       std::filesystem::directory_iterator(directory.path())) {
    RunOptions options;
    options.timeout = kNeverReached;
    auto result = asyncproc::Run(
        Command({"tools/asyncproc/asyncproc", "repl", "--preset", "python3",
                 "--check", "--file", session.path().string()}),
        options);

    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->status.ShellCode(), 0)
        << session.path() << "\n"
        << std::string(result->out) << std::string(result->err);
  }
}

}  // namespace
}  // namespace asyncproc

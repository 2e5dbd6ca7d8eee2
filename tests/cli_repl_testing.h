#ifndef ASYNCPROC_TESTS_CLI_REPL_TESTING_H_
#define ASYNCPROC_TESTS_CLI_REPL_TESTING_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {

// Helpers of the tests of asyncproc repl.

inline Command Tool(std::vector<std::string> arguments) {
  std::vector<std::string> argv = {
      absl::StrCat(std::filesystem::current_path().string(),
                   "/tools/asyncproc/asyncproc"),
      "repl"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return Command(std::move(argv));
}

struct Said {
  std::string out;
  std::string err;
  int code = -1;
};

inline Said Repl(std::vector<std::string> arguments, absl::string_view input) {
  RunOptions options;
  options.timeout = kNeverReached;
  options.input = std::string(input);
  auto result = asyncproc::Run(Tool(std::move(arguments)), options);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return {};
  return {std::string(result->out), std::string(result->err),
          result->status.ShellCode()};
}

// The output before `text`, which the tool is to write.
inline std::string ReadUntil(Process& tool, absl::string_view text) {
  auto before = tool.out().ReadUntil(text, kNeverReached);
  EXPECT_THAT(before, IsOk());
  return before.value_or("");
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_CLI_REPL_TESTING_H_

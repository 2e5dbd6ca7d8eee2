#ifndef ASYNCPROC_TESTS_CLI_TESTING_H_
#define ASYNCPROC_TESTS_CLI_TESTING_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "tests/testing.h"

namespace asyncproc {

// The tool, as a user would run it.

// Its path.
std::string ToolPath();

// {"<path>", "run", ...}: with the words of `words`, and a session of its own
// without a terminal, so that it is the same wherever the test runs.
Command Tool(std::vector<std::string> words);

// How it ended and what it said. Fails the test when it cannot be run or takes
// a minute.
struct ToolResult {
  int code = -1;  // 128 + n: killed by signal n.
  std::string out;
  std::string err;
};
ToolResult ResultOf(Command command, absl::string_view input = "");
ToolResult RunTool(std::vector<std::string> words);

// A terminal that the test looks at: a window of a tmux of its own.
//
//   TerminalWindow window({"sh", "-c", "echo hello; sleep 100"}, 80, 24);
//   window.AwaitText("hello");
class TerminalWindow {
 public:
  TerminalWindow(const std::vector<std::string>& argv, int columns, int rows);
  ~TerminalWindow();

  // What it shows, without spaces at the ends of lines.
  std::string Text() const;
  // Waits until it shows `text`, or no longer does. False: it never did. The
  // test fails at once when tmux is gone.
  bool AwaitText(absl::string_view text) const;
  bool AwaitNoText(absl::string_view text) const;

  void Resize(int columns, int rows) const;
  // By tmux's names: "C-c", "Enter", "a".
  void SendKeys(const std::vector<std::string>& keys) const;
  // As when its window is closed: nobody is there any more.
  void Close() const;

 private:
  // Nothing: tmux is gone, or does not do it.
  std::optional<std::string> Tmux(std::vector<std::string> words) const;
  bool AwaitText(absl::string_view text, bool shown) const;

  TemporaryDirectory directory_;
  std::string folder_ = "/tmp/asyncproc-XXXXXX";  // A socket's path is short.
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_CLI_TESTING_H_

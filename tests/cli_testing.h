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

// Helpers that run the tool as a user runs it.

// The path of the tool.
std::string ToolPath();

// The command {"<path>", "run", ...} with `words` as its arguments. It has a
// session of its own and no terminal, so the result is the same wherever the
// test runs.
Command Tool(std::vector<std::string> words);

// The exit code and the output of a command. The functions fail the test if the
// command cannot run or takes a minute.
struct ToolResult {
  int code = -1;  // 128 + n if signal n killed the command.
  std::string out;
  std::string err;
};
ToolResult ResultOf(Command command, absl::string_view input = "");
ToolResult RunTool(std::vector<std::string> words);

// A terminal whose screen the test can read: a window of a tmux of its own.
//
//   TerminalWindow window({"sh", "-c", "echo hello; sleep 100"}, 80, 24);
//   window.AwaitText("hello");
class TerminalWindow {
 public:
  TerminalWindow(const std::vector<std::string>& argv, int columns, int rows);
  ~TerminalWindow();

  // The text of the window, without spaces at the ends of lines.
  std::string Text() const;
  // Waits until the window shows `text`, or no longer shows it. Returns false
  // after a minute. Fails the test at once if tmux is gone.
  bool AwaitText(absl::string_view text) const;
  bool AwaitNoText(absl::string_view text) const;

  void Resize(int columns, int rows) const;
  // Keys have the names of tmux: "C-c", "Enter", "a".
  void SendKeys(const std::vector<std::string>& keys) const;
  // Closes the window: its programs get a hangup.
  void Close() const;

 private:
  // Runs a tmux command and returns its output; nullopt if tmux is gone or the
  // command fails.
  std::optional<std::string> Tmux(std::vector<std::string> words) const;
  bool AwaitText(absl::string_view text, bool shown) const;

  TemporaryDirectory directory_;
  std::string folder_ = "/tmp/asyncproc-XXXXXX";  // Short, for a socket.
};

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_CLI_TESTING_H_

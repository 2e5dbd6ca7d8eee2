#include "tests/cli_testing.h"

#include <stdlib.h>

#include <filesystem>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace asyncproc {

std::string ToolPath() {
  return absl::StrCat(std::filesystem::current_path().string(),
                      "/tools/asyncproc/asyncproc");
}

Command Tool(std::vector<std::string> words) {
  words.insert(words.begin(), ToolPath());
  Command command(std::move(words));
  command.new_session = true;
  return command;
}

ToolResult ResultOf(Command command, absl::string_view input) {
  RunOptions options;
  options.timeout = kNeverReached;
  if (command.in.kind() == Stdio::Kind::kPipe) {
    options.input = std::string(input);
  }
  const auto result = Run(std::move(command), options);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return {};
  return {result->status.ShellCode(), std::string(result->out),
          std::string(result->err)};
}

ToolResult RunTool(std::vector<std::string> words) {
  return ResultOf(Tool(std::move(words)));
}

TerminalWindow::TerminalWindow(const std::vector<std::string>& argv,
                               int columns, int rows) {
  CHECK(mkdtemp(folder_.data()) != nullptr) << folder_;
  // The window stays readable after its program has ended.
  directory_.Write("tmux.conf",
                   "set -g remain-on-exit on\nset -g status off\n"
                   "set -g default-terminal screen\n");
  std::vector<std::string> words = {"new-session", "-d",
                                    "-x",          absl::StrCat(columns),
                                    "-y",          absl::StrCat(rows)};
  words.insert(words.end(), argv.begin(), argv.end());
  Tmux(words);
}

TerminalWindow::~TerminalWindow() {
  Close();
  std::filesystem::remove_all(folder_);
}

std::optional<std::string> TerminalWindow::Tmux(
    std::vector<std::string> words) const {
  words.insert(words.begin(),
               {"tmux", "-f", absl::StrCat(directory_.path(), "/tmux.conf"),
                "-S", absl::StrCat(folder_, "/socket")});
  Command command(words);
  command.env.Unset("TMUX").Set("LC_ALL", "C.UTF-8");
  const auto result = Run(command);
  if (!result.ok() || !result->status.ok()) return std::nullopt;
  return std::string(result->out);
}

std::string TerminalWindow::Text() const {
  return Tmux({"capture-pane", "-p"}).value_or("");
}

bool TerminalWindow::AwaitText(absl::string_view text) const {
  return AwaitText(text, /*shown=*/true);
}

bool TerminalWindow::AwaitNoText(absl::string_view text) const {
  return AwaitText(text, /*shown=*/false);
}

bool TerminalWindow::AwaitText(absl::string_view text, bool shown) const {
  const absl::Time deadline = absl::Now() + kNeverReached;
  while (absl::Now() < deadline) {
    const std::optional<std::string> now = Tmux({"capture-pane", "-p"});
    if (!now.has_value()) {
      ADD_FAILURE() << "tmux is gone, before " << text;
      return false;
    }
    if (absl::StrContains(*now, text) == shown) return true;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return false;
}

void TerminalWindow::Resize(int columns, int rows) const {
  Tmux(
      {"resize-window", "-x", absl::StrCat(columns), "-y", absl::StrCat(rows)});
}

void TerminalWindow::SendKeys(const std::vector<std::string>& keys) const {
  std::vector<std::string> words = {"send-keys"};
  words.insert(words.end(), keys.begin(), keys.end());
  Tmux(words);
}

void TerminalWindow::Close() const { Tmux({"kill-server"}); }

}  // namespace asyncproc

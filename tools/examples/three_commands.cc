// ProcessPoller: runs three commands at the same time. The first fails, the
// second reads input, and the third is ended at its time limit.
//
//   bazel run //tools/examples:three_commands

#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process_poller.h"

namespace {

class Reporter : public asyncproc::BufferingProcessPoller<std::string> {
  absl::Status OnTimeout(const std::string& key, const absl::Status&) override {
    std::cout << key << ": takes too long" << std::endl;
    return absl::OkStatus();
  }

  absl::Status OnTerminate(const std::string& key,
                           const asyncproc::ExitStatus& status) override {
    const asyncproc::CollectedOutput said = output(key);
    std::cout << key << ": " << status << "\n";
    if (!said.out.empty()) std::cout << key << " said: " << said.out;
    if (!said.err.empty()) std::cout << key << " complained: " << said.err;
    std::cout << std::flush;
    return absl::OkStatus();
  }
};

absl::Status RunThem() {
  Reporter poller;
  asyncproc::ChildLimits limits;
  limits.timeout = absl::Milliseconds(500);
  absl::Status status = poller.Run(
      "checker",
      asyncproc::Command::Shell("echo no such page >&2; sleep 0.1; exit 3"));
  status.Update(
      poller.Run("sorter", asyncproc::Command({"sort"}), "pear\napple\nfig\n"));
  status.Update(poller.CloseInput("sorter"));
  status.Update(poller.Run("sleeper", asyncproc::Command({"sleep", "1000"}),
                           std::nullopt, limits));
  if (!status.ok()) return status;
  return poller.Poll();
}

}  // namespace

int main() {
  const absl::Status status = RunThem();
  if (status.ok()) return 0;
  std::cerr << status << std::endl;
  return 1;
}

#include "tools/asyncproc/run.h"

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/child_limits.h"
#include "asyncproc/process.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/signal_watcher.h"

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Runs COMMAND and ends as it ends. Its stdin is that of asyncproc; it is "
    "given SIGINT, SIGTERM, SIGHUP and SIGQUIT that asyncproc gets.";

int RunMain(const std::vector<std::string>& words) {
  if (words.empty()) {
    Complain("run", "which command? See asyncproc run --help");
    return kOwnFailure;
  }
  std::unique_ptr<Process> process;
  auto watcher = SignalWatcher::Start(
      SignalWatcher::EndingSignals(), [&process](const ReceivedSignal& signal) {
        if (process != nullptr && !signal.from_terminal) {
          process->Signal(signal.number).IgnoreError();
        }
      });
  if (!watcher.ok()) {
    Complain("run", watcher.status().message());
    return kOwnFailure;
  }
  Command command(words);
  command.in = command.out = command.err = Stdio::Inherit();
  auto started = Process::Spawn(command);
  if (!started.ok()) {
    Complain("run", started.status().message());
    return ExitCodeOfFailedStart(started.status());
  }
  process = *std::move(started);
  const ChildLimits limits = LimitsFromFlags();
  auto status = process->WaitFor(limits.timeout);
  if (absl::IsDeadlineExceeded(status.status())) {
    auto end = process->Terminate(limits.escalation);
    if (!end.ok()) Complain("run", end.status().message());
    return kTimedOut;
  }
  if (!status.ok()) {
    Complain("run", status.status().message());
    return kOwnFailure;
  }
  return ExitCodeOf(*status);
}

}  // namespace

Subcommand Run() {
  Subcommand run;
  run.name = "run";
  run.synopsis = "[--] COMMAND [ARGUMENT ...]";
  run.summary = "run one command, within limits, and end all of it";
  run.description = kDescription;
  run.options = {
      {"Limits",
       {{"timeout", "TIME"}, {"escalate", "STEPS"}, {"scope", "SCOPE"}}}};
  run.examples = {
      {"No longer than half a minute:", "asyncproc run --timeout 30s -- make"}};
  run.main = RunMain;
  return run;
}

}  // namespace asyncproc::cli

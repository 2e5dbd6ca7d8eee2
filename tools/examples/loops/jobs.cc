#include "tools/examples/loops/jobs.h"

#include <iostream>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/termination.h"

namespace {

asyncproc::PollerOptions TwoAtOnce() {
  asyncproc::PollerOptions options;
  options.max_running = 2;
  return options;
}

}  // namespace

Jobs::Jobs() : BufferingProcessPoller(TwoAtOnce()) {}

absl::Status Jobs::Start() {
  asyncproc::ChildLimits limits;
  limits.timeout = absl::Milliseconds(300);
  absl::Status status =
      Run("hangs", asyncproc::Command({"sleep", "1000"}), std::nullopt, limits);
  status.Update(Run("sum", asyncproc::Command({"bc", "-q"}), "6 * 7\n"));
  status.Update(CloseInput("sum"));
  status.Update(Run("upper", asyncproc::Command({"tr", "a-z", "A-Z"}), "word"));
  status.Update(CloseInput("upper"));
  status.Update(Run("fails", asyncproc::Command({"false"})));
  return status;
}

absl::Status Jobs::OnTerminate(const std::string& key,
                               const asyncproc::ExitStatus& status) {
  std::cout << key << ": '"
            << absl::StripTrailingAsciiWhitespace(output(key).out) << "', "
            << status << "\n";
  return absl::OkStatus();
}

int Jobs::Report(const absl::Status& status) const {
  std::cout << (ticks_ > 0 ? "the loop did other work meanwhile\n"
                           : "the loop did nothing else\n")
            << "Poll: " << status << "\n";
  return status.ok() ? 0 : 1;
}

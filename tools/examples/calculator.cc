// NonblockingProcess: drives bc from a loop that must never wait. Each turn of
// the loop asks whether bc has written a line.
//
//   bazel run //tools/examples:calculator

#include <iostream>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/nonblocking_process.h"

namespace {

absl::Status Example() {
  auto bc = asyncproc::NonblockingProcess::Spawn({"bc", "-q"});
  if (!bc.ok()) return bc.status();
  std::cout << "before: " << (*bc)->ReadLine().value_or("(nothing)") << "\n";

  for (const std::string problem : {"2 ^ 64", "scale = 3; 22 / 7"}) {
    absl::Status status = (*bc)->Write(problem + "\n");
    if (!status.ok()) return status;
    std::optional<std::string> answer;
    while (!(answer = (*bc)->ReadLine()).has_value() && (*bc)->IsAlive()) {
      absl::SleepFor(absl::Milliseconds(1));  // Other work.
    }
    std::cout << problem << " is " << answer.value_or("(it has ended)") << "\n";
  }
  return (*bc)->process().Terminate().status();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

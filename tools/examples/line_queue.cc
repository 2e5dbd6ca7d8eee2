// A stream of output is a queue of lines: it is filled in the background, and
// any thread may ask whether there is one, without waiting for it.

#include <iostream>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"

namespace {

absl::Status Example() {
  auto child = asyncproc::Process::Spawn(asyncproc::Command::Shell(
      "for word in red green blue; do sleep 0.1; echo $word; done"));
  if (!child.ok()) return child.status();

  int turns = 0;
  while (!(*child)->out().AtEof()) {
    auto line = (*child)->out().TryReadLine();
    if (line.ok()) {
      std::cout << "line: " << *line << "\n";
    } else if (absl::IsUnavailable(line.status())) {
      ++turns;  // None yet: here goes the work that must not wait.
      absl::SleepFor(absl::Milliseconds(5));
    }
  }
  std::cout << (turns > 0 ? "did other work meanwhile\n" : "had no time\n");
  return (*child)->Wait().status();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

// OutputStream as a queue of lines: the library fills the queue in the
// background, and any thread may take a line from it without waiting.
//
//   bazel run //tools/examples:line_queue

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
      ++turns;  // No line yet: do the work that must not wait.
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

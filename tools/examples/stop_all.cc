// Stop it all: a thread waits for a shell with two children. Another thread
// cancels the wait, and then the whole tree is ended.
//
//   bazel run //tools/examples:stop_all

#include <iostream>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"

namespace {

absl::Status Example() {
  auto command =
      asyncproc::Command::Shell("sleep 1000 & sleep 1000 & echo started; wait");
  command.in = asyncproc::Stdio::Null();  // So that SIGTERM is the first step.
  auto shell = asyncproc::Process::Spawn(command);
  if (!shell.ok()) return shell.status();

  const asyncproc::CancellationToken token;
  absl::Status waited;
  std::thread waiter([&] {
    asyncproc::CancellationScope scope(token);
    waited = (*shell)->Wait().status();  // Without an end of its own.
  });
  auto line = (*shell)->out().ReadLine(absl::Seconds(20));
  token.Cancel();
  waiter.join();
  if (!line.ok()) return line.status();
  std::cout << "the wait: " << absl::StatusCodeToString(waited.code()) << "\n";

  auto escalation = asyncproc::Escalation::Standard(absl::Seconds(5));
  escalation.scope = asyncproc::TerminationScope::kTree;
  auto end = (*shell)->Terminate(escalation);
  if (!end.ok()) return end.status();
  std::cout << "processes left: " << end->survivors.size() << "\n";
  return absl::OkStatus();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

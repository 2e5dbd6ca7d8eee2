// A web server, with a tap: prints each line of its output as it arrives.
//
//   bazel run //tools/examples:server_live

#include <cstdio>
#include <iostream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "tools/examples/loopback.h"

namespace {

absl::Status Example() {
  asyncproc::Command command(
      {"python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"});
  command.err = asyncproc::Stdio::ToStdout();
  auto server = asyncproc::Process::Spawn(command);
  if (!server.ok()) return server.status();

  // The tap has a thread of its own, and gets every line from the first on.
  auto log = (*server)->out().AddTap(
      [](absl::string_view line) { std::cout << "> " << line << std::endl; },
      asyncproc::TapUnit::kLine);
  if (!log.ok()) return log.status();

  auto first = (*server)->out().ReadLine(absl::Seconds(20));
  if (!first.ok()) return first.status();
  int port;
  if (std::sscanf(first->c_str(), "Serving HTTP on %*s port %d", &port) != 1) {
    return absl::InternalError("no port in: " + *first);
  }
  for (int i = 1; i <= 3; ++i) {
    auto page = HttpGet(port, absl::StrCat("/?visit=", i));
    if (!page.ok()) return page.status();
  }

  auto status = (*server)->Terminate(absl::Milliseconds(200));
  if (!status.ok()) return status.status();
  log->Finish();  // Waits until the last line is printed.
  std::cout << "the end: " << *status << "\n";
  return absl::OkStatus();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

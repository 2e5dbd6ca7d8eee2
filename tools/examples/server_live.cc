// As server_output, but each line that the server says is shown as it comes.

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

  // Called on a thread of its own, from the first line on.
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
  log->Finish();  // The last lines, too, have been shown.
  std::cout << "ended by " << *status << "\n";
  return absl::OkStatus();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

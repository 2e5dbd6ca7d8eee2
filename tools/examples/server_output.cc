// A web server: starts it, reads its port, requests a page, ends the server,
// and prints its whole output.
//
//   bazel run //tools/examples:server_output

#include <cstdio>
#include <iostream>

#include "absl/status/status.h"
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

  // The port is in the first line. A cursor of its own leaves the line in place
  // for the Read of the whole output.
  auto first = (*server)->out().NewCursor().ReadLine(absl::Seconds(20));
  if (!first.ok()) return first.status();
  int port;
  if (std::sscanf(first->c_str(), "Serving HTTP on %*s port %d", &port) != 1) {
    return absl::InternalError("no port in: " + *first);
  }

  auto page = HttpGet(port, "/");
  if (!page.ok()) return page.status();
  std::cout << "a page of " << page->size() << " bytes\n";

  auto status = (*server)->Terminate(absl::Milliseconds(200));
  if (!status.ok()) return status.status();
  std::cout << "the end: " << *status << "; it has said:\n"
            << (*server)->Read();
  return absl::OkStatus();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

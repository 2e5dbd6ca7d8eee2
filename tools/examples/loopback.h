#ifndef TOOLS_EXAMPLES_LOOPBACK_H_
#define TOOLS_EXAMPLES_LOOPBACK_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// A client for servers on this machine, for the examples.

// A connected socket, for the caller to close.
absl::StatusOr<int> ConnectTo(int port);

// The whole response to one GET request.
absl::StatusOr<std::string> HttpGet(int port, absl::string_view path);

#endif  // TOOLS_EXAMPLES_LOOPBACK_H_

#include "tools/examples/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

absl::StatusOr<int> ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, absl::StrCat("connect to port ", port));
  }
  return fd;
}

absl::StatusOr<std::string> HttpGet(int port, absl::string_view path) {
  absl::StatusOr<int> fd = ConnectTo(port);
  if (!fd.ok()) return fd.status();
  const absl::Cleanup closer = [&] { close(*fd); };
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
  if (send(*fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return absl::ErrnoToStatus(errno, "send");
  }
  std::string answer;
  char buffer[4096];
  ssize_t count;
  while ((count = recv(*fd, buffer, sizeof(buffer), 0)) > 0) {
    answer.append(buffer, static_cast<size_t>(count));
  }
  if (count < 0) return absl::ErrnoToStatus(errno, "recv");
  return answer;
}

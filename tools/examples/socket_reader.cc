// A child that serves a socket, and a thread that reads from the socket. The
// thread can be stopped at any time, also while no data arrives.
//
//   bazel run //tools/examples:socket_reader

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "asyncproc/process.h"
#include "tools/examples/loopback.h"

namespace {

// Prints its port, then sends the input of one client back in capitals.
constexpr char kServer[] = R"(
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
client, _ = listener.accept()
while data := client.recv(1000):
    client.sendall(data.upper())
print("client has left", flush=True)
)";

// Collects the data of a socket, on a thread of its own.
class SocketReader {
 public:
  explicit SocketReader(int fd)
      : fd_(fd), stop_(eventfd(0, EFD_CLOEXEC)), thread_([this] { Loop(); }) {}

  ~SocketReader() {
    // The thread polls this descriptor too, so it needs no timeout.
    eventfd_write(stop_, 1);
    thread_.join();
    close(stop_);
    close(fd_);
  }

  // Takes `size` bytes; none if fewer have arrived within the timeout.
  std::string Take(size_t size, absl::Duration timeout) {
    std::unique_lock<std::mutex> lock(mu_);
    const auto there = [&] { return bytes_.size() >= size; };
    if (!more_.wait_for(lock, absl::ToChronoMilliseconds(timeout), there)) {
      return "";
    }
    const std::string taken = bytes_.substr(0, size);
    bytes_.erase(0, size);
    return taken;
  }

 private:
  void Loop() {
    for (;;) {
      pollfd fds[] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (poll(fds, 2, -1) < 0 || fds[1].revents != 0) return;
      char buffer[1000];
      const ssize_t count = recv(fd_, buffer, sizeof(buffer), 0);
      if (count <= 0) return;
      const std::lock_guard<std::mutex> lock(mu_);
      bytes_.append(buffer, static_cast<size_t>(count));
      more_.notify_one();
    }
  }

  const int fd_;
  const int stop_;
  std::mutex mu_;
  std::condition_variable more_;
  std::string bytes_;
  std::thread thread_;  // Last: the thread uses the other members.
};

absl::Status Example() {
  auto server = asyncproc::Process::Spawn({"python3", "-c", kServer});
  if (!server.ok()) return server.status();
  auto line = (*server)->out().ReadLine(absl::Seconds(20));
  if (!line.ok()) return line.status();
  int port;
  if (!absl::SimpleAtoi(*line, &port)) {
    return absl::InternalError("no port: " + *line);
  }
  auto fd = ConnectTo(port);
  if (!fd.ok()) return fd.status();

  {
    SocketReader reader(*fd);
    for (const std::string word : {"hello", "socket"}) {
      send(*fd, word.data(), word.size(), MSG_NOSIGNAL);
      std::cout << word << " -> " << reader.Take(word.size(), absl::Seconds(20))
                << "\n";
    }
    // No more data arrives, but the reader stops at once.
  }

  line = (*server)->out().ReadLine(absl::Seconds(20));
  if (!line.ok()) return line.status();
  std::cout << "server: " << *line << "\n";
  auto status = (*server)->Terminate();
  if (!status.ok()) return status.status();
  std::cout << "the end: " << *status << "\n";
  return absl::OkStatus();
}

}  // namespace

int main() {
  const absl::Status status = Example();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}

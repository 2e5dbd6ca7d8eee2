#include "tests/forked_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/log/check.h"
#include "gtest/gtest.h"

namespace asyncproc {
namespace {

// Above all numbers that tests use.
constexpr int kReportNumber = 900;

[[noreturn]] void RunFork(int report,
                          const std::function<std::string()>& body) {
  const int out = fcntl(report, F_DUPFD_CLOEXEC, kReportNumber);
  CHECK_GE(out, 0);
  close(report);
  const std::string text = body();
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(out, text.data() + done, text.size() - done);
    if (written < 0) _exit(2);
    done += static_cast<size_t>(written);
  }
  _exit(0);
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = read(fd, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer, static_cast<size_t>(size));
  }
}

}  // namespace

std::string InForkedHost(const std::function<std::string()>& body) {
  int report[2];
  CHECK_EQ(pipe2(report, O_CLOEXEC), 0);
  const pid_t fork_pid = fork();
  CHECK_GE(fork_pid, 0);
  if (fork_pid == 0) {
    close(report[0]);
    RunFork(report[1], body);
  }
  close(report[1]);
  const std::string text = ReadAll(report[0]);
  close(report[0]);
  int status = 0;
  EXPECT_EQ(waitpid(fork_pid, &status, 0), fork_pid);
  EXPECT_EQ(status, 0) << "the forked host did not end as it should";
  return text;
}

}  // namespace asyncproc

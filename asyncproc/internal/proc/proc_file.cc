#include "asyncproc/internal/proc/proc_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {
namespace {

// ESRCH: the process has ended since the file was opened.
absl::Status Failed(int error, const std::string& path) {
  return absl::ErrnoToStatus(error == ESRCH ? ENOENT : error,
                             absl::StrCat("cannot read ", path));
}

// Appends to `text`. Returns 0 or an errno.
int Read(const std::string& path, std::string* text) {
  const UniqueFd file = OpenAboveStdio(path.c_str(), O_RDONLY);
  if (!file.valid()) return errno;
  char buffer[1024];
  for (;;) {
    const ssize_t size = read(file.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    text->append(buffer, static_cast<size_t>(size));
    if (size < static_cast<ssize_t>(sizeof(buffer))) return 0;
  }
}

}  // namespace

absl::StatusOr<std::string> ReadProcFile(const std::string& path) {
  std::string text;
  if (const int error = Read(path, &text); error != 0) {
    return Failed(error, path);
  }
  return text;
}

std::string ReadFile(const std::string& path) {
  std::string text;
  Read(path, &text);
  return text;
}

absl::StatusOr<std::vector<int>> ListNumbers(const std::string& directory) {
  UniqueFd fd = OpenAboveStdio(directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return Failed(errno, directory);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fd.get()), closedir);
  if (dir == nullptr) return Failed(errno, directory);
  fd.Release();
  std::vector<int> numbers;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(dir.get());
    if (entry == nullptr && errno != 0) return Failed(errno, directory);
    if (entry == nullptr) return numbers;
    int number;
    if (absl::SimpleAtoi(entry->d_name, &number)) numbers.push_back(number);
  }
}

bool IsOwnProc(const std::string& status, const std::string& self_link,
               int own_pid) {
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::ConsumePrefix(&line, "NSpid:")) continue;
    // One number for each namespace, from that of /proc down to this process's
    // own. A second number means that /proc belongs to an outer namespace.
    int pid;
    return absl::SimpleAtoi(line, &pid) && pid == own_pid;
  }
  // A kernel before 4.1 or without PID namespaces.
  int pid;
  return absl::SimpleAtoi(self_link, &pid) && pid == own_pid;
}

absl::Status CheckProc() {
  absl::StatusOr<std::string> status = ReadProcFile("/proc/self/status");
  if (!status.ok()) return status.status();
  char link[32];
  const ssize_t size = readlink("/proc/self", link, sizeof(link));
  const std::string self(link, size > 0 ? static_cast<size_t>(size) : 0);
  if (IsOwnProc(*status, self, getpid())) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "/proc shows the processes of another PID namespace");
}

}  // namespace asyncproc::internal

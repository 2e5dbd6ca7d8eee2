#include "asyncproc/internal/proc/proc_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/numbers.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// No std::ifstream: its iterators throw when a read fails.
std::string ReadFile(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[1024];
  for (;;) {
    const ssize_t size = read(file.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size > 0) text.append(buffer, static_cast<size_t>(size));
    if (size < static_cast<ssize_t>(sizeof(buffer))) return text;
  }
}

std::vector<int> ListNumbers(const std::string& directory) {
  std::vector<int> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()),
                                                closedir);
  if (dir == nullptr) return numbers;
  while (const dirent* const entry = readdir(dir.get())) {
    int number;
    if (absl::SimpleAtoi(entry->d_name, &number)) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace asyncproc::internal

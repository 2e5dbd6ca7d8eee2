#ifndef ASYNCPROC_TESTS_LIBRARY_THREADS_H_
#define ASYNCPROC_TESTS_LIBRARY_THREADS_H_

#include <dirent.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/proc/proc_fs.h"

namespace asyncproc {

// The names of the library's threads in this process. A new thread is missing
// until it has set its name, unless another library thread started it.
inline std::vector<std::string> LibraryThreads() {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc/self/task"),
                                                closedir);
  while (const dirent* const entry = readdir(dir.get())) {
    if (entry->d_name[0] == '.') continue;
    const auto stat = internal::ReadProcessStat(std::stoi(entry->d_name));
    if (stat.has_value() && absl::StartsWith(stat->command, "asyncproc-")) {
      names.push_back(stat->command);
    }
  }
  return names;
}

// Waits until all threads of the library have ended, including those of
// detached children, which have then closed their descriptors.
inline void AwaitNoLibraryThread() {
  while (!LibraryThreads().empty()) absl::SleepFor(absl::Milliseconds(1));
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_LIBRARY_THREADS_H_

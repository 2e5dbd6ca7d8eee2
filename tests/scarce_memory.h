#ifndef ASYNCPROC_TESTS_SCARCE_MEMORY_H_
#define ASYNCPROC_TESTS_SCARCE_MEMORY_H_

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>

#include "absl/log/check.h"

namespace asyncproc {

// Permanently limits this process to `bytes` of memory above its present use.
// For a host of its own (see own_host.h), and not under a sanitizer, which
// needs far more memory for itself.
inline void LeaveMemory(size_t bytes) {
  FILE* const statm = fopen("/proc/self/statm", "r");
  CHECK(statm != nullptr);
  size_t pages = 0;
  CHECK_EQ(fscanf(statm, "%*u %*u %*u %*u %*u %zu", &pages), 1);
  fclose(statm);
  const rlim_t most =
      pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + bytes;
  // Not RLIMIT_AS: that limit also counts the dozens of MiB of addresses that
  // malloc has reserved for other threads.
  const rlimit limit = {most, most};
  CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_SCARCE_MEMORY_H_

#ifndef ASYNCPROC_TESTS_SCARCE_MEMORY_H_
#define ASYNCPROC_TESTS_SCARCE_MEMORY_H_

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>

#include "absl/log/check.h"

namespace asyncproc {

// From now on, and for good, this process may take no more than `bytes` of
// memory beyond what it has. For a host of its own (see own_host.h), and not
// under a sanitizer, which needs far more than that for itself.
inline void LeaveMemory(size_t bytes) {
  FILE* const statm = fopen("/proc/self/statm", "r");
  CHECK(statm != nullptr);
  size_t pages = 0;
  CHECK_EQ(fscanf(statm, "%*u %*u %*u %*u %*u %zu", &pages), 1);
  fclose(statm);
  const rlim_t most =
      pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + bytes;
  // Not RLIMIT_AS: malloc has reserved addresses by the dozen of MiB for when
  // other threads need memory, which that limit counts already.
  const rlimit limit = {most, most};
  CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTS_SCARCE_MEMORY_H_

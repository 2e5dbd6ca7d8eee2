#ifndef ASYNCPROC_INTERNAL_SPAWN_SPAWN_H_
#define ASYNCPROC_INTERNAL_SPAWN_SPAWN_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/child_exec.h"
#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {

// What to start, resolved to numbers and strings. Nothing is checked here: no
// string may hold a NUL, and no two moves may have the same `to`.
struct SpawnRequest {
  std::vector<std::string> argv;
  std::vector<std::string> candidates;   // Files to execute, tried in order.
  std::vector<std::string> environment;  // "NAME=value" each.
  std::optional<std::string> working_directory;

  std::vector<DescriptorMove> moves;
  bool close_others = true;

  bool new_session = false;
  std::optional<pid_t> process_group;  // 0: a new one.
  std::optional<int> controlling_terminal;

  std::vector<RlimitSetting> rlimits;
  std::optional<int> nice;
  std::optional<std::vector<gid_t>> groups;
  std::optional<gid_t> gid;
  std::optional<uid_t> uid;
  std::optional<mode_t> umask;
  std::optional<int> death_signal;

  // Sets of signals, bit n-1 for signal n. The child ignores those of the first
  // that the host ignores, and no others; and it blocks those of the second.
  uint64_t kept_ignored_signals = 0;
  uint64_t blocked_signals = 0;
};

struct SpawnResult {
  pid_t pid = -1;  // -1 when it failed.
  // Not valid where the kernel has no pidfds, or no descriptor is left for one.
  UniqueFd pidfd;
  SpawnFailure failure;
  // When exec failed: the candidate that was there and could not be executed.
  // Empty when none was there.
  std::string refused;
  int refused_resource = -1;  // When a limit could not be set: which.
};

// Starts a child, and returns once it runs its program, or has failed to and
// has been reaped. While it starts, the calling thread is suspended, and
// nothing of the host is copied but its descriptors up to the highest that the
// child is given: the time depends on neither its memory nor its limits, nor on
// how many descriptors are open behind those.
//
// A child that fails before exec sends the host no SIGCHLD, and nobody else's
// waitpid(-1) can see it.
//
// Where the kernel, an emulator or a filter refuses such a child, it is made by
// vfork, and where that is refused too, by fork: then the start takes longer
// the more memory the host has, and no waitpid(-1) of the host's must be
// under way. The same holds where an emulator makes a fork of either and does
// not say so, as valgrind does. The first start of a host finds that out: it
// takes a pipe, and copies the whole table of descriptors.
//
// Thread safety: may be called from any thread, from many at once. The signal
// mask of the calling thread is as before when it returns.
SpawnResult Spawn(const SpawnRequest& request);

// Whether a kernel of this release, as uname has it ("6.1.0-18-amd64"), copies
// the lower part of a table of descriptors rightly in close_range with
// CLOSE_RANGE_UNSHARE, which a child does that shares the host's table.
//
// Kernels from 5.9 on, until the fix of CVE-2024-45025 (commit 9a2fa1472083 of
// Linux 6.11; 6.10.7, 6.6.48, 6.1.107, 5.15.166, 5.10.225), leave in the copy
// the marks of blocks of 64 descriptors that were all open in the host: in the
// child, such blocks look full though they are empty. A child of a host with
// hundreds of open descriptors would get wrong numbers from open and dup, and
// EMFILE as soon as it has 64 of its own where its limit lies in such a block.
// No memory is damaged, and the host notices nothing. The releases are those of
// the CVE record (CVEProject/cvelistV5, cves/2024/45xxx/CVE-2024-45025.json).
//
// Distributions fix it under numbers of their own ("5.15.0-122-generic"), which
// say nothing: then the answer is false, the child starts with a copy of the
// whole table, and only a host with thousands of descriptors notices how long
// that takes.
bool CopiesTablesRight(const char* release);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_SPAWN_H_

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

// The parameters of a start, resolved to numbers and strings. Spawn does not
// check them: no string may contain a NUL, and no two moves may have the same
// `to`.
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

  // Sets of signals, bit n-1 for signal n.
  uint64_t ignored_signals = 0;
  uint64_t blocked_signals = 0;
};

struct SpawnResult {
  pid_t pid = -1;  // -1: the start failed.
  // Not valid where the kernel has no pidfds, or no descriptor is left for one.
  UniqueFd pidfd;
  SpawnFailure failure;
  // When exec failed: the existing candidate that could not be executed. Empty
  // when there was none.
  std::string refused;
  int refused_resource = -1;  // The limit that could not be set, or -1.
};

// Starts a child, and returns once the child runs its program, or has failed
// and been reaped. During the start, the calling thread is suspended. Of the
// host, only the descriptors up to the highest one given to the child are
// copied: the time depends neither on the host's memory or limits, nor on the
// number of open descriptors above that one.
//
// A child that fails before exec sends no SIGCHLD to the host, and a
// waitpid(-1) elsewhere in the host does not see it.
//
// If the kernel, an emulator or a filter refuses such a child, Spawn makes the
// child by vfork, and if that is refused too, by fork: the start then takes
// longer the more memory the host has, and the host must not be in waitpid(-1)
// during the start. The same holds when an emulator silently replaces the first
// two by fork, as valgrind does. The first start of a host detects that case:
// it takes a pipe, and copies the whole descriptor table.
//
// Thread safety: may be called from any thread, including concurrently. The
// signal mask of the calling thread is unchanged on return.
SpawnResult Spawn(const SpawnRequest& request);

// Whether a kernel with this release, as given by uname ("6.1.0-18-amd64"),
// correctly copies the lower part of a descriptor table in close_range with
// CLOSE_RANGE_UNSHARE. A child that shares the host's table makes this call.
//
// Kernels from 5.9 on, until the fix of CVE-2024-45025 (commit 9a2fa1472083 of
// Linux 6.11; 6.10.7, 6.6.48, 6.1.107, 5.15.166, 5.10.225), keep in the copy
// the marks of blocks of 64 descriptors that were all open in the host: in the
// child, such blocks look full although they are empty. A child of a host with
// hundreds of open descriptors would get wrong numbers from open and dup, and
// would get EMFILE after 64 descriptors of its own if its limit lies in such a
// block. No memory is damaged, and the host is not affected. The releases are
// taken from the CVE record (CVEProject/cvelistV5,
// cves/2024/45xxx/CVE-2024-45025.json).
//
// Distributions ship the fix under their own numbers ("5.15.0-122-generic"),
// which do not show it. For those, the result is false and a child starts with
// a copy of the whole table; only a host with thousands of descriptors notices
// the delay.
bool CopiesTablesRight(const char* release);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_SPAWN_H_

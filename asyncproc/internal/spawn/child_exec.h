#ifndef ASYNCPROC_INTERNAL_SPAWN_CHILD_EXEC_H_
#define ASYNCPROC_INTERNAL_SPAWN_CHILD_EXEC_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <type_traits>

#include "asyncproc/spawn_error.h"

namespace asyncproc::internal {

// Makes the host's descriptor `from` the child's descriptor `to`.
struct DescriptorMove {
  int from;
  int to;
};

struct RlimitSetting {
  int resource;
  rlimit limit;
};

// The report of a child that fails before exec.
struct ChildReport {
  // The stage that the child had reached; meaningful when `error` is not 0.
  SpawnStage stage = SpawnStage::kNone;
  int error = 0;
  // The candidate that caused `error`; null when no candidate was found. The
  // address is the same in the host.
  const char* refused = nullptr;
  // The limit that caused `error`; -1 if none did.
  int refused_resource = -1;
  // Not 0: the child failed because it could not stop sharing descriptors. An
  // int rather than a bool: a bool would leave padding bytes unset, and
  // valgrind complains when those are written to the pipe.
  int could_not_unshare = 0;
};
static_assert(std::has_unique_object_representations_v<ChildReport>);

// The work of the child between clone and exec, prepared by the host as plain
// data. The child shares the memory of a host whose other threads may be in any
// state, so it must not allocate, lock, or call a function that might. Each
// field is optional, and absent when it has its default value.
struct ChildPlan {
  const char* const* argv = nullptr;        // Null-terminated.
  const char* const* candidates = nullptr;  // Files to try, null-terminated.
  const char* const* environment = nullptr;
  const char* working_directory = nullptr;

  // Ascending and unique by `to`. The child overwrites `from`.
  DescriptorMove* moves = nullptr;
  size_t move_count = 0;
  bool close_others = true;
  bool have_close_range = true;  // False: read /proc/self/fd instead.
  // The child was made with CLONE_FILES: it uses the host's descriptors until
  // it has made its own table. REQUIRES: close_others.
  bool shares_descriptors = false;

  bool new_session = false;
  int process_group = -1;         // 0: a new group. Else: the group to join.
  int controlling_terminal = -1;  // A descriptor of the child's.

  const RlimitSetting* rlimits = nullptr;
  size_t rlimit_count = 0;
  bool set_nice = false;
  int nice = 0;
  const gid_t* groups = nullptr;
  int64_t group_count = -1;
  int64_t gid = -1;
  int64_t uid = -1;
  int64_t umask = -1;
  int death_signal = 0;
  pid_t parent = 0;  // For death_signal: the expected parent.

  // Bit n-1 stands for signal n.
  uint64_t ignored_signals = 0;
  uint64_t blocked_signals = 0;

  // Written by the child: into the host's memory if the child shares it,
  // otherwise into the child's copy, and from there to report_fd.
  ChildReport report;
  // Set by the child before any other step. It stays false in the host when the
  // memory was not shared despite the flags of clone, as under an emulator.
  bool shares_memory = false;
  // The descriptor to which a failing child writes its report; closed on exec,
  // so that end-of-file means success. -1: the memory is shared.
  int report_fd = -1;
};

// The child's half of a spawn: carries out the ChildPlan that `plan` points to.
// It ends in exec, or fills in the report and exits. It runs on its own stack,
// with all signals blocked, in the host's memory or in a copy of it.
//
// The order of the steps, and the reasons for it:
//   1. Session, process group: before the terminal, which only a session leader
//      may take, and long before exec: the host continues only after exec, so
//      that the group exists when Spawn returns.
//   2. The child's own descriptor table; descriptors to their numbers, the
//      terminal, and all others closed: while no limit of the child applies
//      (the fallback of close_range needs a descriptor), and so that no later
//      step can open a leaked descriptor.
//   3. Limits and niceness: raising either may need the host's privileges.
//   4. gid and groups, then uid: the first two need the privileges that the
//      last one gives up. Raw system calls: glibc's setuid would also try to
//      change the host's threads. Then the host's capabilities that a change of
//      uid does not take away: the ambient and inheritable ones, and all of a
//      host that is not root or has set securebits.
//   5. Working directory: with the child's identity, so that the child cannot
//      enter a directory that is closed to it.
//   6. umask, on which no earlier step depends.
//   7. The signal at the host's death: a change of identity would reset it.
//   8. Signal dispositions, then the mask: a pending signal is delivered when
//      the mask opens, and must not run a handler of the host, in the host's
//      memory.
//   9. exec, of the first candidate that can be executed.
int RunChild(void* plan);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_CHILD_EXEC_H_

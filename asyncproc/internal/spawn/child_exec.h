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
  // Where the child was; worth reading when `error` is not 0.
  SpawnStage stage = SpawnStage::kNone;
  int error = 0;
  // The candidate that `error` is about, when it is about one: null when none
  // was found. The address is the same in the host.
  const char* refused = nullptr;
  // The limit that `error` is about, when it is about one.
  int refused_resource = -1;
  // Not 0: it failed because it could not stop sharing descriptors. No bool,
  // behind which the report would have bytes that are never set, and valgrind
  // would complain when they are written to the pipe.
  int could_not_unshare = 0;
};
static_assert(std::has_unique_object_representations_v<ChildReport>);

// All that the child does between clone and exec, prepared by the host as plain
// data, because the child shares the host's memory, stopped in the middle of
// whatever its other threads were doing: it must not allocate, lock, or call
// anything that might. Each field is optional, absent as its default says.
struct ChildPlan {
  const char* const* argv = nullptr;        // Ends with null.
  const char* const* candidates = nullptr;  // Files to try, ends with null.
  const char* const* environment = nullptr;
  const char* working_directory = nullptr;

  // Ascending and unique by `to`. The child overwrites `from`.
  DescriptorMove* moves = nullptr;
  size_t move_count = 0;
  bool close_others = true;
  bool have_close_range = true;  // False: read /proc/self/fd instead.
  // The child was made with CLONE_FILES: the descriptors are the host's until
  // it has made a table of its own. REQUIRES: close_others.
  bool shares_descriptors = false;

  bool new_session = false;
  int process_group = -1;         // 0: a new one. Else: the one to join.
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
  pid_t parent = 0;  // For death_signal: who must still be there.

  // Bit n-1 for signal n.
  uint64_t kept_ignored_signals = 0;
  uint64_t blocked_signals = 0;

  // Written by the child: into the host's memory where the child shares it, and
  // else into its own copy, and from there to report_fd.
  ChildReport report;
  // Set by the child first of all: false in the host when the memory was not
  // shared although the flags of clone ask for it, as under an emulator.
  bool shares_memory = false;
  // Where the report is written to when the child fails; closed on exec, so
  // that end-of-file means success. -1: the memory is shared.
  int report_fd = -1;
};

// The child's half of a spawn: carries out the ChildPlan that `plan` points to.
// Ends in exec, or fills in the report and exits. Runs on a stack of its own,
// with all signals blocked, in the host's memory or in a copy of it.
//
// The order of the steps, and why each stands where it stands:
//   1. Session, process group: before the terminal, which only the leader of a
//      session may take, and long before exec: the host goes on only then, so
//      that the group exists when Spawn returns.
//   2. A table of descriptors of the child's own; descriptors to their numbers,
//      the terminal, and all others closed: while no limit of the child's own
//      applies (the fallback of close_range needs a descriptor), and so that
//      nothing later can open a leaked one.
//   3. Limits and niceness: raising either may need the host's privileges.
//   4. gid and groups, then uid: the first two need the privileges that the
//      last one gives up. Raw system calls: glibc's setuid would try to change
//      the host's threads too. Then the capabilities of the host that a change
//      of uid does not take away: the ambient and inheritable ones, and all of
//      a host that is not root or has set securebits.
//   5. Working directory: with the child's identity, so that it is not let into
//      a directory that is closed to it.
//   6. umask, which nothing before depends on.
//   7. The signal at the host's death: a change of identity would reset it.
//   8. Signal dispositions, then the mask: a signal that is waiting is
//      delivered when the mask opens, and must not run a handler of the host's,
//      in the host's memory.
//   9. exec, by the first candidate that can be executed.
int RunChild(void* plan);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_SPAWN_CHILD_EXEC_H_

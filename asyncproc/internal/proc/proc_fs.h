#ifndef ASYNCPROC_INTERNAL_PROC_PROC_FS_H_
#define ASYNCPROC_INTERNAL_PROC_PROC_FS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace asyncproc::internal {

// All functions here but LookUpAgain, ListThreads and DescriptorTarget read
// /proc only when CheckProc returns OK; otherwise they behave as if there were
// no /proc.

// The content of /proc/PID/stat.
struct ProcessStat {
  pid_t pid = 0;
  std::string command;  // 15 characters at most; see Printable.
  // For the main thread: 'R', 'S', 'D', 'T' (stopped), 'Z' (ended) ...
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  // The device of its controlling terminal, with the bits of its number in the
  // order of /proc; 0: none.
  unsigned terminal = 0;
  // Includes the main thread, even when it has ended.
  int threads = 0;
  uint64_t start_time = 0;  // In clock ticks since boot.

  // Whether the whole process has ended. A process of which only the main
  // thread has ended shows 'Z' as well; its other threads continue and take
  // signals.
  bool HasEnded() const {
    return state == 'X' || (state == 'Z' && threads <= 1);
  }
};

// Errors: kNotFound when there is no such process. On any other error, the
// lookup failed, and the process may exist.
absl::StatusOr<ProcessStat> LookUpProcess(pid_t pid);

// The current state of the process that `stat` describes. Takes half the time
// of LookUpProcess while the process exists. kNotFound when it no longer
// exists: if another process has its number, the start times differ. On any
// other error, the lookup failed.
absl::StatusOr<ProcessStat> LookUpAgain(const ProcessStat& stat);

// As LookUpProcess; returns nothing for any error.
std::optional<ProcessStat> ReadProcessStat(pid_t pid);

// Every process that /proc shows, in no particular order, except `left_out`.
// Processes that end during the search are left out as well.
// Errors: as LookUpProcess, except kNotFound: the list would be incomplete.
absl::StatusOr<std::vector<ProcessStat>> ListProcesses(
    const std::set<pid_t>& left_out = {});

// The threads of the process, the main thread first.
std::vector<pid_t> ListThreads(pid_t pid);

// The target of the descriptor, as "pipe:[123]" or a path; "" when the
// descriptor is not open, or not visible to this process. For a pseudoterminal
// that was opened as /dev/tty, the path is that of the terminal.
std::string DescriptorTarget(pid_t pid, int fd);

// Whether all threads of the process `stat` have obeyed a stop signal.
bool HasStopped(const ProcessStat& stat);

// The processes in `all` that are not descendants of the `family` and never can
// be. Orphans are reparented to an ancestor, so a stranger never joins the
// family. A process whose parent ended while `all` was read is ambiguous, and
// is not in the result.
std::set<pid_t> FindStrangers(const std::vector<ProcessStat>& all,
                              const std::set<pid_t>& family);

// The live members of a process group except its leader. Errors: as
// ListProcesses.
absl::StatusOr<std::vector<ProcessStat>> ListGroup(pid_t leader);

// The pids of the children of this process, zombies included. A child that
// starts or ends during the search may be missing. Errors: as ListProcesses.
absl::StatusOr<std::vector<pid_t>> ListChildren();

// The processes that have the pipe or socket with this inode open for writing,
// as far as visible to this process; the host itself is not among them.
std::vector<ProcessStat> FindWriters(ino_t inode);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_PROC_FS_H_

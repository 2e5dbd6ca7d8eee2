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

// All functions here read /proc only where CheckProc says that it is this
// process's own; elsewhere they do as if there were no /proc.

// The content of /proc/PID/stat.
struct ProcessStat {
  pid_t pid = 0;
  std::string command;  // 15 characters at most; see Printable.
  // Of the main thread: 'R', 'S', 'D', 'T' (stopped), 'Z' (ended) ...
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  // Including the main thread, also when that has ended.
  int threads = 0;
  uint64_t start_time = 0;  // In clock ticks since boot.

  // Whether the whole process has ended. A process whose main thread alone has
  // ended shows 'Z' as well; its other threads run on, and take signals.
  bool HasEnded() const {
    return state == 'X' || (state == 'Z' && threads <= 1);
  }
};

// Errors: kNotFound when there is no such process. Any other error: the
// look failed, and the process may be there.
absl::StatusOr<ProcessStat> LookUpProcess(pid_t pid);

// As LookUpProcess; nothing for each of its errors.
std::optional<ProcessStat> ReadProcessStat(pid_t pid);

// Every process that /proc shows, in no order, but for those `left_out`.
// Processes that end meanwhile are left out as well.
// Errors: as LookUpProcess, but for kNotFound: the list would not be whole.
absl::StatusOr<std::vector<ProcessStat>> ListProcesses(
    const std::set<pid_t>& left_out = {});

// Whether all threads of the process `stat` have obeyed a stop signal.
bool HasStopped(const ProcessStat& stat);

// The processes among `all` that are no descendants of the `family` and never
// can be. Orphans are reparented to an ancestor, so a stranger never joins the
// family. A process whose parent ended while `all` was read is in doubt, and
// not in the result.
std::set<pid_t> FindStrangers(const std::vector<ProcessStat>& all,
                              const std::set<pid_t>& family);

// The living members of a process group but its leader. Errors: as
// ListProcesses.
absl::StatusOr<std::vector<ProcessStat>> ListGroup(pid_t leader);

// The pids of the children of this process, zombies included. One that comes or
// goes meanwhile may be missing. Errors: as ListProcesses.
absl::StatusOr<std::vector<pid_t>> ListChildren();

// The processes that have the pipe of this inode open for writing,
// as far as we may look; the host itself is not among them.
std::vector<ProcessStat> FindPipeWriters(ino_t pipe);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_PROC_FS_H_

#ifndef ASYNCPROC_INTERNAL_PROC_PROC_FS_H_
#define ASYNCPROC_INTERNAL_PROC_PROC_FS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace asyncproc::internal {

// What /proc/PID/stat says of a process.
struct ProcessStat {
  pid_t pid = 0;
  std::string command;  // 15 characters at most; see Printable.
  char state = '?';     // 'R', 'S', 'D', 'T' (stopped), 'Z' (zombie) ...
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  uint64_t start_time = 0;  // In clock ticks since boot.
};

// Nothing when there is no such process, or no /proc.
std::optional<ProcessStat> ReadProcessStat(pid_t pid);

// Every process that /proc shows, in no order, but for those `left_out`. What
// has ended meanwhile is not among them either.
std::vector<ProcessStat> ListProcesses(const std::set<pid_t>& left_out = {});

// Those among `all` that are no descendants of the `family`, and never will be:
// who is left without a parent goes to an ancestor that it has. Who has lost
// one while `all` was read is not among them, wherever it went.
std::set<pid_t> FindStrangers(const std::vector<ProcessStat>& all,
                              const std::set<pid_t>& family);

// The living members of a process group but its leader.
std::vector<ProcessStat> ListGroup(pid_t leader);

// The processes that have the pipe of this inode open for writing,
// as far as we may look; the host itself is not among them.
std::vector<ProcessStat> FindPipeWriters(ino_t pipe);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_PROC_FS_H_

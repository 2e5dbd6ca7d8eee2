#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_PROC_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_PROC_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// Readers of /proc. A process may end at any moment, and its files with it: the
// functions then return less, which is not an error.

// Whether /proc shows the pid namespace of this process. If it shows another
// one, its numbers are those of strangers: do not call the functions below.
bool ProcIsOurs();

// All that can be read of a file; "" if it cannot be opened.
std::string ReadProcFile(const std::string& path);

// The names in a directory that are numbers; none if it cannot be read.
std::vector<int> ProcNumbers(const std::string& folder);

// The children of this process, of all its threads, with zombies.
std::vector<pid_t> OwnChildren();

// `pid` and all its descendants, parents first.
std::vector<pid_t> TreeOf(pid_t pid);

// "sleep"; empty if there is no such process.
std::string ProcName(pid_t pid);

// Whether `pid` was started with `text` in the value of the environment
// variable `name`. False if the environment may not be read.
bool HasInEnvironment(pid_t pid, absl::string_view name,
                      absl::string_view text);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_PROC_H_

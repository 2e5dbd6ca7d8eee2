#ifndef ASYNCPROC_TOOLS_ASYNCPROC_OS_PROC_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_OS_PROC_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// What /proc tells. A process may end at any moment, and its files with it:
// then there is less to tell, which is no error.

// Whether /proc shows the pid namespace of this process. Where it shows
// another, its numbers are those of strangers; nothing here is to be asked
// then.
bool ProcIsOurs();

// All that can be read of a file; nothing when it cannot be opened.
std::string ReadProcFile(const std::string& path);

// The names in a folder that are numbers; none when it cannot be read.
std::vector<int> ProcNumbers(const std::string& folder);

// The children of this process, whichever of its threads they belong to;
// zombies too.
std::vector<pid_t> OwnChildren();

// `pid` and all its descendants, parents first.
std::vector<pid_t> TreeOf(pid_t pid);

// "sleep"; empty when there is no such process.
std::string ProcName(pid_t pid);

// Whether the environment that `pid` was started with has `text` in the value
// of the variable `name`. False where the environment may not be read.
bool HasInEnvironment(pid_t pid, absl::string_view name,
                      absl::string_view text);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_OS_PROC_H_

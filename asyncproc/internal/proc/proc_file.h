#ifndef ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_
#define ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace asyncproc::internal {

// How /proc is read. No descriptor of these functions is ever numbered 0, 1 or
// 2.

// All that a file of /proc gives.
// Errors: kNotFound when there is no such file, or no such process any more;
// otherwise the error of open or read, kResourceExhausted for want of a
// descriptor say: then nothing is known about the process.
absl::StatusOr<std::string> ReadProcFile(const std::string& path);

// As ReadProcFile, for text that only people read: "" when the file cannot be
// opened, and the part before a read that failed.
std::string ReadFile(const std::string& path);

// The names in a directory that are numbers, in no order.
// Errors: as ReadProcFile.
absl::StatusOr<std::vector<int>> ListNumbers(const std::string& directory);

// OK when the numbers that /proc shows are those of this process's own PID
// namespace. Where a program runs in a new PID namespace and /proc is still
// that of the old one (unshare -pf without --mount-proc), the numbers there
// belong to strangers; then, and where /proc is not mounted or cannot be read,
// an error that says so. Nothing is remembered: a fork may be in another
// namespace, and another /proc may be mounted at any time.
absl::Status CheckProc();

// The decision of CheckProc, by the content of /proc/self/status, the target of
// the link /proc/self ("" for none), and getpid().
bool IsOwnProc(const std::string& status, const std::string& self_link,
               int own_pid);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_

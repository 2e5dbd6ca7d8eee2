#ifndef ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_
#define ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace asyncproc::internal {

// Functions to read /proc. No descriptor that they open is numbered 0, 1 or 2.

// Returns the whole content of a file in /proc.
// Errors: kNotFound when the file or its process does not exist (any more);
// otherwise the error of open or read, for example kResourceExhausted without a
// free descriptor: then the process may or may not exist.
absl::StatusOr<std::string> ReadProcFile(const std::string& path);

// As ReadProcFile, for text shown only to people: "" when the file cannot be
// opened, and the bytes read so far when a read fails.
std::string ReadFile(const std::string& path);

// The names in a directory that are numbers, in no particular order.
// Errors: as ReadProcFile.
absl::StatusOr<std::vector<int>> ListNumbers(const std::string& directory);

// Returns OK when /proc shows the numbers of this process's own PID namespace.
// A program in a new PID namespace may still have the /proc of the old one
// (unshare -pf without --mount-proc), whose numbers belong to other processes;
// in that case, and where /proc is not mounted or cannot be read, returns an
// error that says so. The result is not cached: a fork may be in another
// namespace, and another /proc may be mounted at any time.
absl::Status CheckProc();

// The decision of CheckProc, from the content of /proc/self/status, the target
// of the link /proc/self ("" for none), and getpid().
bool IsOwnProc(const std::string& status, const std::string& self_link,
               int own_pid);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_

#ifndef ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_
#define ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_

#include <string>
#include <vector>

namespace asyncproc::internal {

// How /proc is read: what it tells of a process may be gone, or not for us, at
// any moment, which is no error but less to tell.

// What there is in a file that gives all it has, as far as there is room for
// it: those of /proc do. Nothing when it cannot be opened; what there was
// before a read failed, as it does for a process that ends meanwhile, or one
// that we may not look into.
std::string ReadFile(const std::string& path);

// The names in a directory that are numbers, in no order; none when it cannot
// be read.
std::vector<int> ListNumbers(const std::string& directory);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_PROC_FILE_H_

#ifndef ASYNCPROC_INTERNAL_PROC_LISTENERS_H_
#define ASYNCPROC_INTERNAL_PROC_LISTENERS_H_

#include <sys/types.h>

#include <set>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The inodes of the listening sockets in this network namespace: on a TCP port,
// with any address, or at the name of a Unix socket as passed to bind ("@"
// starts an abstract name). Empty where /proc does not list them.
std::set<ino_t> ListenersOnPort(int port);
std::set<ino_t> ListenersAtPath(absl::string_view path);

// The process that has one of a set of sockets open.
struct SocketOwner {
  enum class Kind {
    kFamily,   // The child, a descendant of the child, or a process of a group
               // or session that the child leads.
    kOther,    // A process outside the family.
    kUnknown,  // /proc does not show it.
  };

  Kind kind = Kind::kUnknown;
  // Set for kOther.
  pid_t pid = 0;
  std::string command;
};

// REQUIRES: the child has not been reaped.
SocketOwner FindSocketOwner(const std::set<ino_t>& sockets, pid_t child);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_LISTENERS_H_

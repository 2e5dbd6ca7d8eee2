#ifndef ASYNCPROC_INTERNAL_PROC_LISTENERS_H_
#define ASYNCPROC_INTERNAL_PROC_LISTENERS_H_

#include <sys/types.h>

#include <set>
#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The sockets of this network namespace on which some process listens, by their
// inodes: on a TCP port, of any address, and by the name of a Unix socket as
// its process gave it to bind ("@" begins an abstract one). Empty where /proc
// does not list them.
std::set<ino_t> ListenersOnPort(int port);
std::set<ino_t> ListenersAtPath(absl::string_view path);

// Which process has one of some sockets.
struct SocketOwner {
  enum class Kind {
    kFamily,   // The child, a descendant of the child, or a process of a group
               // or session that the child leads.
    kOther,    // Another process, and none of those.
    kUnknown,  // /proc does not show it.
  };

  Kind kind = Kind::kUnknown;
  // Of kOther.
  pid_t pid = 0;
  std::string command;
};

// REQUIRES: the child has not been reaped.
SocketOwner FindSocketOwner(const std::set<ino_t>& sockets, pid_t child);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_PROC_LISTENERS_H_

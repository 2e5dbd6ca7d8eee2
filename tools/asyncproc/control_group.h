#ifndef ASYNCPROC_TOOLS_ASYNCPROC_CONTROL_GROUP_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_CONTROL_GROUP_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace asyncproc::cli {

// A control group (cgroup, version 2) with this process and all processes that
// it starts, even those that clear their environment or start a session. The
// group is a child of the group in which this process was.
//
// Thread safety: none. Ownership: the destructor moves all processes back, and
// removes the group.
class ControlGroup {
 public:
  // Makes a group and moves this process into it, which takes some 10 ms.
  // Returns null if no group is `wanted`.
  // Errors: kFailedPrecondition if the system has no cgroup of version 2, or no
  // cgroup.kill; as mkdir(2) and write(2), kPermissionDenied above all.
  static absl::StatusOr<std::unique_ptr<ControlGroup>> EnterIf(bool wanted);
  ~ControlGroup();
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  // Moves the calling process, which may be a forked copy, out of the group.
  void Leave() const;
  // Kills all processes of the group by SIGKILL, and removes it. REQUIRES: the
  // calling process has left.
  void KillAll() const;

 private:
  ControlGroup(std::string outer, std::string path);
  // False while the group has a process.
  bool Remove() const;

  const std::string outer_;  // The folder of the group above.
  const std::string path_;   // The folder of this group.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_CONTROL_GROUP_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_ORPHANS_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_ORPHANS_H_

#include <vector>

#include "asyncproc/termination.h"

namespace asyncproc::cli {

// What a command has left behind: processes whose parent has ended, which the
// kernel then gives to this one, whatever group or session they have gone to.
// An escalation alone no longer finds those.

// From now on they come here, and no longer to init. To be called before there
// is any child.
void AdoptOrphans();

// Ends all that have come, with SIGTERM and after a second SIGKILL, and what
// they in their turn leave behind; returns who is left after `patience`.
// REQUIRES: every Process of the program has ended. Blocking: up to `patience`.
std::vector<Survivor> EndOrphans(absl::Duration patience);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_ORPHANS_H_

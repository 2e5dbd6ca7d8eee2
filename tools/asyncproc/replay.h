#ifndef ASYNCPROC_TOOLS_ASYNCPROC_REPLAY_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_REPLAY_H_

#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

// asyncproc replay: plays a recording.
Subcommand ReplaySubcommand();

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_REPLAY_H_

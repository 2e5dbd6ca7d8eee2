#ifndef ASYNCPROC_TOOLS_ASYNCPROC_RUN_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_RUN_H_

#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

// asyncproc run: one command, from its start to its end.
Subcommand RunSubcommand();

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_RUN_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_COMMAND_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_COMMAND_H_

#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

// asyncproc pool: many commands, several at a time.
Subcommand PoolSubcommand();

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_POOL_COMMAND_H_

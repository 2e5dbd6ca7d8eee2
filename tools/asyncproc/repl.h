#ifndef ASYNCPROC_TOOLS_ASYNCPROC_REPL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_REPL_H_

#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

// asyncproc repl: commands in, replies out; and sessions as tests.
Subcommand ReplSubcommand();

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_REPL_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_MANUAL_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_MANUAL_H_

#include <string>
#include <vector>

#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

// The version that --version and the man page name.
extern const char kVersion[];

// All that is said about the tool, made from the table of its subcommands.

// asyncproc --help
std::string Overview(const std::vector<Subcommand>& subcommands);

// asyncproc run --help
std::string HelpOf(const Subcommand& subcommand);

// asyncproc --man: asyncproc(1), in the macros of man(7).
std::string ManPage(const std::vector<Subcommand>& subcommands);
// asyncproc --man run: asyncproc-run(1).
std::string ManPageOf(const Subcommand& subcommand);

// asyncproc --completion bash: to be sourced.
std::string BashCompletion(const std::vector<Subcommand>& subcommands);
// The file _asyncproc in a folder of $fpath; may be sourced, too.
std::string ZshCompletion(const std::vector<Subcommand>& subcommands);
// asyncproc.fish; may be sourced, too.
std::string FishCompletion(const std::vector<Subcommand>& subcommands);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_MANUAL_H_

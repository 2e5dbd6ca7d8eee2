#ifndef ASYNCPROC_TOOLS_ASYNCPROC_INHERITED_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_INHERITED_H_

#include "asyncproc/command.h"

namespace asyncproc::cli {

// The tool passes on to commands, as nohup and timeout do: the signals that are
// ignored when the tool starts, except SIGPIPE and SIGCHLD, and the descriptors
// above 2, as of <(...) in bash and of a jobserver of make.

// Call this once, at the start, before any descriptor is opened and any signal
// is changed.
void NoteInherited();

// Gives a command the signals, or the descriptors, of NoteInherited.
void PassIgnoredSignals(Command* command);
void PassDescriptors(Command* command);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_INHERITED_H_

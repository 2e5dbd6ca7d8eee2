#ifndef ASYNCPROC_INTERNAL_REPL_STOP_STATEMENT_H_
#define ASYNCPROC_INTERNAL_REPL_STOP_STATEMENT_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "asyncproc/internal/repl/conversation.h"

namespace asyncproc::internal {

// Stops the running statement: interrupts the program as its dialect says, or
// leaves an incomplete statement, until the program is ready for the next one.
// Its output until then is dropped. Errors: kDeadlineExceeded, also after
// ReplInterrupt::patience; kCancelled; others when the program cannot be
// reached.
absl::Status StopStatement(Conversation& conversation, absl::Time deadline);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_REPL_STOP_STATEMENT_H_

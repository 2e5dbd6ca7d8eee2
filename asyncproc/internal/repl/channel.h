#ifndef ASYNCPROC_INTERNAL_REPL_CHANNEL_H_
#define ASYNCPROC_INTERNAL_REPL_CHANNEL_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/os/pipe.h"

namespace asyncproc::internal {

// The host's side of a Repl's private channel: two pipes besides stdin, stdout
// and stderr. The child reads statements from descriptor kStatements and writes
// completion lines to descriptor kCompletions.
//
// Thread safety: one thread at a time.
class Channel {
 public:
  // Single digits: dash cannot redirect higher numbers.
  static constexpr int kStatements = 8;
  static constexpr int kCompletions = 9;

  // Makes the pipes and adds the child's ends to `command`. Errors:
  // kInvalidArgument when the command already passes one of the two numbers;
  // kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Channel>> Open(Command* command);

  // Call this once the child has its ends.
  void CloseChildEnd() { completions_.write_end.Reset(); }

  // Writes `text` as far as the pipe has room, and queues the rest. Never
  // blocks.
  absl::Status Send(absl::string_view text);

  // Waits until the pipe has all sent bytes. Errors: kDeadlineExceeded;
  // kCancelled.
  absl::Status Flush(absl::Time deadline);

  // Whether process `pid` has read all sent bytes, and waits for more. False
  // where /proc does not show it.
  bool IsAwaited(pid_t pid) const;

  // Writes queued bytes, and waits for the next bytes from the child; returns
  // an empty string at end-of-file. Errors: kDeadlineExceeded; kCancelled.
  absl::StatusOr<std::string> Receive(absl::Time deadline);

 private:
  Channel(Pipe statements, Pipe completions);

  // Writes queued bytes as far as the pipe has room.
  absl::Status WriteQueued();

  // Writes as much of `text` as the pipe has room for, and removes it from
  // `text`.
  absl::Status WriteSome(absl::string_view* text);

  // The host keeps the read end open, so that writing never raises SIGPIPE: the
  // end of the child shows as end-of-file on the other pipe.
  Pipe statements_;
  Pipe completions_;
  std::string unsent_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_REPL_CHANNEL_H_

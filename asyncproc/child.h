#ifndef ASYNCPROC_CHILD_H_
#define ASYNCPROC_CHILD_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/termination.h"

namespace asyncproc {

class Process;

enum class ProcessState {
  kRunning,
  kStopped,    // By SIGSTOP, SIGTSTP ...; SIGCONT makes it run on.
  kDraining,   // Ended; its remaining output is being read.
  kDrained,    // Ended, and all output is at end-of-file.
  kAbandoned,  // Ended, but another process still holds its output open.
};

std::ostream& operator<<(std::ostream& out, ProcessState state);

// A partner in a conversation: a Process, a Pipeline, or a substitute such as
// ReplayProcess (asyncproc/testing/replay_process.h). Expect and Repl accept
// any Child. Code that takes a Child& can be tested without a process.
//
// A Child has fewer methods than a Process: it has no pid, no terminal and no
// descriptors, because a recorded child has none.
//
// Each method has the contract of the Process method with the same name.
//
// Thread safety: any thread may call any method at any time; only the
// destructor must not overlap another call.
class Child {
 public:
  virtual ~Child() = default;

  virtual absl::Status Write(absl::string_view data) = 0;
  virtual absl::Status Flush(absl::Duration timeout) = 0;
  virtual absl::Status CloseStdin() = 0;

  virtual OutputStream& out() = 0;
  virtual OutputStream& err() = 0;

  virtual absl::StatusOr<ExitStatus> Wait(int flags = 0) = 0;
  virtual absl::StatusOr<ExitStatus> WaitFor(absl::Duration timeout) = 0;

  virtual absl::Status Signal(int signal) = 0;
  virtual absl::Status Signal(int signal, TerminationScope scope) = 0;
  virtual absl::Status Interrupt(TerminationScope scope) = 0;
  virtual absl::StatusOr<ExitStatus> Terminate(
      absl::Duration grace = absl::Seconds(1)) = 0;

  virtual bool IsAlive() = 0;
  virtual ProcessState state() = 0;

  // A name for messages, such as "bc -q (pid 4711)".
  virtual std::string DebugString() const = 0;

  // The processes of the child, for functions such as Diagnose that need a
  // Process: a Pipeline has several, a recording has none. The child owns them.
  virtual std::vector<Process*> processes() { return {}; }

  // Returns `count` unpredictable letters from a to p, for a mark that can be
  // recognized in the child's output. The child draws them because they are
  // part of the conversation: a recording contains them, and its replay returns
  // the same letters. Errors: kInternal if the kernel provides no random bytes.
  virtual absl::StatusOr<std::string> DrawLetters(size_t count) = 0;

  // A Repl with a private channel (see repl_dialects.h) reports all bytes of
  // the channel to the child, so that a recording contains them. NoteReceived
  // returns `bytes`; in a replay, it waits for the bytes that were received in
  // the recording, and returns those bytes.
  virtual absl::Status NoteSent(absl::string_view bytes) = 0;
  virtual absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                                   absl::Duration timeout) = 0;
};

// Prints DebugString.
std::ostream& operator<<(std::ostream& out, const Child& child);

}  // namespace asyncproc

#endif  // ASYNCPROC_CHILD_H_

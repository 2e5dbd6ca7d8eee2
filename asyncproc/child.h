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
  kDraining,   // Ended; what it had written is being read.
  kDrained,    // Ended, and all output is at its end.
  kAbandoned,  // Ended, but another process still holds its output open.
};

std::ostream& operator<<(std::ostream& out, ProcessState state);

// What one talks to: a Process, or what stands in for one, as ReplayProcess
// (asyncproc/testing/replay_process.h) does. Expect and Repl take any; code of
// yours that drives a child and takes a Child& can be tested without one.
//
// It is what a conversation needs, and so less than Process: a Child has no
// pid, no terminal of its own and no descriptors, for a recorded one has none.
//
// A Pipeline is one, too.
//
// Every method does what Process says of the one with its name.
//
// Thread safety: any thread may call anything at any time; only the destructor
// must not overlap another call.
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

  // For messages: what it is, "bc -q (pid 4711)".
  virtual std::string DebugString() const = 0;

  // The processes behind it, for what needs one, such as Diagnose: a Pipeline
  // has several, a recording none. They belong to the child.
  virtual std::vector<Process*> processes() { return {}; }

  // `count` letters from a to p that nobody can guess, for a mark to be known
  // by in what a child says. That is the child's to give because it is a part
  // of the conversation: a recording has it, and what replays that gives the
  // same again. Errors: kInternal where the kernel has nothing random.
  virtual absl::StatusOr<std::string> DrawLetters(size_t count) = 0;

  // A Repl that talks by a private channel (see repl.h) tells the child of all
  // that passes there, so that a recording has it. NoteReceived returns the
  // bytes; that of a recording returns those that were received then, and waits
  // for them.
  virtual absl::Status NoteSent(absl::string_view bytes) = 0;
  virtual absl::StatusOr<std::string> NoteReceived(absl::string_view bytes,
                                                   absl::Duration timeout) = 0;
};

// Prints DebugString.
std::ostream& operator<<(std::ostream& out, const Child& child);

}  // namespace asyncproc

#endif  // ASYNCPROC_CHILD_H_

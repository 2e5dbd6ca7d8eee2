#ifndef ASYNCPROC_CHILD_OBSERVER_H_
#define ASYNCPROC_CHILD_OBSERVER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/termination.h"

namespace asyncproc {

struct Command;

// Which of a child's two outputs.
enum class ChildStream { kOut, kErr };

// Sees everything that goes to a child and comes from it, in a causal order: an
// input before it is written, and an output before any reader can take it.
// Recorder is one; derive from it for an observer of your own, and set it as
// Command::observer.
//
// The methods are called while locks of the child are held. They must only take
// note: a call of any method of the child from there blocks for ever.
//
// Thread safety: all methods may be called from any thread.
class ChildObserver {
 public:
  virtual ~ChildObserver() = default;

  // `command` is about to be started, or its running child is observed from now
  // on. An error prevents that.
  virtual absl::Status OnStart(const Command& command) = 0;
  // The command could not be started after OnStart.
  virtual void OnStartFailed() = 0;

  // `bytes` are about to be written to stdin; end-of-file follows them; the
  // child does not read its stdin any more.
  virtual void OnInput(absl::string_view bytes) = 0;
  virtual void OnInputClosed() = 0;
  virtual void OnInputBroken() = 0;

  virtual void OnOutput(ChildStream stream, absl::string_view bytes) = 0;
  virtual void OnOutputClosed(ChildStream stream) = 0;

  // A signal that is about to be sent to a child that has not ended.
  virtual void OnSignal(int signal, TerminationScope scope) = 0;
  // The terminal is about to have this size.
  virtual void OnResize(int rows, int columns) = 0;
  // Letters that were drawn at random for this child: see Child::DrawLetters.
  virtual void OnLetters(absl::string_view letters) = 0;
  // What passed on the private channel of a Repl: `sent` to the child, or
  // received from it.
  virtual void OnChannel(bool sent, absl::string_view bytes) = 0;
  // The child has ended, and its output has settled. Once.
  virtual void OnExit(const absl::StatusOr<ExitStatus>& status) = 0;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_CHILD_OBSERVER_H_

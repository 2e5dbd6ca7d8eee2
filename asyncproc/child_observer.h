#ifndef ASYNCPROC_CHILD_OBSERVER_H_
#define ASYNCPROC_CHILD_OBSERVER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/termination.h"

namespace asyncproc {

struct Command;

// One of the two output streams of a child.
enum class ChildStream { kOut, kErr };

// Observes all input and output of a child in a causal order: it receives input
// before the input is written, and output before any reader can take the
// output. Recorder is an observer. Derive from this class for an observer of
// your own, and set it as Command::observer.
//
// The methods are called while locks of the child are held. They must only
// record the event: a call of any method of the child from an observer blocks
// forever.
//
// Thread safety: all methods may be called from any thread.
class ChildObserver {
 public:
  virtual ~ChildObserver() = default;

  // `command` is about to be started, or its running child is observed from now
  // on. An error prevents the start or the observation.
  virtual absl::Status OnStart(const Command& command) = 0;
  // The start or the observation failed after OnStart.
  virtual void OnStartFailed() = 0;

  // `bytes` are about to be written to stdin.
  virtual void OnInput(absl::string_view bytes) = 0;
  // stdin is about to be closed, after all input so far.
  virtual void OnInputClosed() = 0;
  // The child no longer reads its stdin.
  virtual void OnInputBroken() = 0;

  virtual void OnOutput(ChildStream stream, absl::string_view bytes) = 0;
  // The end of the output: of the child's, or of this program's interest in it
  // (OutputStream::Close, OnDestroy::Detach). No output follows.
  virtual void OnOutputClosed(ChildStream stream) = 0;

  // A signal is about to be sent. Not called for a signal to the child alone
  // once the child has ended.
  virtual void OnSignal(int signal, TerminationScope scope) = 0;
  // The terminal is about to get this size.
  virtual void OnResize(int rows, int columns) = 0;
  // Child::DrawLetters has drawn these random letters.
  virtual void OnLetters(absl::string_view letters) = 0;
  // `bytes` have passed on the private channel of a Repl: to the child if
  // `sent`, else from the child.
  virtual void OnChannel(bool sent, absl::string_view bytes) = 0;
  // The child has ended, and its output has settled. Called once.
  virtual void OnExit(const absl::StatusOr<ExitStatus>& status) = 0;
};

}  // namespace asyncproc

#endif  // ASYNCPROC_CHILD_OBSERVER_H_

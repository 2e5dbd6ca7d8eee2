#ifndef ASYNCPROC_INTERNAL_IO_CHILD_OBSERVER_H_
#define ASYNCPROC_INTERNAL_IO_CHILD_OBSERVER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/child_stream.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/termination.h"

namespace asyncproc {

struct Command;

namespace internal {

// Is told of all that goes to a child and comes from it, in an order that can
// have been: an input before it is written, and so before what comes of it; an
// output before anybody can read it, and so before what is written because of
// it.
//
// Therefore it is told while locks of the child are held: it only takes note,
// as Driver::Wake does, and calls nobody back. Where a child has none, a null
// pointer is looked at for each chunk, and that is all.
//
// Thread safety: all methods may be called from any thread.
class ChildObserver {
 public:
  virtual ~ChildObserver() = default;

  // Before `command` is started, or when a child that runs is observed from now
  // on. An error keeps it from that.
  virtual absl::Status OnStart(const Command& command) = 0;
  // And then it could not be started.
  virtual void OnStartFailed() = 0;

  // Bytes that stdin is about to be fed with; to end-of-file, which comes
  // behind them; nobody reads them any more.
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
  // It has ended, and its output has settled. Once.
  virtual void OnExit(const absl::StatusOr<ExitStatus>& status) = 0;
};

}  // namespace internal
}  // namespace asyncproc

#endif  // ASYNCPROC_INTERNAL_IO_CHILD_OBSERVER_H_

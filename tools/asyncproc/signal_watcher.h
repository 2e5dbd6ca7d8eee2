#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// A signal that the tool has received.
struct ReceivedSignal {
  int number = 0;
  // The kernel sent the signal to the whole foreground process group, for
  // Ctrl-C or a new size of the terminal. A child in the tool's group has
  // received it, too.
  bool from_terminal = false;
};

// Calls a function for each signal that ends or steers the tool.
//
//   auto watcher = SignalWatcher::Start(
//       {SIGINT, SIGTERM}, [&](const ReceivedSignal& signal) {
//         process->Signal(signal.number).IgnoreError();
//       });
//
// Start it before any other thread, on the main thread: it blocks these signals
// there. It also blocks SIGPIPE, so that a write to a closed pipe is an error.
// The library gives children an empty mask nevertheless. A signal that is
// ignored when the tool starts, as nohup does with SIGHUP, stays ignored.
//
// Thread safety: the function is called on the watcher's own thread, for one
// signal at a time. Ownership: the destructor waits for a call that is running,
// and leaves the signals blocked: the tool is about to end.
class SignalWatcher {
 public:
  using Callback = std::function<void(const ReceivedSignal&)>;

  // The signals that ask the tool to end: all whose default action ends a
  // program, but for SIGKILL, SIGPIPE and those that report a crash.
  static std::vector<int> EndingSignals();

  // The last signal that any watcher has received; 0: none.
  static int LastReceived() { return last_received_; }

  // `orphans`: reaped on the watcher's thread; may be null.
  // Errors: as signalfd(2); kResourceExhausted.
  static absl::StatusOr<std::unique_ptr<SignalWatcher>> Start(
      std::vector<int> signals, Callback callback, Orphans* orphans = nullptr);

  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  SignalWatcher(UniqueFd signals, UniqueFd stop, Callback callback,
                Orphans* orphans);
  void Watch();

  static std::atomic<int> last_received_;

  const UniqueFd signals_;
  const UniqueFd stop_;
  const Callback callback_;
  Orphans* const orphans_;
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_

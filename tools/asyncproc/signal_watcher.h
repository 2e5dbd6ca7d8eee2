#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
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
  // Whether a watcher has received the signal.
  static bool HasReceived(int signal) {
    return (received_ >> (signal - 1) & 1) != 0;
  }

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

  // Of all watchers, bit n-1 for signal n.
  static std::atomic<uint64_t> received_;

  const UniqueFd signals_;
  const UniqueFd stop_;
  const Callback callback_;
  Orphans* const orphans_;
  Thread thread_;
};

// Call this at the end of the tool, with its exit status. If that is the status
// of a command which a signal has ended, and the tool has received the signal,
// the tool ends by the signal: the loop of a shell then ends at a Ctrl-C, and a
// service manager sees an orderly stop.
void EndBySignal(int code);

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_

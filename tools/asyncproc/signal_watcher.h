#ifndef ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {

// A signal that the tool has got.
struct ReceivedSignal {
  int number = 0;
  // The kernel sent it, to the whole foreground process group: somebody pressed
  // Ctrl-C, or the terminal has got another size. A child that is in our group
  // has got it as well.
  bool from_terminal = false;
};

// The signals that end or steer the tool, as calls of a function.
//
//   auto watcher = SignalWatcher::Start(
//       {SIGINT, SIGTERM}, [&](const ReceivedSignal& signal) {
//         process->Signal(signal.number).IgnoreError();
//       });
//
// To be started before any other thread is, on the main one: it blocks these
// signals there, and SIGPIPE besides, so that a write to a closed pipe is an
// error. Children have an empty mask nevertheless: the library sees to it. A
// signal that is ignored when the tool starts, as nohup does with SIGHUP, is
// left so.
//
// Thread safety: the function is called on the watcher's own thread, for one
// signal at a time. Ownership: the destructor waits for a call that is running,
// and leaves the signals blocked: the tool is about to end.
class SignalWatcher {
 public:
  using Callback = std::function<void(const ReceivedSignal&)>;

  // Those that ask the tool to end: SIGINT, SIGTERM, SIGHUP, SIGQUIT.
  static std::vector<int> EndingSignals();

  // `orphans`: are reaped on the watcher's thread; may be null.
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

  const UniqueFd signals_;
  const UniqueFd stop_;
  const Callback callback_;
  Orphans* const orphans_;
  Thread thread_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_SIGNAL_WATCHER_H_

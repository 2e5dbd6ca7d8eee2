#ifndef ASYNCPROC_INTERNAL_IO_CHILD_PROCESS_H_
#define ASYNCPROC_INTERNAL_IO_CHILD_PROCESS_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/end/child_end.h"
#include "asyncproc/internal/end/reaper.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/io/output_reader.h"
#include "asyncproc/internal/io/stdin_writer.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/os/waker.h"
#include "asyncproc/internal/spawn/launch.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/termination.h"

namespace asyncproc::internal {

// The host's side of one child: the readers of its output, the writer of its
// stdin, and its end. They run on threads of their own, or a loop drives them;
// see their classes.
//
// Thread safety: methods that are not for the loop may be called from any
// thread.
// Ownership: the threads share the object until they are stopped or end.
class ChildProcess {
 public:
  // The output streams; further pipes follow them.
  enum Stream : size_t { kOut, kErr, kUsualStreams };

  struct Options {
    OutputBound bound = OutputBound::Unbounded();
    // Threads read the output, feed stdin and watch for the exit, once Go is
    // called.
    bool threads = false;
    // For a loop: called when there is work that no descriptor shows. Any
    // thread may call it, with locks held: it must only record the call.
    std::function<void()> wake;
    // For a loop: called before a descriptor is closed.
    std::function<void(int fd)> before_close;
    // Further descriptors of the child that are pipes to the host.
    std::vector<int> further_pipes;
  };

  // Starts `command`. Output that arrives while there is no cursor is
  // discarded: add cursors before Go, or before the loop reads. Errors: as
  // CheckCommand and Launch; kResourceExhausted when a thread or descriptor is
  // missing. On error, no child is left running.
  static absl::StatusOr<std::shared_ptr<ChildProcess>> Start(
      const Command& command, Options options);

  // REQUIRES: the child has ended, or was detached. Closes all pipes; each
  // buffer is finished.
  ~ChildProcess();

  // Lets the threads start their work.
  void Go();

  Reaper& reaper() { return end_.reaper(); }
  ChildEnd& end() { return end_; }
  // Null when stdin is not a pipe.
  StdinWriter* input() { return input_.get(); }
  // The master of the child's terminal; -1 when it has none.
  int terminal() const { return terminal_.get(); }
  size_t output_count() const { return outputs_.size(); }
  OutputReader& output(size_t stream) { return *outputs_[stream]; }

  // From now on, tells `observer` of every event, and at once of the output
  // that is still buffered. Returns false when there is an observer already.
  bool Observe(std::shared_ptr<ChildObserver> observer);
  // Tells the observer, if there is one.
  void NoteSignal(int signal, TerminationScope scope);
  void NoteLetters(absl::string_view letters);
  void NoteChannel(bool sent, absl::string_view bytes);

  // Closes stdin and drops its queued bytes, in order to end the child. Returns
  // false when this cannot end the child: stdin is not a pipe, or was closed
  // before by another call.
  bool AbortInput();

  // ---- For the owner, at the end.

  // Sends SIGKILL and reaps the child. False: see Reaper::KillAndReap.
  bool KillAndReap();
  // Stops the threads; then reads the bytes that an ended child has left in its
  // pipes.
  void Stop();
  // Closes stdin, and finishes the buffers. Further output is dropped. Lets the
  // threads, if there are any, continue on their own until the output has
  // settled.
  void Detach();
  // In a forked copy of the host: closes the descriptors, and nothing else. The
  // object must then be leaked: its mutexes may be locked forever.
  void CloseInForkedCopy();

  // ---- For the loop.

  // The exit shows, or a wake-up came: reaps the child if it has ended, and
  // reads the outputs to their end. `group_wanted`: the caller may still want
  // to end the child's group, even when all output is at its end.
  bool CheckExit(bool group_wanted);
  // Handles a wake-up.
  void OnWake(bool group_wanted);
  // Called when the deadline of an output may have passed.
  void OnTime();
  // The time to call OnTime, or to check NextWatch of the end again.
  absl::Time deadline() const;
  // Waits once, until `deadline` at the latest, for any event of the child, and
  // handles it: the loop of a single child.
  void Step(absl::Time deadline);
  // Closes all streams that an ended child has left open.
  void Abandon();

 private:
  ChildProcess(const Command& command, std::unique_ptr<Reaper> reaper,
               Options options);

  // Starts the thread that reads the output; stderr gets its own later.
  absl::Status StartThread(const Command& command,
                           const std::shared_ptr<ChildProcess>& self);
  absl::Status Adopt(const Command& command, Launched launched,
                     const std::weak_ptr<ChildProcess>& self);
  bool OutputsAtEnd() const;

  const Options options_;
  ChildEnd end_;
  std::shared_ptr<Waker> waker_;  // Wakes Step at the exit; null with pidfds.
  // Constant after Start.
  std::vector<std::unique_ptr<OutputReader>> outputs_;  // From kOut on.
  std::unique_ptr<StdinWriter> input_;
  UniqueFd terminal_;
  std::unique_ptr<ParentThread, ParentThreadDeleter> parent_;
  // AbortInput has closed stdin: a second call returns true as well.
  std::atomic<bool> input_aborted_{false};
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_CHILD_PROCESS_H_

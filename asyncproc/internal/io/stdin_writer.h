#ifndef ASYNCPROC_INTERNAL_IO_STDIN_WRITER_H_
#define ASYNCPROC_INTERNAL_IO_STDIN_WRITER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/internal/end/child_end.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/io/line_discipline.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/os/waker.h"

namespace asyncproc::internal {

// As write(), but a broken pipe only gives EPIPE: the host receives no SIGPIPE,
// regardless of its disposition, and the disposition and this thread's signal
// mask stay unchanged.
ssize_t WriteWithoutSigpipe(int fd, absl::string_view data);

// Writes a child's stdin: owns the host's end of the pipe, socket or terminal,
// and the queue of bytes to be written to it.
//
// There are two ways to use it. After UseThread, a thread writes the bytes that
// do not fit at once. The first Write starts the thread before it takes any
// bytes; a child that is never written to has no such thread. Without
// UseThread, a loop waits as NextWatch says, and calls Advance.
//
// Thread safety: all methods may be called from any thread, except those of the
// loop, which are for one thread at a time. While the descriptor is polled,
// only the thread or the loop closes it, so that neither polls a reused
// descriptor number.
class StdinWriter {
 public:
  enum class Kind { kPipe, kSocket, kTerminal };

  struct Options {
    // The maximum number of queued bytes; 0: no limit.
    size_t limit = 0;
    bool may_grow_pipe = true;
    // For a loop: called under the lock when there is work, so it must only
    // record the call. Or null.
    std::function<void()> wake;
    // Called before the descriptor is closed, or null.
    std::function<void(int fd)> before_close;
  };

  // `fd` is nonblocking. End-of-file on a terminal is its end-of-file
  // character: the terminal stays open. `end` must outlive this.
  StdinWriter(UniqueFd fd, Kind kind, const ChildEnd& end, Options options);
  // REQUIRES: no thread runs.
  ~StdinWriter();
  StdinWriter(const StdinWriter&) = delete;
  StdinWriter& operator=(const StdinWriter&) = delete;

  // ---- For the owner.

  // From now on, a thread writes the bytes that do not fit at once. `owner`
  // stays alive until the thread has been joined, or has ended after Detach.
  void UseThread(std::weak_ptr<void> owner) ABSL_LOCKS_EXCLUDED(mu_);
  // Stops the thread and joins it.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);
  // Lets the thread continue on its own until all bytes are written.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);
  // In a forked copy of the host: closes the descriptors, and nothing else.
  void CloseInForkedCopy() ABSL_NO_THREAD_SAFETY_ANALYSIS;

  // From now on, tells `observer` of the input.
  void Observe(std::shared_ptr<ChildObserver> observer)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the observer that the terminal is about to have this size.
  void NoteResize(int rows, int columns) ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For callers. Only WriteAndFlush blocks.

  // Takes all of `data`, or nothing.
  // Errors: kFailedPrecondition after Close, and once the child has closed its
  // end, with the number of bytes not delivered. kResourceExhausted when the
  // limit would be exceeded, or there is no memory or no thread, with the
  // number of bytes not taken. kInvalidArgument for a line too long for a
  // terminal in canonical mode.
  absl::Status Write(absl::string_view data) ABSL_LOCKS_EXCLUDED(mu_);
  // As Write; then waits until the pipe has taken all bytes that were written.
  // The bytes of `data` are written without a copy, except after others that
  // are queued, or when the wait ends before the pipe has taken all of them.
  // Errors: also kDeadlineExceeded, and those of Close.
  absl::Status WriteAndFlush(absl::string_view data, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);

  // REQUIRES: stdin is a terminal. Types the end-of-file character after the
  // queued bytes, as Close, but more can be written after it. Errors: as Write.
  absl::Status TypeEof() ABSL_LOCKS_EXCLUDED(mu_);
  // As Write, for a control character: needs the thread only when bytes are
  // queued.
  absl::Status TypeControl(char character) ABSL_LOCKS_EXCLUDED(mu_);

  // Sends end-of-file after the queued bytes, regardless of the limit. A second
  // call does nothing.
  // Errors: kFailedPrecondition when the child has closed its end before all
  // bytes were delivered. For a terminal, kResourceExhausted when there is no
  // memory or thread to queue the end-of-file; nothing has changed then.
  absl::Status Close() ABSL_LOCKS_EXCLUDED(mu_);

  // Sends end-of-file now; queued bytes are dropped and counted as not
  // delivered. Returns false when this gives the child no end-of-file: stdin
  // was closed already, or the character cannot be queued for a terminal.
  bool Abort() ABSL_LOCKS_EXCLUDED(mu_);

  // The bytes that Write took and that will never reach the pipe.
  uint64_t undelivered() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether the child has ended.
  bool ChildHasExited() const { return end_.HasExited(); }
  // The number of bytes taken and not yet written.
  size_t pending() const ABSL_LOCKS_EXCLUDED(mu_);

  // The descriptor; -1 when it has been closed.
  int fd() const ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For the loop.

  // The descriptor and events to poll. `fd` is -1 when there is nothing to
  // poll. Without POLLOUT in `events`, poll for the error that shows a closed
  // read end. `next_look`: the time to call Advance in any case.
  struct Watch {
    int fd = -1;
    short events = 0;
    absl::Time next_look = absl::InfiniteFuture();
  };
  Watch NextWatch() const ABSL_LOCKS_EXCLUDED(mu_);
  // Handles the poll events `events`, 0 after a wake-up: writes the bytes that
  // fit, and closes the descriptor if that is due or the read end is closed.
  void Advance(short events) ABSL_LOCKS_EXCLUDED(mu_);
  // Closes the descriptor; queued bytes are not delivered. The observer is not
  // told: the host calls this after the end of the child.
  void Break() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class Bytes { kCopied, kControl, kLent };
  absl::Status WriteLocked(absl::string_view data, Bytes bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Copies the lent bytes to the front of the queue.
  absl::Status CopyLent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t PendingLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes once, as many bytes from the front of `data` as fit, and removes
  // them from `data`.
  void WriteSome(absl::string_view* data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes the pending bytes that fit.
  void WritePending() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The read end is closed: drops all bytes.
  void BreakLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CloseFd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Drop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckDelivered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts the thread if it is to be used and has not been started.
  absl::Status EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Wakes the thread or the loop. Returns false when there is neither.
  bool Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Watch NextWatchLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes the bytes that fit, and closes the descriptor if that is due.
  void AdvanceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run();

  const Options options_;
  const ChildEnd& end_;
  const bool is_socket_;

  mutable absl::Mutex mu_;
  UniqueFd fd_ ABSL_GUARDED_BY(mu_);
  std::optional<LineDiscipline> terminal_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<ChildObserver> observer_ ABSL_GUARDED_BY(mu_);  // Or null.
  absl::string_view lent_ ABSL_GUARDED_BY(mu_);  // In front of the queue.
  ByteQueue queue_ ABSL_GUARDED_BY(mu_);
  PipeGrowth growth_ ABSL_GUARDED_BY(mu_);
  size_t taken_ ABSL_GUARDED_BY(mu_) = 0;      // Written late.
  bool closing_ ABSL_GUARDED_BY(mu_) = false;  // No more Writes.
  bool broken_ ABSL_GUARDED_BY(mu_) = false;   // The read end is closed.
  uint64_t undelivered_ ABSL_GUARDED_BY(mu_) = 0;
  // The time to retry, for a terminal that no process has open.
  absl::Time retry_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();

  bool threaded_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  bool detached_ ABSL_GUARDED_BY(mu_) = false;
  std::weak_ptr<void> owner_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<Waker> waker_ ABSL_GUARDED_BY(mu_);  // Null: no thread yet.
  Thread thread_ ABSL_GUARDED_BY(mu_);
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_STDIN_WRITER_H_

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

// write(), but a broken pipe is EPIPE and nothing else: no SIGPIPE reaches the
// host, whatever it does with that signal, and its disposition and the mask of
// this thread stay as they are.
ssize_t WriteWithoutSigpipe(int fd, absl::string_view data);

// The writer of a child's stdin: owns the host's end of the pipe or terminal,
// and the bytes still to be written to it.
//
// Two ways to use it. After UseThread, a thread of its own writes the bytes
// that do not fit at once. The thread starts with the first Write, before a
// byte is taken; a child that is never written to has no such thread. Without
// UseThread, a loop waits for fd() and wants_room(), and calls Advance.
//
// Thread safety: all methods may be called from any thread, except those of the
// loop, which are for one thread at a time. Only the thread or the loop closes
// the descriptor while it is polled, so that it never polls a number that
// belongs to another file.
class StdinWriter {
 public:
  enum class Kind { kPipe, kTerminal };

  struct Options {
    // The most bytes that may be queued; 0: no limit.
    size_t limit = 0;
    bool may_grow_pipe = true;
    // For a loop: called when there is something to do, under the lock, so that
    // it must only take note. Or null.
    std::function<void()> wake;
    // Called before the descriptor is closed, or null.
    std::function<void(int fd)> before_close;
  };

  // `fd` is nonblocking. The end-of-file of a terminal is the character that a
  // person types for it: the terminal stays open. `end` must outlive this.
  StdinWriter(UniqueFd fd, Kind kind, const ChildEnd& end, Options options);
  // REQUIRES: no thread runs.
  ~StdinWriter();
  StdinWriter(const StdinWriter&) = delete;
  StdinWriter& operator=(const StdinWriter&) = delete;

  // ---- For the owner.

  // Bytes that do not fit at once are written by a thread from now on. `owner`
  // lives until that thread has been joined, or ends by itself when it was
  // detached.
  void UseThread(std::weak_ptr<void> owner) ABSL_LOCKS_EXCLUDED(mu_);
  // Stops the thread and joins it.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);
  // Lets the thread go on by itself until all bytes are written.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);
  // In a forked copy of the host: closes the descriptors, and nothing else.
  void CloseInForkedCopy() ABSL_NO_THREAD_SAFETY_ANALYSIS;

  // From now on, `observer` is told.
  void Observe(std::shared_ptr<ChildObserver> observer)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells it that the terminal is about to have this size.
  void NoteResize(int rows, int columns) ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For callers. None blocks but Flush.

  // Takes all of `data`, or nothing and says why.
  // Errors: kFailedPrecondition after Close, and once the child has closed its
  // end: that says how many bytes were not delivered. kResourceExhausted when
  // the limit would be exceeded, or there is no memory or no thread: that says
  // how many bytes were not taken.
  absl::Status Write(absl::string_view data) ABSL_LOCKS_EXCLUDED(mu_);

  // REQUIRES: stdin is a terminal. Types the end of the input after the queued
  // bytes, as Close, but more can be written after it. Errors: as Write.
  absl::Status TypeEof() ABSL_LOCKS_EXCLUDED(mu_);
  // As Write, for a control character: needs the thread only when bytes are
  // queued.
  absl::Status TypeControl(char character) ABSL_LOCKS_EXCLUDED(mu_);

  // End-of-file after the queued bytes, whatever the limit. A second call does
  // nothing.
  // Errors: kFailedPrecondition when the child has closed its end, and not all
  // was delivered. kResourceExhausted, of a terminal, when there is no memory
  // or no thread to queue the end-of-file: then nothing has been done.
  absl::Status Close() ABSL_LOCKS_EXCLUDED(mu_);

  // End-of-file now; queued bytes are dropped, and counted as not delivered.
  // False when the child gets no end-of-file by that: it was closed already, or
  // nothing can be queued for a terminal.
  bool Abort() ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until the pipe has taken all bytes that were written.
  // Errors: kDeadlineExceeded; as Close.
  absl::Status Flush(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // Bytes that were taken by Write and will never reach the pipe.
  uint64_t undelivered() const ABSL_LOCKS_EXCLUDED(mu_);
  // Bytes that are queued.
  size_t pending() const ABSL_LOCKS_EXCLUDED(mu_);

  // The descriptor; -1 when it has been closed.
  int fd() const ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For the loop.

  // What to wait for. `fd` is -1 for nothing. Without POLLOUT in `events`, wait
  // for the error, which means that nobody reads. `next_look`: when to call
  // Advance in any case.
  struct Watch {
    int fd = -1;
    short events = 0;
    absl::Time next_look = absl::InfiniteFuture();
  };
  Watch NextWatch() const ABSL_LOCKS_EXCLUDED(mu_);
  // Handles the poll events `events`, 0 after a wake-up: writes bytes that fit,
  // and closes the descriptor if that is due or nobody reads.
  void Advance(short events) ABSL_LOCKS_EXCLUDED(mu_);
  // Closes the descriptor; queued bytes are not delivered. The observer is not
  // told: the host does this, after the end of the child.
  void Break() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Status WriteLocked(absl::string_view data, bool is_control)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes the bytes that fit from the front of `data`, once, and drops them
  // from it.
  void WriteSome(absl::string_view* data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes the queued bytes that fit.
  void WriteQueued() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nobody reads: drops all bytes.
  void BreakLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CloseFd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Drop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckDelivered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts the thread, if there is to be one and it has not been started.
  absl::Status EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Wakes the thread or the loop. False when there is neither.
  bool Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Watch NextWatchLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes bytes that fit, and closes the descriptor if that is due.
  void AdvanceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run();

  const Options options_;
  const ChildEnd& end_;

  mutable absl::Mutex mu_;
  UniqueFd fd_ ABSL_GUARDED_BY(mu_);
  std::optional<LineDiscipline> terminal_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<ChildObserver> observer_ ABSL_GUARDED_BY(mu_);  // Or null.
  ByteQueue queue_ ABSL_GUARDED_BY(mu_);
  PipeGrowth growth_ ABSL_GUARDED_BY(mu_);
  size_t taken_ ABSL_GUARDED_BY(mu_) = 0;      // From the queue, by the pipe.
  bool closing_ ABSL_GUARDED_BY(mu_) = false;  // No more Writes.
  bool broken_ ABSL_GUARDED_BY(mu_) = false;   // Nobody reads.
  uint64_t undelivered_ ABSL_GUARDED_BY(mu_) = 0;
  // Of a terminal that no process has open: when to try again.
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

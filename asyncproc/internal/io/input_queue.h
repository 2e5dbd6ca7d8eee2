#ifndef ASYNCPROC_INTERNAL_IO_INPUT_QUEUE_H_
#define ASYNCPROC_INTERNAL_IO_INPUT_QUEUE_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/io/child_observer.h"
#include "asyncproc/internal/io/driver.h"
#include "asyncproc/internal/io/line_discipline.h"
#include "asyncproc/internal/os/unique_fd.h"

namespace asyncproc::internal {

// write(), but a broken pipe is EPIPE and nothing else: no SIGPIPE reaches the
// host, whatever it does with that signal, and its disposition and the mask of
// this thread stay as they are.
ssize_t WriteWithoutSigpipe(int fd, absl::string_view data);

// The host's end of a child's stdin, and what is still to be written to it.
// Whoever writes tries the pipe first; what does not fit waits here, and the
// child's driver writes it when there is room.
//
// Thread safety: all methods may be called from any thread; but those of the
// driver by the driver alone, which is also the only one that closes the pipe,
// so that it never polls a number that has become another's.
class InputQueue {
 public:
  enum class Kind { kPipe, kTerminal };

  // `fd` is nonblocking. `limit`: the most bytes that may wait; 0: no limit.
  // The end-of-file of a terminal is what a person would type for it: the
  // terminal stays open.
  InputQueue(UniqueFd fd, Kind kind, size_t limit,
             std::shared_ptr<Driver> driver);

  // From now on, `observer` is told.
  void Observe(std::shared_ptr<ChildObserver> observer)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells it that the terminal is about to have this size.
  void NoteResize(int rows, int columns) ABSL_LOCKS_EXCLUDED(mu_);

  // Takes all of `data`, or nothing and says why.
  // Errors: kFailedPrecondition after Close, and once the child has closed its
  // end: that says how many bytes were not delivered. kResourceExhausted when
  // `limit` would be exceeded, or there is no memory: that says how many bytes
  // were not taken.
  absl::Status Write(absl::string_view data) ABSL_LOCKS_EXCLUDED(mu_);

  // REQUIRES: stdin is a terminal. The end of the input behind what is waiting,
  // as Close, but more can be written after it. Errors: as Write.
  absl::Status TypeEof() ABSL_LOCKS_EXCLUDED(mu_);

  // End-of-file behind what is waiting, whatever the limit. A second call does
  // nothing.
  // Errors: kFailedPrecondition when the child has closed its end, and not all
  // was delivered. kResourceExhausted, of a terminal, when there is no memory
  // to queue it: then nothing has been done.
  absl::Status Close() ABSL_LOCKS_EXCLUDED(mu_);

  // End-of-file now; what is waiting is dropped, and counted as not delivered.
  // False when the child gets none by that: it was closed already, or there is
  // no memory to queue what to type into a terminal.
  bool Abort() ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until the pipe has taken all that was written.
  // Errors: kDeadlineExceeded; as Close.
  absl::Status Flush(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // Bytes that were taken by Write and will never reach the pipe.
  uint64_t undelivered() const ABSL_LOCKS_EXCLUDED(mu_);
  // Bytes that wait.
  size_t pending() const ABSL_LOCKS_EXCLUDED(mu_);

  // For the driver: the pipe, or -1 when it has been closed; whether to wait
  // for room in it (without, wait for its error, which means that nobody
  // reads).
  int fd() const ABSL_LOCKS_EXCLUDED(mu_);
  bool wants_room() const ABSL_LOCKS_EXCLUDED(mu_);
  // For the driver: writes what fits, and closes the pipe if that is due.
  void Advance() ABSL_LOCKS_EXCLUDED(mu_);
  // For the driver: nobody reads the other end any more.
  void OnBroken() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Status WriteLocked(absl::string_view data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Writes what fits from the front of `data`, once, and drops that from it.
  void WriteSome(absl::string_view* data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Break() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CloseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Drop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckDelivered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t limit_;
  const std::shared_ptr<Driver> driver_;

  mutable absl::Mutex mu_;
  UniqueFd fd_ ABSL_GUARDED_BY(mu_);
  std::optional<LineDiscipline> terminal_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<ChildObserver> observer_ ABSL_GUARDED_BY(mu_);  // Or null.
  ByteQueue queue_ ABSL_GUARDED_BY(mu_);
  bool closing_ ABSL_GUARDED_BY(mu_) = false;  // No more Writes.
  bool broken_ ABSL_GUARDED_BY(mu_) = false;   // Nobody reads.
  uint64_t undelivered_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_INPUT_QUEUE_H_

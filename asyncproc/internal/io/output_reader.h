#ifndef ASYNCPROC_INTERNAL_IO_OUTPUT_READER_H_
#define ASYNCPROC_INTERNAL_IO_OUTPUT_READER_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "asyncproc/internal/end/child_end.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/os/waker.h"

namespace asyncproc::internal {

// Reads one stream of a child's output: owns the host's end of a pipe, socket
// or terminal, and fills one OutputBuffer.
//
// There are two ways to use it. After StartThread, a thread of the reader waits
// for the pipe, for the exit of the child and for a wake-up. Without a thread,
// a loop waits for poll_fd() and deadline(), and calls the On... methods.
//
// Most children write nothing to stderr, and each thread takes a tenth of the
// time of a spawn. So the thread of one reader can also wait for the stream of
// a second reader. At the first byte of that stream, the second reader gets its
// own thread. If this thread cannot be started, the first thread reads both
// streams.
//
// After the exit of the child, the reader takes all bytes that are in the pipe
// at that time, regardless of the bound. Then it continues until end-of-file,
// or until the stream has been silent for the drain grace, and notifies the
// ChildEnd.
//
// A reader that drops takes the bytes and discards them, so that the child
// never waits: after Detach, and where drops_after_close is set.
//
// Thread safety: the loop's methods are for one thread at a time, the reader
// thread if there is one. For the others, see the headings.
class OutputReader {
 public:
  struct Options {
    absl::Duration drain_grace;
    bool may_grow_pipe = true;
    // For a terminal that the host keeps open for other uses: unwanted output
    // is read and dropped. If the reader closed its descriptor, the terminal
    // would stay open without a reader, and the child would block on its
    // writes.
    bool drops_after_close = false;
    // Called before the descriptor is closed, or null.
    std::function<void(int fd)> before_close;
  };

  OutputReader(std::shared_ptr<OutputBuffer> buffer, ChildEnd& end,
               Options options);
  // Closes the descriptor. REQUIRES: no thread runs.
  ~OutputReader();
  OutputReader(const OutputReader&) = delete;
  OutputReader& operator=(const OutputReader&) = delete;

  // ---- For the owner, before the child is started and after it is gone.

  // Starts a thread, which waits for Go. `owner` stays alive until the thread
  // has been joined, or has ended after Detach. `second`: see above, or null;
  // it has the same owner. Errors: kResourceExhausted.
  absl::Status StartThread(const char* name, std::shared_ptr<void> owner,
                           OutputReader* second = nullptr);
  bool has_thread() const { return thread_.running(); }

  // Takes the host's end of the stream, which is nonblocking. An invalid
  // descriptor means that the stream is at its end. Called once, before Go.
  // `inode`: see OutputEnd.
  void Open(UniqueFd fd, ino_t inode);
  // Lets the thread read.
  void Go() { go_.Notify(); }
  // Stops the thread and joins it.
  void Stop();
  // Finishes the buffer. Lets the thread, if there is one, continue on its own
  // until the output has settled; all further bytes are dropped.
  void Detach();
  // In a forked copy of the host: closes the descriptors, and nothing else.
  void CloseInForkedCopy();

  // ---- For any thread.

  const std::shared_ptr<OutputBuffer>& buffer() const { return buffer_; }
  // See OutputEnd; 0 when the host does not read the stream.
  ino_t inode() const { return inode_; }
  // Wakes the thread, if there is one.
  void Wake();

  // ---- For the loop.

  // The descriptor to poll for reading; -1 when the stream is closed or the
  // buffer is full.
  int poll_fd() const;
  bool is_open() const { return fd_.valid(); }
  // The time to call OnTime, on MonotonicNow's clock.
  absl::Time deadline() const;

  // The descriptor is readable: reads once. Never blocks.
  void OnReadable();
  // The buffer was woken: closes or drops a refused stream, and serves Sync.
  void OnWake();
  // The child has exited: reads all bytes that are in the pipe now. Only the
  // first call has an effect.
  void OnExit();
  // Called when deadline() may have passed.
  void OnTime();
  // Stops waiting for a stream that another process holds open. REQUIRES:
  // OnExit was called.
  void Abandon();
  // Closes the stream and finishes its buffer. An abandoned stream stays
  // abandoned: Close does not report its end.
  void Close();

 private:
  struct ReadResult {
    size_t size = 0;
    int error = 0;  // Of errno; 0 with no size: end-of-file.
  };
  // The last state of this stream that the ChildEnd was told.
  enum class Told { kNothing, kAbandoned, kEnd };

  absl::Status CreateWaker();
  absl::Status CreateThread(const char* name, std::shared_ptr<void> owner);
  void Run(const std::shared_ptr<void>& owner);
  bool MayEnd();
  void PollOnce(const std::shared_ptr<void>& owner);
  // The time to return from poll, exit or not.
  absl::Time poll_deadline() const;
  void OnPolled(bool readable, bool woken);
  // Starts the thread of the second reader.
  void GiveThreadToSecond(const std::shared_ptr<void>& owner);
  void ReadOnce();
  ReadResult Read(char* data, size_t size);
  ReadResult ReadAndDrop();
  bool IsDropping() const { return dropping_ || detached_; }
  // The bytes are no longer wanted: closes the stream, or drops them.
  void StopKeeping();
  // Closes the stream, which is at its end.
  void End();
  void ServeSync();
  size_t PendingBytes() const;
  void OnEndOfTerminal();

  // Constant after Open.
  const std::shared_ptr<OutputBuffer> buffer_;
  ChildEnd& end_;
  const Options options_;
  std::shared_ptr<Waker> waker_;  // Null without a thread.
  bool is_terminal_ = false;
  bool is_socket_ = false;
  ino_t inode_ = 0;

  // The loop's.
  OutputReader* second_ = nullptr;  // Null: it has its own thread.
  bool keeps_second_ = false;       // Its thread could not be started.
  UniqueFd fd_;
  PipeGrowth growth_;
  size_t pending_at_exit_ = 0;  // Bytes to read regardless of the bound.
  bool exit_seen_ = false;
  Told told_ = Told::kNothing;
  bool dropping_ = false;  // See StopKeeping.
  bool left_ = false;      // The thread may go: see ChildEnd::Leave.
  absl::Time grace_end_ = absl::InfiniteFuture();
  absl::Time last_grace_end_ = absl::InfiniteFuture();
  bool read_much_ = false;  // The last read filled a pipe of the usual size.
  size_t since_pause_ = 0;  // Bytes read since a pause for a slow reader.
  absl::Time pause_end_ = absl::InfiniteFuture();
  absl::Time retry_ = absl::InfinitePast();  // Of a terminal without a user.
  uint64_t sync_ = 0;                        // The Sync in progress.
  size_t sync_pending_ = 0;                  // Bytes to read before it is done.

  absl::Notification go_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> detached_{false};
  absl::Mutex thread_mu_;  // For the start of a second thread, and Detach.
  Thread thread_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_OUTPUT_READER_H_

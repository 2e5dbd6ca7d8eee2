#ifndef ASYNCPROC_INTERNAL_IO_OUTPUT_BUFFER_H_
#define ASYNCPROC_INTERNAL_IO_OUTPUT_BUFFER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/os/fork_stamp.h"
#include "asyncproc/internal/os/waker.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/output_bound.h"

namespace asyncproc::internal {

// The place of one reader in an OutputBuffer. Used by OutputBuffer alone.
struct BufferCursor {
  uint64_t position = 0;  // The next byte to take.
  uint64_t scanned = 0;   // There is no `delimiter` before this.
  std::string delimiter;
  uint64_t lines = 0;    // Taken by this cursor.
  uint64_t dropped = 0;  // Bytes that the bound took away from this cursor.
  bool canceled = false;

  std::shared_ptr<Waker> ready;  // For ReadyFd; null before.
  bool is_ready = false;         // `ready` is readable.
  uint64_t looked = 0;           // A read found too little before this.
};

// One stream of a child's output, between the producer, which reads the pipe,
// and the readers, each of which takes the bytes by a cursor of its own.
//
// Bytes are numbered from the start of the stream. The buffer forgets bytes
// that every cursor has taken, and bytes that the bound drops.
//
// Thread safety: all methods may be called from any thread; those of the
// producer by one thread at a time. None calls anybody back, except for the
// wake function and the observer, which are called under the lock and must only
// take note.
class OutputBuffer {
 public:
  using CursorRef = BufferCursor*;

  // A line that is longer than the bound lets arrive.
  enum class LongLine {
    kRefuse,  // Is kResourceExhausted; nothing is taken.
    kSplit,   // Is taken in pieces, each as if it were a line.
  };

  struct Stats {
    uint64_t bytes = 0;
    uint64_t dropped = 0;
    size_t buffered = 0;
    size_t high_water = 0;
  };

  explicit OutputBuffer(OutputBound bound);

  // ---- For the producer.

  // `wake` is called when a full buffer has room again, when Refuse is called,
  // and when Sync begins.
  void SetWake(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mu_);

  // `is_empty` tells whether the pipe is empty; it must not block. Null: not
  // known. Called under the lock, by Sync.
  void SetIsEmpty(std::function<bool()> is_empty) ABSL_LOCKS_EXCLUDED(mu_);

  // Room for the next bytes of the stream. The producer fills the room without
  // the lock, and calls EndRead with the number of bytes. `pending`: bytes to
  // take even beyond BlockChild's bound. Null data: the buffer is finished, or
  // there is no memory, and then the buffer is finished now.
  struct Room {
    char* data = nullptr;
    size_t size = 0;
  };
  Room BeginRead(size_t pending) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns whether the slowest reader is behind, and has taken bytes since the
  // last call: see WaitForReader.
  bool EndRead(size_t size) ABSL_LOCKS_EXCLUDED(mu_);

  // HasRoom becomes false until the slowest reader has caught up, and then the
  // producer is woken; or until StopWaitingForReader. So the buffer does not
  // grow because of a reader that is a little slower than the child, and that
  // reader finds the bytes in the cache of its processor.
  void WaitForReader() ABSL_LOCKS_EXCLUDED(mu_);
  void StopWaitingForReader() ABSL_LOCKS_EXCLUDED(mu_);

  // Appends bytes from memory.
  void Append(absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // Nothing more will come: end-of-file, or the reason why no more can be read.
  // Only the first call counts.
  void Finish(absl::Status why = absl::OkStatus()) ABSL_LOCKS_EXCLUDED(mu_);
  // False while BlockChild's bound is reached.
  bool HasRoom() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a reader has called Refuse: the pipe is to be closed.
  bool IsRefused() const ABSL_LOCKS_EXCLUDED(mu_);
  bool IsFinished() const ABSL_LOCKS_EXCLUDED(mu_);
  // Not 0 while a Sync waits; the number to call Synced with when all bytes
  // that were in the pipe have been read.
  uint64_t WantedSync() const ABSL_LOCKS_EXCLUDED(mu_);
  void Synced(uint64_t wanted) ABSL_LOCKS_EXCLUDED(mu_);

  // From now on, `observer` is told; and at once, of the bytes still buffered.
  void Observe(std::shared_ptr<ChildObserver> observer, ChildStream stream)
      ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For readers.

  // At the oldest byte that is still there, or behind the newest.
  CursorRef AddCursor(bool at_oldest) ABSL_LOCKS_EXCLUDED(mu_);
  // Does nothing in a forked copy of the host.
  void RemoveCursor(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  // What waits or will wait by this cursor gets kCancelled.
  void CancelCursor(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsForkedCopy() const { return stamp_.IsForkedCopy(); }
  // In a forked copy of the host: closes the descriptors of ReadyFd.
  void CloseInForkedCopy();

  // Readable while there are bytes by this cursor that no read has looked at,
  // and from Finish on. Errors: kResourceExhausted.
  absl::StatusOr<int> ReadyFd(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);

  std::string Read(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  std::string Peek(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasLine(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  // How many bytes Read would return.
  size_t Available(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);
  bool AtEnd(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);

  // The next line, if there is one already; else nothing, whatever the reason.
  std::optional<std::string> TryReadLine(CursorRef cursor)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Each waits until `deadline` for what it is to return. Errors:
  // kDeadlineExceeded, with nothing taken; kOutOfRange at the end; what Finish
  // was given there; kResourceExhausted when the bound leaves no room for what
  // is waited for; kCancelled.
  absl::StatusOr<std::string> ReadSome(CursorRef cursor, absl::Time deadline,
                                       size_t most = std::string::npos)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status AwaitSome(CursorRef cursor, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::string> ReadLine(CursorRef cursor, absl::Time deadline,
                                       LongLine long_line = LongLine::kRefuse)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::string> ReadUntil(CursorRef cursor,
                                        absl::string_view delimiter,
                                        absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::string> ReadExactly(CursorRef cursor, size_t size,
                                          absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until all that is in the pipe now has been read from it. Errors:
  // kDeadlineExceeded.
  absl::Status Sync(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // All that there is for the one cursor, as the memory that it is in: large
  // output is never there twice.
  // REQUIRES: there is no other cursor, and nobody waits by this one.
  ByteQueue TakeMemory(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);

  // Tells the producer to read no more: the buffered bytes can still be read,
  // and then comes the end.
  void Refuse() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for Finish, which the producer calls soon after Refuse. Returns at
  // once where there is no producer that can be woken.
  void AwaitFinished() ABSL_LOCKS_EXCLUDED(mu_);

  // For messages: "; last of stdout: 'one', 'two'", with the last lines that
  // arrived, taken or not, control characters escaped. Empty when nothing has
  // arrived.
  std::string LastLines(absl::string_view name) const ABSL_LOCKS_EXCLUDED(mu_);
  Stats stats() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t lines(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t dropped(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Bytes without a gap. There are two where HeadAndTail has dropped the
  // middle.
  struct Segment {
    uint64_t start = 0;
    ByteQueue bytes;
    uint64_t end() const { return start + bytes.size(); }
  };

  // Why the producer does not read.
  enum class Pause {
    kNone,
    kBound,   // BlockChild's bound is reached.
    kReader,  // See WaitForReader.
  };

  // What a search at a cursor found: where the match begins and how long it is.
  struct Match {
    uint64_t begin = 0;
    size_t length = 0;
  };

  uint64_t end() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t Buffered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t RoomToRead(size_t pending) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnGrown(size_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishLocked(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Drops what the bound does not allow.
  void ApplyBound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SplitHeadAndTail() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Drops from the last segment all but its last `kept` bytes.
  void KeepLast(size_t kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Forgets what every cursor has taken, and wakes a producer that waits.
  void Release() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lets a producer that waits go on: when half of the bound is free, so that
  // it is not woken for every byte; or any of it, for a reader that has looked
  // for what is not there yet. Never beyond the bound: another reader's bytes
  // may fill it, and are waited for.
  void Resume(bool wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // The segment that the cursor is in, once it has stepped over a gap.
  const Segment& SegmentOf(BufferCursor& cursor)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Find(BufferCursor& cursor, absl::string_view delimiter, Match* match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether there is a line to take: complete, or cut off by a gap or the end.
  bool FindLine(BufferCursor& cursor, Match* match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes what is before `end`, up to a gap at the most.
  absl::string_view NextPiece(BufferCursor& cursor, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes what is before the match, and skips the match.
  std::string Take(BufferCursor& cursor, const Match& match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Bytes that the cursor has yet to take; where it will be after `size` of
  // them.
  size_t Unread(const BufferCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t PositionAfter(const BufferCursor& cursor, size_t size) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string TakeLine(BufferCursor& cursor, const Match& match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of HeadAndTail's bound, and of any what may at most be there for a cursor.
  size_t HeadSize() const { return bound_.bytes() / 2; }
  size_t MostUnread(const BufferCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string TakeAll(BufferCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool AtEndLocked(const BufferCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // After any change of what ReadyFd shows.
  void ShowReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Waits until `ready()`, or there is no point in waiting any longer.
  template <typename Ready>
  absl::Status AwaitReady(BufferCursor& cursor, absl::Time deadline,
                          Ready ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ForkStamp stamp_;
  const OutputBound bound_;

  mutable absl::Mutex mu_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mu_);               // Or null.
  std::function<bool()> is_empty_ ABSL_GUARDED_BY(mu_);           // Or null.
  std::shared_ptr<ChildObserver> observer_ ABSL_GUARDED_BY(mu_);  // Or null.
  ChildStream stream_ ABSL_GUARDED_BY(mu_) = ChildStream::kOut;
  std::vector<Segment> segments_ ABSL_GUARDED_BY(mu_);  // At least one.
  std::list<BufferCursor> cursors_ ABSL_GUARDED_BY(mu_);
  size_t read_size_ ABSL_GUARDED_BY(mu_);
  size_t reading_ ABSL_GUARDED_BY(mu_) = 0;  // Room of BeginRead; 0: no read.
  Pause pause_ ABSL_GUARDED_BY(mu_) = Pause::kNone;
  uint64_t released_ ABSL_GUARDED_BY(mu_) = 0;  // `start` at the last EndRead.
  BriefWait brief_wait_ ABSL_GUARDED_BY(mu_);
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;  // Readers in AwaitReady.
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t syncs_wanted_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t syncs_done_ ABSL_GUARDED_BY(mu_) = 0;
  bool refused_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  std::string recent_ ABSL_GUARDED_BY(mu_);
  uint64_t dropped_ ABSL_GUARDED_BY(mu_) = 0;
  size_t high_water_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_OUTPUT_BUFFER_H_

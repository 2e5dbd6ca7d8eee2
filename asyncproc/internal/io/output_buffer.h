#ifndef ASYNCPROC_INTERNAL_IO_OUTPUT_BUFFER_H_
#define ASYNCPROC_INTERNAL_IO_OUTPUT_BUFFER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
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
  uint64_t dropped = 0;  // Bytes in gaps that this cursor has passed.
  bool canceled = false;
  const absl::Condition* waits_for = nullptr;  // During a wait for more bytes.

  std::shared_ptr<Waker> ready;  // For ReadyFd; null before.
  bool is_ready = false;         // `ready` is readable.
  uint64_t looked = 0;           // A read found too little before this.
};

// One output stream of a child, between the producer, which reads the pipe, and
// the readers, each of which takes bytes with its own cursor.
//
// Bytes are numbered from the start of the stream. The buffer forgets bytes
// that every cursor has taken, and bytes that the bound drops.
//
// Thread safety: all methods may be called from any thread; the producer's by
// one thread at a time. The wake function and the observer are called under the
// lock and must only record the event; ReadInPlace calls `use` without the
// lock; no other callbacks are made.
class OutputBuffer {
 public:
  using CursorRef = BufferCursor*;

  // How to treat a line that is longer than the bound allows.
  enum class LongLine {
    kRefuse,  // kResourceExhausted; nothing is taken.
    kSplit,   // The line is taken in pieces, each returned as a line.
  };

  struct Stats {
    uint64_t bytes = 0;
    uint64_t dropped = 0;
    size_t buffered = 0;
    size_t high_water = 0;
  };

  // `name`: for messages, as "stdout of cat".
  explicit OutputBuffer(OutputBound bound, std::string name = "the output");

  const std::string& name() const { return name_; }

  // ---- For the producer.

  // `wake` is called when a full buffer has room again, when Refuse or
  // CancelCursor is called, and when Sync begins.
  void SetWake(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mu_);

  // `is_empty` tells whether the pipe is empty; it must not block. Null:
  // unknown. Called under the lock, by Sync.
  void SetIsEmpty(std::function<bool()> is_empty) ABSL_LOCKS_EXCLUDED(mu_);

  // Room for the next bytes of the stream. The producer fills the room without
  // the lock, and calls EndRead with the number of bytes. `pending`: the number
  // of bytes to accept even beyond BlockChild's bound. Null data: the buffer is
  // finished, or ran out of memory and is finished now.
  struct Room {
    char* data = nullptr;
    size_t size = 0;
  };
  Room BeginRead(size_t pending) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns whether the slowest reader is behind and has taken bytes since the
  // last call: see WaitForReader. The bytes are dropped if the buffer was
  // finished meanwhile.
  bool EndRead(size_t size) ABSL_LOCKS_EXCLUDED(mu_);

  // Makes HasRoom false until the slowest reader has caught up, which wakes the
  // producer, or until StopWaitingForReader. This keeps the buffer from growing
  // when a reader is a little slower than the child, and keeps the bytes in the
  // cache of the reader's processor.
  void WaitForReader() ABSL_LOCKS_EXCLUDED(mu_);
  void StopWaitingForReader() ABSL_LOCKS_EXCLUDED(mu_);

  // Appends bytes from memory.
  void Append(absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mu_);
  // No more bytes will come: end-of-file, or the reason why reading has failed.
  // Only the first call has an effect. Any thread may call it, also during a
  // read.
  void Finish(absl::Status why = absl::OkStatus()) ABSL_LOCKS_EXCLUDED(mu_);
  // The child has ended, and another process holds the stream open: AwaitIdle
  // does not wait for Finish any more.
  void NoteAbandoned() ABSL_LOCKS_EXCLUDED(mu_);
  // False while BlockChild's bound is reached.
  bool HasRoom() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a reader has called Refuse, so that the pipe is to be closed.
  bool IsRefused() const ABSL_LOCKS_EXCLUDED(mu_);
  bool IsFinished() const ABSL_LOCKS_EXCLUDED(mu_);
  // While a Sync waits: the number to pass to Synced once all bytes that were
  // in the pipe have been read. Otherwise 0.
  uint64_t WantedSync() const ABSL_LOCKS_EXCLUDED(mu_);
  void Synced(uint64_t wanted) ABSL_LOCKS_EXCLUDED(mu_);

  // From now on, tells `observer` of new bytes, and at once of the buffered
  // bytes.
  void Observe(std::shared_ptr<ChildObserver> observer, ChildStream stream)
      ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For readers.

  // Adds a cursor at the oldest buffered byte, or after the newest.
  CursorRef AddCursor(bool at_oldest) ABSL_LOCKS_EXCLUDED(mu_);
  // Does nothing in a forked copy of the host.
  void RemoveCursor(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  // Present and later waits on this cursor return kCancelled.
  void CancelCursor(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsForkedCopy() const { return stamp_.IsForkedCopy(); }
  // In a forked copy of the host: closes the descriptors of ReadyFd.
  void CloseInForkedCopy();

  // Readable while there are bytes at this cursor that no read has examined,
  // and after Finish. Errors: kResourceExhausted.
  absl::StatusOr<int> ReadyFd(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);

  std::string Read(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  std::string Peek(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasLine(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);
  // The number of bytes that Read would return.
  size_t Available(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);
  bool AtEnd(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);

  // Passes a gap in front of the next byte. Returns whether there was one.
  bool PassGap(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);

  // Takes the next line if it is available. Otherwise, for any reason, returns
  // false and leaves `line` unchanged.
  bool TryReadLine(CursorRef cursor, std::string* line)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Each of these waits until `deadline` for its result. Errors:
  // kDeadlineExceeded, with nothing taken; kOutOfRange at the end, or the error
  // that was given to Finish; kResourceExhausted when the result cannot fit
  // within the bound; kDataLoss, with nothing taken, when the result of
  // ReadUntil or ReadExactly would span a gap; kCancelled. An error leaves
  // `line` unchanged.
  //
  // Takes the bytes up to a gap.
  absl::StatusOr<std::string> ReadSome(CursorRef cursor, absl::Time deadline,
                                       size_t most = std::string::npos)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Takes the bytes up to a gap, and then calls `use` without the lock, with
  // the bytes in place.
  absl::Status ReadInPlace(CursorRef cursor, absl::Time deadline,
                           absl::FunctionRef<void(absl::string_view)> use)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status AwaitSome(CursorRef cursor, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status ReadLine(CursorRef cursor, std::string* line,
                        absl::Time deadline,
                        LongLine long_line = LongLine::kRefuse)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::string> ReadUntil(CursorRef cursor,
                                        absl::string_view delimiter,
                                        absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::string> ReadExactly(CursorRef cursor, size_t size,
                                          absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The end is not an error: takes the bytes before it, possibly none.
  absl::StatusOr<std::string> ReadToEnd(CursorRef cursor, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mu_);

  // After NoteAbandoned, waits until the reader of `cursor` waits for more
  // bytes than have arrived. False: Finish or CancelCursor has been called
  // instead. Errors: kDeadlineExceeded, kCancelled, by a WaitScope.
  absl::StatusOr<bool> AwaitIdle(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until all bytes that are in the pipe now have been read from it.
  // Errors: kDeadlineExceeded, kCancelled.
  absl::Status Sync(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // Returns all buffered bytes for the only cursor, by moving their memory, so
  // that large output is never in memory twice.
  // REQUIRES: there is no other cursor, and no thread waits on this cursor.
  ByteQueue TakeMemory(CursorRef cursor) ABSL_LOCKS_EXCLUDED(mu_);

  // Tells the producer to stop reading. The buffered bytes can still be read;
  // after them, the stream is at its end.
  void Refuse() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for Finish, which the producer calls soon after Refuse. Returns at
  // once when no producer can be woken.
  void AwaitFinished() ABSL_LOCKS_EXCLUDED(mu_);

  // For messages: the last bytes of those that Read would return, at most
  // `most` and no more than are kept for messages.
  std::string LastUnread(CursorRef cursor, size_t most) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // For messages: "; last of stdout: 'one', 'two'", with the last lines that
  // arrived, taken or not, with control characters escaped. Empty when no bytes
  // have arrived.
  std::string LastLines(absl::string_view name) const ABSL_LOCKS_EXCLUDED(mu_);
  Stats stats() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t lines(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);
  // The bytes that the bound took away from the cursor: in all gaps, and in
  // those that the cursor has passed.
  uint64_t dropped(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t skipped(CursorRef cursor) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Bytes without a gap. There are two segments where HeadAndTail has dropped
  // the middle.
  struct Segment {
    uint64_t start = 0;
    ByteQueue bytes;
    uint64_t end() const { return start + bytes.size(); }
  };

  // The reason why the producer does not read.
  enum class Pause {
    kNone,
    kBound,   // BlockChild's bound is reached.
    kReader,  // See WaitForReader.
  };

  // The result of a search at a cursor: the start and length of the match.
  struct Match {
    uint64_t begin = 0;
    size_t length = 0;
  };

  uint64_t end() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t Buffered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t RoomToRead(size_t pending) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnGrown(size_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FinishLocked(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Drops the bytes that exceed the bound.
  void ApplyBound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SplitHeadAndTail() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Drops from the last segment all but its last `kept` bytes.
  void KeepLast(size_t kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Frees the bytes that every cursor has taken, and wakes a waiting producer.
  void Release() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lets a waiting producer continue: when half of the bound is free, so that
  // the producer is not woken for every byte; with `wanted`, when any byte is
  // free, because a reader needs bytes that have not arrived. Never exceeds the
  // bound: unread bytes of another reader may fill it, and the producer waits
  // for that reader.
  void Resume(bool wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // The segment at the cursor, after the cursor has skipped a gap. SkipGap is
  // the rare case of it.
  Segment& SegmentOf(BufferCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Segment& front = segments_.front();
    const bool is_only = segments_.size() == 1;
    return is_only && cursor.position >= front.start ? front : SkipGap(cursor);
  }
  Segment& SkipGap(BufferCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Find(BufferCursor& cursor, absl::string_view delimiter, Match* match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Finds a line to take: a complete line, or one cut off by a gap or the end.
  bool FindLine(BufferCursor& cursor, Match* match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the bytes before `end`, but stops at a gap.
  absl::string_view NextPiece(BufferCursor& cursor, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the bytes before the match into `taken`, and skips the match.
  void TakeInto(std::string* taken, BufferCursor& cursor, const Match& match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string Take(BufferCursor& cursor, const Match& match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The number of unread bytes at the cursor: in all, and up to the next gap,
  // after the cursor has skipped one.
  size_t Unread(const BufferCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t UnreadBeforeGap(BufferCursor& cursor)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether a gap follows the unread bytes, and the error of a read across it.
  bool HasGap(BufferCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status GapError(BufferCursor& cursor)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeLine(std::string* line, BufferCursor& cursor, const Match& match)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The usual case of FindLine and TakeLine, in a few steps: the cursor has
  // searched nothing, and the first segment has the whole line.
  bool TakeFirstLine(std::string* line, BufferCursor& cursor)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The size of the head under HeadAndTail, and the most bytes that the bound
  // allows to be unread at a cursor.
  size_t HeadSize() const { return bound_.bytes() / 2; }
  size_t MostUnread(const BufferCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string TakeAll(BufferCursor& cursor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool AtEndLocked(const BufferCursor& cursor) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Called after any change that ReadyFd must show.
  void ShowReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Waits until `ready()`, or until it can no longer become true (see the
  // errors of ReadSome).
  template <typename Ready>
  absl::Status AwaitReady(BufferCursor& cursor, absl::Time deadline,
                          Ready ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AwaitSomeLocked(BufferCursor& cursor, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ForkStamp stamp_;
  const OutputBound bound_;
  const std::string name_;

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
  bool abandoned_ ABSL_GUARDED_BY(mu_) = false;
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

#include "asyncproc/internal/io/output_buffer.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc::internal {
namespace {

// The size of a read. It starts small, so that a quiet child costs little, and
// doubles whenever a read fills the room. Small beside a processor's private
// cache (usually 1 MiB), so that the reader finds the bytes in the cache.
constexpr size_t kFirstReadSize = 192;
constexpr size_t kLastReadSize = 256 * 1024;

// A reader with this many unread bytes is behind.
constexpr size_t kBacklog = 4 * kLastReadSize;

// The number of bytes, and of lines in them, kept for messages.
constexpr size_t kRecentSize = 1024;
constexpr size_t kLastLines = 5;

// The last bytes that a message shows of a line of binary data, each of which
// becomes up to four characters.
constexpr size_t kMostBinary = 64;

std::string ShownLine(absl::string_view line) {
  std::string shown = Printable(line);
  if (line.size() <= kMostBinary || shown.size() < 2 * line.size())
    return shown;
  return absl::StrCat("...", Printable(line.substr(line.size() - kMostBinary)));
}

}  // namespace

OutputBuffer::OutputBuffer(OutputBound bound, std::string name)
    : bound_(bound),
      name_(std::move(name)),
      segments_(1),
      read_size_(kFirstReadSize) {}

void OutputBuffer::SetWake(std::function<void()> wake) {
  MutexLock lock(mu_);
  wake_ = std::move(wake);
}

void OutputBuffer::SetIsEmpty(std::function<bool()> is_empty) {
  MutexLock lock(mu_);
  is_empty_ = std::move(is_empty);
}

OutputBuffer::Room OutputBuffer::BeginRead(size_t pending) {
  MutexLock lock(mu_);
  if (finished_) return {};
  const size_t size = RoomToRead(pending);
  char* const data = segments_.back().bytes.BeginFill(size);
  if (data == nullptr) {
    FinishLocked(absl::ResourceExhaustedError(absl::StrCat(
        "no memory to keep more than ", Buffered(), " bytes of output")));
    return {};
  }
  // Reads of the largest size have all been full so far.
  if (size == kLastReadSize) segments_.back().bytes.Populate(size);
  reading_ = size;
  return {data, size};
}

bool OutputBuffer::EndRead(size_t size) {
  MutexLock lock(mu_);
  if (finished_) size = 0;
  segments_.back().bytes.EndFill(size);
  if (size == reading_) read_size_ = std::min(read_size_ * 2, kLastReadSize);
  reading_ = 0;
  if (size > 0) OnGrown(size);
  if (Buffered() < kBacklog) return false;
  const uint64_t start = segments_.front().start;
  return std::exchange(released_, start) != start;
}

void OutputBuffer::WaitForReader() {
  MutexLock lock(mu_);
  if (pause_ == Pause::kNone && Buffered() >= kBacklog) pause_ = Pause::kReader;
}

void OutputBuffer::StopWaitingForReader() {
  MutexLock lock(mu_);
  if (pause_ == Pause::kReader) pause_ = Pause::kNone;
}

void OutputBuffer::Append(absl::string_view bytes) {
  MutexLock lock(mu_);
  if (finished_ || bytes.empty()) return;
  if (!segments_.back().bytes.Append(bytes)) {
    FinishLocked(absl::ResourceExhaustedError("no memory to keep the output"));
    return;
  }
  OnGrown(bytes.size());
}

void OutputBuffer::Finish(absl::Status why) {
  MutexLock lock(mu_);
  FinishLocked(std::move(why));
}

void OutputBuffer::FinishLocked(absl::Status why) {
  if (std::exchange(finished_, true)) return;
  failure_ = std::move(why);
  if (observer_ != nullptr) observer_->OnOutputClosed(stream_);
  ShowReady();
}

void OutputBuffer::NoteAbandoned() {
  MutexLock lock(mu_);
  abandoned_ = true;
}

bool OutputBuffer::HasRoom() const {
  MutexLock lock(mu_);
  return pause_ == Pause::kNone;
}

bool OutputBuffer::IsRefused() const {
  MutexLock lock(mu_);
  return refused_;
}

bool OutputBuffer::IsFinished() const {
  MutexLock lock(mu_);
  return finished_;
}

uint64_t OutputBuffer::WantedSync() const {
  MutexLock lock(mu_);
  return syncs_done_ < syncs_wanted_ ? syncs_wanted_ : 0;
}

void OutputBuffer::Synced(uint64_t wanted) {
  MutexLock lock(mu_);
  syncs_done_ = wanted;
}

void OutputBuffer::Observe(std::shared_ptr<ChildObserver> observer,
                           ChildStream stream) {
  MutexLock lock(mu_);
  observer_ = std::move(observer);
  stream_ = stream;
  for (const Segment& segment : segments_) {
    const absl::string_view bytes = segment.bytes.view();
    if (!bytes.empty()) observer_->OnOutput(stream_, bytes);
  }
  if (finished_) observer_->OnOutputClosed(stream_);
}

uint64_t OutputBuffer::end() const { return segments_.back().end(); }

size_t OutputBuffer::Buffered() const {
  size_t size = 0;
  for (const Segment& segment : segments_) size += segment.bytes.size();
  return size;
}

size_t OutputBuffer::RoomToRead(size_t pending) const {
  if (bound_.policy() != OutputBound::Policy::kBlockChild) return read_size_;
  const size_t buffered = Buffered();
  const size_t room = bound_.bytes() > buffered ? bound_.bytes() - buffered : 0;
  return std::max<size_t>(1, std::min(std::max(room, pending), read_size_));
}

void OutputBuffer::OnGrown(size_t size) {
  const absl::string_view bytes = segments_.back().bytes.view();
  if (observer_ != nullptr) {
    observer_->OnOutput(stream_, bytes.substr(bytes.size() - size));
  }
  const size_t recent = std::min(size, kRecentSize);
  if (recent_.size() + recent > 2 * kRecentSize) {
    recent_.erase(0, recent_.size() - kRecentSize);
  }
  absl::StrAppend(&recent_, bytes.substr(bytes.size() - recent));
  if (cursors_.empty()) Release();
  ApplyBound();
  high_water_ = std::max(high_water_, Buffered());
  ShowReady();
}

void OutputBuffer::ApplyBound() {
  switch (bound_.policy()) {
    case OutputBound::Policy::kUnbounded:
      break;
    case OutputBound::Policy::kBlockChild:
      if (Buffered() >= bound_.bytes()) pause_ = Pause::kBound;
      break;
    case OutputBound::Policy::kDropOldest:
      KeepLast(bound_.bytes());
      break;
    case OutputBound::Policy::kHeadAndTail:
      SplitHeadAndTail();
      break;
  }
}

void OutputBuffer::SplitHeadAndTail() {
  const size_t head = HeadSize();
  const size_t tail = bound_.bytes() - head;
  const uint64_t start = segments_.front().start;
  if (segments_.size() == 1 && start < head && Buffered() > bound_.bytes()) {
    // The head stays in place; the bytes after it are copied to a new segment.
    Segment behind;
    behind.start = head;
    const absl::string_view rest =
        segments_.front().bytes.view().substr(head - start);
    if (!behind.bytes.Append(rest)) {
      FinishLocked(absl::ResourceExhaustedError("no memory for the output"));
      return;
    }
    segments_.front().bytes.DropBack(rest.size());
    segments_.push_back(std::move(behind));
  }
  if (segments_.size() > 1 || start >= head) KeepLast(tail);
}

void OutputBuffer::KeepLast(size_t kept) {
  Segment& segment = segments_.back();
  if (segment.bytes.size() <= kept) return;
  const size_t excess = segment.bytes.size() - kept;
  segment.bytes.Consume(excess);
  segment.start += excess;
  dropped_ += excess;
  // SegmentOf moves the cursors past the gap.
}

void OutputBuffer::Release() {
  uint64_t needed = end();
  for (const BufferCursor& cursor : cursors_) {
    needed = std::min(needed, cursor.position);
  }
  while (segments_.size() > 1 && segments_.front().end() <= needed) {
    segments_.erase(segments_.begin());
  }
  Segment& front = segments_.front();
  if (needed > front.start) {
    const size_t taken = static_cast<size_t>(needed - front.start);
    front.bytes.Consume(taken);
    front.start += taken;
  }
  Resume(/*wanted=*/waiting_ > 0);
  ShowReady();
}

void OutputBuffer::Resume(bool wanted) {
  if (pause_ == Pause::kNone) return;
  const size_t limit = pause_ == Pause::kBound ? bound_.bytes() : kBacklog;
  if (Buffered() >= limit || (!wanted && Buffered() > limit / 2)) return;
  pause_ = Pause::kNone;
  if (wake_ != nullptr) wake_();
}

OutputBuffer::CursorRef OutputBuffer::AddCursor(bool at_oldest) {
  MutexLock lock(mu_);
  BufferCursor cursor;
  cursor.position = at_oldest ? segments_.front().start : end();
  cursor.scanned = cursor.position;
  cursors_.push_back(std::move(cursor));
  return &cursors_.back();
}

void OutputBuffer::RemoveCursor(CursorRef cursor) {
  if (IsForkedCopy()) {
    if (cursor->ready != nullptr) cursor->ready->CloseInForkedCopy();
    return;
  }
  MutexLock lock(mu_);
  cursors_.remove_if(
      [cursor](const BufferCursor& other) { return &other == cursor; });
  Release();
}

// The threads that could change the list do not exist in the copy, and the lock
// may be held forever.
void OutputBuffer::CloseInForkedCopy() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const BufferCursor& cursor : cursors_) {
    if (cursor.ready != nullptr) cursor.ready->CloseInForkedCopy();
  }
}

absl::StatusOr<int> OutputBuffer::ReadyFd(CursorRef cursor) {
  MutexLock lock(mu_);
  if (cursor->ready == nullptr) {
    absl::StatusOr<std::shared_ptr<Waker>> ready = Waker::Create();
    if (!ready.ok()) return ready.status();
    cursor->ready = *std::move(ready);
    ShowReady();
  }
  return cursor->ready->fd();
}

void OutputBuffer::ShowReady() {
  for (BufferCursor& cursor : cursors_) {
    if (cursor.ready == nullptr) continue;
    const bool ready =
        finished_ || end() > std::max(cursor.position, cursor.looked);
    if (std::exchange(cursor.is_ready, ready) == ready) continue;
    ready ? cursor.ready->Wake() : cursor.ready->Reset();
  }
}

void OutputBuffer::CancelCursor(CursorRef cursor) {
  MutexLock lock(mu_);
  cursor->canceled = true;
  if (wake_ != nullptr) wake_();
}

OutputBuffer::Segment& OutputBuffer::SkipGap(BufferCursor& cursor) {
  size_t i = 0;
  while (i + 1 < segments_.size() && cursor.position >= segments_[i].end()) {
    ++i;
  }
  Segment& segment = segments_[i];
  if (cursor.position < segment.start) {
    cursor.dropped += segment.start - cursor.position;
    cursor.position = segment.start;
  }
  return segment;
}

bool OutputBuffer::Find(BufferCursor& cursor, absl::string_view delimiter,
                        Match* match) {
  SegmentOf(cursor);
  if (cursor.delimiter != delimiter) {
    cursor.delimiter = std::string(delimiter);
    cursor.scanned = cursor.position;
  }
  for (const Segment& segment : segments_) {
    const uint64_t from =
        std::max({cursor.scanned, cursor.position, segment.start});
    if (from >= segment.end()) continue;
    const absl::string_view bytes = segment.bytes.view();
    const auto start = static_cast<size_t>(from - segment.start);
    const size_t at = delimiter.size() == 1 ? bytes.find(delimiter[0], start)
                                            : bytes.find(delimiter, start);
    if (at != absl::string_view::npos) {
      cursor.scanned = segment.start + at;
      *match = {cursor.scanned, delimiter.size()};
      return true;
    }
    // A match may start in the last bytes and end in bytes still to come.
    const uint64_t partial =
        std::min<uint64_t>(delimiter.size() - 1, segment.bytes.size());
    cursor.scanned = std::max(from, segment.end() - partial);
  }
  return false;
}

bool OutputBuffer::FindLine(BufferCursor& cursor, Match* match) {
  const Segment& segment = SegmentOf(cursor);
  if (Find(cursor, "\n", match) && match->begin < segment.end()) {
    const auto at = static_cast<size_t>(match->begin - segment.start);
    if (match->begin > cursor.position &&
        segment.bytes.view()[at - 1] == '\r') {
      *match = {match->begin - 1, 2};
    }
    return true;
  }
  const bool cut_off = &segment != &segments_.back() || finished_;
  if (!cut_off || cursor.position == segment.end()) return false;
  *match = {segment.end(), 0};
  return true;
}

absl::string_view OutputBuffer::NextPiece(BufferCursor& cursor, uint64_t end) {
  const Segment& segment = SegmentOf(cursor);
  const uint64_t begin = cursor.position;  // Past `end` if `end` is in a gap.
  cursor.position = std::max(begin, std::min(end, segment.end()));
  return segment.bytes.view().substr(
      static_cast<size_t>(begin - segment.start),
      static_cast<size_t>(cursor.position - begin));
}

void OutputBuffer::TakeInto(std::string* taken, BufferCursor& cursor,
                            const Match& match) {
  const absl::string_view piece = NextPiece(cursor, match.begin);
  taken->assign(piece.data(), piece.size());  // Usually all of it.
  while (cursor.position < match.begin) {
    absl::StrAppend(taken, NextPiece(cursor, match.begin));
  }
  cursor.position += match.length;
  Release();
}

std::string OutputBuffer::Take(BufferCursor& cursor, const Match& match) {
  std::string taken;
  TakeInto(&taken, cursor, match);
  return taken;
}

void OutputBuffer::TakeLine(std::string* line, BufferCursor& cursor,
                            const Match& match) {
  ++cursor.lines;
  TakeInto(line, cursor, match);
}

bool OutputBuffer::TakeFirstLine(std::string* line, BufferCursor& cursor) {
  const Segment& first = segments_.front();
  if (cursor.position < first.start || cursor.scanned > cursor.position) {
    return false;
  }
  const absl::string_view unread = first.bytes.view().substr(std::min(
      static_cast<size_t>(cursor.position - first.start), first.bytes.size()));
  const size_t newline = unread.find('\n');
  if (newline == unread.npos) return false;
  const bool has_return = newline > 0 && unread[newline - 1] == '\r';
  line->assign(unread.data(), has_return ? newline - 1 : newline);
  ++cursor.lines;
  cursor.position += newline + 1;
  Release();
  return true;
}

std::string OutputBuffer::TakeAll(BufferCursor& cursor) {
  return Take(cursor, {end(), 0});
}

size_t OutputBuffer::Unread(const BufferCursor& cursor) const {
  size_t size = 0;
  for (const Segment& segment : segments_) {
    const uint64_t from = std::max(cursor.position, segment.start);
    if (from < segment.end()) size += static_cast<size_t>(segment.end() - from);
  }
  return size;
}

size_t OutputBuffer::UnreadBeforeGap(BufferCursor& cursor) {
  const Segment& segment = SegmentOf(cursor);
  return static_cast<size_t>(segment.end() - cursor.position);
}

bool OutputBuffer::HasGap(BufferCursor& cursor) {
  return &SegmentOf(cursor) != &segments_.back();
}

absl::Status OutputBuffer::GapError(BufferCursor& cursor) {
  const uint64_t gap = segments_.back().start - SegmentOf(cursor).end();
  return absl::DataLossError(
      absl::StrCat(gap, " bytes were dropped after the next ",
                   UnreadBeforeGap(cursor), " (Command::output_buffer)"));
}

bool OutputBuffer::AtEndLocked(const BufferCursor& cursor) const {
  return finished_ && cursor.position >= end();
}

std::string OutputBuffer::Read(CursorRef cursor) {
  MutexLock lock(mu_);
  return TakeAll(*cursor);
}

std::string OutputBuffer::Peek(CursorRef cursor) {
  MutexLock lock(mu_);
  Resume(/*wanted=*/true);
  std::string bytes;
  for (const Segment& segment : segments_) {
    const uint64_t from = std::max(cursor->position, segment.start);
    if (from >= segment.end()) continue;
    absl::StrAppend(&bytes, segment.bytes.view().substr(
                                static_cast<size_t>(from - segment.start)));
  }
  return bytes;
}

bool OutputBuffer::HasLine(CursorRef cursor) {
  MutexLock lock(mu_);
  Match match;
  if (FindLine(*cursor, &match)) return true;
  Resume(/*wanted=*/true);
  cursor->looked = end();
  ShowReady();
  return false;
}

bool OutputBuffer::PassGap(CursorRef cursor) {
  MutexLock lock(mu_);
  const uint64_t before = cursor->dropped;
  SegmentOf(*cursor);
  return cursor->dropped != before;
}

size_t OutputBuffer::Available(CursorRef cursor) const {
  MutexLock lock(mu_);
  return Unread(*cursor);
}

bool OutputBuffer::AtEnd(CursorRef cursor) const {
  MutexLock lock(mu_);
  return AtEndLocked(*cursor);
}

template <typename Ready>
absl::Status OutputBuffer::AwaitReady(BufferCursor& cursor, absl::Time deadline,
                                      Ready ready) {
  // The reader waits for more bytes than the bound lets the child write.
  const auto stuck = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return bound_.policy() == OutputBound::Policy::kBlockChild &&
           end() - cursor.position >= bound_.bytes();
  };
  const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return cursor.canceled || ready() || finished_ || stuck();
  };
  if (!done()) {
    Resume(/*wanted=*/true);
    ++waiting_;
    const absl::Condition condition(&done);
    cursor.waits_for = &condition;
    absl::Status status = brief_wait_.Await(mu_, condition, deadline);
    cursor.waits_for = nullptr;
    --waiting_;
    if (!status.ok()) {
      cursor.looked = end();
      ShowReady();
      return status;
    }
  }
  if (cursor.canceled) return absl::CancelledError("the reader was removed");
  if (ready()) return absl::OkStatus();
  if (!finished_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("it does not fit into the ", bound_.bytes(),
                     " bytes that are kept (Command::output_buffer)"));
  }
  return failure_.ok() ? absl::OutOfRangeError("end of the output") : failure_;
}

absl::StatusOr<bool> OutputBuffer::AwaitIdle(CursorRef cursor) {
  MutexLock lock(mu_);
  const auto over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return finished_ || cursor->canceled;
  };
  const auto idle_or_over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return over() || (abandoned_ && cursor->waits_for != nullptr &&
                      !cursor->waits_for->Eval());
  };
  absl::Status status =
      Await(mu_, absl::Condition(&idle_or_over), absl::InfiniteFuture());
  if (!status.ok()) return status;
  return !over();
}

absl::Status OutputBuffer::AwaitSomeLocked(BufferCursor& cursor,
                                           absl::Time deadline) {
  return AwaitReady(cursor, deadline, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return cursor.position < end();
  });
}

bool OutputBuffer::TryReadLine(CursorRef cursor, std::string* line) {
  MutexLock lock(mu_);
  if (cursor->canceled) return false;
  if (TakeFirstLine(line, *cursor)) return true;
  Match match;
  if (!FindLine(*cursor, &match)) return false;
  TakeLine(line, *cursor, match);
  return true;
}

absl::StatusOr<std::string> OutputBuffer::ReadSome(CursorRef cursor,
                                                   absl::Time deadline,
                                                   size_t most) {
  MutexLock lock(mu_);
  absl::Status status = AwaitSomeLocked(*cursor, deadline);
  if (!status.ok()) return status;
  const uint64_t size = std::min<uint64_t>(UnreadBeforeGap(*cursor), most);
  return Take(*cursor, {cursor->position + size, 0});
}

absl::Status OutputBuffer::ReadInPlace(
    CursorRef cursor, absl::Time deadline,
    absl::FunctionRef<void(absl::string_view)> use) {
  std::shared_ptr<const void> pin;
  absl::string_view bytes;
  {
    MutexLock lock(mu_);
    absl::Status status = AwaitSomeLocked(*cursor, deadline);
    if (!status.ok()) return status;
    pin = SegmentOf(*cursor).bytes.Pin();
    bytes = NextPiece(*cursor, end());
    Release();
  }
  const absl::Cleanup unpin = [&] {
    MutexLock lock(mu_);
    pin = nullptr;
    // No other segment can be empty.
    segments_.front().bytes.Consume(0);
  };
  use(bytes);
  return absl::OkStatus();
}

absl::Status OutputBuffer::AwaitSome(CursorRef cursor, absl::Time deadline) {
  MutexLock lock(mu_);
  return AwaitSomeLocked(*cursor, deadline);
}

absl::Status OutputBuffer::ReadLine(CursorRef cursor, std::string* line,
                                    absl::Time deadline, LongLine long_line) {
  MutexLock lock(mu_);
  Match match;
  absl::Status status =
      AwaitReady(*cursor, deadline, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return FindLine(*cursor, &match);
      });
  // The buffered bytes contain no newline, and no more bytes come until they
  // are taken.
  if (absl::IsResourceExhausted(status) && !finished_ &&
      long_line == LongLine::kSplit) {
    TakeInto(line, *cursor, {end(), 0});
    return absl::OkStatus();
  }
  if (status.ok()) TakeLine(line, *cursor, match);
  return status;
}

absl::StatusOr<std::string> OutputBuffer::ReadUntil(CursorRef cursor,
                                                    absl::string_view delimiter,
                                                    absl::Time deadline) {
  if (delimiter.empty()) {
    return absl::InvalidArgumentError("the delimiter to read until is empty");
  }
  MutexLock lock(mu_);
  Match match;
  absl::Status status =
      AwaitReady(*cursor, deadline, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return Find(*cursor, delimiter, &match);
      });
  if (!status.ok()) return status;
  if (match.begin > SegmentOf(*cursor).end()) return GapError(*cursor);
  return Take(*cursor, match);
}

size_t OutputBuffer::MostUnread(const BufferCursor& cursor) const {
  if (bound_.policy() != OutputBound::Policy::kHeadAndTail) {
    return bound_.bytes();
  }
  // Excludes the part of the head that the cursor has passed.
  const size_t head = HeadSize();
  return bound_.bytes() -
         static_cast<size_t>(std::min<uint64_t>(cursor.position, head));
}

absl::StatusOr<std::string> OutputBuffer::ReadExactly(CursorRef cursor,
                                                      size_t size,
                                                      absl::Time deadline) {
  MutexLock lock(mu_);
  if (UnreadBeforeGap(*cursor) < size && size > MostUnread(*cursor)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("they do not fit into the ", MostUnread(*cursor),
                     " bytes that are kept (Command::output_buffer)"));
  }
  absl::Status status =
      AwaitReady(*cursor, deadline, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return UnreadBeforeGap(*cursor) >= size || HasGap(*cursor);
      });
  if (!status.ok()) return status;
  if (UnreadBeforeGap(*cursor) < size) return GapError(*cursor);
  return Take(*cursor, {cursor->position + size, 0});
}

absl::StatusOr<std::string> OutputBuffer::ReadToEnd(CursorRef cursor,
                                                    absl::Time deadline) {
  MutexLock lock(mu_);
  absl::Status status =
      AwaitReady(*cursor, deadline, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return finished_ && failure_.ok();
      });
  if (!status.ok()) return status;
  return TakeAll(*cursor);
}

absl::Status OutputBuffer::Sync(absl::Time deadline) {
  MutexLock lock(mu_);
  if (wake_ == nullptr || finished_) return absl::OkStatus();
  // No bytes are in transit, so the producer need not be woken.
  if (reading_ == 0 && is_empty_ != nullptr && is_empty_()) {
    return absl::OkStatus();
  }
  const uint64_t mine = ++syncs_wanted_;
  wake_();
  BriefWait::NoteRequest();
  const auto done = [this, mine]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return finished_ || syncs_done_ >= mine;
  };
  return brief_wait_.Await(mu_, absl::Condition(&done), deadline);
}

ByteQueue OutputBuffer::TakeMemory(CursorRef cursor) {
  MutexLock lock(mu_);
  cursor->position = end();
  ByteQueue memory = std::move(segments_.front().bytes);
  for (size_t i = 1; i < segments_.size(); ++i) {
    // It fits: the segments were in memory together before the middle was
    // dropped.
    if (!memory.Append(segments_[i].bytes.view())) {
      dropped_ += segments_[i].bytes.size();
    }
  }
  segments_.clear();
  segments_.emplace_back();
  segments_.front().start = cursor->position;
  return memory;
}

void OutputBuffer::Refuse() {
  MutexLock lock(mu_);
  refused_ = true;
  if (wake_ != nullptr) wake_();
}

void OutputBuffer::AwaitFinished() {
  MutexLock lock(mu_);
  if (wake_ != nullptr) mu_.Await(absl::Condition(&finished_));
}

std::string OutputBuffer::LastUnread(CursorRef cursor, size_t most) const {
  MutexLock lock(mu_);
  return recent_.substr(recent_.size() -
                        std::min({recent_.size(), Unread(*cursor), most}));
}

std::string OutputBuffer::LastLines(absl::string_view name) const {
  MutexLock lock(mu_);
  const absl::string_view recent = absl::string_view(recent_).substr(
      recent_.size() - std::min(recent_.size(), kRecentSize));
  const absl::string_view text = absl::StripTrailingAsciiWhitespace(recent);
  if (text.empty()) return "";
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  const size_t first =
      lines.size() > kLastLines ? lines.size() - kLastLines : 0;
  return absl::StrCat(
      "; last of ", name, ": ",
      absl::StrJoin(lines.begin() + static_cast<ptrdiff_t>(first), lines.end(),
                    ", ", [](std::string* out, absl::string_view line) {
                      absl::ConsumeSuffix(&line, "\r");  // Of a terminal.
                      absl::StrAppend(out, "'", ShownLine(line), "'");
                    }));
}

OutputBuffer::Stats OutputBuffer::stats() const {
  MutexLock lock(mu_);
  Stats stats;
  stats.bytes = end();
  stats.dropped = dropped_;
  stats.buffered = Buffered();
  stats.high_water = high_water_;
  return stats;
}

uint64_t OutputBuffer::lines(CursorRef cursor) const {
  MutexLock lock(mu_);
  return cursor->lines;
}

uint64_t OutputBuffer::dropped(CursorRef cursor) const {
  MutexLock lock(mu_);
  // The bytes in gaps that the cursor has skipped or will skip.
  const uint64_t ahead = end() - std::min(end(), cursor->position);
  return cursor->dropped + (ahead - Unread(*cursor));
}

uint64_t OutputBuffer::skipped(CursorRef cursor) const {
  MutexLock lock(mu_);
  return cursor->dropped;
}

}  // namespace asyncproc::internal

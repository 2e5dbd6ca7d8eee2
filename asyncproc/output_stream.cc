#include "asyncproc/output_stream.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/thread.h"
#include "asyncproc/internal/proc/proc_fs.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {

using internal::DeadlineAfter;
using internal::MonotonicNow;
using internal::OutputBuffer;

namespace {

// Bytes of unread text that an error message shows.
constexpr size_t kShown = 200;

const absl::Status& StatusOf(const absl::Status& status) { return status; }
const absl::Status& StatusOf(const absl::StatusOr<std::string>& read) {
  return read.status();
}

}  // namespace

OutputCursor::OutputCursor(std::shared_ptr<OutputBuffer> buffer, From from)
    : buffer_(std::move(buffer)),
      cursor_(buffer_->AddCursor(from == From::kOldest)) {}

OutputCursor::OutputCursor(OutputCursor&& other) noexcept
    : buffer_(std::move(other.buffer_)), cursor_(other.cursor_) {}

OutputCursor& OutputCursor::operator=(OutputCursor&& other) noexcept {
  std::swap(buffer_, other.buffer_);
  std::swap(cursor_, other.cursor_);
  return *this;
}

OutputCursor::~OutputCursor() {
  if (buffer_ != nullptr) buffer_->RemoveCursor(cursor_);
}

std::string OutputCursor::Read() { return buffer_->Read(cursor_); }

template <typename Wait>
auto OutputCursor::ReadPart(absl::string_view part, absl::Time deadline,
                            Wait wait) -> decltype(wait()) {
  const absl::Time start = MonotonicNow();
  auto result = wait();
  if (result.ok()) return result;
  absl::Status why = StatusOf(result);
  if (absl::IsDeadlineExceeded(why)) {
    // A WithTimeout may end the call before its own deadline.
    why = Late(std::min(deadline, MonotonicNow()) - start);
  }
  return internal::Prefixed(
      absl::StrCat("cannot read ", part, " from ", buffer_->name()), why);
}

absl::Status OutputCursor::Late(absl::Duration elapsed) const {
  const size_t unread = Available();
  const std::string last = buffer_->LastUnread(cursor_, kShown);
  return absl::DeadlineExceededError(absl::StrCat(
      "only ", unread, " unread bytes after ", internal::FormatElapsed(elapsed),
      last.empty() ? "" : ": ", last.size() < unread ? "..." : "",
      last.empty() ? "" : absl::StrCat("\"", internal::Printable(last), "\"")));
}

absl::StatusOr<std::string> OutputCursor::ReadSome(absl::Duration timeout,
                                                   size_t most) {
  return ReadSome(DeadlineAfter(timeout), most);
}

absl::StatusOr<std::string> OutputCursor::ReadSome(absl::Time deadline,
                                                   size_t most) {
  return ReadPart("any bytes", deadline,
                  [&] { return buffer_->ReadSome(cursor_, deadline, most); });
}

absl::Status OutputCursor::ReadInPlace(
    absl::FunctionRef<void(absl::string_view)> use, absl::Duration timeout) {
  // `use` may destroy this cursor.
  const std::shared_ptr<OutputBuffer> buffer = buffer_;
  const absl::Time deadline = DeadlineAfter(timeout);
  return ReadPart("any bytes", deadline,
                  [&] { return buffer->ReadInPlace(cursor_, deadline, use); });
}

absl::Status OutputCursor::AwaitSome(absl::Duration timeout) {
  return AwaitSome(DeadlineAfter(timeout));
}

absl::Status OutputCursor::AwaitSome(absl::Time deadline) {
  return ReadPart("any bytes", deadline,
                  [&] { return buffer_->AwaitSome(cursor_, deadline); });
}

absl::StatusOr<std::string> OutputCursor::TryReadLine() {
  std::string line;
  absl::Status status = ReadLine(&line, absl::ZeroDuration());
  if (status.ok()) return line;
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(
        absl::StrCat("cannot read a line from ", buffer_->name(), ": only ",
                     Available(), " unread bytes yet"));
  }
  return status;
}

absl::StatusOr<std::string> OutputCursor::ReadLine(absl::Duration timeout) {
  std::string line;
  absl::Status status = ReadLine(&line, timeout);
  if (!status.ok()) return status;
  return line;
}

absl::StatusOr<std::string> OutputCursor::ReadLine(absl::Time deadline) {
  std::string line;
  absl::Status status = ReadLine(&line, deadline);
  if (!status.ok()) return status;
  return line;
}

absl::Status OutputCursor::ReadLine(std::string* line, absl::Duration timeout) {
  // A line that has arrived needs no deadline.
  if (buffer_->TryReadLine(cursor_, line)) return absl::OkStatus();
  return ReadLine(line, DeadlineAfter(timeout));
}

absl::Status OutputCursor::ReadLine(std::string* line, absl::Time deadline) {
  return ReadPart("a line", deadline,
                  [&] { return buffer_->ReadLine(cursor_, line, deadline); });
}

LineRange OutputCursor::Lines(absl::Duration timeout) & {
  return LineRange(this, timeout);
}

absl::StatusOr<std::string> OutputCursor::ReadUntil(absl::string_view delimiter,
                                                    absl::Duration timeout) {
  return ReadUntil(delimiter, DeadlineAfter(timeout));
}

absl::StatusOr<std::string> OutputCursor::ReadUntil(absl::string_view delimiter,
                                                    absl::Time deadline) {
  return ReadPart("up to the delimiter", deadline, [&] {
    return buffer_->ReadUntil(cursor_, delimiter, deadline);
  });
}

absl::StatusOr<std::string> OutputCursor::ReadExactly(size_t size,
                                                      absl::Duration timeout) {
  return ReadExactly(size, DeadlineAfter(timeout));
}

absl::StatusOr<std::string> OutputCursor::ReadExactly(size_t size,
                                                      absl::Time deadline) {
  return ReadPart(absl::StrCat(size, " bytes"), deadline, [&] {
    return buffer_->ReadExactly(cursor_, size, deadline);
  });
}

absl::StatusOr<std::string> OutputCursor::ReadToEnd(absl::Duration timeout) {
  const absl::Time deadline = DeadlineAfter(timeout);
  return ReadPart("all bytes", deadline,
                  [&] { return buffer_->ReadToEnd(cursor_, deadline); });
}

std::string OutputCursor::Peek() const { return buffer_->Peek(cursor_); }

bool OutputCursor::HasLine() const { return buffer_->HasLine(cursor_); }

bool OutputCursor::AtEof() const { return buffer_->AtEnd(cursor_); }

size_t OutputCursor::Available() const { return buffer_->Available(cursor_); }

absl::StatusOr<int> OutputCursor::ReadyFd() {
  return buffer_->ReadyFd(cursor_);
}

const std::string& OutputCursor::name() const { return buffer_->name(); }

uint64_t OutputCursor::dropped() const { return buffer_->dropped(cursor_); }

bool OutputCursor::PassGap() { return buffer_->PassGap(cursor_); }

uint64_t OutputCursor::Skipped() const { return buffer_->skipped(cursor_); }

bool LineRange::Next() {
  status_ = cursor_->ReadLine(&line_, timeout_);
  if (status_.ok()) return true;
  if (absl::IsOutOfRange(status_)) status_ = absl::OkStatus();
  return false;
}

// Shared by the handle and the thread, which ends by itself if it is detached.
struct TapHandle::Runner {
  Runner(OutputCursor cursor, Tap tap, TapUnit unit)
      : cursor(std::move(cursor)), tap(std::move(tap)), unit(unit) {}

  void Run() {
    for (;;) {
      absl::StatusOr<std::string> piece = Next();
      if (!piece.ok()) break;
      tap(*piece);
    }
    internal::MutexLock lock(mu);
    done = true;
  }

  bool AwaitDone() ABSL_LOCKS_EXCLUDED(mu) {
    internal::MutexLock lock(mu);
    return internal::Await(mu, absl::Condition(&done), absl::InfiniteFuture())
        .ok();
  }

  // Each piece has its own memory, so that an idle tap keeps none.
  absl::StatusOr<std::string> Next() {
    if (unit == TapUnit::kChunk) {
      return cursor.ReadSome(absl::InfiniteDuration());
    }
    // A line longer than the bound is split into pieces: otherwise the child
    // would wait forever.
    std::string line;
    absl::Status status =
        cursor.buffer_->ReadLine(cursor.cursor_, &line, absl::InfiniteFuture(),
                                 OutputBuffer::LongLine::kSplit);
    if (!status.ok()) return status;
    return line;
  }

  OutputCursor cursor;
  const Tap tap;
  const TapUnit unit;
  internal::Thread thread;

  absl::Mutex mu;
  bool done ABSL_GUARDED_BY(mu) = false;
};

TapHandle::TapHandle(std::shared_ptr<Runner> runner)
    : runner_(std::move(runner)) {}

TapHandle& TapHandle::operator=(TapHandle&& other) noexcept {
  if (this != &other) {
    Remove();
    runner_ = std::move(other.runner_);
  }
  return *this;
}

void TapHandle::Remove() {
  if (runner_ == nullptr) return;
  if (runner_->cursor.buffer_->IsForkedCopy()) {
    // The thread belongs to the original, and shares this runner: leak the
    // copy.
    new std::shared_ptr<Runner>(std::move(runner_));
    return;
  }
  runner_->cursor.buffer_->CancelCursor(runner_->cursor.cursor_);
  if (runner_->thread.IsCurrent()) {
    runner_->thread.Detach();
  } else {
    runner_->thread.Join();
  }
  runner_ = nullptr;
}

bool TapHandle::Finish() {
  if (runner_ == nullptr) return true;
  const absl::StatusOr<bool> idle =
      runner_->cursor.buffer_->AwaitIdle(runner_->cursor.cursor_);
  if (!idle.ok()) return false;
  if (*idle) return true;
  if (!runner_->AwaitDone()) return false;
  runner_->thread.Join();
  return true;
}

OutputStream::OutputStream(std::shared_ptr<OutputBuffer> buffer, ino_t pipe)
    : OutputCursor(std::move(buffer), From::kOldest), pipe_(pipe) {}

OutputStream::~OutputStream() = default;

OutputCursor OutputStream::NewCursor(From from) {
  return OutputCursor(buffer_, from);
}

absl::StatusOr<TapHandle> OutputStream::AddTap(Tap tap, TapUnit unit,
                                               From from) {
  auto runner = std::make_shared<TapHandle::Runner>(NewCursor(from),
                                                    std::move(tap), unit);
  absl::StatusOr<internal::Thread> thread =
      internal::Thread::Start("asyncproc-tap", [runner] { runner->Run(); });
  if (!thread.ok()) return thread.status();
  runner->thread = *std::move(thread);
  return TapHandle(std::move(runner));
}

absl::Status OutputStream::Sync(absl::Duration timeout) {
  absl::Status status = buffer_->Sync(DeadlineAfter(timeout));
  if (status.ok()) return status;
  return internal::Prefixed(
      absl::StrCat("cannot read all bytes that are in the pipe of ",
                   buffer_->name(), " within ", absl::FormatDuration(timeout)),
      status);
}

void OutputStream::Close() {
  buffer_->Refuse();
  buffer_->AwaitFinished();
}

OutputStats OutputStream::stats() const {
  const OutputBuffer::Stats stats = buffer_->stats();
  return {stats.bytes, buffer_->lines(cursor_), stats.dropped, stats.buffered,
          stats.high_water};
}

std::string OutputStream::LastLines(absl::string_view name) const {
  return buffer_->LastLines(name);
}

std::vector<PipeHolder> OutputStream::holders() const {
  std::vector<PipeHolder> holders;
  if (pipe_ == 0 || buffer_->IsFinished()) return holders;
  for (const internal::ProcessStat& process : internal::FindWriters(pipe_)) {
    holders.push_back({process.pid, process.command});
  }
  return holders;
}

}  // namespace asyncproc

// Any number of readers get the results of a simple model of the stream,
// whatever operations they call, and the buffer keeps its bound.
//
// The input is a bound, and then operations: a byte that selects the operation,
// a byte that selects the cursor, and the arguments. See Session::Step.

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/output_bound.h"
#include "tests/fuzz/input.h"

namespace asyncproc {
namespace {

using internal::OutputBuffer;
using Policy = OutputBound::Policy;

constexpr size_t kMaxCursors = 6;
// The largest stream: more than a reader gets without a copy.
constexpr size_t kMaxSize = 256 * 1024;

OutputBound BoundFrom(Input& input) {
  const uint8_t policy = input.Byte();
  const size_t size = input.Byte() + size_t{1};
  const size_t bytes = (policy & 4) != 0 ? 1024 * size : size;
  switch (policy & 3) {
    case 0:
      return OutputBound::Unbounded();
    case 1:
      return OutputBound::BlockChild(bytes);
    case 2:
      return OutputBound::DropOldest(bytes);
    default:
      return OutputBound::HeadAndTail(bytes);
  }
}

// The whole stream from its first byte, and the ranges that are gone.
class Model {
 public:
  struct Cursor {
    OutputBuffer::CursorRef real;
    size_t position = 0;
    size_t start = 0;
    size_t taken = 0;  // Bytes, with the ends of lines and delimiters.
    size_t lines = 0;
    bool canceled = false;
  };

  explicit Model(OutputBound bound) : bound_(bound) {
    if (bound.policy() == Policy::kHeadAndTail) head_ = bound.bytes() / 2;
    gap_end_ = head_;
  }

  std::vector<Cursor>& cursors() { return cursors_; }
  bool paused() const { return paused_; }
  bool finished() const { return finished_; }
  size_t dropped() const { return dropped_; }
  size_t high_water() const { return high_water_; }
  const std::string& text() const { return text_; }

  void Append(absl::string_view bytes) {
    if (finished_ || bytes.empty()) return;
    text_ += bytes;
    Forget();
    if (bound_.policy() == Policy::kDropOldest) Drop(bound_.bytes());
    if (bound_.policy() == Policy::kHeadAndTail &&
        (Buffered() > bound_.bytes() || gap_end_ > head_ || base_ >= head_)) {
      Drop(bound_.bytes() - head_);
    }
    if (bound_.policy() == Policy::kBlockChild &&
        Buffered() >= bound_.bytes()) {
      paused_ = true;
    }
    high_water_ = std::max(high_water_, Buffered());
  }

  void Finish() { finished_ = true; }

  void Add(OutputBuffer::CursorRef real, bool at_oldest) {
    Cursor cursor;
    cursor.real = real;
    cursor.start = at_oldest ? Oldest() : text_.size();
    cursor.position = cursor.start;
    cursors_.push_back(cursor);
  }

  void Remove(size_t index) {
    cursors_.erase(cursors_.begin() + static_cast<ptrdiff_t>(index));
    Release();
  }

  // The bytes before the gap, if the cursor is there, and the bytes after it.
  // No piece is empty.
  std::vector<absl::string_view> Pieces(const Cursor& cursor) const {
    const absl::string_view text = text_;
    std::vector<absl::string_view> pieces;
    if (!HasGap()) {
      pieces.push_back(text.substr(cursor.position));
    } else {
      if (cursor.position < head_) {
        pieces.push_back(text.substr(cursor.position, head_ - cursor.position));
      }
      pieces.push_back(text.substr(std::max(cursor.position, gap_end_)));
    }
    if (pieces.back().empty()) pieces.pop_back();
    return pieces;
  }

  std::string Peek(const Cursor& cursor) {
    Resume(true);
    return Rest(cursor);
  }

  std::string Rest(const Cursor& cursor) const {
    std::string rest;
    for (absl::string_view piece : Pieces(cursor))
      absl::StrAppend(&rest, piece);
    return rest;
  }

  // Takes the next `size` bytes, without the bytes of the gap.
  std::string Take(Cursor& cursor, size_t size) {
    std::string taken = Rest(cursor).substr(0, size);
    CHECK_EQ(taken.size(), size);
    cursor.taken += size;
    for (absl::string_view piece : Pieces(cursor)) {
      if (size == 0) break;
      const size_t from_piece = std::min(size, piece.size());
      cursor.position =
          static_cast<size_t>(piece.data() - text_.data()) + from_piece;
      size -= from_piece;
    }
    Release();
    return taken;
  }

  size_t Dropped(const Cursor& cursor) const {
    return text_.size() - cursor.start - cursor.taken - Rest(cursor).size();
  }

  // The result of a read that waits for `size` bytes and returns the first
  // `returned` of them. `size` is npos when the bytes have not arrived.
  absl::StatusOr<std::string> Get(Cursor& cursor, size_t size,
                                  size_t returned) {
    if (cursor.canceled) return absl::CancelledError("");
    if (size != std::string::npos) {
      return Take(cursor, size).substr(0, returned);
    }
    if (finished_) return absl::OutOfRangeError("");
    if (IsStuck(cursor)) return absl::ResourceExhaustedError("");
    Resume(true);
    return absl::DeadlineExceededError("");
  }

  size_t LineSize(const Cursor& cursor) const {
    const std::vector<absl::string_view> pieces = Pieces(cursor);
    if (pieces.empty()) return std::string::npos;
    const size_t end = pieces[0].find('\n');
    if (end != absl::string_view::npos) return end + 1;
    return pieces.size() > 1 || finished_ ? pieces[0].size()
                                          : std::string::npos;
  }

  bool HasLine(const Cursor& cursor) {
    if (LineSize(cursor) != std::string::npos) return true;
    Resume(true);
    return false;
  }

  // `split`: a line that does not fit is returned in pieces.
  absl::StatusOr<std::string> ReadLine(Cursor& cursor, bool split) {
    const size_t size = LineSize(cursor);
    if (size == std::string::npos) {
      const bool piece =
          split && !cursor.canceled && !finished_ && IsStuck(cursor);
      return piece ? Take(cursor, Rest(cursor).size()) : Get(cursor, size, 0);
    }
    const std::string rest = Rest(cursor);
    size_t returned = size;
    if (rest[size - 1] == '\n') {
      --returned;
      if (returned > 0 && rest[returned - 1] == '\r') --returned;
    }
    absl::StatusOr<std::string> line = Get(cursor, size, returned);
    if (line.ok()) ++cursor.lines;
    return line;
  }

  absl::StatusOr<std::string> ReadUntil(Cursor& cursor,
                                        absl::string_view delimiter) {
    bool gap = false;
    for (absl::string_view piece : Pieces(cursor)) {
      const size_t at = piece.find(delimiter);
      if (at != absl::string_view::npos) {
        return gap ? GapError(cursor) : Get(cursor, at + delimiter.size(), at);
      }
      gap = true;
    }
    return Get(cursor, std::string::npos, 0);
  }

  absl::StatusOr<std::string> ReadExactly(Cursor& cursor, size_t size) {
    const std::vector<absl::string_view> pieces = Pieces(cursor);
    const bool there = size <= (pieces.empty() ? 0 : pieces[0].size());
    if (!there && size > MostThatMayArrive(cursor)) {
      return absl::ResourceExhaustedError("");
    }
    if (!there && pieces.size() > 1) return GapError(cursor);
    return Get(cursor, there ? size : std::string::npos, size);
  }

  absl::StatusOr<std::string> ReadSome(Cursor& cursor) {
    const std::vector<absl::string_view> pieces = Pieces(cursor);
    const size_t size = pieces.empty() ? std::string::npos : pieces[0].size();
    return Get(cursor, size, size);
  }

  // The number of bytes that at least one cursor has yet to take.
  size_t Buffered() const {
    Cursor slowest;
    slowest.position = base_;
    size_t size = 0;
    for (absl::string_view piece : Pieces(slowest)) size += piece.size();
    return size;
  }

 private:
  // The error of a read across the gap.
  static absl::Status GapError(const Cursor& cursor) {
    return cursor.canceled ? absl::CancelledError("") : absl::DataLossError("");
  }

  bool HasGap() const { return gap_end_ > head_; }

  size_t Oldest() const {
    return HasGap() && base_ >= head_ ? std::max(base_, gap_end_) : base_;
  }

  // Forgets the bytes that every cursor has taken.
  void Forget() {
    size_t slowest = text_.size();
    for (const Cursor& cursor : cursors_) {
      slowest = std::min(slowest, cursor.position);
    }
    base_ = std::max(base_, slowest);
  }

  void Release() {
    Forget();
    Resume(false);
  }

  // Lets the child go on, but never beyond the bound.
  void Resume(bool wanted) {
    const size_t buffered = Buffered();
    if (buffered >= bound_.bytes()) return;
    if (wanted || buffered <= bound_.bytes() / 2) paused_ = false;
  }

  // After the head, HeadAndTail keeps only the tail for every reader.
  size_t MostThatMayArrive(const Cursor& cursor) const {
    return bound_.bytes() - std::min(cursor.position, head_);
  }

  // No more data arrives before this cursor takes some.
  bool IsStuck(const Cursor& cursor) const {
    return bound_.policy() == Policy::kBlockChild &&
           text_.size() - cursor.position >= bound_.bytes();
  }

  // Drops the bytes after the head, except the last `kept`.
  void Drop(size_t kept) {
    const size_t from = std::max({head_, base_, gap_end_});
    if (text_.size() < from + kept + 1) return;
    gap_end_ = text_.size() - kept;
    dropped_ += gap_end_ - from;
  }

  const OutputBound bound_;
  std::string text_;
  std::vector<Cursor> cursors_;
  size_t base_ = 0;  // The bytes before it are forgotten.
  size_t head_ = 0;  // All bytes from here to gap_end_ were dropped.
  size_t gap_end_ = 0;
  size_t dropped_ = 0;
  size_t high_water_ = 0;
  bool paused_ = false;
  bool finished_ = false;
};

void CheckSame(const absl::StatusOr<std::string>& real,
               const absl::StatusOr<std::string>& model) {
  CHECK_EQ(real.status().code(), model.status().code()) << real.status();
  if (real.ok()) CHECK(*real == *model) << *real << " is not " << *model;
}

// A stream and its model: each operation is applied to both.
class Session {
 public:
  explicit Session(OutputBound bound)
      : bound_(bound), real_(bound), model_(bound) {}

  void Step(Input& input) {
    const uint8_t operation = input.Byte() % 16;
    const uint8_t which = input.Byte();
    switch (operation) {
      case 0:
      case 1:
        Append(input.Characters(which % 32));
        break;
      case 2:
        Feed(std::string(input.Characters(which % 32)), input.Byte());
        break;
      case 3:
        Append(Large(which, input.Byte()));
        break;
      case 4:
        Feed(Large(which, input.Byte()), 0);
        break;
      case 5:
        AddCursor((which & 1) == 0);
        break;
      case 6:
        if (which == 0) Finish();
        break;
      default:
        if (model_.cursors().empty()) break;
        ByCursor(operation, which % model_.cursors().size(), which >= 128,
                 input);
    }
    CheckStream();
  }

  void End() {
    Finish();
    for (Model::Cursor& cursor : model_.cursors()) {
      CHECK(real_.Read(cursor.real) == Take(cursor));
      CheckCursor(cursor);
    }
    CheckStream();
  }

 private:
  static std::string Large(uint8_t size, char c) {
    std::string text(512 * size_t{size}, c);
    for (size_t i = 99; i < text.size(); i += 100) text[i] = '\n';
    return text;
  }

  void Append(absl::string_view bytes) {
    if (model_.text().size() + bytes.size() > kMaxSize) return;
    real_.Append(bytes);
    model_.Append(bytes);
  }

  void Feed(const std::string& bytes, size_t pending) {
    if (model_.text().size() + bytes.size() > kMaxSize) return;
    if (pending == 0 && !real_.HasRoom()) return;
    const size_t buffered = model_.Buffered();
    const OutputBuffer::Room room = real_.BeginRead(pending);
    CHECK_EQ(room.data == nullptr, model_.finished());
    if (room.data == nullptr) return;
    const size_t taken = std::min(room.size, bytes.size());
    std::copy_n(bytes.data(), taken, room.data);
    real_.EndRead(taken);
    if (bound_.policy() == Policy::kBlockChild && taken > pending) {
      CHECK_LE(buffered + taken, bound_.bytes());
    }
    model_.Append(absl::string_view(bytes).substr(0, taken));
  }

  void AddCursor(bool at_oldest) {
    if (model_.cursors().size() == kMaxCursors) return;
    model_.Add(real_.AddCursor(at_oldest), at_oldest);
  }

  void Finish() {
    real_.Finish();
    model_.Finish();
  }

  void ByCursor(uint8_t operation, size_t index, bool variant, Input& input) {
    Model::Cursor& cursor = model_.cursors()[index];
    const absl::Time now = absl::InfinitePast();
    switch (operation) {
      case 7:
        real_.RemoveCursor(cursor.real);
        model_.Remove(index);
        return;
      case 8:
        if (input.Byte() != 0) return;
        real_.CancelCursor(cursor.real);
        cursor.canceled = true;
        break;
      case 9: {
        const std::string expected = Take(cursor);
        CHECK((variant ? ReadInPlace(cursor) : real_.Read(cursor.real)) ==
              expected);
        break;
      }
      case 10:
        CheckSame(real_.ReadSome(cursor.real, now), model_.ReadSome(cursor));
        break;
      case 11: {
        const size_t size = input.Byte();
        CheckSame(real_.ReadExactly(cursor.real, size, now),
                  model_.ReadExactly(cursor, size));
        break;
      }
      case 12: {
        const absl::string_view delimiter =
            input.Characters(1 + input.Byte() % 4);
        if (delimiter.empty()) return;
        CheckSame(real_.ReadUntil(cursor.real, delimiter, now),
                  model_.ReadUntil(cursor, delimiter));
        break;
      }
      case 13:
        CHECK(real_.Peek(cursor.real) == model_.Peek(cursor));
        break;
      case 14:
        CHECK_EQ(real_.HasLine(cursor.real), model_.HasLine(cursor));
        break;
      default: {
        std::string line;
        const absl::Status status =
            real_.ReadLine(cursor.real, &line, now,
                           variant ? OutputBuffer::LongLine::kSplit
                                   : OutputBuffer::LongLine::kRefuse);
        CheckSame(status.ok() ? absl::StatusOr<std::string>(line) : status,
                  model_.ReadLine(cursor, variant));
      }
    }
    CheckCursor(cursor);
  }

  // Takes the rest by Read, which also works on a canceled cursor.
  std::string Take(Model::Cursor& cursor) {
    return model_.Take(cursor, model_.Rest(cursor).size());
  }

  // While the last bytes are in use, more arrive.
  std::string ReadInPlace(const Model::Cursor& cursor) {
    std::string taken;
    bool last = false;
    const auto use = [&](absl::string_view bytes) {
      const std::string copy(bytes);
      last = real_.Available(cursor.real) == 0;
      if (last) Append(Large(bytes.size() % 128, 'u'));
      CHECK(bytes == copy);
      taken += copy;
    };
    while (!last && real_.Available(cursor.real) > 0 &&
           real_.ReadInPlace(cursor.real, absl::InfinitePast(), use).ok()) {
    }
    return last ? taken : taken + real_.Read(cursor.real);
  }

  void CheckCursor(const Model::Cursor& cursor) {
    const std::string rest = model_.Rest(cursor);
    // A Peek resumes the child.
    if (!model_.paused()) CHECK(real_.Peek(cursor.real) == rest);
    CHECK_EQ(real_.AtEnd(cursor.real), model_.finished() && rest.empty());
    CHECK_EQ(real_.lines(cursor.real), cursor.lines);
    CHECK_EQ(real_.dropped(cursor.real), model_.Dropped(cursor));
  }

  void CheckStream() {
    const OutputBuffer::Stats stats = real_.stats();
    CHECK_EQ(stats.bytes, model_.text().size());
    CHECK_EQ(stats.dropped, model_.dropped());
    CHECK_EQ(stats.buffered, model_.Buffered());
    CHECK_EQ(stats.high_water, model_.high_water());
    CHECK_EQ(real_.HasRoom(), !model_.paused());
    CHECK_EQ(real_.IsFinished(), model_.finished());
    if (bound_.policy() == Policy::kDropOldest ||
        bound_.policy() == Policy::kHeadAndTail) {
      CHECK_LE(stats.buffered, bound_.bytes());
    }
  }

  const OutputBound bound_;
  OutputBuffer real_;
  Model model_;
};

void Try(Input input) {
  const OutputBound bound = BoundFrom(input);
  Session session(bound);
  while (!input.empty()) session.Step(input);
  session.End();
}

}  // namespace
}  // namespace asyncproc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  asyncproc::Try(asyncproc::Input(data, size));
  return 0;
}

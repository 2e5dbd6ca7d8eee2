#ifndef ASYNCPROC_INTERNAL_IO_BYTE_QUEUE_H_
#define ASYNCPROC_INTERNAL_IO_BYTE_QUEUE_H_

#include <cstddef>
#include <memory>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// A contiguous queue of bytes, added at the end and taken from the front. It
// grows by realloc, which for large sizes moves pages instead of copying, and
// an emptied queue frees most of its memory.
//
// A producer may fill reserved room while another thread takes bytes from the
// front: between BeginFill and EndFill, the bytes and the room do not move in
// memory. Pin keeps bytes in place beyond that.
//
// Thread safety: none of its own.
class ByteQueue {
 public:
  ByteQueue() = default;
  ByteQueue(ByteQueue&& other) noexcept;
  ByteQueue& operator=(ByteQueue&& other) noexcept;
  ~ByteQueue();

  absl::string_view view() const { return {data_ + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  size_t capacity() const { return capacity_; }

  // Returns room for `size` bytes after the end, to be filled and then
  // committed. Returns null when there is no memory; nothing has changed then.
  char* Reserve(size_t size);
  void Commit(size_t size) { end_ += size; }
  // As Reserve. Until EndFill, which appends the first `size` bytes of the
  // room, only Consume and Pin are allowed.
  char* BeginFill(size_t size);
  void EndFill(size_t size);
  // Has the kernel allocate the pages of the reserved room in one call, rather
  // than page by page. Useful when all of the room is going to be filled.
  void Populate(size_t size);
  // False when there is no memory.
  bool Append(absl::string_view bytes);

  // Drops `size` bytes from the end. REQUIRES: size <= size(), and nothing is
  // appended while the dropped bytes are pinned.
  void DropBack(size_t size) { end_ -= size; }

  // Takes `size` bytes from the front. REQUIRES: size <= size().
  void Consume(size_t size);

  // While the result exists, the present bytes stay in place and unchanged,
  // even when they are consumed. After that, a call of Consume, possibly of no
  // bytes, lets new bytes use their memory.
  std::shared_ptr<const void> Pin();

 private:
  // Memory that pins keep alive.
  struct Block {
    ~Block();
    char* data = nullptr;
  };

  bool IsPinned() const { return block_.use_count() > 1; }
  void Free();

  char* data_ = nullptr;
  std::shared_ptr<Block> block_;  // Of `data_`. Null before the first Pin.
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool filling_ = false;  // Between BeginFill and EndFill.
  size_t populated_ = 0;  // Pages are allocated up to this offset.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_BYTE_QUEUE_H_

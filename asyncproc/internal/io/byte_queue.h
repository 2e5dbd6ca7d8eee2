#ifndef ASYNCPROC_INTERNAL_IO_BYTE_QUEUE_H_
#define ASYNCPROC_INTERNAL_IO_BYTE_QUEUE_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// Bytes in one piece, added at the end and taken from the front. It grows by
// realloc, which for large sizes moves pages instead of copying, and an emptied
// queue gives most of its memory back.
//
// A producer may fill reserved room while another thread takes bytes from the
// front: between BeginFill and EndFill the bytes and the room stay where they
// are in memory.
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

  // Room for `size` bytes behind the end, to be filled and then committed. Null
  // when there is no memory: nothing has changed then.
  char* Reserve(size_t size);
  void Commit(size_t size) { end_ += size; }
  // As Reserve. Until EndFill, which appends the first `size` bytes of the
  // room, Consume is the only change allowed.
  char* BeginFill(size_t size);
  void EndFill(size_t size);
  // Has the kernel provide the memory of what was reserved now, all at once and
  // not page by page. For where all of it is going to be filled.
  void Populate(size_t size);
  // False when there is no memory.
  bool Append(absl::string_view bytes);

  // Drops `size` bytes from the end. REQUIRES: size <= size().
  void DropBack(size_t size) { end_ -= size; }

  // Takes `size` bytes from the front. REQUIRES: size <= size().
  void Consume(size_t size);

 private:
  char* data_ = nullptr;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool filling_ = false;  // Between BeginFill and EndFill.
  size_t populated_ = 0;  // Up to here there is memory behind the addresses.
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_IO_BYTE_QUEUE_H_

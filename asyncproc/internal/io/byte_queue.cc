#include "asyncproc/internal/io/byte_queue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace asyncproc::internal {
namespace {

// The capacity that an emptied queue keeps for the next bytes.
constexpr size_t kKeptCapacity = 1024 * 1024;

// Since Linux 5.14; an older kernel refuses it, which does no harm.
constexpr int kMadvPopulateWrite = 23;

}  // namespace

ByteQueue::ByteQueue(ByteQueue&& other) noexcept { *this = std::move(other); }

ByteQueue& ByteQueue::operator=(ByteQueue&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(capacity_, other.capacity_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
  std::swap(filling_, other.filling_);
  std::swap(populated_, other.populated_);
  return *this;
}

ByteQueue::~ByteQueue() { free(data_); }

char* ByteQueue::Reserve(size_t size) {
  if (capacity_ - end_ >= size) return data_ + end_;
  // Moving the bytes to the front costs at most two copies of each byte taken.
  // A queue whose size stays the same so needs at most twice that size.
  if (begin_ >= this->size() / 2 && capacity_ - this->size() >= size) {
    memmove(data_, data_ + begin_, this->size());
    end_ -= std::exchange(begin_, 0);
    return data_ + end_;
  }
  const size_t capacity = std::max(capacity_ * 2, end_ + size);
  char* const data = static_cast<char*>(realloc(data_, capacity));
  if (data == nullptr) return nullptr;
  data_ = data;
  capacity_ = capacity;
  return data_ + end_;
}

char* ByteQueue::BeginFill(size_t size) {
  char* const room = Reserve(size);
  filling_ = room != nullptr;
  return room;
}

void ByteQueue::EndFill(size_t size) {
  filling_ = false;
  Commit(size);
  Consume(0);
}

void ByteQueue::Populate(size_t size) {
  static const uintptr_t kPage = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const size_t until = std::min(capacity_, end_ + size);
  if (until <= populated_) return;
  const auto begin =
      (reinterpret_cast<uintptr_t>(data_ + std::max(end_, populated_)) + kPage -
       1) &
      ~(kPage - 1);
  const auto end = reinterpret_cast<uintptr_t>(data_ + until) & ~(kPage - 1);
  populated_ = until;
  if (begin < end) {
    madvise(reinterpret_cast<void*>(begin), end - begin, kMadvPopulateWrite);
  }
}

bool ByteQueue::Append(absl::string_view bytes) {
  if (bytes.empty()) return true;
  char* const room = Reserve(bytes.size());
  if (room == nullptr) return false;
  memcpy(room, bytes.data(), bytes.size());
  Commit(bytes.size());
  return true;
}

void ByteQueue::Consume(size_t size) {
  begin_ += size;
  if (begin_ < end_ || filling_) return;
  begin_ = end_ = 0;
  if (capacity_ > kKeptCapacity) {
    free(std::exchange(data_, nullptr));
    capacity_ = populated_ = 0;
  }
}

}  // namespace asyncproc::internal

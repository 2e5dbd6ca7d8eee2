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

// With this much unused memory at the front, the bytes move there even if there
// is room at the end, whose pages the kernel would have to allocate.
constexpr size_t kMostUnused = 4 * 1024 * 1024;

// The size of a huge page on the usual machines. The kernel clears one in a
// small part of the time that it needs for as many bytes in usual pages.
constexpr size_t kHugePage = 2 * 1024 * 1024;

// More than malloc needs for its own data in front of a block.
constexpr size_t kMallocData = 64;

// Since Linux 5.14.
constexpr int kMadvPopulateWrite = 23;

// Advises the kernel about the pages of these bytes. A kernel may refuse any
// advice, which does no harm.
void Advise(char* begin, const char* end, int advice) {
  static const uintptr_t kPage = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  char* const first = begin - reinterpret_cast<uintptr_t>(begin) % kPage;
  madvise(first, static_cast<size_t>(end - first), advice);
}

}  // namespace

ByteQueue::ByteQueue(ByteQueue&& other) noexcept { *this = std::move(other); }

ByteQueue& ByteQueue::operator=(ByteQueue&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(block_, other.block_);
  std::swap(capacity_, other.capacity_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
  std::swap(filling_, other.filling_);
  std::swap(populated_, other.populated_);
  return *this;
}

ByteQueue::~ByteQueue() { Free(); }

ByteQueue::Block::~Block() { free(data); }

void ByteQueue::Free() {
  if (block_ == nullptr) free(data_);
  block_ = nullptr;
  data_ = nullptr;
  capacity_ = populated_ = 0;
}

char* ByteQueue::Reserve(size_t size) {
  const bool has_room = capacity_ - end_ >= size;
  if (has_room && (begin_ < kMostUnused || IsPinned())) return data_ + end_;
  if (IsPinned()) {
    // The pin keeps the old block.
    ByteQueue copy;
    if (copy.Reserve((this->size() + size) * 2) == nullptr) return nullptr;
    copy.Append(view());
    *this = std::move(copy);
    return data_ + end_;
  }
  // Moving the bytes to the front costs at most two copies of each byte taken.
  if (begin_ >= this->size() / 2 && capacity_ - this->size() >= size) {
    memmove(data_, data_ + begin_, this->size());
    end_ -= std::exchange(begin_, 0);
    return data_ + end_;
  }
  if (has_room) return data_ + end_;
  // After this growth, the next bytes can move to the front. A queue of
  // constant size needs at most twice that size.
  const size_t needed = end_ + size;
  size_t capacity = std::max(
      needed, begin_ == 0 ? capacity_ * 2 : this->size() * 3 / 2 + size);
  if (capacity_ >= kHugePage) {
    // Linux 6.7 and newer align a block of whole huge pages.
    size_t block = (capacity + kHugePage / 2) / kHugePage * kHugePage;
    if (block - kMallocData < needed) block += kHugePage;
    capacity = block - kMallocData;
  }
  char* const data = static_cast<char*>(realloc(data_, capacity));
  if (data == nullptr) return nullptr;
  data_ = data;
  if (block_ != nullptr) block_->data = data;
  capacity_ = capacity;
  // At another address, the next realloc would split the huge pages, which is
  // slower than usual pages.
  if (capacity_ >= kHugePage &&
      reinterpret_cast<uintptr_t>(data_) % kHugePage < kMallocData) {
    Advise(data_, data_ + capacity_, MADV_HUGEPAGE);
  }
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
  const size_t until = std::min(capacity_, end_ + size);
  if (until <= populated_) return;
  Advise(data_ + std::max(end_, populated_), data_ + until, kMadvPopulateWrite);
  populated_ = until;
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
  if (begin_ < end_ || filling_ || IsPinned()) return;
  begin_ = end_ = 0;
  if (capacity_ > kKeptCapacity) Free();
}

std::shared_ptr<const void> ByteQueue::Pin() {
  if (block_ == nullptr) {
    block_ = std::make_shared<Block>();
    block_->data = data_;
  }
  return block_;
}

}  // namespace asyncproc::internal

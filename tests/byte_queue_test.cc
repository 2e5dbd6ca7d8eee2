#include "asyncproc/internal/io/byte_queue.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// Lets an allocation that is too large fail as it does without a sanitizer.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}

namespace asyncproc::internal {
namespace {

constexpr size_t kMebibyte = 1024 * 1024;

TEST(ByteQueueTest, TakesFromTheFrontAndAddsAtTheEnd) {
  ByteQueue queue;

  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.Append("abc"));
  EXPECT_TRUE(queue.Append(""));
  EXPECT_TRUE(queue.Append("def"));
  queue.Consume(2);

  EXPECT_EQ(queue.view(), "cdef");
  EXPECT_EQ(queue.size(), 4);
  queue.Consume(4);
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueueTest, HasNoReservedBytesBeforeTheCommit) {
  ByteQueue queue;

  char* const room = queue.Reserve(1000);
  ASSERT_NE(room, nullptr);
  memcpy(room, "abc", 3);
  queue.Commit(2);

  EXPECT_EQ(queue.view(), "ab");
}

TEST(ByteQueueTest, DropsFromTheEnd) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("abcdef"));
  queue.Consume(1);

  queue.DropBack(2);

  EXPECT_EQ(queue.view(), "bcd");
}

TEST(ByteQueueTest, DoesNotGrowWhileAsMuchIsTakenAsIsAdded) {
  ByteQueue queue;
  std::string expected;
  std::string taken;

  for (int i = 0; i < 100000; ++i) {
    const std::string piece = std::to_string(i);
    ASSERT_TRUE(queue.Append(piece));
    expected += piece;
    if (i < 10) continue;
    taken += std::string(queue.view().substr(0, piece.size()));
    queue.Consume(piece.size());
  }
  taken += std::string(queue.view());

  EXPECT_EQ(taken, expected);
  EXPECT_LT(queue.capacity(), 1000);
}

TEST(ByteQueueTest, GivesBackTheMemoryOfManyBytesWhenItIsEmptied) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append(std::string(4 * kMebibyte, 'x')));

  queue.Consume(4 * kMebibyte - 1);
  EXPECT_GE(queue.capacity(), 4 * kMebibyte);
  queue.Consume(1);

  EXPECT_EQ(queue.capacity(), 0);
  EXPECT_TRUE(queue.Append("still works"));
  EXPECT_EQ(queue.view(), "still works");
}

TEST(ByteQueueTest, KeepsTheMemoryOfFewBytes) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("abc"));
  const char* const data = queue.view().data();

  queue.Consume(3);
  ASSERT_TRUE(queue.Append("def"));

  EXPECT_EQ(queue.view().data(), data);
}

TEST(ByteQueueTest, KeepsItsBytesWhenMemoryRunsOut) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("abc"));

  EXPECT_EQ(queue.Reserve(SIZE_MAX / 4), nullptr);

  EXPECT_EQ(queue.view(), "abc");
  EXPECT_TRUE(queue.Append("d"));
  EXPECT_EQ(queue.view(), "abcd");
}

TEST(ByteQueueTest, IsMovedWithItsBytes) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("abc"));
  const char* const data = queue.view().data();

  ByteQueue other = std::move(queue);
  ByteQueue assigned;
  assigned = std::move(other);

  EXPECT_EQ(assigned.view(), "abc");
  EXPECT_EQ(assigned.view().data(), data);
}

// A large queue grows by whole huge pages, less some bytes for malloc.
TEST(ByteQueueTest, HasRoomForAsManyBytesAsAreReserved) {
  for (size_t size = 6 * kMebibyte - 130; size < 6 * kMebibyte + 3; ++size) {
    ByteQueue queue;
    ASSERT_NE(queue.Reserve(2 * kMebibyte), nullptr);

    ASSERT_NE(queue.Reserve(size), nullptr);

    ASSERT_GE(queue.capacity(), size);
    ASSERT_LE(queue.capacity(), size + 2 * kMebibyte);
  }
}

// As the buffer of a stream with OutputBound::DropOldest.
TEST(ByteQueueTest, NeedsTwiceTheBytesThatItKeeps) {
  for (const size_t kept : {3, 5, 8}) {
    for (const size_t chunk : {4'096, 60'000, 524'288}) {
      const size_t most = kept * kMebibyte;
      const std::string bytes(chunk, 'x');
      ByteQueue queue;
      for (size_t written = 0; written < 5 * most; written += chunk) {
        ASSERT_TRUE(queue.Append(bytes));
        if (queue.size() > most) queue.Consume(queue.size() - most);
      }

      EXPECT_EQ(queue.size(), most);
      EXPECT_LE(queue.capacity(), 2 * (most + chunk))
          << kept << " MiB, by " << chunk;
    }
  }
}

TEST(ByteQueueTest, UsesHalfAsMuchMemoryAgainAsALargeQueueKeeps) {
  constexpr size_t kMost = 8 * kMebibyte;
  const std::string bytes(60'000, 'x');
  ByteQueue queue;
  while (queue.size() < kMost) ASSERT_TRUE(queue.Append(bytes));
  const char* const block = queue.view().data();
  const size_t capacity = queue.capacity();

  for (size_t written = 0; written < 5 * kMost; written += bytes.size()) {
    queue.Consume(bytes.size());
    ASSERT_TRUE(queue.Append(bytes));
    const absl::string_view view = queue.view();
    ASSERT_LE(view.data() + view.size() - block, kMost * 3 / 2 + 2 * 60'000);
  }

  EXPECT_EQ(queue.capacity(), capacity);  // So it has not moved elsewhere.
}

TEST(ByteQueueTest, LeavesPinnedBytesInPlaceWhateverHappensToIt) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("pinned"));
  const absl::string_view pinned = queue.view();
  std::shared_ptr<const void> pin = queue.Pin();

  queue.Consume(pinned.size());
  ASSERT_TRUE(queue.Append("other bytes"));
  EXPECT_EQ(queue.view(), "other bytes");
  EXPECT_EQ(pinned, "pinned");

  const std::string many(3 * kMebibyte, 'x');
  ASSERT_TRUE(queue.Append(many));
  EXPECT_EQ(queue.view(), "other bytes" + many);
  queue.Consume(queue.size());
  queue = ByteQueue();
  EXPECT_EQ(pinned, "pinned");
}

TEST(ByteQueueTest, MayFillItsRoomWhileBytesArePinned) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("pinned"));
  char* const room = queue.BeginFill(4);
  ASSERT_NE(room, nullptr);
  const absl::string_view pinned = queue.view();
  std::shared_ptr<const void> pin = queue.Pin();
  queue.Consume(pinned.size());
  memcpy(room, "more", 4);
  queue.EndFill(4);

  EXPECT_EQ(queue.view(), "more");
  queue.Consume(4);
  ASSERT_TRUE(queue.Append("next"));
  EXPECT_EQ(pinned, "pinned");
  EXPECT_EQ(queue.view(), "next");
}

// One reader pins all bytes, and goes on to the next without a pause.
TEST(ByteQueueTest, UsesTheMemoryOfPinnedBytesAgainLater) {
  const std::string bytes(60'000, 'x');
  ByteQueue queue;
  std::shared_ptr<const void> pin;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(queue.Append(bytes));
    pin = queue.Pin();
    queue.Consume(queue.size());
  }
  EXPECT_LE(queue.capacity(), kMebibyte);

  pin = nullptr;
  queue.Consume(0);
  ASSERT_TRUE(queue.Append(bytes));
  const char* const block = queue.view().data();
  queue.Consume(bytes.size());
  ASSERT_TRUE(queue.Append(bytes));
  EXPECT_EQ(queue.view().data(), block);
}

TEST(ByteQueueTest, GrowsAfterAPin) {
  ByteQueue queue;
  ASSERT_TRUE(queue.Append("abc"));
  (void)queue.Pin();
  std::string all = "abc";
  for (int i = 0; i < 20; ++i) {
    const std::string piece(300'000, static_cast<char>('a' + i));
    ASSERT_TRUE(queue.Append(piece));
    all += piece;
  }

  EXPECT_EQ(queue.view(), all);
}

}  // namespace
}  // namespace asyncproc::internal

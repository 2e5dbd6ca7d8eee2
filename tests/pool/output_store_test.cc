#include "tools/asyncproc/pool/output_store.h"

#include <stdlib.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

OutputStore::Options Small() {
  OutputStore::Options options;
  options.memory_each = 100;
  options.memory_total = 1000;
  return options;
}

std::string All(const StoredOutput& output) {
  std::string all;
  EXPECT_THAT(output.ForEach([&](absl::string_view piece) {
    all.append(piece.data(), piece.size());
    return absl::OkStatus();
  }),
              IsOk());
  return all;
}

TEST(OutputStoreTest, KeepsLittleInMemory) {
  OutputStore store(Small());
  StoredOutput output(&store);
  ASSERT_THAT(output.Append("one "), IsOk());
  ASSERT_THAT(output.Append("two"), IsOk());

  EXPECT_EQ(All(output), "one two");
  EXPECT_EQ(output.size(), 7);
  EXPECT_EQ(store.in_memory(), 7);
  EXPECT_EQ(store.in_file(), 0);
}

TEST(OutputStoreTest, KeepsMuchInAFileAndInOrder) {
  OutputStore store(Small());
  StoredOutput a(&store), b(&store);
  std::string all_a, all_b;
  for (int i = 0; i < 10000; ++i) {
    const std::string line = absl::StrCat("line ", i, "\n");
    ASSERT_THAT(a.Append(line), IsOk());
    absl::StrAppend(&all_a, line);
    if (i % 3 != 0) continue;
    ASSERT_THAT(b.Append(line), IsOk());
    absl::StrAppend(&all_b, line);
  }

  EXPECT_LE(store.in_memory(), 200);
  EXPECT_EQ(All(a), all_a);
  EXPECT_EQ(All(b), all_b);
  EXPECT_EQ(All(a), all_a) << "again";
}

TEST(OutputStoreTest, BoundsTheMemoryOfAllTogether) {
  OutputStore store(Small());
  std::vector<StoredOutput> outputs;
  for (int i = 0; i < 1000; ++i) {
    outputs.emplace_back(&store);
    ASSERT_THAT(outputs.back().Append(absl::StrCat("output ", i)), IsOk());
  }

  EXPECT_LE(store.in_memory(), 1000);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(All(outputs[i]), absl::StrCat("output ", i));
  }
}

TEST(OutputStoreTest, FreesClearedMemory) {
  OutputStore store(Small());
  const std::string much(1 << 20, 'x');
  StoredOutput a(&store);
  ASSERT_THAT(a.Append(much), IsOk());
  {
    StoredOutput b(&store);
    ASSERT_THAT(b.Append(much), IsOk());
    EXPECT_EQ(store.in_file(), 2 << 20);
  }
  EXPECT_EQ(store.in_file(), 1 << 20);

  a.Clear();

  EXPECT_EQ(store.in_file(), 0);
  EXPECT_EQ(store.in_memory(), 0);
  ASSERT_THAT(a.Append("again"), IsOk());
  EXPECT_EQ(All(a), "again");
}

TEST(OutputStoreTest, MovesWithItsBytes) {
  OutputStore store(Small());
  StoredOutput a(&store);
  ASSERT_THAT(a.Append(std::string(200, 'x')), IsOk());
  StoredOutput b(std::move(a));

  EXPECT_EQ(All(b), std::string(200, 'x'));
  b = StoredOutput(&store);
  EXPECT_EQ(store.in_file(), 0);
}

TEST(OutputStoreTest, ReportsWhereItCannotKeepOutput) {
  OutputStore::Options options = Small();
  options.directory = "/no/such/directory";
  OutputStore store(options);
  StoredOutput output(&store);
  ASSERT_THAT(output.Append("little"), IsOk());

  const absl::Status status = output.Append(std::string(200, 'x'));

  EXPECT_THAT(status, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(status.message(), testing::HasSubstr("/no/such/directory"));
  EXPECT_EQ(All(output), "little");
  EXPECT_EQ(store.in_memory(), 6);
}

TEST(OutputStoreTest, StopsWhenItsTakerDoes) {
  OutputStore store(Small());
  StoredOutput output(&store);
  ASSERT_THAT(output.Append(std::string(1 << 20, 'x')), IsOk());
  int calls = 0;

  EXPECT_THAT(output.ForEach([&](absl::string_view) {
    ++calls;
    return absl::CancelledError();
  }),
              HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace asyncproc::cli

#include "tools/asyncproc/pool/job_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"
#include "tools/asyncproc/os/unique_fd.h"

namespace asyncproc::cli {
namespace {

using testing::ElementsAre;
using testing::Optional;

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
  void Write(absl::string_view data) {
    EXPECT_EQ(::write(write.get(), data.data(), data.size()),
              static_cast<ssize_t>(data.size()));
  }
  UniqueFd read, write;
};

// Waits for the next line.
absl::StatusOr<std::string> NextLine(LineSource& source) {
  const absl::Time deadline = absl::Now() + kNeverReached;
  for (;;) {
    auto values = source.Next();
    if (values.ok()) return values->at(0);
    if (!absl::IsUnavailable(values.status()) || absl::Now() > deadline) {
      return values.status();
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST(ProductSourceTest, CombinesAllLists) {
  ProductSource source({{{"a", "b"}}, {{"1", "2", "3"}}});
  EXPECT_THAT(source.total(), Optional(6));

  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("a", "1")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("a", "2")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("a", "3")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("b", "1")));
  EXPECT_THAT(source.Next(), IsOk());
  EXPECT_THAT(source.Next(), IsOk());
  EXPECT_THAT(source.Next(), HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(source.Next(), HasCode(absl::StatusCode::kOutOfRange));
}

TEST(ProductSourceTest, HasNothingWhenOneListIsEmpty) {
  ProductSource source({{{"a", "b"}}, {{}}});

  EXPECT_THAT(source.total(), Optional(0));
  EXPECT_THAT(source.Next(), HasCode(absl::StatusCode::kOutOfRange));
}

TEST(ProductSourceTest, MakesMoreThanMemoryHolds) {
  const std::vector<std::string> many(10000, "x");
  ProductSource source({{many}, {many}, {many}, {many}, {many}, {many}});

  EXPECT_THAT(source.Next(), IsOk());
  EXPECT_GT(*source.total(), int64_t{1} << 60);
}

TEST(ProductSourceTest, TakesLinkedListsTogetherUpToTheShortest) {
  ProductSource source({{{"a", "b"}, {"1", "2", "3"}}, {{"x", "y"}}});
  EXPECT_THAT(source.total(), Optional(4));

  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("a", "1", "x")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("a", "1", "y")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("b", "2", "x")));
}

TEST(GroupingSourceTest, GivesEachJobSeveralValues) {
  GroupingSource source(
      std::make_unique<ProductSource>(
          std::vector<LinkedLists>{{{"a", "b", "c", "d", "e"}}}),
      2);
  EXPECT_THAT(source.total(), Optional(3));

  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("a", "b")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("c", "d")));
  EXPECT_THAT(source.Next(), IsOkAndHolds(ElementsAre("e")));
  EXPECT_THAT(source.Next(), HasCode(absl::StatusCode::kOutOfRange));
}

TEST(LineSourceTest, RefusesANulUnlessItEndsALine) {
  for (const char end : {'\n', '\0'}) {
    Pipe pipe;
    auto source = LineSource::Create(
        std::move(pipe.read), "stdin", [] {}, end);
    ASSERT_THAT(source, IsOk());
    pipe.Write(std::string("one\0two\0", 8));
    pipe.write.Reset();

    if (end == '\0') {
      EXPECT_THAT(NextLine(**source), IsOkAndHolds("one"));
      EXPECT_THAT(NextLine(**source), IsOkAndHolds("two"));
    } else {
      EXPECT_THAT(NextLine(**source),
                  HasCode(absl::StatusCode::kInvalidArgument));
    }
    EXPECT_THAT(NextLine(**source), HasCode(absl::StatusCode::kOutOfRange));
  }
}

TEST(LineSourceTest, HasALineForEachJob) {
  Pipe pipe;
  auto source = LineSource::Create(std::move(pipe.read), "stdin", [] {});
  ASSERT_THAT(source, IsOk());
  pipe.Write("one\n\ntwo");
  pipe.write.Reset();

  EXPECT_THAT(NextLine(**source), IsOkAndHolds("one"));
  EXPECT_THAT(NextLine(**source), IsOkAndHolds(""));
  EXPECT_THAT(NextLine(**source), IsOkAndHolds("two"));
  EXPECT_THAT(NextLine(**source), HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT((*source)->total(), Optional(3));
}

TEST(LineSourceTest, WakesAReaderThatFoundNoLine) {
  Pipe pipe;
  absl::Notification woken;
  auto source = LineSource::Create(std::move(pipe.read), "stdin", [&] {
    if (!woken.HasBeenNotified()) woken.Notify();
  });
  ASSERT_THAT(source, IsOk());
  EXPECT_THAT((*source)->Next(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ((*source)->total(), std::nullopt);

  pipe.Write("line\n");

  EXPECT_TRUE(woken.WaitForNotificationWithTimeout(kNeverReached));
  EXPECT_THAT((*source)->Next(), IsOkAndHolds(ElementsAre("line")));
}

TEST(LineSourceTest, ReadsNoFurtherAheadThanItsBound) {
  Pipe pipe;
  fcntl(pipe.write.get(), F_SETFL, O_NONBLOCK);
  fcntl(pipe.write.get(), F_SETPIPE_SZ, 4096);
  auto source = LineSource::Create(
      std::move(pipe.read), "stdin", [] {}, '\n', 1000);
  ASSERT_THAT(source, IsOk());
  const std::string block(4096, '\n');
  int64_t written = 0;
  // Writes until the pipe has been full for a while.
  for (absl::Time last = absl::Now(); absl::Now() - last < 4 * kShort;) {
    const ssize_t size = write(pipe.write.get(), block.data(), block.size());
    if (size > 0) {
      written += size;
      last = absl::Now();
    }
    ASSERT_LT(written, 1 << 20);
  }
  pipe.write.Reset();

  int64_t lines = 0;
  while (NextLine(**source).ok()) ++lines;
  EXPECT_EQ(lines, written);
}

TEST(LineSourceTest, EndsWhileItWaitsForInput) {
  Pipe pipe;
  auto source = LineSource::Create(std::move(pipe.read), "stdin", [] {});
  ASSERT_THAT(source, IsOk());

  const absl::Time start = absl::Now();
  source->reset();

  EXPECT_LT(absl::Now() - start, kNeverReached / 2);
}

TEST(LineSourceTest, ReportsWhyItCannotRead) {
  UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto source = LineSource::Create(std::move(directory), "/", [] {});
  ASSERT_THAT(source, IsOk());

  const auto line = NextLine(**source);
  EXPECT_FALSE(line.ok());
  EXPECT_NE(line.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(NextLine(**source), HasCode(absl::StatusCode::kOutOfRange));
}

}  // namespace
}  // namespace asyncproc::cli

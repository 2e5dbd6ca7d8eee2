#include "tools/asyncproc/pool/trace_writer.h"

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

const absl::Time kOrigin = absl::FromUnixSeconds(1000);

nlohmann::json Events(const TemporaryDirectory& directory) {
  const auto json = nlohmann::json::parse(directory.Read("trace"), nullptr,
                                          /*allow_exceptions=*/false);
  EXPECT_FALSE(json.is_discarded()) << directory.Read("trace");
  return json.is_discarded() ? nlohmann::json::array() : json["traceEvents"];
}

TraceSpan Span(std::string name, int row, std::string outcome = "ok") {
  TraceSpan span;
  span.name = std::move(name);
  span.row = row;
  span.row_name = "slot";
  span.start = kOrigin + absl::Milliseconds(5);
  span.length = absl::Milliseconds(20);
  span.outcome = std::move(outcome);
  span.details = {{"exit", "0"}};
  return span;
}

TEST(TraceWriterTest, IsWholeJsonAfterEachCall) {
  const TemporaryDirectory directory;
  auto trace = TraceWriter::Create(directory.path() + "/trace", "t", kOrigin);
  ASSERT_THAT(trace, IsOk());
  EXPECT_EQ(Events(directory).size(), 1);

  for (int i = 1; i <= 10; ++i) {
    ASSERT_THAT(trace->Add(Span("a", 1)), IsOk());
    EXPECT_EQ(Events(directory).size(), 2 + i);
  }
}

TEST(TraceWriterTest, HasARowForEachSlot) {
  const TemporaryDirectory directory;
  auto trace = TraceWriter::Create(directory.path() + "/trace", "t", kOrigin);
  ASSERT_THAT(trace, IsOk());
  ASSERT_THAT(trace->Add(Span("a", 1)), IsOk());
  ASSERT_THAT(trace->Add(Span("b", 2)), IsOk());

  const nlohmann::json events = Events(directory);

  ASSERT_EQ(events.size(), 5);
  EXPECT_EQ(events[1]["ph"], "M");
  EXPECT_EQ(events[1]["name"], "thread_name");
  EXPECT_EQ(events[2]["ph"], "X");
  EXPECT_EQ(events[2]["name"], "a");
  EXPECT_EQ(events[2]["tid"], 1);
  EXPECT_EQ(events[2]["ts"], 5000);
  EXPECT_EQ(events[2]["dur"], 20000);
  EXPECT_EQ(events[2]["args"]["exit"], "0");
  EXPECT_FALSE(events[2].contains("cname"));
  EXPECT_EQ(events[4]["tid"], 2);
}

TEST(TraceWriterTest, ColoursAndMarksFailures) {
  const TemporaryDirectory directory;
  auto trace = TraceWriter::Create(directory.path() + "/trace", "t", kOrigin);
  ASSERT_THAT(trace, IsOk());
  ASSERT_THAT(trace->Add(Span("a", 1, "timed out")), IsOk());

  const nlohmann::json events = Events(directory);

  ASSERT_EQ(events.size(), 4);
  EXPECT_EQ(events[2]["cname"], "terrible");
  EXPECT_EQ(events[2]["cat"], "timed out");
  EXPECT_EQ(events[3]["ph"], "i");
  EXPECT_EQ(events[3]["ts"], 25000);
}

TEST(TraceWriterTest, TakesBytesThatAreNoText) {
  const TemporaryDirectory directory;
  auto trace = TraceWriter::Create(directory.path() + "/trace", "t", kOrigin);
  ASSERT_THAT(trace, IsOk());

  ASSERT_THAT(trace->Add(Span("\xff\"\n\x01", 1)), IsOk());

  EXPECT_EQ(Events(directory)[2]["name"], "\xEF\xBF\xBD\"\n\x01");
}

TEST(TraceWriterTest, RefusesOtherThanRegularFiles) {
  EXPECT_THAT(TraceWriter::Create("/dev/null", "t", kOrigin),
              HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace asyncproc::cli

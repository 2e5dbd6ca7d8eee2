#include "asyncproc/monitor.h"

#include <time.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asyncproc/internal/os/mutex_lock.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::ElementsAre;

class RecordingSink : public absl::LogSink {
 public:
  RecordingSink() { absl::AddLogSink(this); }
  ~RecordingSink() override { absl::RemoveLogSink(this); }
  void Send(const absl::LogEntry& entry) override {
    internal::MutexLock lock(mu_);
    lines_.push_back(absl::StrCat(absl::LogSeverityName(entry.log_severity()),
                                  " ", entry.text_message()));
  }
  std::vector<std::string> lines() {
    internal::MutexLock lock(mu_);
    return lines_;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mu_);
};

TEST(LineLoggerTest, LogsEachLineWithItsName) {
  RecordingSink log;
  auto process = MustSpawn(Command::Shell(
      "echo one >&2; printf 'two\\007\\n\\n' >&2; printf last >&2"));
  auto tap = process->err().AddTap(LineLogger("sh"), TapUnit::kLine);
  ASSERT_THAT(tap, IsOk());

  tap->Finish();

  EXPECT_THAT(log.lines(), ElementsAre("INFO sh: one", "INFO sh: two\\x07",
                                       "INFO sh: ", "INFO sh: last"));
  EXPECT_EQ(process->ReadErr(), "one\ntwo\a\n\nlast");
}

TEST(LineLoggerTest, LogsWithTheSeverityItIsGiven) {
  RecordingSink log;

  LineLogger("x", absl::LogSeverity::kWarning)("grüße");

  EXPECT_THAT(log.lines(), ElementsAre("WARNING x: grüße"));
}

// The events of a parser for `pieces`: the groups of each event in brackets.
std::vector<std::string> Parse(absl::string_view pattern,
                               const std::vector<std::string>& pieces) {
  std::vector<std::string> calls;
  auto parser = ProgressParser::Create(
      pattern,
      [&](const Progress& progress) {
        calls.push_back(absl::StrCat("[", progress.groups[0], "]"));
      },
      [&](absl::string_view line) { calls.push_back(std::string(line)); });
  EXPECT_THAT(parser, IsOk());
  for (const std::string& piece : pieces) (*parser)->Feed(piece);
  (*parser)->Finish();
  return calls;
}

constexpr char kPercent[] = R"(\((\d+)%\))";

TEST(ProgressParserTest, PassesOtherTextOn) {
  EXPECT_THAT(
      Parse(kPercent,
            {"starting\n10/100 kB (10%), 0/1\n\n100/100 kB (100%)\n", "done"}),
      ElementsAre("starting", "[10]", "", "[100]", "done"));
}

TEST(ProgressParserTest, TakesBytesThatAreNotUtf8ForCharacters) {
  EXPECT_THAT(Parse("(.*) done", {"caf\xe9 done\n"}), ElementsAre("[caf\xe9]"));
}

TEST(ProgressParserTest, SeesALineThroughItsColours) {
  EXPECT_THAT(Parse(kPercent, {"\x1b[32m(\x1b[1m4", "5\x1b[0m%)\x1b[0m\n",
                               "\x1b[31mred\x1b[0m\n"}),
              ElementsAre("[45]", "\x1b[31mred\x1b[0m"));
}

TEST(ProgressParserTest, MatchesControlSequencesAndUtf8OnRequest) {
  std::vector<std::string> groups;
  ProgressOptions options;
  options.encoding = RegexEncoding::kUtf8;
  options.keep_control_sequences = true;
  auto parser = ProgressParser::Create(
      "\x1b\\[1m(.)!",
      [&](const Progress& progress) { groups.push_back(progress.groups[0]); },
      nullptr, options);
  ASSERT_THAT(parser, IsOk());

  (*parser)->Feed("\x1b[1m\xc3\xbc!\n");

  EXPECT_THAT(groups, ElementsAre("\xc3\xbc"));
}

absl::Duration ProcessorTime() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

TEST(ProgressParserTest, TakesALineWithoutEndInPiecesInLinearTime) {
  constexpr size_t kPieces = 1024 * 1024;
  size_t rest = 0;
  size_t longest = 0;
  auto parser =
      ProgressParser::Create(kPercent, nullptr, [&](absl::string_view line) {
        rest += line.size();
        longest = std::max(longest, line.size());
      });
  ASSERT_THAT(parser, IsOk());
  const absl::Duration before = ProcessorTime();

  for (size_t i = 0; i < kPieces; ++i) (*parser)->Feed("xy");
  (*parser)->Finish();

  EXPECT_EQ(rest, 2 * kPieces);
  EXPECT_EQ(longest, 1024u * 1024u);
  // A quadratic algorithm would take hours.
  EXPECT_LT(ProcessorTime() - before, absl::Seconds(10) * kSlowness);
}

TEST(ProgressParserTest, FindsAMatchInALongLineAtItsEndAtTheLatest) {
  const std::string dots(100000, '.');

  EXPECT_THAT(Parse(kPercent, {dots, "(1%)", "\n", dots, dots, "(2%)"}),
              ElementsAre("[1]", "[2]"));
}

TEST(ProgressParserTest, TakesReturnsForUpdates) {
  EXPECT_THAT(Parse(kPercent, {"(1%)\r(2%)\r(3%)\r\nend\r\n"}),
              ElementsAre("[1]", "[2]", "[3]", "end"));
  EXPECT_THAT(Parse(kPercent, {"\r(1%)\r(2%)\r(3%)\nend"}),
              ElementsAre("[1]", "[2]", "[3]", "end"));
}

TEST(ProgressParserTest, DoesNotWaitForTheNextUpdateToReportOne) {
  std::vector<double> values;
  auto parser = ProgressParser::Create(kPercent, [&](const Progress& progress) {
    values.push_back(progress.value.value_or(-1));
  });
  ASSERT_THAT(parser, IsOk());

  (*parser)->Feed("\rcopied (7%)");

  EXPECT_THAT(values, ElementsAre(7));
  (*parser)->Feed(" of it");
  (*parser)->Feed("\r");
  (*parser)->Finish();
  EXPECT_THAT(values, ElementsAre(7));
}

TEST(ProgressParserTest, ReportsALongerMatchAgain) {
  EXPECT_THAT(Parse(R"((\d+))", {"1", "0", "0\r"}),
              ElementsAre("[1]", "[100]"));
}

TEST(ProgressParserTest, DoesNotCareWhereItsInputIsCut) {
  const std::string text = "a\r\n(5%)\r\r(6%)\nb\n\n(7%)\r\nlast";
  std::vector<std::string> bytes;
  for (char c : text) bytes.emplace_back(1, c);

  EXPECT_EQ(Parse(kPercent, bytes), Parse(kPercent, {text}));
  EXPECT_THAT(Parse(kPercent, {text}),
              ElementsAre("a", "[5]", "[6]", "b", "", "[7]", "last"));
}

TEST(ProgressParserTest, RefusesAPatternThatIsNone) {
  EXPECT_THAT(ProgressParser::Create("(", nullptr),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ProgressParserTest, WatchesAProcessWhileItIsFedAndCollected) {
  std::vector<std::string> calls;
  auto parser = ProgressParser::Create(
      kPercent,
      [&](const Progress& progress) {
        calls.push_back(absl::StrCat("[", progress.groups[0], "]"));
      },
      [&](absl::string_view line) { calls.push_back(std::string(line)); });
  ASSERT_THAT(parser, IsOk());
  RunOptions options;
  options.timeout = kNeverReached;
  options.input = std::string(1000000, 'x');
  options.on_err = [&](absl::string_view piece) {
    (*parser)->Feed(piece);
    return absl::OkStatus();
  };

  auto result =
      asyncproc::Run(Command::Shell("echo begin >&2; printf '(50%%)\\r' >&2; "
                                    "wc -c; echo '(100%)' >&2"),
                     options);
  (*parser)->Finish();

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "1000000\n");
  EXPECT_EQ(result->err, "begin\n(50%)\r(100%)\n");
  EXPECT_THAT(calls, ElementsAre("begin", "[50]", "[100]"));
}

// POL-16
TEST(TapTest, LosesAndDoublesNothingWhenAddedInMidStream) {
  auto process = MustSpawn(Command({"seq", "1000000"}));
  std::string expected;
  for (int i = 1; i <= 1000000; ++i) absl::StrAppend(&expected, i, "\n");
  // In mid-stream: a part has been read, and more data keeps arriving.
  auto head = process->out().ReadLine(kNeverReached);
  ASSERT_THAT(head, IsOkAndHolds("1"));

  std::vector<std::string> seen(8);
  std::vector<TapHandle> taps;
  for (std::string& text : seen) {
    const From from = taps.size() % 2 == 0 ? From::kOldest : From::kNow;
    auto tap = process->out().AddTap(
        [&text](absl::string_view piece) { absl::StrAppend(&text, piece); },
        TapUnit::kChunk, from);
    ASSERT_THAT(tap, IsOk());
    taps.push_back(*std::move(tap));
  }
  for (TapHandle& tap : taps) tap.Finish();

  // Each tap saw the whole stream from its start on; kOldest starts at the
  // first unread byte.
  for (size_t i = 0; i < seen.size(); ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(seen[i].size(), expected.size() - 2);
    }
    EXPECT_TRUE(seen[i] == expected.substr(expected.size() - seen[i].size()));
  }
  EXPECT_TRUE("1\n" + process->Read() == expected);
}

}  // namespace
}  // namespace asyncproc

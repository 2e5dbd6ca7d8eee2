#include "asyncproc/framing.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/child.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/process.h"
#include "asyncproc/testing/replay_process.h"
#include "asyncproc/transcript.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using ::testing::HasSubstr;

// A child that writes `text` and ends.
std::unique_ptr<Process> Saying(std::string text) {
  auto process = MustSpawn(Command({"cat"}));
  EXPECT_THAT(process->Write(text), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  return process;
}

std::string BodyOf(const absl::StatusOr<FramedMessage>& message) {
  EXPECT_THAT(message, IsOk());
  return message.ok() ? message->body : "";
}

TEST(NulRecordTest, EndsWithANulByte) {
  auto process = MustSpawn(Command::Shell("printf 'a\\nb\\0\\0last'"));

  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              IsOkAndHolds("a\nb"));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached), IsOkAndHolds(""));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              IsOkAndHolds("last"));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(NulRecordTest, EndsWhereABoundDroppedBytes) {
  Command command = Command::Shell(
      "head -c 5000 /dev/zero | tr '\\0' a; printf '\\0b\\0';"
      "head -c 5000 /dev/zero | tr '\\0' c; printf d");
  command.output_buffer = OutputBound::HeadAndTail(8);
  auto process = MustSpawn(command);
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());

  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              IsOkAndHolds("aaaa"));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              IsOkAndHolds("cccd"));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(NulRecordTest, EndsWhereABoundDroppedBytesBeforeANulByte) {
  Command command =
      Command::Shell("head -c 5000 /dev/zero | tr '\\0' a; printf 'b\\0c\\0'");
  command.output_buffer = OutputBound::HeadAndTail(8);
  auto process = MustSpawn(command);
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());

  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              IsOkAndHolds("aaaa"));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached), IsOkAndHolds("b"));
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached), IsOkAndHolds("c"));
}

TEST(NulRecordTest, IsNotTakenBeforeItIsComplete) {
  auto process = MustSpawn(Command({"cat"}));
  ASSERT_THAT(process->Write("half"), IsOk());

  EXPECT_THAT(ReadNulRecord(process->out(), kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(process->Write(absl::string_view(" of it\0", 7)), IsOk());
  EXPECT_THAT(ReadNulRecord(process->out(), kNeverReached),
              IsOkAndHolds("half of it"));
}

TEST(MessageReaderTest, ReadsMessageAfterMessage) {
  auto process = Saying(absl::StrCat(FrameMessage("one"), FrameMessage(""),
                                     FrameMessage("\r\n\r\n\0", "text/x")));
  MessageReader reader(&process->out());

  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "one");
  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "");
  auto last = reader.Read(kNeverReached);
  EXPECT_EQ(BodyOf(last), "\r\n\r\n");
  EXPECT_EQ(last->headers["content-type"], "text/x");
  EXPECT_THAT(reader.Read(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

TEST(MessageReaderTest, KnowsNoLimitOf64KiB) {
  std::string body;
  for (int i = 0; body.size() < 20 * 1024 * 1024; ++i) {
    absl::StrAppend(&body, i, "\r\n\r\n");
  }
  auto process = Saying(FrameMessage(body) + FrameMessage("next"));
  MessageReader reader(&process->out());

  EXPECT_TRUE(BodyOf(reader.Read(kNeverReached)) == body);
  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "next");
}

TEST(MessageReaderTest, GoesOnWhereItRanOutOfTime) {
  auto process = MustSpawn(Command({"cat"}));
  MessageReader reader(&process->out());

  for (absl::string_view piece :
       {"Content-", "Length: 5\r\n", "X: y\r\n", "\r\n", "he"}) {
    ASSERT_THAT(process->Write(piece), IsOk());
    EXPECT_THAT(reader.Read(kShort),
                HasCode(absl::StatusCode::kDeadlineExceeded));
  }
  ASSERT_THAT(process->Write("llo"), IsOk());

  auto message = reader.Read(kNeverReached);
  EXPECT_EQ(BodyOf(message), "hello");
  EXPECT_EQ(message->headers["x"], "y");
}

TEST(MessageReaderTest, DoesNotMindHowHeadersAreWritten) {
  auto process = Saying(
      "content-type:x\nCONTENT-LENGTH:2\n\nokContent-Length:  003 \r\n\r\nyes");
  MessageReader reader(&process->out());

  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "ok");
  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "yes");
}

TEST(MessageReaderTest, QuotesALineThatIsNoHeader) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Starting server...\n", "not \"Starting server...\""},
      {"\r\nContent-Length: 1\r\n\r\nx", "not an empty line"},
      {"Content-Type: x\r\n\r\n", "no Content-Length, only content-type"},
      {"Content-Length: ten\r\n\r\n", "is \"ten\""},
      {"Content-Length: -1\r\n\r\n", "is \"-1\""},
      {"Content-Length: +1\r\n\r\n", "is \"+1\""},
      {"Content-Length:\r\n\r\n", "is \"\""},
      {"Content-Length: 99999999999999999999999\r\n\r\n", "is \"99999"},
      {"Content-Length: 9999999999\r\n\r\n", "9999999999 bytes is larger"},
      {"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "two lengths"},
      {"Content Length: 1\r\n\r\n", "not \"Content Length: 1\""},
      {": 1\r\n\r\n", "not \": 1\""},
  };
  for (const auto& [text, message] : cases) {
    auto process = Saying(text);
    MessageReader reader(&process->out());

    auto read = reader.Read(kNeverReached);

    EXPECT_THAT(read, HasCode(absl::StatusCode::kInvalidArgument)) << text;
    EXPECT_THAT(read.status().message(), HasSubstr(message));
    EXPECT_EQ(reader.Read(kNeverReached).status(), read.status());
  }
}

TEST(MessageReaderTest, ReportsTheEndOfTheStreamFromALostMessage) {
  for (absl::string_view text :
       {"Content-Length: 5\r\n", "Content-Length: 5\r\n\r\nhell",
        "Content-Length: 5"}) {
    auto process = Saying(std::string(text));
    MessageReader reader(&process->out());

    EXPECT_THAT(reader.Read(kNeverReached),
                HasCode(absl::StatusCode::kDataLoss));
  }
}

TEST(MessageReaderTest, TalksToALanguageServer) {
  auto server = MustSpawn(
      Command({"python3", absl::StrCat(std::filesystem::current_path().string(),
                                       "/tests/language_server.py")}));
  MessageReader reader(&server->out());
  const auto ask = [&](absl::string_view request) {
    EXPECT_THAT(WriteMessage(*server, request), IsOk());
    return BodyOf(reader.Read(kNeverReached));
  };

  EXPECT_EQ(ask(R"({"id":1,"method":"initialize","params":{}})"),
            R"({"id":1,"result":{"capabilities":{"hoverProvider":true}}})");
  const std::string large(3 * 1024 * 1024, 'x');
  EXPECT_TRUE(ask(absl::StrCat(R"({"id":2,"method":"echo","params":")", large,
                               "\"}")) ==
              absl::StrCat(R"({"id":2,"result":")", large, "\"}"));
  EXPECT_EQ(ask(R"({"id":3,"method":"shutdown"})"),
            R"({"id":3,"result":null})");
  EXPECT_THAT(WriteMessage(*server, R"({"method":"exit"})"), IsOk());

  EXPECT_THAT(server->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_EQ(server->ReadErr(), "got initialize\ngot echo\ngot shutdown\n");
}

TEST(MessageReaderTest, TakesNoMessageOfHeadersWithoutEnd) {
  std::string headers;
  for (int i = 0; i <= 100; ++i) absl::StrAppend(&headers, "x", i, ": y\r\n");
  auto process = Saying(headers);
  MessageReader reader(&process->out());

  auto message = reader.Read(kNeverReached);

  EXPECT_THAT(message, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(message.status().message(), HasSubstr("too many or too long"));
}

TEST(MessageReaderTest, TakesNoMessageOfALongHeader) {
  auto process = Saying("x: " + std::string(64 * 1024, 'y') + "\r\n");
  MessageReader reader(&process->out());

  EXPECT_THAT(reader.Read(kNeverReached),
              HasCode(absl::StatusCode::kInvalidArgument));
}

// A reader that skips other text, and the skipped text.
struct SkippingReader {
  explicit SkippingReader(Process& process)
      : reader(&process.out(), Options()) {}

  MessageReaderOptions Options() {
    MessageReaderOptions options;
    options.on_other_text = [this](absl::string_view line) {
      ++count;
      if (skipped.size() < 10) skipped.emplace_back(line);
    };
    return options;
  }

  std::vector<std::string> skipped;
  int count = 0;
  MessageReader reader;
};

TEST(MessageReaderTest, SkipsAndReportsOtherTextBetweenMessagesOnRequest) {
  auto process = Saying(
      absl::StrCat("[info] starting\r\n\nX: y\nContent-Length: ten\n",
                   FrameMessage("one"), "no newline ", FrameMessage("two"),
                   "Content-Type: a\r\n", FrameMessage("three"), "last\n"));
  SkippingReader skipping(*process);

  EXPECT_EQ(BodyOf(skipping.reader.Read(kNeverReached)), "one");
  EXPECT_EQ(BodyOf(skipping.reader.Read(kNeverReached)), "two");
  auto three = skipping.reader.Read(kNeverReached);
  EXPECT_EQ(BodyOf(three), "three");
  EXPECT_EQ(three->headers["content-type"], "a");
  EXPECT_THAT(skipping.reader.Read(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));

  EXPECT_THAT(
      skipping.skipped,
      testing::ElementsAre("[info] starting", "", "X: y", "Content-Length: ten",
                           "no newline ", "last"));
}

TEST(MessageReaderTest, FindsAMessageBehindOtherTextThoughTheTimeIsUp) {
  auto process =
      Saying(absl::StrCat("one\ntwo\nthree\n", FrameMessage("body")));
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());
  SkippingReader skipping(*process);

  EXPECT_EQ(BodyOf(skipping.reader.Read(absl::ZeroDuration())), "body");
}

TEST(MessageReaderTest, NamesTheTimeoutOfTheCaller) {
  auto process = MustSpawn(Command({"cat"}));
  MessageReader reader(&process->out());
  const absl::Duration timeout = 10 * kShort;

  for (absl::string_view piece : {"Content-Length: 5\r\n", "\r\nhe"}) {
    std::thread writer([&] {
      absl::SleepFor(timeout / 2);
      EXPECT_THAT(process->Write(piece), IsOk());
    });
    EXPECT_THAT(reader.Read(timeout).status().message(),
                HasSubstr("unread bytes after 500ms"));
    writer.join();
  }
}

TEST(MessageReaderTest, EndsInTimeHoweverMuchOtherTextThereIs) {
  Command command({"yes"});
  command.output_buffer = OutputBound::BlockChild(1 << 20);
  auto process = MustSpawn(command);
  SkippingReader skipping(*process);
  const absl::Time start = absl::Now();

  EXPECT_THAT(skipping.reader.Read(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  CancellationToken token;
  token.Cancel();
  {
    CancellationScope scope(token);
    EXPECT_THAT(skipping.reader.Read(kNeverReached),
                HasCode(absl::StatusCode::kCancelled));
  }
  EXPECT_THAT(
      WithTimeout(kShort, [&] { return skipping.reader.Read(kNeverReached); }),
      HasCode(absl::StatusCode::kDeadlineExceeded));

  EXPECT_LT(absl::Now() - start, absl::Seconds(5) * kSlowness);
  EXPECT_GT(skipping.count, 10);
}

TEST(MessageReaderTest, ReportsABodyLargerThanTheBound) {
  Command command({"cat"});
  command.output_buffer = OutputBound::BlockChild(1000);
  auto process = MustSpawn(command);
  ASSERT_THAT(WriteMessage(*process, std::string(2000, 'x')), IsOk());
  MessageReader reader(&process->out());

  EXPECT_THAT(reader.Read(kNeverReached),
              HasCode(absl::StatusCode::kResourceExhausted));
}

// A recording replaces a language server in tests of its client.
// The bound keeps the beginning and the end of `text`.
std::unique_ptr<Process> SayingHeadAndTail(std::string text, size_t bound) {
  Command command({"cat"});
  command.output_buffer = OutputBound::HeadAndTail(bound);
  auto process = MustSpawn(command);
  EXPECT_THAT(process->Write(text), IsOk());
  EXPECT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->WaitFor(kNeverReached), IsOk());
  return process;
}

TEST(MessageReaderTest, ReadsNoBodyAcrossDroppedBytes) {
  auto process = SayingHeadAndTail(
      absl::StrCat(FrameMessage("whole"), FrameMessage(std::string(100, 'a')),
                   FrameMessage(std::string(1000, 'b'))),
      200);
  MessageReader reader(&process->out());

  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "whole");
  const auto cut = reader.Read(kNeverReached);
  EXPECT_THAT(cut, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(cut.status().message(), HasSubstr("dropped"));
  EXPECT_THAT(reader.Read(kNeverReached), HasCode(absl::StatusCode::kDataLoss));
}

TEST(MessageReaderTest, ReadsNoHeadersAcrossDroppedBytes) {
  for (const std::string header :
       {"content-length: 1", "content-type: a", "content-",
        "content-length: 1\r\n", "content-length: 1\r"}) {
    auto process = SayingHeadAndTail(
        absl::StrCat(header, std::string(100, '.'), "\r\n\r\n",
                     std::string(header.size() - 4, 'a')),
        2 * header.size());
    MessageReader reader(&process->out());

    EXPECT_THAT(reader.Read(kNeverReached),
                HasCode(absl::StatusCode::kDataLoss))
        << header;
  }
}

TEST(MessageReaderTest, LooksForNoMessageAfterDroppedBytes) {
  const std::string message = FrameMessage("tail");
  auto process = SayingHeadAndTail(
      absl::StrCat(FrameMessage("head"), std::string(100, '.'), message),
      2 * message.size());
  MessageReader reader(&process->out());

  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "head");
  EXPECT_THAT(reader.Read(kNeverReached), HasCode(absl::StatusCode::kDataLoss));
}

TEST(MessageReaderTest, ReadsNoBodyWhoseBeginningWasDropped) {
  Command command({"cat"});
  command.output_buffer = OutputBound::DropOldest(100);
  auto process = MustSpawn(command);
  MessageReader reader(&process->out());
  const std::string header = "Content-Length: 60\r\n\r\n";
  ASSERT_THAT(process->Write(header), IsOk());
  while (process->out().Peek() != header) ASSERT_TRUE(process->IsAlive());
  EXPECT_THAT(reader.Read(absl::ZeroDuration()),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  ASSERT_THAT(process->Write(std::string(1000, 'a')), IsOk());
  ASSERT_THAT(process->CloseStdin(), IsOk());
  ASSERT_THAT(process->WaitFor(kNeverReached), IsOk());

  EXPECT_THAT(reader.Read(kNeverReached), HasCode(absl::StatusCode::kDataLoss));
}

TEST(WriteMessageTest, TalksToARecordingToo) {
  Transcript transcript;
  TranscriptEvent event;
  event.kind = TranscriptEvent::Kind::kIn;
  event.data = FrameMessage("hello");
  transcript.events.push_back(event);
  event.kind = TranscriptEvent::Kind::kOut;
  event.data = FrameMessage("and you?");
  transcript.events.push_back(event);
  auto replay = ReplayProcess::Start(transcript, ReplayProcess::Pace::kAtOnce);
  ASSERT_THAT(replay, IsOk());
  Child& child = **replay;

  ASSERT_THAT(WriteMessage(child, "hello"), IsOk());

  MessageReader reader(&child.out());
  EXPECT_EQ(BodyOf(reader.Read(kNeverReached)), "and you?");
}

}  // namespace
}  // namespace asyncproc

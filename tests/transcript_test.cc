#include "asyncproc/transcript.h"

#include <signal.h>
#include <sys/stat.h>

#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/exit_status.h"
#include "asyncproc/process.h"
#include "asyncproc/termination.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = TranscriptEvent::Kind;

constexpr absl::StatusCode kBad = absl::StatusCode::kInvalidArgument;

// A character of three bytes.
constexpr absl::string_view kEuro = "\xE2\x82\xAC";
constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

TranscriptEvent Data(Kind kind, int64_t micros, absl::string_view data) {
  TranscriptEvent event;
  event.kind = kind;
  event.time = absl::Microseconds(micros);
  event.data = std::string(data);
  return event;
}

TranscriptEvent Exit(int64_t micros, const ExitStatus& status) {
  TranscriptEvent event = Data(Kind::kExit, micros, "");
  event.status = status;
  return event;
}

TranscriptEvent Signal(int64_t micros, int signal, TerminationScope scope) {
  TranscriptEvent event = Data(Kind::kSignal, micros, "");
  event.signal = signal;
  event.scope = scope;
  return event;
}

TranscriptEvent Resize(int64_t micros, int rows, int columns) {
  TranscriptEvent event = Data(Kind::kResize, micros, "");
  event.size = {rows, columns};
  return event;
}

std::string AllBytes() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) {
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

Transcript EveryKind() {
  Transcript transcript;
  transcript.header.command = "cat 'a b' \xFF";
  transcript.header.start = absl::FromUnixMicros(1'700'000'000'123'456);
  transcript.header.terminal = TerminalSize{50, 132};
  transcript.events = {
      Data(Kind::kLetters, 1, "abcd"),
      Data(Kind::kIn, 2, AllBytes()),
      Data(Kind::kOut, 3, kEuro.substr(0, 2)),
      Data(Kind::kOut, 1'000'000, kEuro.substr(2)),
      Data(Kind::kErr, 1'000'001, absl::string_view("\0\"\\\n\x7F", 5)),
      Data(Kind::kMark, 1'000'002, "half way"),
      Resize(1'000'003, 24, 80),
      Signal(1'000'004, SIGINT, TerminationScope::kChild),
      Signal(1'000'005, SIGTERM, TerminationScope::kGroup),
      Signal(1'000'006, SIGRTMAX, TerminationScope::kTree),
      Data(Kind::kInClosed, 1'000'007, ""),
      Data(Kind::kInBroken, 1'000'008, ""),
      Data(Kind::kOutClosed, 1'000'009, ""),
      Data(Kind::kErrClosed, 1'000'010, ""),
      Exit(7'200'000'000, ExitStatus::Exited(255)),
      Exit(7'200'000'000, ExitStatus::Signaled(SIGSEGV, true)),
      Data(Kind::kExit, 7'200'000'001, "taken by someone else"),
  };
  return transcript;
}

// One event after a header without a terminal.
std::string JsonLine(absl::string_view line) {
  return absl::StrCat("{\"transcript\":1,\"command\":\"cat\",\"start_us\":0}\n",
                      line, "\n");
}

std::string CastLine(absl::string_view line) {
  return absl::StrCat("{\"version\": 2, \"width\": 80, \"height\": 24}\n", line,
                      "\n");
}

std::vector<TranscriptEvent> MustParse(absl::string_view text) {
  auto transcript = Transcript::Parse(text);
  EXPECT_THAT(transcript, IsOk());
  return transcript.ok() ? transcript->events : std::vector<TranscriptEvent>();
}

// ---- JSON lines

TEST(JsonLinesTest, BringBackEveryKindOfEventAsItWas) {
  const Transcript transcript = EveryKind();

  const auto parsed =
      Transcript::Parse(transcript.Format(TranscriptFormat::kJsonLines));

  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->header, transcript.header);
  EXPECT_THAT(parsed->events, testing::ElementsAreArray(transcript.events));
}

TEST(JsonLinesTest, KeepTheUsageOfTheChild) {
  ExitStatus status = ExitStatus::Exited(0);
  ResourceUsage usage;
  usage.user_time = absl::Microseconds(1);
  usage.system_time = absl::Microseconds(2);
  usage.wall_time = absl::Seconds(3);
  usage.max_rss_bytes = 4096;
  status.set_usage(usage);
  status.set_output_complete(false);
  Transcript transcript;
  transcript.events = {Exit(0, status)};

  const auto events =
      MustParse(transcript.Format(TranscriptFormat::kJsonLines));

  ASSERT_EQ(events.size(), 1);
  ASSERT_TRUE(events[0].status.has_value());
  EXPECT_FALSE(events[0].status->output_complete());
  EXPECT_EQ(events[0].status->usage().user_time, usage.user_time);
  EXPECT_EQ(events[0].status->usage().system_time, usage.system_time);
  EXPECT_EQ(events[0].status->usage().wall_time, usage.wall_time);
  EXPECT_EQ(events[0].status->usage().max_rss_bytes, usage.max_rss_bytes);
}

TEST(JsonLinesTest, ShowTextAsTextAndOtherBytesAsBase64) {
  Transcript transcript;
  transcript.events = {Data(Kind::kOut, 1, "4\n"), Data(Kind::kOut, 2, "\xFF")};

  EXPECT_THAT(
      transcript.Format(TranscriptFormat::kJsonLines),
      AllOf(HasSubstr("{\"us\":1,\"event\":\"out\",\"data\":\"4\\n\"}\n"),
            HasSubstr("{\"us\":2,\"event\":\"out\",\"data_base64\":\"/w==\"}"
                      "\n")));
}

TEST(JsonLinesTest, TakeMembersThatTheyDoNotKnow) {
  EXPECT_THAT(MustParse(JsonLine("{\"us\":1,\"event\":\"out\",\"data\":\"x\","
                                 "\"colour\":[1,{}]}")),
              ElementsAre(Data(Kind::kOut, 1, "x")));
}

// ---- asciinema

TEST(AsciinemaTest, KeepsEveryKindOfEventButForBytesAndStderr) {
  Transcript transcript = EveryKind();
  transcript.events[0] = Data(Kind::kIn, 2, "caf\xC3\xA9");
  transcript.events[1] = Data(Kind::kLetters, 2, "abcd");

  const auto parsed =
      Transcript::Parse(transcript.Format(TranscriptFormat::kAsciinema));

  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->header.command, absl::StrCat("cat 'a b' ", kReplacement));
  EXPECT_EQ(parsed->header.start, absl::FromUnixSeconds(1'700'000'000));
  EXPECT_EQ(parsed->header.terminal, transcript.header.terminal);
  std::vector<TranscriptEvent> expected = transcript.events;
  expected[3].data = std::string(kEuro);  // The first half had no event.
  expected[4].kind = Kind::kOut;
  expected.erase(expected.begin() + 2);
  EXPECT_THAT(parsed->events, testing::ElementsAreArray(expected));
}

TEST(AsciinemaTest, JoinsACharacterThatCameInPieces) {
  Transcript transcript;
  transcript.header.terminal = TerminalSize();
  transcript.events = {
      Data(Kind::kOut, 1, absl::StrCat("a", kEuro.substr(0, 1))),
      Data(Kind::kErr, 2, "e"), Data(Kind::kOut, 3, kEuro.substr(1, 1)),
      Data(Kind::kOut, 4, absl::StrCat(kEuro.substr(2), "b"))};

  EXPECT_THAT(MustParse(transcript.Format(TranscriptFormat::kAsciinema)),
              ElementsAre(Data(Kind::kOut, 1, "a"), Data(Kind::kOut, 2, "e"),
                          Data(Kind::kOut, 4, absl::StrCat(kEuro, "b"))));
}

TEST(AsciinemaTest, ReplacesBytesThatAreNotUtf8) {
  Transcript transcript;
  transcript.header.terminal = TerminalSize();
  // A byte that starts no character; an overlong encoding; a surrogate; a
  // character cut off by another character, and by the end.
  transcript.events = {
      Data(Kind::kOut, 1, "\xFFz"), Data(Kind::kOut, 2, "\xC0\x80"),
      Data(Kind::kOut, 3, "\xED\xA0\x80"), Data(Kind::kOut, 4, "\xE2\x82z"),
      Data(Kind::kOut, 5, "\xF0\x9F\x98")};
  const auto replaced = [](int count, absl::string_view rest) {
    std::string text;
    for (int i = 0; i < count; ++i) absl::StrAppend(&text, kReplacement);
    return absl::StrCat(text, rest);
  };

  EXPECT_THAT(MustParse(transcript.Format(TranscriptFormat::kAsciinema)),
              ElementsAre(Data(Kind::kOut, 1, replaced(1, "z")),
                          Data(Kind::kOut, 2, replaced(2, "")),
                          Data(Kind::kOut, 3, replaced(3, "")),
                          Data(Kind::kOut, 4, replaced(1, "z")),
                          Data(Kind::kOut, 5, replaced(1, ""))));
}

TEST(AsciinemaTest, ShowsTheLinesOfAPipeAsATerminalWouldAndReadsThemBack) {
  Transcript transcript;
  transcript.events = {Data(Kind::kOut, 1, "a\nb\r\n\r"),
                       Data(Kind::kOut, 2, "\nc")};

  const std::string cast = transcript.Format(TranscriptFormat::kAsciinema);

  EXPECT_THAT(cast, HasSubstr("\"a\\r\\nb\\r\\r\\n\\r\""));
  EXPECT_THAT(MustParse(cast), testing::ElementsAreArray(transcript.events));
}

TEST(AsciinemaTest, KeepsAMarkThatLooksLikeOneOfItsOwn) {
  Transcript transcript;
  transcript.events = {Data(Kind::kMark, 1, "asyncproc: exit 0"),
                       Data(Kind::kMark, 2, "asyncproc: mark")};

  EXPECT_THAT(MustParse(transcript.Format(TranscriptFormat::kAsciinema)),
              testing::ElementsAreArray(transcript.events));
}

TEST(AsciinemaTest, ReadsRecordingsOfAsciinema) {
  EXPECT_THAT(
      MustParse("{\"version\": 2, \"width\": 80, \"height\": 24, "
                "\"timestamp\": 1504467315, \"env\": {\"SHELL\": \"sh\"}}\n"
                "[0, \"o\", \"$ \"]\n"
                "[0.248848, \"i\", \"l\"]\n"
                "[1.5e0, \"r\", \"100x50\"]\n"
                "[1.6, \"m\", \"\"]\n"
                "[1.7, \"z\", [\"of the future\"]]\n"
                "\n"),
      ElementsAre(Data(Kind::kOut, 0, "$ "), Data(Kind::kIn, 248848, "l"),
                  Resize(1'500'000, 50, 100),
                  Data(Kind::kMark, 1'600'000, "")));
}

// By the real asciinema, as Debian packages it.
TEST(AsciinemaTest, IsShownByAsciinema) {
  TemporaryDirectory directory;
  Transcript transcript;
  transcript.header.command = "printf";
  transcript.events = {
      Data(Kind::kIn, 1, "not to be seen"),
      Data(Kind::kOut, 1000, kEuro.substr(0, 1)),
      Data(Kind::kOut, 2000, absl::StrCat(kEuro.substr(1), " \xFF\n")),
      Resize(3000, 30, 100),
      Data(Kind::kMark, 3000, "mark"),
      Exit(4000, ExitStatus::Exited(0))};
  const std::string path = directory.path() + "/a.cast";
  ASSERT_THAT(transcript.Save(path), IsOk());

  for (const char* const verb : {"cat", "play"}) {
    Command command({"asciinema", verb, path});
    command.pty = Pty();  // asciinema prints nothing without a terminal.
    command.env.Set("LC_ALL", "C.UTF-8").Set("HOME", directory.path());
    EXPECT_EQ(OutputOf(command), absl::StrCat(kEuro, " ", kReplacement, "\r\n"))
        << verb;
  }
}

// ---- Invalid input.

struct BadCase {
  const char* name;
  std::string text;
  const char* line;
  const char* why;
};

class BadTranscriptTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadTranscriptTest, IsRefusedWithItsLineAndTheReason) {
  const auto transcript = Transcript::Parse(GetParam().text);

  EXPECT_THAT(transcript, HasCode(kBad));
  EXPECT_THAT(transcript.status().message(),
              AllOf(HasSubstr(GetParam().line), HasSubstr(GetParam().why)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTranscriptTest,
    testing::ValuesIn(std::vector<BadCase>{
        {"Empty", "", "", "the recording is empty"},
        {"NoHeader", "[]\n", "line 1: ", "is no header"},
        {"OtherHeader", "{\"name\":1}\n", "line 1: ", "is no header"},
        {"FutureVersion", "{\"transcript\":2,\"command\":\"\"}",
         "line 1: ", "\"transcript\" is no whole number from 1 to 1"},
        {"NoStart", "{\"transcript\":1,\"command\":\"\"}",
         "line 1: ", "has no \"start_us\""},
        {"HugeTerminal",
         "{\"transcript\":1,\"command\":\"\",\"start_us\":0,"
         "\"terminal\":{\"rows\":1,\"columns\":65536}}",
         "line 1: ", "\"columns\" is no whole number"},
        {"NoTerminal",
         "{\"transcript\":1,\"command\":\"\",\"start_us\":0,\"terminal\":1}",
         "line 1: ", "\"terminal\" is no object"},
        {"CutOff", JsonLine("{\"us\":1,\"event\":\"out_closed\"}\n{\"us\":2,"),
         "line 3: ", "is no JSON, or not all of it: {\\\"us\\\":2,"},
        {"NoObject", JsonLine("[1]"), "line 2: ", "is no object"},
        {"UnknownEvent", JsonLine("{\"us\":1,\"event\":\"inn\"}"),
         "line 2: ", "knows no event \"inn\""},
        {"NoData", JsonLine("{\"us\":1,\"event\":\"in\"}"),
         "line 2: ", "has no \"data\""},
        {"DataIsANumber", JsonLine("{\"us\":1,\"event\":\"in\",\"data\":1}"),
         "line 2: ", "\"data\" is no string"},
        {"NoBase64",
         JsonLine("{\"us\":1,\"event\":\"in\",\"data_base64\":\"?\"}"),
         "line 2: ", "is no base64"},
        {"Negative", JsonLine("{\"us\":-1,\"event\":\"in_closed\"}"),
         "line 2: ", "\"us\" is no whole number from 0"},
        {"TooLarge",
         JsonLine("{\"us\":18446744073709551615,\"event\":\"in_closed\"}"),
         "line 2: ", "\"us\" is no whole number from 0"},
        {"Fraction", JsonLine("{\"us\":0.5,\"event\":\"in_closed\"}"),
         "line 2: ", "\"us\" is no whole number from 0"},
        {"NoSignal",
         JsonLine("{\"us\":1,\"event\":\"signal\",\"signal\":99,"
                  "\"scope\":\"child\"}"),
         "line 2: ", "\"signal\" is no whole number"},
        {"NoScope",
         JsonLine("{\"us\":1,\"event\":\"signal\",\"signal\":9,"
                  "\"scope\":\"all\"}"),
         "line 2: ", "\"scope\" is not"},
        {"NoExit", JsonLine("{\"us\":1,\"event\":\"exit\"}"),
         "line 2: ", "has no \"code\""},
        {"NoSuchExit", JsonLine("{\"us\":1,\"event\":\"exit\",\"code\":256}"),
         "line 2: ", "\"code\" is no whole number"},
        {"CastOfVersion4", "{\"version\":4,\"term\":{}}\n",
         "line 1: ", "asciicast version 4; only 1, 2 and 3 are known"},
        {"CastOfVersion3WithoutSize", "{\"version\":3,\"term\":{}}\n",
         "line 1: ", "has no \"rows\""},
        {"CastOfVersion1WithoutFrames",
         "{\"version\":1,\"width\":80,\"height\":24}", "has no ",
         "\"stdout\" that is an array"},
        {"CastOfNoVersion", "{\"version\":[2]}\n",
         "line 1: ", "has a \"version\" that is no number"},
        {"CastWithoutSize", "{\"version\":2}\n",
         "line 1: ", "has no \"height\""},
        {"CastEventOfTwo", CastLine("[1, \"o\"]"),
         "line 2: ", "is no array of"},
        {"CastNoTime", CastLine("[\"1\", \"o\", \"\"]"),
         "line 2: ", "begins with no number"},
        {"CastNegativeTime", CastLine("[-1, \"o\", \"\"]"),
         "line 2: ", "negative or too late"},
        {"CastHugeTime", CastLine("[1e300, \"o\", \"\"]"),
         "line 2: ", "negative or too late"},
        {"CastNoCode", CastLine("[1, 2, \"\"]"),
         "line 2: ", "has a code that is no string"},
        {"CastNoText", CastLine("[1, \"o\", 2]"),
         "line 2: ", "has a \"o\" that is no string"},
        {"CastNoSize", CastLine("[1, \"r\", \"80\"]"),
         "line 2: ", "has a size that is not"},
    }),
    [](const testing::TestParamInfo<BadCase>& info) {
      return info.param.name;
    });

TEST(TranscriptTest, ReadsTextThatIsNotUnicodeAsReplacementCharacters) {
  // Half of a pair, with and without another half that it does not fit; a byte
  // that is not UTF-8; a pair; a backslash that begins no escape.
  const auto transcript = Transcript::Parse(
      "{\"version\":2,\"width\":80,\"height\":24}\n"
      "[0,\"o\",\"a\\ud83d x\\uDE00\"]\n"
      "[0,\"o\",\"b\\ud83d\\ud83d\xFF\"]\n"
      "[0,\"o\",\"c\\ud83d\\ude00\xFF\\\\ud83d\"]\n");

  ASSERT_THAT(transcript, IsOk());
  EXPECT_EQ(transcript->BytesOf(TranscriptEvent::Kind::kOut),
            absl::StrCat("a", kReplacement, " x", kReplacement,  //
                         "b", kReplacement, kReplacement, kReplacement,
                         "c\xF0\x9F\x98\x80", kReplacement, "\\ud83d"));
}

TEST(TranscriptTest, ReadsAsciicastVersion1) {
  const auto transcript = Transcript::Parse(
      "{\n  \"version\": 1, \"width\": 90, \"height\": 30,\n  \"command\": "
      "\"sh\", \"title\": null,\n  \"stdout\": [\n    [0.5, \"a\"],\n    "
      "[1.25, \"b\\r\\n\"]\n  ]\n}\n");

  ASSERT_THAT(transcript, IsOk());
  EXPECT_EQ(transcript->header.command, "sh");
  EXPECT_EQ(transcript->header.terminal->columns, 90);
  ASSERT_EQ(transcript->events.size(), 2);
  EXPECT_EQ(transcript->events[0], Data(Kind::kOut, 500000, "a"));
  EXPECT_EQ(transcript->events[1], Data(Kind::kOut, 1750000, "b\r\n"));
}

TEST(TranscriptTest, ReadsAsciicastVersion3) {
  const auto transcript = Transcript::Parse(
      "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24,\"type\":\"xterm\"}}\n"
      "# a comment\n[0.5, \"o\", \"a\"]\n[0.25, \"r\", \"90x30\"]\n"
      "[1.0, \"o\", \"b\"]\n[0.1, \"x\", \"0\"]\n");

  ASSERT_THAT(transcript, IsOk());
  ASSERT_EQ(transcript->events.size(), 3);
  EXPECT_EQ(transcript->events[0], Data(Kind::kOut, 500000, "a"));
  EXPECT_EQ(transcript->events[2], Data(Kind::kOut, 1750000, "b"));
}

TEST(TranscriptTest, WritesAsciicastVersion3ThatIsReadBack) {
  Transcript transcript;
  transcript.header.command = "sh";
  transcript.header.terminal = TerminalSize{24, 80};
  transcript.events = {Data(Kind::kOut, 100, "a"), Data(Kind::kOut, 300, "b"),
                       Data(Kind::kIn, 300, "c")};

  const std::string text = transcript.Format(TranscriptFormat::kAsciinema3);

  EXPECT_THAT(text, HasSubstr("{\"version\":3,\"term\":{\"cols\":80"));
  EXPECT_THAT(text, HasSubstr("[0.000200, \"o\", \"b\"]\n"));
  EXPECT_THAT(Transcript::Parse(text), IsOkAndHolds(transcript));
  EXPECT_EQ(TranscriptFormatOf("a.v3.cast"), TranscriptFormat::kAsciinema3);
}

TEST(TranscriptTest, LeavesOutALastLineThatIsCutOff) {
  for (const std::string& whole :
       {CastLine("[1, \"o\", \"a\"]"),
        JsonLine("{\"us\":1,\"event\":\"out\",\"data\":\"a\"}")}) {
    EXPECT_EQ(MustParse(whole + "[2, \"o\", \"b").size(), 1);
    EXPECT_EQ(MustParse(whole + "{\"us\":2").size(), 1);
    // A complete but wrong line does not count as cut off.
    EXPECT_THAT(Transcript::Parse(whole + "[2]"), HasCode(kBad));
  }
}

TEST(TranscriptEventTest, PrintsItself) {
  std::vector<std::string> shown;
  for (const TranscriptEvent& event : EveryKind().events) {
    std::ostringstream out;
    out << event;
    shown.push_back(out.str());
  }
  shown.erase(shown.begin() + 1);  // The event with all bytes.

  EXPECT_THAT(
      shown, testing::ElementsAre(
                 "letters \"abcd\"", "out \"\\xe2\\x82\"", "out \"\\xac\"",
                 "err \"\\x00\\\"\\\\\\n\\x7f\"", "mark \"half way\"",
                 "a terminal of 24 rows and 80 columns",
                 "SIGINT (interrupt) to the child",
                 "SIGTERM (terminated) to its group", "SIGRTMIN+30 to its tree",
                 "the end of stdin", "stdin closed by the child",
                 "the end of stdout", "the end of stderr",
                 "exited with status 255", "killed by SIGSEGV, core dumped",
                 "an unknown end: taken by someone else"));
}

TEST(TranscriptEventTest, IsAnotherWhereAnyPartDiffers) {
  const TranscriptEvent event = Data(Kind::kOut, 3, "x");

  EXPECT_EQ(event, Data(Kind::kOut, 3, "x"));
  EXPECT_NE(event, Data(Kind::kErr, 3, "x"));
  EXPECT_NE(event, Data(Kind::kOut, 4, "x"));
  EXPECT_NE(event, Data(Kind::kOut, 3, "y"));
}

TEST(TranscriptTest, RefusesEndlessNesting) {
  EXPECT_THAT(Transcript::Parse(std::string(100'000, '[')), HasCode(kBad));
}

TEST(TranscriptTest, RefusesDeepNesting) {
  const std::string deep =
      absl::StrCat(std::string(100'000, '['), std::string(100'000, ']'));

  EXPECT_THAT(Transcript::Parse(deep), HasCode(kBad));
  EXPECT_THAT(Transcript::Parse(absl::StrCat("{\"version\":", deep, "}")),
              HasCode(kBad));
  EXPECT_THAT(Transcript::Parse(absl::StrCat("{\"transcript\":", deep, "}")),
              HasCode(kBad));
}

// Comparing each member with all members before it would take a minute.
TEST(TranscriptTest, TakesNoLongerThanALineOfManyMembersIsLong) {
  std::string line = "{\"us\":1,\"event\":\"in_closed\"";
  for (int i = 0; i < 50'000; ++i) absl::StrAppend(&line, ",\"", i, "\":0");
  const absl::Time begin = absl::Now();

  EXPECT_THAT(MustParse(JsonLine(absl::StrCat(line, "}"))), testing::SizeIs(1));

  EXPECT_LT(absl::Now() - begin, absl::Seconds(5) * kSlowness);
}

// ---- Files

TEST(TranscriptTest, IsSavedAndLoadedByTheNameOfItsFile) {
  TemporaryDirectory directory;
  const std::string json = directory.path() + "/a.jsonl";
  const std::string cast = directory.path() + "/a.cast";
  Transcript transcript;
  transcript.header.command = "cat";
  transcript.events = {Data(Kind::kOut, 1, "text")};

  ASSERT_THAT(transcript.Save(json), IsOk());
  ASSERT_THAT(transcript.Save(cast), IsOk());

  EXPECT_THAT(directory.Read("a.jsonl"), HasSubstr("\"transcript\":1"));
  EXPECT_THAT(directory.Read("a.cast"), HasSubstr("\"version\":2"));
  EXPECT_THAT(Transcript::Load(json), IsOkAndHolds(transcript));
  EXPECT_THAT(Transcript::Load(cast), IsOkAndHolds(transcript));
}

TEST(TranscriptTest, IsReadableOnlyByTheOwnerUnlessTheFileWas) {
  TemporaryDirectory directory;
  const std::string fresh = directory.path() + "/fresh.jsonl";
  const std::string open = directory.Write("open.jsonl", "old", 0644);

  ASSERT_THAT(Transcript().Save(fresh), IsOk());
  ASSERT_THAT(Transcript().Save(open), IsOk());

  struct stat info;
  ASSERT_EQ(stat(fresh.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600);
  ASSERT_EQ(stat(open.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644);
}

TEST(TranscriptTest, SavesAllOrKeepsTheOldFile) {
  TemporaryDirectory directory;
  // A folder, which a file cannot replace.
  const std::string path = directory.path() + "/folder.jsonl";
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0);

  EXPECT_FALSE(Transcript().Save(path).ok());
  EXPECT_THAT(Transcript().Save(directory.path() + "/none/a.jsonl"),
              HasCode(absl::StatusCode::kNotFound));

  EXPECT_EQ(OutputOf(Command({"ls", directory.path()})), "folder.jsonl\n");
}

TEST(TranscriptTest, LoadingNamesTheFileAndTheLine) {
  TemporaryDirectory directory;
  const std::string path = directory.Write("a.jsonl", JsonLine("nonsense"));

  EXPECT_THAT(Transcript::Load(path).status().message(),
              HasSubstr(absl::StrCat(path, ": line 2: ")));
  EXPECT_THAT(Transcript::Load(path + "x"),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(Transcript::Load(directory.path()),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(TranscriptTest, HasTheBytesOfAKind) {
  Transcript transcript;
  EXPECT_THAT(transcript.BytesOf(Kind::kOut), IsEmpty());
  transcript.events = {Data(Kind::kOut, 1, "a"), Data(Kind::kErr, 2, "x"),
                       Data(Kind::kOut, 3, "b")};

  EXPECT_EQ(transcript.BytesOf(Kind::kOut), "ab");
}

}  // namespace
}  // namespace asyncproc

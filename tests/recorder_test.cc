#include "asyncproc/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/child_observer.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/process_poller.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/run.h"
#include "asyncproc/transcript.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/refused_calls.h"
#include "tests/scarce_memory.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Kind = TranscriptEvent::Kind;

constexpr absl::StatusCode kPrecondition =
    absl::StatusCode::kFailedPrecondition;

// `command`, recorded from its first byte.
Command Recorded(Command command, const std::shared_ptr<Recorder>& recorder) {
  command.observer = recorder;
  return command;
}

// The events without their times, such as "in \"1\\n\"". Neighbors of the same
// kind are joined.
std::vector<std::string> Events(const Transcript& transcript) {
  std::vector<std::string> events;
  TranscriptEvent last;
  for (const TranscriptEvent& event : transcript.events) {
    const bool more = !events.empty() && event.kind == last.kind &&
                      !event.data.empty() && event.kind != Kind::kMark;
    if (more) {
      last.data += event.data;
      events.pop_back();
    } else {
      last = event;
    }
    events.push_back(last.ToString());
  }
  return events;
}

// The events of one kind.
std::vector<std::string> Events(const Transcript& transcript, Kind kind) {
  std::vector<std::string> events;
  for (const TranscriptEvent& event : transcript.events) {
    if (event.kind == kind) events.push_back(event.ToString());
  }
  return events;
}

TEST(RecorderTest, HasAWholeConversationInItsOrder) {
  auto recorder = Recorder::InMemory();
  auto process = MustSpawn(Recorded(Command({"cat"}), recorder));

  ASSERT_THAT(process->Write("one\n"), IsOk());
  AwaitLine(*process, "one");
  recorder->Mark("half");
  ASSERT_THAT(process->Write("two\n"), IsOk());
  AwaitLine(*process, "two");
  ASSERT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  const Transcript transcript = recorder->transcript();
  EXPECT_EQ(transcript.header.command, "cat");
  EXPECT_FALSE(transcript.header.terminal.has_value());
  EXPECT_LT(absl::Now() - transcript.header.start, kNeverReached);
  std::vector<std::string> events = Events(transcript);
  // The ends of stdout, stderr and stdin are recorded in any order.
  ASSERT_GE(events.size(), 9);
  EXPECT_EQ(events.back(), "exited with status 0");
  EXPECT_THAT(events, Contains("the end of stdout"));
  EXPECT_THAT(events, Contains("the end of stderr"));
  events.resize(6);
  EXPECT_THAT(events, ElementsAre("in \"one\\n\"", "out \"one\\n\"",
                                  "mark \"half\"", "in \"two\\n\"",
                                  "out \"two\\n\"", "the end of stdin"));
}

// Each answer stands between its question and the next one, in a thousand
// rounds.
TEST(RecorderTest, NeverHasAnAnswerBeforeItsQuestionNorBehindTheNext) {
  auto recorder = Recorder::InMemory();
  auto process = MustSpawn(Recorded(Command({"cat"}), recorder));

  for (int i = 0; i < 1000; ++i) {
    const std::string line = absl::StrCat(i);
    ASSERT_THAT(process->Write(line + "\n"), IsOk());
    AwaitLine(*process, line);
  }

  const Transcript transcript = recorder->transcript();
  std::string in;
  std::string out;
  absl::Duration time;
  for (const TranscriptEvent& event : transcript.events) {
    EXPECT_GE(event.time, time);
    time = event.time;
    if (event.kind == Kind::kIn) {
      EXPECT_EQ(in, out);
      in += event.data;
    } else if (event.kind == Kind::kOut) {
      out += event.data;
      EXPECT_EQ(in.substr(0, out.size()), out);
    }
  }
  EXPECT_EQ(in, out);
}

TEST(RecorderTest, HasEveryByteOfBothStreams) {
  auto recorder = Recorder::InMemory();
  auto process = MustSpawn(
      Recorded(Command::Shell("head -c 3000000 /dev/urandom | tee /dev/stderr"),
               recorder));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  const std::string out = process->Read();
  ASSERT_EQ(out.size(), 3'000'000);
  EXPECT_TRUE(recorder->transcript().BytesOf(Kind::kOut) == out);
  EXPECT_TRUE(recorder->transcript().BytesOf(Kind::kErr) == out);
}

// The transcript has the bytes that a bound dropped for the readers.
TEST(RecorderTest, HasTheBytesThatABoundDropped) {
  auto recorder = Recorder::InMemory();
  Command command({"seq", "100000"});
  command.output_buffer = OutputBound::DropOldest(10);
  auto process = MustSpawn(Recorded(command, recorder));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  EXPECT_EQ(recorder->transcript().BytesOf(Kind::kOut).size(), 588'895);
}

TEST(RecorderTest, HasUnreadOutputFromBeforeTheAttach) {
  auto process = MustSpawn(Command::Shell("echo one; echo two; exec cat"));
  AwaitLine(*process, "one");
  EXPECT_THAT(process->out().NewCursor().ReadLine(kNeverReached),
              IsOkAndHolds("two"));
  auto recorder = Recorder::InMemory();

  ASSERT_THAT(recorder->Attach(*process), IsOk());
  ASSERT_THAT(process->Write("three\n"), IsOk());
  AwaitLine(*process, "two");
  AwaitLine(*process, "three");

  std::vector<std::string> events = Events(recorder->transcript());
  EXPECT_THAT(events, ElementsAre("out \"two\\n\"", "in \"three\\n\"",
                                  "out \"three\\n\""));
}

TEST(RecorderTest, HasTheEndOfAChildThatHadEndedBefore) {
  auto process = MustSpawn(Command::Shell("echo late; exit 3"));
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(3)));
  auto recorder = Recorder::InMemory();

  ASSERT_THAT(recorder->Attach(*process), IsOk());

  EXPECT_THAT(Events(recorder->transcript()),
              ElementsAre("out \"late\\n\"", "the end of stdout",
                          "the end of stderr", "exited with status 3"));
}

TEST(RecorderTest, HasSignalsBeforeTheirEffects) {
  auto recorder = Recorder::InMemory();
  Command command = Command::Shell(
      "trap 'echo got it' INT; echo ready; while :; do sleep 0.01; done");
  command.process_group = ProcessGroup::New();
  auto process = MustSpawn(Recorded(command, recorder));
  AwaitLine(*process, "ready");

  ASSERT_THAT(process->Signal(SIGINT), IsOk());
  AwaitLine(*process, "got it");
  EXPECT_THAT(process->Signal(0), IsOk());  // Signal 0 is not recorded.
  EXPECT_THAT(process->Signal(99999), Not(IsOk()));
  ASSERT_THAT(process->Signal(SIGKILL, TerminationScope::kGroup), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
  EXPECT_THAT(process->Signal(SIGTERM), Not(IsOk()));  // The child has ended.

  std::vector<std::string> events = Events(recorder->transcript());
  ASSERT_GE(events.size(), 4);
  EXPECT_THAT(events, Contains("killed by SIGKILL"));
  events.resize(4);
  EXPECT_THAT(
      events,
      ElementsAre("out \"ready\\n\"", "SIGINT (interrupt) to the child",
                  "out \"got it\\n\"", "SIGKILL (killed) to its group"));
}

TEST(RecorderTest, HasTheStepsOfATermination) {
  auto recorder = Recorder::InMemory();
  auto process =
      MustSpawn(Recorded(Command({Helper("ignore_sigterm")}), recorder));
  AwaitLine(*process, "ready");

  EXPECT_THAT(process->Terminate(kShort),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));

  const Transcript transcript = recorder->transcript();
  EXPECT_THAT(Events(transcript, Kind::kInClosed),
              ElementsAre("the end of stdin"));
  EXPECT_THAT(Events(transcript, Kind::kSignal),
              ElementsAre("SIGTERM (terminated) to the child",
                          "SIGKILL (killed) to the child"));
  EXPECT_EQ(Events(transcript).back(), "killed by SIGKILL");
}

TEST(RecorderTest, HasTheEndThatTheDestructorMadeOf) {
  auto recorder = Recorder::InMemory();
  // A child that leaves a grandchild behind, which holds its output.
  auto process = MustSpawn(
      Recorded(Command::Shell("sleep 0.2 & echo ready; cat"), recorder));
  AwaitLine(*process, "ready");

  process = nullptr;

  EXPECT_THAT(Events(recorder->transcript(), Kind::kExit),
              ElementsAre("killed by SIGKILL"));
}

TEST(RecorderTest, HasTheTypedTextAndTheSizesOfATerminal) {
  auto recorder = Recorder::InMemory();
  Command command({"cat"});
  command.pty = Pty{30, 90, /*echo=*/false};
  auto process = MustSpawn(Recorded(command, recorder));

  ASSERT_THAT(process->Write("hello\n"), IsOk());
  AwaitLine(*process, "hello");
  ASSERT_THAT(process->pty()->SetSize(50, 132), IsOk());
  EXPECT_THAT(process->pty()->SetSize(-1, 132), Not(IsOk()));
  ASSERT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));

  const Transcript transcript = recorder->transcript();
  EXPECT_EQ(transcript.header.terminal, (TerminalSize{30, 90}));
  // The ^D is not input: it is the end-of-file of a terminal.
  EXPECT_EQ(transcript.BytesOf(Kind::kIn), "hello\n");
  EXPECT_THAT(Events(transcript, Kind::kResize),
              ElementsAre("a terminal of 50 rows and 132 columns"));
  EXPECT_THAT(Events(transcript, Kind::kInClosed), Not(IsEmpty()));
}

TEST(RecorderTest, HasNoBrokenInputOfATerminalThatWasClosed) {
  auto recorder = Recorder::InMemory();
  Command command({"cat"});
  command.pty = Pty{24, 80, /*echo=*/false};
  auto process = MustSpawn(Recorded(command, recorder));
  ASSERT_THAT(process->Write("hello\n"), IsOk());

  ASSERT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Wait(), IsOkAndHolds(ExitStatus::Exited(0)));
  AwaitNoLibraryThread();

  EXPECT_THAT(Events(recorder->transcript(), Kind::kInBroken), IsEmpty());
}

TEST(RecorderTest, HasTheEndOfTheReader) {
  auto recorder = Recorder::InMemory();
  auto process =
      MustSpawn(Recorded(Command({Helper("close_stdin_and_wait")}), recorder));
  AwaitLine(*process, "closed");

  EXPECT_THAT(process->Write("lost"), HasCode(kPrecondition));

  EXPECT_THAT(Events(recorder->transcript(), Kind::kInBroken),
              ElementsAre("stdin closed by the child"));
}

TEST(RecorderTest, IsOfOneChildAndAChildHasOne) {
  auto recorder = Recorder::InMemory();
  auto process = MustSpawn(Recorded(Command({"cat"}), recorder));

  auto second = Process::Spawn(Recorded(Command({"echo"}), recorder));
  EXPECT_THAT(second, HasCode(kPrecondition));
  EXPECT_THAT(second.status().message(),
              HasSubstr("has recorded another child: cat"));
  EXPECT_THAT(Recorder::InMemory()->Attach(*process), HasCode(kPrecondition));
  auto other = MustSpawn(Command({"cat"}));
  EXPECT_THAT(recorder->Attach(*other), HasCode(kPrecondition));
}

TEST(RecorderTest, CanBeUsedAgainWhenNothingWasStarted) {
  auto recorder = Recorder::InMemory();
  EXPECT_THAT(Process::Spawn(Recorded(Command({"/no/such/file"}), recorder)),
              HasCode(absl::StatusCode::kNotFound));

  auto process = MustSpawn(Recorded(Command({"true"}), recorder));
  EXPECT_THAT(process->Wait(), IsOk());

  EXPECT_EQ(recorder->transcript().header.command, "true");
}

TEST(RecorderTest, RecordsRun) {
  auto recorder = Recorder::InMemory();
  RunOptions options;
  options.input = "text";
  EXPECT_THAT(asyncproc::Run(Recorded(Command({"cat"}), recorder), options),
              IsOk());

  const Transcript transcript = recorder->transcript();
  EXPECT_EQ(transcript.BytesOf(Kind::kIn), "text");
  EXPECT_EQ(transcript.BytesOf(Kind::kOut), "text");
  EXPECT_EQ(Events(transcript).back(), "exited with status 0");
}

TEST(RecorderTest, HasTheSignalsOfARunThatTimesOut) {
  const auto recorder = Recorder::InMemory();
  RunOptions options;
  options.timeout = kShort;

  EXPECT_THAT(
      asyncproc::Run(Recorded(Command({"sleep", "1000"}), recorder), options),
      HasCode(absl::StatusCode::kDeadlineExceeded));

  // SIGTERM ended the child: the escalation went no further.
  EXPECT_THAT(Events(recorder->transcript(), Kind::kSignal),
              testing::SizeIs(1));
}

TEST(RecorderTest, HasAChildOfAPoller) {
  const auto recorder = Recorder::InMemory();
  ProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Recorded(Command({"cat"}), recorder), "text"),
              IsOk());
  ASSERT_THAT(poller.CloseInput(1), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  const Transcript transcript = recorder->transcript();
  EXPECT_EQ(transcript.BytesOf(Kind::kIn), "text");
  EXPECT_EQ(transcript.BytesOf(Kind::kOut), "text");
  EXPECT_EQ(Events(transcript).back(), "exited with status 0");
}

TEST(RecorderTest, HasTheSignalsForAChildOfAPoller) {
  const auto recorder = Recorder::InMemory();
  ProcessPoller<int> poller;
  ASSERT_THAT(poller.Run(1, Recorded(Command({"sleep", "1000"}), recorder)),
              IsOk());
  ASSERT_THAT(poller.SendSignal(1, SIGTERM), IsOk());
  EXPECT_THAT(poller.Poll(kNeverReached), IsOk());

  EXPECT_THAT(Events(recorder->transcript()),
              testing::Contains("SIGTERM (terminated) to the child"));
}

// ---- To a file

TEST(RecorderFileTest, EqualsARecordingInMemory) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/a.jsonl";
  auto recorder = Recorder::ToFile(path);
  ASSERT_THAT(recorder, IsOk());
  auto process = MustSpawn(Recorded(Command({"cat"}), *recorder));

  ASSERT_THAT(process->Write("\xFF\n"), IsOk());
  EXPECT_THAT(process->out().ReadLine(kNeverReached), IsOkAndHolds("\xFF"));
  ASSERT_THAT(process->CloseStdin(), IsOk());
  EXPECT_THAT(process->Wait(), IsOk());
  EXPECT_THAT((*recorder)->Close(), IsOk());
  (*recorder)->Mark("too late");
  EXPECT_THAT((*recorder)->Close(), IsOk());

  auto transcript = Transcript::Load(path);
  ASSERT_THAT(transcript, IsOk());
  std::vector<std::string> events = Events(*transcript);
  EXPECT_EQ(events.back(), "exited with status 0");
  events.resize(3);
  EXPECT_THAT(events, ElementsAre("in \"\\xff\\n\"", "out \"\\xff\\n\"",
                                  "the end of stdin"));
  EXPECT_THAT((*recorder)->transcript().events, IsEmpty());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600);
}

// The file has the events before the recorder is closed, so a crash loses
// little.
TEST(RecorderFileTest, IsWrittenAsItHappens) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/a.cast";
  auto recorder = Recorder::ToFile(path);
  ASSERT_THAT(recorder, IsOk());
  auto process = MustSpawn(Recorded(Command({"cat"}), *recorder));
  ASSERT_THAT(process->Write("line\n"), IsOk());
  AwaitLine(*process, "line");

  const absl::Time deadline = absl::Now() + kNeverReached;
  while (directory.Read("a.cast").find("\"o\", \"line\\r\\n\"") ==
         std::string::npos) {
    ASSERT_LT(absl::Now(), deadline);
    absl::SleepFor(absl::Milliseconds(1));
  }

  EXPECT_THAT(Transcript::Load(path), IsOk());
}

TEST(RecorderFileTest, ReportsThatTheDiskIsFull) {
  auto recorder = Recorder::ToFile("/dev/full");
  ASSERT_THAT(recorder, IsOk());
  auto process = MustSpawn(Recorded(Command({"true"}), *recorder));
  EXPECT_THAT(process->Wait(), IsOk());

  const absl::Status closed = (*recorder)->Close();
  EXPECT_THAT(closed, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(closed.message(), HasSubstr("/dev/full"));
}

// A limit on the size of files stands in for a disk that gets full.
TEST(RecorderFileTest, EndsWithAWholeLineWhenTheDiskGetsFull) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/a.jsonl";
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {20'000, before.rlim_max};
  struct sigaction ignore = {};
  struct sigaction action;
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(sigaction(SIGXFSZ, &ignore, &action), 0);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);

  auto recorder = Recorder::ToFile(path);
  ASSERT_THAT(recorder, IsOk());
  auto process = MustSpawn(
      Recorded(Command::Shell("i=0; while [ $i -lt 500 ]; do printf %0100d $i; "
                              "i=$((i+1)); done"),
               *recorder));
  EXPECT_THAT(process->Wait(), IsOk());
  const absl::Status closed = (*recorder)->Close();

  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_EQ(sigaction(SIGXFSZ, &action, nullptr), 0);
  EXPECT_THAT(closed, Not(IsOk()));
  EXPECT_THAT(closed.message(), HasSubstr("cannot record any more to"));
  auto transcript = Transcript::Load(path);
  ASSERT_THAT(transcript, IsOk());
  EXPECT_THAT(transcript->header.command, HasSubstr("sh -c"));
  EXPECT_THAT(transcript->events, Not(IsEmpty()));
}

TEST(RecorderFileTest, CannotBeWhereNoneCanBe) {
  auto recorder = Recorder::ToFile("/no/such/folder/a.cast");

  EXPECT_THAT(recorder, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(recorder.status().message(), HasSubstr("/no/such/folder/a.cast"));
}

// ---- A Repl

TEST(RecorderTest, HasASessionOfARepl) {
  auto recorder = Recorder::InMemory();
  ReplDialect dialect = BcDialect();
  dialect.command.observer = recorder;
  auto bc = Repl::Start(dialect);
  ASSERT_THAT(bc, IsOk());
  EXPECT_THAT((*bc)->Eval("6*7", kNeverReached), IsOk());
  EXPECT_THAT((*bc)->Close(), IsOk());

  const Transcript transcript = recorder->transcript();
  EXPECT_EQ(Events(transcript, Kind::kLetters).size(), 2);
  EXPECT_THAT(transcript.BytesOf(Kind::kSent), HasSubstr("6*7\n"));
  EXPECT_THAT(transcript.BytesOf(Kind::kOut), HasSubstr("42\n"));
  EXPECT_EQ(Events(transcript).back(), "exited with status 0");
}

TEST(RecorderFileTest, IsReadableOnlyByTheOwnerThoughItExisted) {
  TemporaryDirectory directory;
  const std::string path =
      directory.Write("a.jsonl", "what was in the file", 0644);

  auto recorder = Recorder::ToFile(path);

  ASSERT_THAT(recorder, IsOk());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600);
  EXPECT_THAT((*recorder)->Close(), IsOk());
  EXPECT_THAT(directory.Read("a.jsonl"), Not(HasSubstr("was in")));
}

TEST(RecorderFileTest, LeavesAFileThatItCannotMakeItsOwnAsItWas) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    Refuse({SYS_fchmod, EPERM});
    TemporaryDirectory directory;
    const std::string path = directory.Write("a.jsonl", "theirs");

    EXPECT_THAT(Recorder::ToFile(path),
                HasCode(absl::StatusCode::kPermissionDenied));

    EXPECT_EQ(directory.Read("a.jsonl"), "theirs");
  });
}

TEST(RecorderFileTest, IsNoStandardStreamOfAChild) {
  EXPECT_HOLDS_IN_OWN_HOST([] {
    TemporaryDirectory directory;
    close(STDIN_FILENO);

    auto recorder = Recorder::ToFile(directory.path() + "/a.jsonl");

    ASSERT_THAT(recorder, IsOk());
    EXPECT_LT(fcntl(STDIN_FILENO, F_GETFD), 0);
  });
}

// WST-07
TEST(RecorderTest, HasTheLossOfTheStatus) {
  struct sigaction ignore = {}, before;
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, &before);
  const auto recorder = Recorder::InMemory();

  EXPECT_THAT(asyncproc::Run(Recorded(Command({"true"}), recorder)),
              HasCode(absl::StatusCode::kDataLoss));

  sigaction(SIGCHLD, &before, nullptr);
  const Transcript transcript = recorder->transcript();
  ASSERT_FALSE(transcript.events.empty());
  const TranscriptEvent& last = transcript.events.back();
  EXPECT_EQ(last.kind, Kind::kExit);
  EXPECT_EQ(last.status, std::nullopt);
  EXPECT_THAT(last.data, HasSubstr("is lost: this program ignores SIGCHLD"));
}

TEST(RecorderTest, ReportsThatThereIsNoMemoryForMore) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([] {
    constexpr size_t kMuch = 32 * 1024 * 1024;
    const auto recorder = Recorder::InMemory();
    ChildObserver& observer = *recorder;
    ASSERT_THAT(observer.OnStart(Command({"cat"})), IsOk());
    const std::string piece(kMuch, 'x');
    LeaveMemory(kMuch / 2);

    recorder->Mark("before");
    observer.OnOutput(ChildStream::kOut, piece);
    recorder->Mark("after");

    EXPECT_THAT(Events(recorder->transcript()), ElementsAre("mark \"before\""));
    EXPECT_THAT(recorder->Close(),
                HasCode(absl::StatusCode::kResourceExhausted));
  });
}

}  // namespace
}  // namespace asyncproc

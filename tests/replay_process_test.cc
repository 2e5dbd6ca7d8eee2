#include "asyncproc/testing/replay_process.h"

#include <signal.h>
#include <sys/wait.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/expect.h"
#include "asyncproc/process.h"
#include "asyncproc/recorder.h"
#include "asyncproc/repl.h"
#include "asyncproc/repl_dialects.h"
#include "asyncproc/transcript.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Lt;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;
using Kind = TranscriptEvent::Kind;
using Pace = ReplayProcess::Pace;

constexpr absl::StatusCode kAborted = absl::StatusCode::kAborted;
constexpr absl::StatusCode kPrecondition =
    absl::StatusCode::kFailedPrecondition;

TranscriptEvent Data(Kind kind, absl::string_view data,
                     absl::Duration time = absl::ZeroDuration()) {
  TranscriptEvent event;
  event.kind = kind;
  event.data = std::string(data);
  event.time = time;
  return event;
}

TranscriptEvent Exit(const ExitStatus& status,
                     absl::Duration time = absl::ZeroDuration()) {
  TranscriptEvent event = Data(Kind::kExit, "", time);
  event.status = status;
  return event;
}

TranscriptEvent Signal(int signal,
                       TerminationScope scope = TerminationScope::kChild) {
  TranscriptEvent event = Data(Kind::kSignal, "");
  event.signal = signal;
  event.scope = scope;
  return event;
}

Transcript Of(std::vector<TranscriptEvent> events) {
  Transcript transcript;
  transcript.header.command = "echo-like";
  transcript.events = std::move(events);
  return transcript;
}

std::unique_ptr<ReplayProcess> MustReplay(const Transcript& transcript,
                                          Pace pace = Pace::kAtOnce) {
  auto replay = ReplayProcess::Start(transcript, pace);
  EXPECT_THAT(replay, IsOk());
  if (!replay.ok()) abort();
  return *std::move(replay);
}

std::unique_ptr<ReplayProcess> MustReplay(std::vector<TranscriptEvent> events,
                                          Pace pace = Pace::kAtOnce) {
  return MustReplay(Of(std::move(events)), pace);
}

// A question, its answer, and the end of the child.
std::vector<TranscriptEvent> Question() {
  return {Data(Kind::kOut, "? "),     Data(Kind::kIn, "6*7\n"),
          Data(Kind::kOut, "42\n"),   Data(Kind::kInClosed, ""),
          Data(Kind::kOutClosed, ""), Data(Kind::kErrClosed, ""),
          Exit(ExitStatus::Exited(3))};
}

// ---- The test repeats the recorded input.

TEST(ReplayProcessTest, RepeatsTheRecordedOutputForTheSameInput) {
  auto child = MustReplay(Question());

  EXPECT_EQ(child->out().Read(), "? ");
  EXPECT_EQ(child->out().Read(), "");
  EXPECT_TRUE(child->IsAlive());
  EXPECT_EQ(child->state(), ProcessState::kRunning);
  ASSERT_THAT(child->Write("6*7\n"), IsOk());
  EXPECT_THAT(child->Flush(kNeverReached), IsOk());
  EXPECT_EQ(child->out().Read(), "42\n");
  EXPECT_FALSE(child->out().AtEof());
  EXPECT_THAT(child->Wait(WNOHANG), HasCode(absl::StatusCode::kUnavailable));
  ASSERT_THAT(child->CloseStdin(), IsOk());
  EXPECT_THAT(child->CloseStdin(), IsOk());
  EXPECT_TRUE(child->out().AtEof());
  EXPECT_THAT(child->Wait(), IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_EQ(child->state(), ProcessState::kDrained);
  EXPECT_FALSE(child->IsAlive());
  EXPECT_THAT(child->CheckComplete(), IsOk());
  EXPECT_THAT(child->Signal(SIGTERM), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(child->Write("more"), HasCode(kPrecondition));
}

TEST(ReplayProcessTest, TakesTheSameInputHoweverItIsDivided) {
  const std::vector<TranscriptEvent> events = {
      Data(Kind::kIn, "ab"), Data(Kind::kOut, "1"), Data(Kind::kIn, "c"),
      Data(Kind::kIn, "d"), Data(Kind::kOut, "2")};

  auto whole = MustReplay(events);
  ASSERT_THAT(whole->Write("abcd"), IsOk());
  EXPECT_EQ(whole->out().Read(), "12");

  auto bytes = MustReplay(events);
  ASSERT_THAT(bytes->Write("a"), IsOk());
  EXPECT_EQ(bytes->out().Read(), "");
  ASSERT_THAT(bytes->Write("b"), IsOk());
  EXPECT_EQ(bytes->out().Read(), "1");
  ASSERT_THAT(bytes->Write(""), IsOk());
  ASSERT_THAT(bytes->Write("cd"), IsOk());
  EXPECT_EQ(bytes->out().Read(), "2");
  EXPECT_THAT(bytes->CheckComplete(), IsOk());
}

TEST(ReplayProcessTest, TakesTheSameSignals) {
  auto child = MustReplay({Signal(SIGINT), Data(Kind::kOut, "a"),
                           Signal(SIGTERM, TerminationScope::kGroup),
                           Exit(ExitStatus::Signaled(SIGTERM))});

  EXPECT_THAT(child->Signal(0), IsOk());
  EXPECT_THAT(child->Signal(-1), HasCode(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(child->Interrupt(TerminationScope::kChild), IsOk());
  EXPECT_EQ(child->out().Read(), "a");
  ASSERT_THAT(child->Signal(SIGTERM, TerminationScope::kGroup), IsOk());
  EXPECT_THAT(child->Wait(), IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
}

TEST(ReplayProcessTest, TakesATypedCtrlCForAnInterrupt) {
  Transcript transcript = Of({Data(Kind::kIn, "\x07"), Data(Kind::kOut, "^G")});
  transcript.header.terminal = TerminalSize();
  auto child = MustReplay(transcript);

  EXPECT_THAT(child->Interrupt(TerminationScope::kGroup), IsOk());

  EXPECT_EQ(child->out().Read(), "^G");
}

TEST(ReplayProcessTest, IsTerminatedByTheStepsThatWereRecorded) {
  auto child = MustReplay({Data(Kind::kOut, "a"), Data(Kind::kInClosed, ""),
                           Signal(SIGTERM), Data(Kind::kOut, "bye"),
                           Signal(SIGKILL), Exit(ExitStatus::Signaled(9))});

  EXPECT_THAT(child->Terminate(-kShort),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(child->Terminate(), IsOkAndHolds(ExitStatus::Signaled(9)));

  EXPECT_EQ(child->out().Read(), "abye");
  EXPECT_THAT(child->CheckComplete(), IsOk());
  EXPECT_THAT(child->Terminate(), IsOkAndHolds(ExitStatus::Signaled(9)));
}

TEST(ReplayProcessTest, RefusesInputWhereTheRecordingHasABrokenStdin) {
  auto child = MustReplay(
      {Data(Kind::kIn, "a"), Data(Kind::kInBroken, ""), Data(Kind::kOut, "b")});

  ASSERT_THAT(child->Write("a"), IsOk());

  EXPECT_THAT(child->Write("c"), HasCode(kPrecondition));
  EXPECT_THAT(child->CloseStdin(), IsOk());
}

TEST(ReplayProcessTest, DoesNotKnowTheEndThatWasNotRecorded) {
  auto child = MustReplay({Data(Kind::kOut, "a")});

  EXPECT_THAT(child->Wait(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_TRUE(child->out().ReadSome(kNeverReached).ok());
  EXPECT_THAT(child->out().ReadSome(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

// ---- The input differs from the recording.

TEST(ReplayProcessTest, ReportsTheExpectedAndTheActualEvent) {
  auto child = MustReplay(Question());

  const absl::Status written = child->Write("6*8\n");

  EXPECT_THAT(written, HasCode(kAborted));
  EXPECT_THAT(
      written.message(),
      AllOf(HasSubstr("the replay of echo-like"), HasSubstr("at event 2"),
            HasSubstr("expected in \"6*7\\n\", got in \"6*8\\n\"")));
  // Every later call returns the same error.
  EXPECT_EQ(child->Write("6*7\n"), written);
  EXPECT_EQ(child->Flush(kNeverReached), written);
  EXPECT_EQ(child->CloseStdin(), written);
  EXPECT_EQ(child->Signal(SIGTERM), written);
  EXPECT_EQ(child->Interrupt(TerminationScope::kChild), written);
  EXPECT_EQ(child->DrawLetters(1).status(), written);
  EXPECT_EQ(child->Wait().status(), written);
  EXPECT_EQ(child->Wait(WNOHANG).status(), written);
  EXPECT_EQ(child->Terminate().status(), written);
  EXPECT_EQ(child->CheckComplete(), written);
  EXPECT_EQ(child->out().Read(), "? ");
  for (OutputStream* const stream : {&child->out(), &child->err()}) {
    const absl::Status read = stream->ReadSome(kNeverReached).status();
    EXPECT_EQ(read.code(), written.code());
    EXPECT_THAT(read.message(), HasSubstr(std::string(written.message())));
  }
}

TEST(ReplayProcessTest, NamesALongCommandByItsBeginning) {
  Transcript transcript = Of(Question());
  transcript.header.command = "python3 -c " + std::string(10'000, 'x');

  EXPECT_THAT(MustReplay(transcript)->Write("no").message(),
              AllOf(HasSubstr("the replay of python3 -c xxx"),
                    HasSubstr("x... has left"), SizeIs(Lt(300))));
}

struct Difference {
  const char* name;
  std::function<absl::Status(ReplayProcess&)> ask;
  const char* got;
};

class ReplayDifferenceTest : public testing::TestWithParam<Difference> {};

TEST_P(ReplayDifferenceTest, EndsTheReplay) {
  auto child = MustReplay(Question());

  const absl::Status status = GetParam().ask(*child);

  EXPECT_THAT(status, HasCode(kAborted));
  EXPECT_THAT(status.message(), HasSubstr(GetParam().got));
}

INSTANTIATE_TEST_SUITE_P(
    All, ReplayDifferenceTest,
    testing::ValuesIn(std::vector<Difference>{
        {"MoreInput",
         [](ReplayProcess& child) { return child.Write("6*7\nx"); },
         "expected the end of stdin, got in \"x\""},
        {"AnEarlyEnd", [](ReplayProcess& child) { return child.CloseStdin(); },
         "expected in \"6*7\\n\", got the end of stdin"},
        {"AnEarlyEndWithinALine",
         [](ReplayProcess& child) {
           absl::Status written = child.Write("6*");
           return written.ok() ? child.CloseStdin() : written;
         },
         "expected in \"7\\n\", got the end of stdin"},
        {"ASignal", [](ReplayProcess& child) { return child.Signal(SIGINT); },
         "got SIGINT (interrupt) to the child"},
        {"ATermination",
         [](ReplayProcess& child) { return child.Terminate().status(); },
         "got its termination"},
        {"AWishForLetters",
         [](ReplayProcess& child) { return child.DrawLetters(8).status(); },
         "got a wish for 8 letters"},
    }),
    [](const testing::TestParamInfo<Difference>& info) {
      return info.param.name;
    });

TEST(ReplayProcessTest, RefusesAnotherSignalOrScope) {
  auto other = MustReplay({Signal(SIGINT)});
  EXPECT_THAT(other->Signal(SIGTERM), HasCode(kAborted));
  auto scope = MustReplay({Signal(SIGINT)});
  EXPECT_THAT(scope->Signal(SIGINT, TerminationScope::kTree),
              HasCode(kAborted));
}

TEST(ReplayProcessTest, KnowsThatItWasNotAskedAll) {
  auto child = MustReplay(Question());
  ASSERT_THAT(child->Write("6*"), IsOk());

  const absl::Status status = child->CheckComplete();

  EXPECT_THAT(status, HasCode(kPrecondition));
  EXPECT_THAT(status.message(), HasSubstr("event 2"));
  EXPECT_THAT(status.message(), HasSubstr("in \"7\\n\""));
}

TEST(ReplayProcessTest, StillRunsAsLongAsItIsNotAsked) {
  auto child = MustReplay(Question());

  const auto status = child->WaitFor(kShort);

  EXPECT_THAT(status, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(status.status().message(),
              HasSubstr("the next event is in \"6*7\\n\""));
  EXPECT_THAT(WithTimeout(kShort, [&] { return child->Wait(); }),
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

// ---- Real time.

TEST(ReplayProcessTest, DoesNotWaitForTimeToPassIfItIsToBeAtOnce) {
  const absl::Time start = absl::Now();
  auto child = MustReplay({Data(Kind::kOut, "a", absl::Hours(1)),
                           Exit(ExitStatus::Exited(0), absl::Hours(2))});

  EXPECT_THAT(child->Wait(), IsOk());

  EXPECT_LT(absl::Now() - start, kNeverReached);
}

TEST(ReplayProcessTest, TakesAsLongAsThenIfItIsToBeInRealTime) {
  const absl::Duration kStep = 2 * kShort;
  auto child = MustReplay(
      {Data(Kind::kOut, "a", kStep), Data(Kind::kIn, "b", kStep * 100),
       Data(Kind::kErr, "c", kStep * 101),
       Exit(ExitStatus::Exited(0), kStep * 102)},
      Pace::kRealTime);

  const absl::Time start = absl::Now();
  EXPECT_THAT(child->out().ReadSome(kNeverReached), IsOkAndHolds("a"));
  EXPECT_GE(absl::Now() - start, kStep - kShort);
  // The recorded input was a hundred steps later, but the test may write
  // earlier.
  const absl::Time asked = absl::Now();
  EXPECT_THAT(child->Write("b"), IsOk());
  EXPECT_THAT(child->err().ReadSome(kNeverReached), IsOkAndHolds("c"));
  EXPECT_GE(absl::Now() - asked, kStep);
  EXPECT_THAT(child->Wait(), IsOk());
  EXPECT_GE(absl::Now() - asked, 2 * kStep);
  EXPECT_LT(absl::Now() - asked, kNeverReached);
}

TEST(ReplayProcessTest, HurriesWhenItIsAskedEarly) {
  auto child = MustReplay(
      {Data(Kind::kOut, "late", kNeverReached),
       Data(Kind::kIn, "x", 2 * kNeverReached),
       Data(Kind::kOut, "r", 2 * kNeverReached), Data(Kind::kInClosed, ""),
       Signal(SIGTERM), Exit(ExitStatus::Exited(0))},
      Pace::kRealTime);

  ASSERT_THAT(child->Write("x"), IsOk());
  EXPECT_THAT(child->out().ReadExactly(5, kNeverReached),
              IsOkAndHolds("later"));
  EXPECT_THAT(child->Terminate(), IsOkAndHolds(ExitStatus::Exited(0)));
}

// An interrupt of a Repl, and its late answer.
std::vector<TranscriptEvent> LateAnswer() {
  return {Data(Kind::kSent, "statement"),
          Signal(SIGINT),
          Signal(SIGCONT),
          Data(Kind::kLetters, "ab"),
          Data(Kind::kSent, "print ab"),
          Data(Kind::kOut, "ab", kNeverReached),
          Data(Kind::kLetters, "cd", 2 * kNeverReached),
          Data(Kind::kSent, "print cd", 2 * kNeverReached),
          Data(Kind::kInClosed, "", 2 * kNeverReached)};
}

TEST(ReplayProcessTest, TakesAnInterruptAgainInRealTime) {
  auto child = MustReplay(LateAnswer(), Pace::kRealTime);

  ASSERT_THAT(child->NoteSent("statement"), IsOk());
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(child->Signal(SIGINT), IsOk());
    ASSERT_THAT(child->Signal(SIGCONT), IsOk());
    ASSERT_THAT(child->DrawLetters(2), IsOkAndHolds("ab"));
    ASSERT_THAT(child->NoteSent("print ab"), IsOk());
  }
  EXPECT_EQ(child->out().Read(), "ab");
  EXPECT_THAT(child->DrawLetters(2), IsOkAndHolds("cd"));
  EXPECT_THAT(child->NoteSent("print cd"), IsOk());
  EXPECT_THAT(child->Signal(SIGINT), HasCode(kAborted));
}

TEST(ReplayProcessTest, RefusesAnInterruptAgainIfItIsToBeAtOnce) {
  auto child = MustReplay(LateAnswer());

  ASSERT_THAT(child->NoteSent("statement"), IsOk());
  ASSERT_THAT(child->Signal(SIGINT), IsOk());
  ASSERT_THAT(child->Signal(SIGCONT), IsOk());
  EXPECT_THAT(child->Signal(SIGINT), HasCode(kAborted));
}

TEST(ReplayProcessTest, TakesATypedCtrlCAgainInRealTime) {
  Transcript transcript = Of({Data(Kind::kIn, "\x03"), Signal(SIGCONT),
                              Data(Kind::kOut, "> ", kNeverReached),
                              Data(Kind::kIn, "print\n", 2 * kNeverReached),
                              Data(Kind::kInClosed, "", 2 * kNeverReached)});
  transcript.header.terminal = TerminalSize();
  auto child = MustReplay(transcript, Pace::kRealTime);

  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(child->Interrupt(TerminationScope::kGroup), IsOk());
    ASSERT_THAT(child->Signal(SIGCONT), IsOk());
  }

  EXPECT_EQ(child->out().Read(), "> ");
  EXPECT_THAT(child->Write("print\n"), IsOk());
  EXPECT_THAT(child->Interrupt(TerminationScope::kGroup), HasCode(kAborted));
}

TEST(ReplayProcessTest, CanBeGivenUpInRealTime) {
  auto child =
      MustReplay({Data(Kind::kOut, "late", absl::Hours(1))}, Pace::kRealTime);
  OutputCursor cursor = child->out().NewCursor();

  child = nullptr;

  EXPECT_THAT(cursor.ReadSome(kNeverReached),
              HasCode(absl::StatusCode::kOutOfRange));
}

// ---- Recorded sessions.

// A session with an interactive program, by Expect.
absl::Status Converse(Child& child, absl::string_view name) {
  Expect expect(&child);
  auto prompt = expect.Await(Pattern::Literal("name? "), kNeverReached);
  if (!prompt.ok()) return prompt.status();
  absl::Status written = child.Write(std::string(name) + "\n");
  if (!written.ok()) return written;
  auto greeting =
      expect.Await(Pattern::Regex("(?m)^Hello, (\\w+)!\r?$"), kNeverReached);
  if (!greeting.ok()) return greeting.status();
  EXPECT_EQ(greeting->groups[0], name);
  auto end = child.WaitFor(kNeverReached);
  if (!end.ok()) return end.status();
  EXPECT_EQ(*end, ExitStatus::Exited(4));
  return absl::OkStatus();
}

TEST(ReplayProcessTest, StandsInForAChildAtATerminal) {
  auto recorder = Recorder::InMemory();
  Command command = Command::Shell(
      "printf 'name? '; read name; echo \"Hello, $name!\"; "
      "exit 4");
  command.pty = Pty();
  command.observer = recorder;
  ASSERT_THAT(Converse(*MustSpawn(command), "World"), IsOk());
  TemporaryDirectory directory;

  for (const char* const name : {"/a.jsonl", "/a.cast"}) {
    const std::string path = directory.path() + name;
    ASSERT_THAT(recorder->transcript().Save(path), IsOk());
    auto transcript = Transcript::Load(path);
    ASSERT_THAT(transcript, IsOk());

    auto same = MustReplay(*transcript);
    EXPECT_THAT(Converse(*same, "World"), IsOk());
    EXPECT_THAT(same->CheckComplete(), IsOk());
    EXPECT_THAT(Converse(*MustReplay(*transcript, Pace::kRealTime), "World"),
                IsOk());
    const absl::Status other = Converse(*MustReplay(*transcript), "Moon");
    EXPECT_THAT(other, HasCode(kAborted));
    EXPECT_THAT(other.message(),
                HasSubstr("expected in \"World\\n\", got in \"Moon\\n\""));
  }
}

struct Session {
  const char* name;
  std::function<ReplDialect()> dialect;
  std::vector<std::string> statements;
  const char* endless;
};

class ReplayReplTest : public testing::TestWithParam<Session> {};

// The program's replies to all statements, and to one more after a timeout.
std::vector<std::string> Answers(Repl& repl, const Session& session) {
  std::vector<std::string> answers;
  for (const std::string& statement : session.statements) {
    auto reply = repl.Eval(statement, kNeverReached);
    EXPECT_THAT(reply, IsOk());
    if (!reply.ok()) return answers;
    answers.push_back(reply->out);
    answers.push_back(reply->err);
    answers.push_back(reply->status.has_value() ? std::to_string(*reply->status)
                                                : "none");
  }
  EXPECT_THAT(repl.Eval(session.endless, kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  auto reply = repl.Eval(session.statements[0], kNeverReached);
  EXPECT_THAT(reply, IsOk());
  if (reply.ok()) answers.push_back(reply->out);
  EXPECT_THAT(repl.Close(kNeverReached), IsOkAndHolds(ExitStatus::Exited(0)));
  return answers;
}

// The same with a late answer to the interrupt, which ends with SIGCONT.
Transcript WithLateAnswer(Transcript transcript) {
  bool late = false;
  for (TranscriptEvent& event : transcript.events) {
    if (late) event.time += kNeverReached;
    late = late || event.signal == SIGCONT;
  }
  return transcript;
}

TEST_P(ReplayReplTest, GivesTheSameRepliesAndRefusesAnotherStatement) {
  auto recorder = Recorder::InMemory();
  ReplDialect dialect = GetParam().dialect();
  dialect.command.observer = recorder;
  auto repl = Repl::Start(dialect);
  ASSERT_THAT(repl, IsOk());
  const std::vector<std::string> answers = Answers(**repl, GetParam());
  ASSERT_THAT(answers, Not(testing::IsEmpty()));
  auto transcript = Transcript::Parse(
      recorder->transcript().Format(TranscriptFormat::kJsonLines));
  ASSERT_THAT(transcript, IsOk());

  const std::pair<Transcript, Pace> replays[] = {
      {*transcript, Pace::kAtOnce},
      {*transcript, Pace::kRealTime},
      {WithLateAnswer(*transcript), Pace::kRealTime}};
  for (const auto& [recording, pace] : replays) {
    auto again = Repl::Attach(dialect, MustReplay(recording, pace));
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(Answers(**again, GetParam()), answers);
    EXPECT_THAT(static_cast<ReplayProcess&>((*again)->child()).CheckComplete(),
                IsOk());
  }

  auto other = Repl::Attach(dialect, MustReplay(*transcript));
  ASSERT_THAT(other, IsOk());
  auto reply = (*other)->Eval("something else", kNeverReached);
  EXPECT_THAT(reply, HasCode(kAborted));
  EXPECT_THAT(reply.status().message(),
              AllOf(HasSubstr("expected "), HasSubstr("got "),
                    HasSubstr("something else")));
}

TEST(ReplayProcessTest, HasTheNameOfTheProgramInTheMessagesOfItsRepl) {
  auto recorder = Recorder::InMemory();
  ReplDialect dialect = PythonDialect();
  dialect.command.observer = recorder;
  auto python = Repl::Start(dialect);
  ASSERT_THAT(python, IsOk());
  EXPECT_THAT((*python)->Eval("import os; os._exit(3)", kNeverReached),
              Not(IsOk()));

  auto again = Repl::Attach(dialect, MustReplay(recorder->transcript()));
  ASSERT_THAT(again, IsOk());
  auto reply = (*again)->Eval("import os; os._exit(3)", kNeverReached);

  EXPECT_THAT(reply.status().message(),
              StartsWith("replay of python3 has ended at "));
}

INSTANTIATE_TEST_SUITE_P(
    All, ReplayReplTest,
    testing::ValuesIn(std::vector<Session>{
        {"bc", BcDialect, {"6*7", "1/0", "2^100"}, "while (1) {}"},
        {"python",
         PythonDialect,
         {"6*7", "1/0", "print('\xE2\x82\xAC')"},
         "while True: pass"},
        {"sh",
         ShDialect,
         {"echo 42", "no-such-command"},
         "while :; do :; done"},
    }),
    [](const testing::TestParamInfo<Session>& info) {
      return info.param.name;
    });

// asciinema merges stderr into the output.
TEST(ReplayProcessTest, GivesTheRepliesOfAnAsciinemaRecordingToo) {
  auto recorder = Recorder::InMemory();
  ReplDialect dialect = BcDialect();
  dialect.command.observer = recorder;
  auto bc = Repl::Start(dialect);
  ASSERT_THAT(bc, IsOk());
  EXPECT_THAT((*bc)->Eval("6*7", kNeverReached), IsOk());
  auto transcript = Transcript::Parse(
      recorder->transcript().Format(TranscriptFormat::kAsciinema));
  ASSERT_THAT(transcript, IsOk());

  auto again = Repl::Attach(dialect, MustReplay(*transcript));
  ASSERT_THAT(again, IsOk());
  auto reply = (*again)->Eval("6*7", kNeverReached);
  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->out, "42\n");
}

TEST(ReplayProcessTest, IsTerminatedWhereTheRecordingBreaksOff) {
  for (const Pace pace : {Pace::kAtOnce, Pace::kRealTime}) {
    auto child = MustReplay({Data(Kind::kInClosed, "")}, pace);

    auto end = child->Terminate();

    EXPECT_THAT(end, HasCode(absl::StatusCode::kDataLoss));
    EXPECT_THAT(end.status().message(), HasSubstr("was not recorded"));
  }
}

TEST(ReplayProcessTest, LosesTheStatusThatWasLostThen) {
  auto child =
      MustReplay({Data(Kind::kResize, ""), Data(Kind::kMark, "half of it"),
                  Data(Kind::kExit, "taken by someone else")});

  auto end = child->Wait();

  EXPECT_THAT(end, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(end.status().message(), "taken by someone else");
}

TEST(ReplayProcessTest, WaitsInTheWaysThatAProcessKnows) {
  auto child = MustReplay({Exit(ExitStatus::Exited(0))});

  EXPECT_THAT(child->Wait(WUNTRACED),
              HasCode(absl::StatusCode::kInvalidArgument));
  Child& any = *child;
  EXPECT_THAT(any.Wait(), IsOk());
  EXPECT_THAT(any.Terminate(), IsOk());
}

}  // namespace
}  // namespace asyncproc

#include "asyncproc/process_protocol.h"

#include <signal.h>
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;

std::unique_ptr<Reactor> MustCreate() {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = Reactor::Create();
  EXPECT_THAT(reactor, IsOk());
  return *std::move(reactor);
}

// Logs each callback as a word. Data callbacks only add to `out` and `err`.
class Recorder : public ProcessProtocol {
 public:
  std::vector<std::string> log;
  std::string out, err;
  absl::StatusOr<ExitStatus> exited = absl::UnknownError("not exited");
  absl::StatusOr<ExitStatus> ended = absl::UnknownError("not ended");
  std::function<void()> on_made, on_out, on_in_lost, on_ended;

 protected:
  void ConnectionMade() override { Note("made", on_made); }
  void OutReceived(absl::string_view data) override {
    absl::StrAppend(&out, data);
    if (on_out != nullptr) on_out();
  }
  void ErrReceived(absl::string_view data) override {
    absl::StrAppend(&err, data);
  }
  void InConnectionLost() override { Note("in lost", on_in_lost); }
  void OutConnectionLost() override { Note("out lost"); }
  void ErrConnectionLost() override { Note("err lost"); }
  void ProcessTimedOut(const absl::Status& why) override {
    EXPECT_THAT(why, HasCode(absl::StatusCode::kDeadlineExceeded));
    Note("timed out");
  }
  void ProcessExited(const absl::StatusOr<ExitStatus>& status) override {
    exited = status;
    Note("exited");
  }
  void ProcessEnded(const absl::StatusOr<ExitStatus>& status) override {
    ended = status;
    Note("ended", on_ended);
  }

 private:
  void Note(std::string what, const std::function<void()>& then = nullptr) {
    log.push_back(std::move(what));
    if (then != nullptr) then();
  }
};

// Runs `command` with `recorder` as its protocol until the child has ended.
std::shared_ptr<Recorder> Record(const Command& command,
                                 std::shared_ptr<Recorder> recorder) {
  auto reactor = MustCreate();
  EXPECT_THAT(reactor->Spawn(recorder, command), IsOk());
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());
  return recorder;
}

TEST(ProcessProtocolTest, GetsEachEventOnce) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().Write("hello"), IsOk());
    EXPECT_THAT(recorder->transport().CloseStdin(), IsOk());
  };

  Record(Command::Shell("cat; echo oh >&2; exit 3"), recorder);

  EXPECT_THAT(recorder->log,
              UnorderedElementsAre("made", "in lost", "out lost", "err lost",
                                   "exited", "ended"));
  EXPECT_EQ(recorder->log.front(), "made");
  EXPECT_EQ(recorder->log.back(), "ended");
  EXPECT_EQ(recorder->out, "hello");
  EXPECT_EQ(recorder->err, "oh\n");
  EXPECT_THAT(recorder->exited, IsOkAndHolds(ExitStatus::Exited(3)));
  EXPECT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Exited(3)));
}

// POL-07
TEST(ProcessProtocolTest, GetsTheEndOfEachPipe) {
  const auto recorder = std::make_shared<Recorder>();
  const auto reactor = MustCreate();
  ASSERT_THAT(
      reactor->Spawn(recorder,
                     Command::Shell("read x; exec 2>&-; read x; exec 1>&-; "
                                    "read x; exec 0<&-; exec sleep 1000")),
      IsOk());
  ProcessTransport& transport = recorder->transport();
  const auto run_until = [&](size_t notes) {
    while (recorder->log.size() < notes) {
      ASSERT_THAT(reactor->Run(absl::Milliseconds(1)),
                  HasCode(absl::StatusCode::kDeadlineExceeded));
    }
  };

  run_until(1);
  EXPECT_THAT(transport.Write("2\n"), IsOk());
  run_until(2);
  EXPECT_THAT(transport.Write("1\n"), IsOk());
  run_until(3);
  EXPECT_THAT(transport.Write("\n"), IsOk());
  run_until(4);
  EXPECT_THAT(transport.SignalProcess(SIGTERM), IsOk());
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_THAT(recorder->log, ElementsAre("made", "err lost", "out lost",
                                         "in lost", "exited", "ended"));
}

// POL-08
TEST(ProcessProtocolTest, DropsDataWithoutAnOverride) {
  const auto reactor = MustCreate();
  ASSERT_THAT(reactor->Spawn(std::make_shared<ProcessProtocol>(),
                             Command::Shell("head -c 1048576 /dev/zero; "
                                            "head -c 1048576 /dev/zero >&2")),
              IsOk());

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());
  EXPECT_EQ(reactor->running(), 0);
}

// POL-13
TEST(ProcessProtocolTest, ReceivesAllDataBeforeTheEndOfThePipe) {
  class Checker : public Recorder {
    void OutConnectionLost() override { size_at_end = out.size(); }

   public:
    size_t size_at_end = 0;
  };
  const auto checker = std::make_shared<Checker>();

  Record(Command::Shell("head -c 300000 /dev/zero"), checker);

  EXPECT_EQ(checker->size_at_end, 300000);
}

// POL-10
TEST(ProcessProtocolTest, MayDoAnythingWhenItIsCalled) {
  const auto reactor = MustCreate();
  auto recorder = std::make_shared<Recorder>();
  Recorder* const first = recorder.get();
  const auto second = std::make_shared<Recorder>();
  std::weak_ptr<Recorder> alive = recorder;
  first->on_made = [=] { first->transport().Write("x").IgnoreError(); };
  first->on_out = [&reactor, first] {
    EXPECT_THAT(reactor->Run(), HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(first->transport().CloseStdin(), IsOk());
    EXPECT_THAT(first->transport().SignalProcess(SIGKILL), IsOk());
    EXPECT_THAT(first->transport().Terminate(), IsOk());
    EXPECT_THAT(first->transport().LoseConnection(), IsOk());
  };
  first->on_ended = [&, first] {
    EXPECT_THAT(first->transport().Write("x"),
                HasCode(absl::StatusCode::kNotFound));
    EXPECT_THAT(reactor->Spawn(second, Command({"true"})), IsOk());
    EXPECT_FALSE(alive.expired());
  };
  ASSERT_THAT(reactor->Spawn(std::move(recorder), Command({"cat"})), IsOk());

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_TRUE(alive.expired());
  EXPECT_THAT(second->ended, IsOkAndHolds(ExitStatus::Exited(0)));
}

// POL-15
TEST(ProcessProtocolTest, IsOneOfMany) {
  const auto reactor = MustCreate();
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < 25; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    Recorder* const recorder = recorders.back().get();
    recorder->on_made = [=] {
      EXPECT_THAT(recorder->transport().Write(absl::StrCat(i, "\n")), IsOk());
    };
    ASSERT_THAT(reactor->Spawn(recorders.back(),
                               Command::Shell("read x; echo $x; exit 23")),
                IsOk());
  }

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(recorders[i]->out, absl::StrCat(i, "\n"));
    EXPECT_THAT(recorders[i]->ended, IsOkAndHolds(ExitStatus::Exited(23)));
    EXPECT_EQ(recorders[i]->log.size(), 6);
  }
}

TEST(ProcessProtocolTest, ReceivesFromFurtherPipes) {
  class Further : public ProcessProtocol {
    void ChildDataReceived(int fd, absl::string_view data) override {
      absl::StrAppend(&log, fd, ":", data);
    }
    void ChildConnectionLost(int fd) override {
      if (fd > 2) absl::StrAppend(&log, fd, " lost\n");
    }

   public:
    std::string log;
  };
  const auto further = std::make_shared<Further>();
  const auto reactor = MustCreate();
  ASSERT_THAT(
      reactor->Spawn(further, Command::Shell("echo five >&5; exec 5>&-"), {5}),
      IsOk());

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_EQ(further->log, "5:five\n5 lost\n");
}

TEST(ProcessProtocolTest, HasNoMoreFurtherPipesThanTheReactorCanTellApart) {
  std::vector<int> many(1000);
  std::iota(many.begin(), many.end(), 3);
  const auto reactor = MustCreate();

  EXPECT_THAT(reactor->Spawn(std::make_unique<ProcessProtocol>(),
                             Command({"true"}), many),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ProcessProtocolTest, RefusesAFurtherPipeBeyondTheLimitOfDescriptors) {
  const int number = std::numeric_limits<int>::max();
  const auto reactor = MustCreate();

  const absl::Status started = reactor->Spawn(
      std::make_unique<ProcessProtocol>(), Command({"true"}), {number});

  EXPECT_THAT(started, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(started.message(), HasSubstr(absl::StrCat(number)));
}

// The end of the child ends its input, although the grandchild could still
// read.
TEST(ProcessProtocolTest, LosesTheInputThatAGrandchildHoldsOpen) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().Write(std::string(1'000'000, 'x')),
                IsOk());
  };

  Record(Command::Shell("exec 3<&0; sleep 1000 <&3 >&2 & echo $!"), recorder);

  EXPECT_THAT(recorder->log,
              UnorderedElementsAre("made", "in lost", "out lost", "err lost",
                                   "exited", "ended"));
  EXPECT_EQ(recorder->log.back(), "ended");
  EXPECT_EQ(kill(std::stoi(recorder->out), SIGKILL), 0);
}

TEST(ProcessProtocolTest, LosesNoConnectionThatItNeverHad) {
  const auto recorder = std::make_shared<Recorder>();
  Command command({"true"});
  command.in = Stdio::Null();
  command.err = Stdio::Null();

  Record(command, recorder);

  EXPECT_THAT(recorder->log,
              UnorderedElementsAre("made", "out lost", "exited", "ended"));
  EXPECT_THAT(recorder->transport().CloseStdin(),
              HasCode(absl::StatusCode::kNotFound));
}

// GRC-01
TEST(ProcessProtocolTest, GivesUpAPipeThatAGrandchildHolds) {
  const auto recorder = std::make_shared<Recorder>();

  Record(Command::Shell("sleep 60 & echo $!"), recorder);

  EXPECT_EQ(recorder->log.size(), 6);
  EXPECT_EQ(recorder->log.back(), "ended");
  ASSERT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Exited(0)));
  EXPECT_FALSE(recorder->ended->output_complete());
  kill(std::stoi(recorder->out), SIGKILL);
}

TEST(ProcessTransportTest, IsOfNoUseBeforeTheStart) {
  Recorder recorder;

  EXPECT_EQ(recorder.transport().pid(), 0);
  EXPECT_THAT(recorder.transport().Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(recorder.transport().PauseProducing(),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(ProcessTransportTest, ClosesTheOutputOfTheChild) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().CloseStdout(), IsOk());
    EXPECT_THAT(recorder->transport().CloseChildFd(7),
                HasCode(absl::StatusCode::kNotFound));
  };

  Record(Command({"yes"}), recorder);

  EXPECT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Signaled(SIGPIPE)));
}

TEST(ProcessTransportTest, LosesAllConnectionsAtOnce) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().LoseConnection(), IsOk());
  };

  Record(Command({"cat"}), recorder);

  EXPECT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(ProcessTransportTest, DropsTheOutputOfATerminalOnceItIsClosed) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().CloseStdout(), IsOk());
    EXPECT_THAT(recorder->transport().Write("4\n"), IsOk());
  };
  Command command = Command::Shell("seq 1 100000; read code; exit $code");
  command.pty = Pty();

  Record(command, recorder);

  EXPECT_EQ(recorder->out, "");
  EXPECT_THAT(recorder->log, UnorderedElementsAre("made", "in lost", "out lost",
                                                  "exited", "ended"));
  EXPECT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Exited(4)));
}

TEST(ProcessTransportTest, LosesTheConnectionToATerminal) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().LoseConnection(), IsOk());
  };
  Command command = Command::Shell("cat; seq 1 100000; exit 3");
  command.pty = Pty();

  Record(command, recorder);

  EXPECT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Exited(3)));
}

TEST(ProcessTransportTest, WritesPiecesInTheirOrder) {
  const auto recorder = std::make_shared<Recorder>();
  recorder->on_made = [&] {
    EXPECT_THAT(recorder->transport().WriteSequence({"a", "b", "c"}), IsOk());
    EXPECT_THAT(recorder->transport().CloseStdin(), IsOk());
    EXPECT_THAT(recorder->transport().Write("d"),
                HasCode(absl::StatusCode::kFailedPrecondition));
  };

  Record(Command({"cat"}), recorder);

  EXPECT_EQ(recorder->out, "abc");
}

absl::Duration CpuTime() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

TEST(ProcessTransportTest, ReportsNothingWhileItIsPaused) {
  const auto reactor = MustCreate();
  const auto recorder = std::make_shared<Recorder>();
  ASSERT_THAT(reactor->Spawn(recorder, Command::Shell("echo x; exit 3")),
              IsOk());
  ASSERT_THAT(recorder->transport().PauseProducing(), IsOk());
  const absl::Duration cpu = CpuTime();

  EXPECT_THAT(reactor->Run(4 * kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(recorder->log.empty());
  EXPECT_LT(CpuTime() - cpu, kShort / 2 * kSlowness);
  EXPECT_THAT(recorder->transport().ResumeProducing(), IsOk());
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_EQ(recorder->out, "x\n");
  EXPECT_EQ(recorder->log.size(), 6);
}

TEST(ProcessTransportTest, NamesAPausedChildThatHasEnded) {
  const auto reactor = MustCreate();
  const auto recorder = std::make_shared<Recorder>();
  ASSERT_THAT(reactor->Spawn(recorder, Command({"sleep", "1000"})), IsOk());
  ASSERT_THAT(recorder->transport().PauseProducing(), IsOk());
  const std::string name =
      absl::StrCat("sleep 1000 (pid ", recorder->transport().pid(), ")");
  EXPECT_THAT(reactor->RunUntilAllEnded(kShort).message(),
              StartsWith(absl::StrCat(name, " still runs after ")));
  ASSERT_THAT(recorder->transport().SignalProcess(SIGKILL), IsOk());
  ASSERT_TRUE(AwaitProcessEnd(recorder->transport().pid()));

  EXPECT_THAT(
      reactor->RunUntilAllEnded(4 * kShort).message(),
      StartsWith(absl::StrCat(name, " has ended, but is paused after ")));

  EXPECT_THAT(recorder->transport().ResumeProducing(), IsOk());
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());
}

TEST(ProcessTransportTest, MakesAChildWaitThatItHasPaused) {
  const auto reactor = MustCreate();
  const auto recorder = std::make_shared<Recorder>();
  bool paused = false;
  recorder->on_out = [&] {
    if (!std::exchange(paused, true)) {
      EXPECT_THAT(recorder->transport().PauseProducing(), IsOk());
    }
  };
  ASSERT_THAT(
      reactor->Spawn(recorder,
                     Command::Shell("head -c 8388608 /dev/zero; exit 3")),
      IsOk());

  EXPECT_THAT(reactor->Run(4 * kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_GT(recorder->out.size(), 0);
  EXPECT_LT(recorder->out.size(), 8388608);
  EXPECT_TRUE(ProcessLives(recorder->transport().pid()));
  EXPECT_THAT(recorder->transport().ResumeProducing(), IsOk());
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_EQ(recorder->out.size(), 8388608);
  EXPECT_THAT(recorder->ended, IsOkAndHolds(ExitStatus::Exited(3)));
}

TEST(ReactorTest, CallsLater) {
  const auto reactor = MustCreate();
  std::string order;
  reactor->CallLater(kShort, [&] {
    order += "b";
    reactor->Stop();
  });
  reactor->CallLater(absl::ZeroDuration(), [&] { order += "a"; });
  const Reactor::CallId canceled =
      reactor->CallLater(absl::ZeroDuration(), [&] { order += "x"; });
  const absl::Time start = absl::Now();

  EXPECT_TRUE(reactor->CancelCall(canceled));
  EXPECT_THAT(reactor->Run(kNeverReached), IsOk());

  EXPECT_EQ(order, "ab");
  EXPECT_GE(absl::Now() - start, kShort);
}

TEST(ReactorTest, CallsForAnotherThread) {
  const auto reactor = MustCreate();
  std::thread::id caller;
  std::thread other([&] {
    reactor->CallFromThread([&] {
      caller = std::this_thread::get_id();
      reactor->Stop();
    });
  });

  EXPECT_THAT(reactor->Run(kNeverReached), IsOk());

  other.join();
  EXPECT_EQ(caller, std::this_thread::get_id());
}

TEST(ReactorTest, IsStoppedByAnotherThread) {
  const auto reactor = MustCreate();
  std::thread other([&] { reactor->Stop(); });

  EXPECT_THAT(reactor->Run(kNeverReached), IsOk());

  other.join();
}

TEST(ReactorTest, ReportsAProgramThatDoesNotExist) {
  const auto reactor = MustCreate();
  const auto recorder = std::make_shared<Recorder>();

  EXPECT_THAT(reactor->Spawn(recorder, Command({"/no/such/file"})),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(reactor->Spawn(recorder, Command({"true"})), IsOk());
  EXPECT_THAT(reactor->Spawn(recorder, Command({"true"})),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());
}

TEST(ReactorTest, EndsAChildThatTakesTooLong) {
  const auto reactor = MustCreate();
  const auto recorder = std::make_shared<Recorder>();
  ChildLimits limits;
  limits.timeout = kShort;
  ASSERT_THAT(reactor->Spawn(recorder, Command({"sleep", "1000"}), {}, limits),
              IsOk());

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  EXPECT_THAT(recorder->log, testing::Contains("timed out"));
  EXPECT_TRUE(recorder->ended.ok() && recorder->ended->signaled());
}

TEST(ReactorTest, KillsRunningChildrenWhenItIsDestroyed) {
  auto reactor = MustCreate();
  const auto recorder = std::make_shared<Recorder>();
  ASSERT_THAT(reactor->Spawn(recorder, Command({"sleep", "1000"})), IsOk());
  const pid_t pid = recorder->transport().pid();

  reactor = nullptr;

  EXPECT_FALSE(ProcessLives(pid));
  EXPECT_TRUE(recorder->log.empty());
  EXPECT_THAT(recorder->transport().Write("x"),
              HasCode(absl::StatusCode::kNotFound));
}

// ---- The examples.

std::string OutputOfExample(const std::string& name) {
  return OutputOf(Command({absl::StrCat(
      std::filesystem::current_path().string(), "/tools/examples/", name)}));
}

TEST(ExampleTest, CountsTheLinesOfTenVerses) {
  const std::string output = OutputOfExample("count_verses");

  std::vector<std::string> lines = absl::StrSplit(output, '\n');
  ASSERT_EQ(lines.size(), 9) << output;
  EXPECT_EQ(lines.front(), "connection made");
  EXPECT_EQ(lines[7], "the end: exited with status 0");
  EXPECT_THAT(output, HasSubstr("out: 24 bytes"));
  EXPECT_THAT(output, HasSubstr("stdout is closed\nit has counted 40 lines\n"));
  EXPECT_THAT(output, HasSubstr("stdin is closed"));
  EXPECT_THAT(output, HasSubstr("stderr is closed"));
}

TEST(ExampleTest, RunsThreeCommands) {
  EXPECT_EQ(OutputOfExample("three_commands"),
            "sorter: exited with status 0\n"
            "sorter said: apple\nfig\npear\n"
            "checker: exited with status 3\n"
            "checker complained: no such page\n"
            "sleeper: takes too long\n"
            "sleeper: killed by SIGTERM\n");
}

TEST(ProcessTransportTest, HasNoStdinWhereThatIsNoPipe) {
  auto reactor = MustCreate();
  auto protocol = std::make_shared<ProcessProtocol>();
  Command command({"sleep", "1000"});
  command.in = Stdio::Null();
  ChildLimits limits;
  limits.timeout = kShort;
  ASSERT_THAT(reactor->Spawn(protocol, command, {}, limits), IsOk());

  EXPECT_THAT(protocol->transport().Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(protocol->transport().CloseStdin(),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(protocol->transport().CloseStderr(), IsOk());

  // No callback reports the timeout.
  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());
}

TEST(ProcessTransportTest, ReturnsTheTerminationOfTheChild) {
  auto reactor = MustCreate();
  auto ended = std::make_shared<Recorder>();
  absl::StatusOr<Termination> last;
  EXPECT_THAT(ended->transport().termination(),
              HasCode(absl::StatusCode::kFailedPrecondition));
  ended->on_made = [&] {
    EXPECT_THAT(ended->transport().termination(),
                HasCode(absl::StatusCode::kNotFound));
    EXPECT_THAT(ended->transport().Terminate(), IsOk());
    EXPECT_THAT(ended->transport().termination(),
                HasCode(absl::StatusCode::kUnavailable));
  };
  ended->on_ended = [&] { last = ended->transport().termination(); };
  auto alone = std::make_shared<Recorder>();
  ASSERT_THAT(reactor->Spawn(ended, Command({"cat"})), IsOk());
  ASSERT_THAT(reactor->Spawn(alone, Command({"true"})), IsOk());

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());

  ASSERT_THAT(last, IsOk());
  EXPECT_EQ(last->status, ExitStatus::Exited(0));
  EXPECT_EQ(last->ended_by_step, 0);
  EXPECT_TRUE(last->survivors.empty());
  EXPECT_THAT(ended->transport().termination(), IsOk());
  EXPECT_THAT(alone->transport().termination(),
              HasCode(absl::StatusCode::kNotFound));
}

TEST(ReactorTest, LetsTheExceptionOfAProtocolThrough) {
  auto reactor = MustCreate();
  auto protocol = std::make_shared<Recorder>();
  protocol->on_out = [] { throw std::runtime_error("thrown by OutReceived"); };
  ASSERT_THAT(reactor->Spawn(protocol, Command({"echo", "x"})), IsOk());

  EXPECT_THROW(reactor->Run(kNeverReached).IgnoreError(), std::runtime_error);

  EXPECT_THAT(reactor->RunUntilAllEnded(kNeverReached), IsOk());
  EXPECT_EQ(protocol->out, "x\n");
  EXPECT_THAT(protocol->ended, IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(ReactorTest, EndsWithTheTimeOfItsThread) {
  auto reactor = MustCreate();
  ASSERT_THAT(reactor->Spawn(std::make_shared<ProcessProtocol>(),
                             Command({"sleep", "1000"})),
              IsOk());

  EXPECT_THAT(reactor->Run(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  const absl::Status late = reactor->RunUntilAllEnded(kShort);
  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late.message(), HasSubstr(") still runs after "));
  EXPECT_THAT(WithTimeout(kShort, [&] { return reactor->Run(); }),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  const CancellationToken token;
  token.Cancel();
  const CancellationScope scope(token);
  EXPECT_THAT(reactor->Run(), HasCode(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace asyncproc

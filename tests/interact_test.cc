#include "asyncproc/interact.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/cancellation.h"
#include "asyncproc/expect.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/os/unique_fd.h"
#include "asyncproc/internal/spawn/pty_pair.h"
#include "asyncproc/process.h"
#include "asyncproc/with_timeout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using internal::UniqueFd;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

bool SameSettings(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag &&
         a.c_cflag == b.c_cflag && a.c_lflag == b.c_lflag &&
         std::equal(std::begin(a.c_cc), std::end(a.c_cc), std::begin(b.c_cc));
}

// A terminal whose user is the test.
class UserTerminal {
 public:
  UserTerminal() {
    auto pair = internal::MakePty(Pty{30, 100});
    EXPECT_THAT(pair, IsOk());
    screen_ = std::move(pair->master);
    side_ = std::move(pair->slave);
    EXPECT_EQ(tcgetattr(side_.get(), &before_), 0);
  }

  // The side of the terminal that a program uses.
  int fd() const { return side_.get(); }
  InteractOptions Options() const {
    InteractOptions options;
    options.in = options.out = fd();
    options.timeout = kNeverReached;
    return options;
  }

  // Types after a program has taken over the terminal: before, the terminal's
  // own line editing would handle the keys.
  void Type(absl::string_view keys) {
    while (IsAsBefore()) absl::SleepFor(absl::Milliseconds(1));
    ASSERT_EQ(write(screen_.get(), keys.data(), keys.size()),
              static_cast<ssize_t>(keys.size()));
  }

  // Reads the screen until it shows `text`. Returns all text up to then.
  std::string AwaitShown(absl::string_view text) {
    const absl::Time patience = absl::Now() + kNeverReached;
    while (!absl::StrContains(shown_, text) && absl::Now() < patience) {
      Look(absl::Milliseconds(100));
    }
    EXPECT_THAT(shown_, HasSubstr(text));
    return std::move(shown_);
  }

  // All text that is on the screen now.
  std::string Shown() {
    while (Look(absl::ZeroDuration())) {
    }
    return std::move(shown_);
  }

  void Resize(unsigned short rows, unsigned short columns) {
    winsize size = {};
    size.ws_row = rows;
    size.ws_col = columns;
    ASSERT_EQ(ioctl(screen_.get(), TIOCSWINSZ, &size), 0);
  }

  void HangUp() { screen_.Reset(); }

  bool IsAsBefore() const {
    termios now;
    return tcgetattr(side_.get(), &now) == 0 && SameSettings(before_, now);
  }

 private:
  bool Look(absl::Duration patience) {
    pollfd fd = {screen_.get(), POLLIN, 0};
    if (poll(&fd, 1, static_cast<int>(patience / absl::Milliseconds(1))) <= 0) {
      return false;
    }
    char bytes[4096];
    const ssize_t count = read(screen_.get(), bytes, sizeof(bytes));
    if (count <= 0) return false;
    shown_.append(bytes, static_cast<size_t>(count));
    return true;
  }

  UniqueFd screen_;
  UniqueFd side_;
  termios before_ = {};
  std::string shown_;
};

Command OnTerminal(Command command, bool echo = true) {
  command.pty = Pty{24, 80, echo};
  return command;
}

// An Interact on a thread of its own.
class Interacting {
 public:
  Interacting(Expect& expect, const InteractOptions& options)
      : thread_([this, &expect, options] {
          result_ = Interact(expect, options);
        }) {}
  ~Interacting() {
    if (thread_.joinable()) thread_.join();
  }

  absl::StatusOr<Interaction> Result() {
    thread_.join();
    return result_;
  }
  InteractionEnd End() {
    const auto result = Result();
    EXPECT_THAT(result, IsOk());
    return result.ok() ? result->end : InteractionEnd();
  }

 private:
  absl::StatusOr<Interaction> result_ = absl::UnknownError("not done");
  std::thread thread_;
};

class InteractTest : public testing::Test {
 protected:
  UserTerminal user_;
};

TEST_F(InteractTest, PassesKeysToTheChildAndItsWordsToTheUser) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"})));
  Expect expect(cat.get());
  Interacting interacting(expect, user_.Options());

  // Enter is "\r" to a terminal in raw mode, and so to the child's terminal.
  cat->Write("> ").IgnoreError();
  user_.AwaitShown("> ");
  EXPECT_FALSE(user_.IsAsBefore());
  user_.Type("hello\r");
  EXPECT_EQ(user_.AwaitShown("hello\r\n> hello\r\n"), "hello\r\n> hello\r\n");
  user_.Type("\x1d");

  EXPECT_EQ(interacting.End(), InteractionEnd::kEscape);
  EXPECT_TRUE(user_.IsAsBefore());
  EXPECT_TRUE(cat->IsAlive());
}

TEST_F(InteractTest, ShowsFirstTheTextLeftInTheExpect) {
  auto child = MustSpawn(
      OnTerminal(Command::Shell("printf 'password: welcome\\n$ '; read line; "
                                "echo \"got $line\""),
                 /*echo=*/false));
  Expect expect(child.get());
  ASSERT_THAT(expect.Await(Pattern::Literal("password: "), kNeverReached),
              IsOk());
  while (!absl::EndsWith(child->out().Peek(), "$ ") &&
         !absl::EndsWith(expect.buffer(), "$ ")) {
    ASSERT_TRUE(child->IsAlive());
  }

  Interacting interacting(expect, user_.Options());
  EXPECT_THAT(user_.AwaitShown("$ "), StartsWith("welcome\r\n"));
  user_.Type("x\r");

  EXPECT_EQ(interacting.End(), InteractionEnd::kChildEnded);
  EXPECT_EQ(user_.Shown(), "got x\r\n");
  EXPECT_TRUE(user_.IsAsBefore());
}

TEST_F(InteractTest, EndsAtAnEscapeAmongOtherKeysAndReturnsThoseBehindIt) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  Expect expect(cat.get());
  cat->Write("ready\n").IgnoreError();
  Interacting interacting(expect, user_.Options());
  user_.AwaitShown("ready\r\n");

  user_.Type(
      "ab\r\x1d"
      "cd\x1d");
  auto result = interacting.Result();

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->end, InteractionEnd::kEscape);
  EXPECT_EQ(result->rest, "cd\x1d");
  EXPECT_TRUE(user_.IsAsBefore());
  // The child's later answer is still in the stream.
  EXPECT_THAT(expect.Await(Pattern::Literal("ab\r\n"), kNeverReached), IsOk());
}

TEST_F(InteractTest, TakesAnyEscapeOrNone) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  Expect expect(cat.get());
  InteractOptions options = user_.Options();
  options.escape = '~';
  {
    Interacting interacting(expect, options);
    user_.Type("~");
    EXPECT_EQ(interacting.End(), InteractionEnd::kEscape);
  }
  options.escape = std::nullopt;
  Interacting interacting(expect, options);
  user_.Type("~\x1d\r");
  EXPECT_THAT(user_.AwaitShown("\r\n"), HasSubstr("~\x1d\r\n"));
  user_.Type("\x04");
  EXPECT_EQ(interacting.End(), InteractionEnd::kChildEnded);
}

TEST_F(InteractTest, ControlCharactersReachTheChildAndNotThisProgram) {
  auto child = MustSpawn(OnTerminal(
      Command::Shell("trap 'echo interrupted; exit 7' INT; echo ready; "
                     "while :; do sleep 0.02; done")));
  Expect expect(child.get());
  Interacting interacting(expect, user_.Options());
  user_.AwaitShown("ready\r\n");

  user_.Type("\x03");

  EXPECT_EQ(interacting.End(), InteractionEnd::kChildEnded);
  EXPECT_THAT(user_.Shown(), HasSubstr("interrupted"));
  EXPECT_THAT(child->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(7)));
}

TEST_F(InteractTest, ShowsAllThatTheChildSaidBeforeItDied) {
  auto child = MustSpawn(OnTerminal(
      Command::Shell("for i in $(seq 20000); do echo $i; done; kill -9 $$")));
  Expect expect(child.get());
  Interacting interacting(expect, user_.Options());

  std::string numbers;
  for (int i = 1; i <= 20000; ++i) absl::StrAppend(&numbers, i, "\r\n");
  EXPECT_EQ(user_.AwaitShown("20000\r\n"), numbers);

  EXPECT_EQ(interacting.End(), InteractionEnd::kChildEnded);
  EXPECT_TRUE(user_.IsAsBefore());
  EXPECT_THAT(child->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGKILL)));
}

TEST_F(InteractTest, EndsWithTheChildAlsoWhenAnotherHoldsItsTerminal) {
  auto child = MustSpawn(OnTerminal(
      Command::Shell("setsid sh -c 'echo pid $$.; exec sleep 1000' & wait; ")));
  Expect expect(child.get());
  auto pid = expect.Await(Pattern::Regex("pid ([0-9]+)\\."), kNeverReached);
  ASSERT_THAT(pid, IsOk());
  Interacting interacting(expect, user_.Options());

  EXPECT_THAT(child->Signal(SIGKILL), IsOk());

  EXPECT_EQ(interacting.End(), InteractionEnd::kChildEnded);
  int holder;
  ASSERT_TRUE(absl::SimpleAtoi(pid->groups[0], &holder));
  ASSERT_GT(holder, 1);
  kill(holder, SIGKILL);
  EXPECT_TRUE(AwaitProcessEnd(holder));
}

TEST_F(InteractTest, PassesTheSizeOfTheWindowAndItsChanges) {
  auto child =
      MustSpawn(OnTerminal(Command::Shell("trap 'stty size' WINCH; echo ready; "
                                          "while :; do sleep 0.02; done")));
  AwaitLine(*child, "ready");
  Expect expect(child.get());
  Interacting interacting(expect, user_.Options());

  user_.AwaitShown("30 100\r\n");
  user_.Resize(50, 132);
  user_.AwaitShown("50 132\r\n");
  user_.Type("\x1d");

  EXPECT_EQ(interacting.End(), InteractionEnd::kEscape);
}

TEST_F(InteractTest, EndsWhenTheTimeIsUp) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"})));
  Expect expect(cat.get());
  InteractOptions options = user_.Options();
  options.timeout = kShort;

  EXPECT_THAT(Interact(expect, options),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(user_.IsAsBefore());

  EXPECT_THAT(
      WithTimeout(kShort, [&] { return Interact(expect, user_.Options()); }),
      HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(user_.IsAsBefore());
  EXPECT_TRUE(cat->IsAlive());
}

TEST_F(InteractTest, EndsWhenItIsCanceled) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"})));
  Expect expect(cat.get());
  CancellationToken token;
  absl::Status status;
  std::thread thread([&] {
    CancellationScope scope(token);
    status = Interact(expect, user_.Options()).status();
  });
  user_.Type("x");
  user_.AwaitShown("x");

  token.Cancel();
  thread.join();

  EXPECT_THAT(status, HasCode(absl::StatusCode::kCancelled));
  EXPECT_TRUE(user_.IsAsBefore());
}

TEST_F(InteractTest, EndsWhenTheTerminalIsGone) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"})));
  Expect expect(cat.get());
  Interacting interacting(expect, user_.Options());
  user_.Type("x");
  user_.AwaitShown("x");

  user_.HangUp();

  EXPECT_EQ(interacting.End(), InteractionEnd::kUserEnded);
  EXPECT_TRUE(cat->IsAlive());
  // A second Interact finds no terminal from the start.
  auto again = Interact(expect, user_.Options());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->end, InteractionEnd::kUserEnded);
}

TEST_F(InteractTest, EndsWhenTheTerminalGoesWhileTheChildTalks) {
  auto yes = MustSpawn(OnTerminal(Command({"yes"})));
  Expect expect(yes.get());
  Interacting interacting(expect, user_.Options());
  user_.AwaitShown("y\r\n");

  user_.HangUp();

  EXPECT_EQ(interacting.End(), InteractionEnd::kUserEnded);
}

// Fails every read from the terminal of one descriptor.
class NoReading : public internal::Os {
 public:
  ssize_t Read(int fd, void* data, size_t size) override {
    if (fail && isatty(fd) == 1 && size == 4096) {
      errno = ENXIO;
      return -1;
    }
    return Os::Read(fd, data, size);
  }
  std::atomic<bool> fail{false};
};

TEST_F(InteractTest, RestoresTheTerminalWhenItFails) {
  NoReading os;
  internal::ScopedOs scoped(&os);
  auto cat = MustSpawn(OnTerminal(Command({"cat"})));
  Expect expect(cat.get());
  Interacting interacting(expect, user_.Options());
  user_.Type("x");
  user_.AwaitShown("x");
  EXPECT_FALSE(user_.IsAsBefore());

  os.fail = true;
  user_.Type("y");
  auto result = interacting.Result();

  EXPECT_FALSE(result.ok());
  EXPECT_THAT(result.status().message(), HasSubstr("the input of the user"));
  EXPECT_TRUE(user_.IsAsBefore());
}

TEST_F(InteractTest, IsNotHeldUpByATerminalThatTakesNoMoreAndLosesNothing) {
  auto child = MustSpawn(OnTerminal(Command({"seq", "100000"})));
  Expect expect(child.get());
  InteractOptions options = user_.Options();
  options.timeout = kShort;

  // The test does not read the screen.
  EXPECT_THAT(Interact(expect, options),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(user_.IsAsBefore());

  const std::string shown = user_.Shown();
  EXPECT_THAT(shown, StartsWith("1\r\n2\r\n"));
  auto rest = expect.Await(Pattern::Eof(), kNeverReached);
  ASSERT_THAT(rest, IsOk());
  std::string numbers;
  for (int i = 1; i <= 100000; ++i) absl::StrAppend(&numbers, i, "\r\n");
  EXPECT_EQ(absl::StrCat(shown, rest->before), numbers);
}

TEST_F(InteractTest, LetsTheUserOutOfAFlood) {
  auto yes = MustSpawn(OnTerminal(Command({"yes"})));
  Expect expect(yes.get());
  Interacting interacting(expect, user_.Options());
  user_.AwaitShown("y\r\n");

  user_.Type("\x1d");
  // The user keeps reading meanwhile.
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done) user_.Shown();
  });
  EXPECT_EQ(interacting.End(), InteractionEnd::kEscape);
  done = true;
  reader.join();
  EXPECT_TRUE(user_.IsAsBefore());
}

TEST_F(InteractTest, BeepsAtKeysThatTheChildsTerminalRefuses) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  Expect expect(cat.get());
  Interacting interacting(expect, user_.Options());

  // The user's own terminal holds 4,095 bytes.
  for (int i = 0; i < 5; ++i) user_.Type(std::string(1000, 'x'));

  user_.AwaitShown("\a");
  user_.Type("\x1d");
  EXPECT_EQ(interacting.End(), InteractionEnd::kEscape);
}

TEST(InteractWithoutTerminalTest, CopiesBothWaysUntilTheEndOfTheInput) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  Expect expect(cat.get());
  auto in = internal::MakePipe();
  auto out = internal::MakePipe();
  ASSERT_THAT(in, IsOk());
  ASSERT_THAT(out, IsOk());
  InteractOptions options;
  options.in = in->read_end.get();
  options.out = out->write_end.get();
  options.timeout = kNeverReached;
  Interacting interacting(expect, options);

  ASSERT_EQ(write(in->write_end.get(), "abc\n", 4), 4);
  std::string shown;  // The terminal may return the line in pieces.
  char byte;
  while (!absl::EndsWith(shown, "\n") &&
         read(out->read_end.get(), &byte, 1) == 1) {
    shown.push_back(byte);
  }
  EXPECT_EQ(shown, "abc\r\n");
  in->write_end.Reset();

  EXPECT_EQ(interacting.End(), InteractionEnd::kUserEnded);
  EXPECT_EQ(fcntl(in->read_end.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_TRUE(cat->IsAlive());
  EXPECT_THAT(cat->CloseStdin(), IsOk());
  EXPECT_THAT(cat->WaitFor(kNeverReached), IsOk());
}

TEST(InteractWithoutTerminalTest, FeedsALargeFileNoFasterThanTheChildReads) {
  TemporaryDirectory directory;
  std::string lines;
  for (int i = 0; i < 200000; ++i) absl::StrAppend(&lines, i, "\n");
  UniqueFd in(open(directory.Write("in", lines).c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd out(open(directory.Write("out", "").c_str(), O_WRONLY | O_CLOEXEC));
  auto cat = MustSpawn(OnTerminal(Command({"cat"}), /*echo=*/false));
  Expect expect(cat.get());
  InteractOptions options;
  options.in = in.get();
  options.out = out.get();
  options.timeout = kNeverReached;

  auto fed = Interact(expect, options);

  ASSERT_THAT(fed, IsOk());
  EXPECT_EQ(fed->end, InteractionEnd::kUserEnded);
  EXPECT_THAT(cat->CloseStdin(), IsOk());
  auto rest = expect.Await(Pattern::Eof(), kNeverReached);
  ASSERT_THAT(rest, IsOk());
  const std::string all = absl::StrCat(directory.Read("out"), rest->before);
  EXPECT_THAT(all, StartsWith("0\r\n1\r\n"));
  EXPECT_THAT(all, EndsWith("199999\r\n"));
  EXPECT_EQ(all.size(), lines.size() + 200000);
}

TEST(InteractWithoutTerminalTest, ShowsAFloodToAFileThatTakesAnyAmount) {
  TemporaryDirectory directory;
  auto in = internal::MakePipe();
  ASSERT_THAT(in, IsOk());
  UniqueFd out(open(directory.Write("out", "").c_str(), O_WRONLY | O_CLOEXEC));
  auto flood = MustSpawn(OnTerminal(Command({"seq", "300000"})));
  // All of the output is there before any is shown.
  ASSERT_THAT(flood->WaitFor(kNeverReached), IsOk());
  Expect expect(flood.get());
  InteractOptions options;
  options.in = in->read_end.get();
  options.out = out.get();
  options.timeout = kNeverReached;

  auto end = Interact(expect, options);

  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(end->end, InteractionEnd::kChildEnded);
  std::string numbers;
  for (int i = 1; i <= 300000; ++i) absl::StrAppend(&numbers, i, "\r\n");
  EXPECT_TRUE(directory.Read("out") == numbers);
}

TEST(InteractWithoutTerminalTest, EndsInTimeHoweverMuchTheChildSays) {
  auto in = internal::MakePipe();
  ASSERT_THAT(in, IsOk());
  UniqueFd out(open("/dev/null", O_WRONLY | O_CLOEXEC));
  auto yes = MustSpawn(OnTerminal(Command({"yes"})));
  Expect expect(yes.get());
  InteractOptions options;
  options.in = in->read_end.get();
  options.out = out.get();
  options.timeout = kShort;
  const absl::Time start = absl::Now();

  EXPECT_THAT(Interact(expect, options),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  options.timeout = kNeverReached;
  EXPECT_THAT(WithTimeout(kShort, [&] { return Interact(expect, options); }),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  CancellationToken token;
  token.Cancel();
  CancellationScope scope(token);
  EXPECT_THAT(Interact(expect, options), HasCode(absl::StatusCode::kCancelled));

  EXPECT_LT(absl::Now() - start, absl::Seconds(2) * kSlowness);
  EXPECT_LE(expect.buffer().size(), 2 * 64u * 1024u);
}

TEST_F(InteractTest, RefusesAChildWithoutATerminal) {
  auto cat = MustSpawn(Command({"cat"}));
  Expect expect(cat.get());
  Expect of_cursor(&cat->out());

  EXPECT_THAT(Interact(expect, user_.Options()),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Interact(of_cursor, user_.Options()),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(InteractTest, RefusesDescriptorsThatAreNotOpen) {
  auto cat = MustSpawn(OnTerminal(Command({"cat"})));
  Expect expect(cat.get());
  for (int which : {0, 1}) {
    InteractOptions options = user_.Options();
    (which == 0 ? options.in : options.out) = 1000;
    EXPECT_THAT(Interact(expect, options),
                HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_TRUE(user_.IsAsBefore());
  }
}

}  // namespace
}  // namespace asyncproc

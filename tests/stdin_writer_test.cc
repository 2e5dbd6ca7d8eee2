#include "asyncproc/internal/io/stdin_writer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/internal/end/child_end.h"
#include "asyncproc/internal/end/reaper.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/os/pipe.h"
#include "asyncproc/internal/spawn/pty_pair.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/library_threads.h"
#include "tests/own_host.h"
#include "tests/scarce_memory.h"
#include "tests/testing.h"

namespace asyncproc::internal {
namespace {

using testing::AllOf;
using testing::Eq;
using testing::Gt;
using testing::HasSubstr;
using testing::Matcher;

std::string ReadSome(const UniqueFd& fd, size_t size) {
  std::string data(size, '\0');
  const ssize_t count = read(fd.get(), data.data(), size);
  data.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return data;
}

bool IsReadable(int fd) {
  pollfd poll_fd = {fd, POLLIN, 0};
  return poll(&poll_fd, 1, 0) > 0;
}

bool IsPending(int signal) {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, signal) == 1;
}

bool IsBlocked(int signal) {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  return sigismember(&blocked, signal) == 1;
}

// Restores the disposition and the mask of SIGPIPE at the end.
class SigpipeState {
 public:
  SigpipeState() {
    sigaction(SIGPIPE, nullptr, &action_);
    pthread_sigmask(SIG_BLOCK, nullptr, &mask_);
  }
  ~SigpipeState() {
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    const timespec at_once = {};
    while (IsPending(SIGPIPE)) sigtimedwait(&sigpipe, nullptr, &at_once);
    sigaction(SIGPIPE, &action_, nullptr);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }

  static void Set(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigaction(SIGPIPE, &action, nullptr);
  }
  static void (*Get())(int) {
    struct sigaction action;
    sigaction(SIGPIPE, nullptr, &action);
    return action.sa_handler;
  }
  static void Block() {
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe, nullptr);
  }

 private:
  struct sigaction action_;
  sigset_t mask_;
};

UniqueFd BrokenPipe() {
  absl::StatusOr<Pipe> pipe = MakePipe();
  pipe->read_end.Reset();
  return std::move(pipe->write_end);
}

// ---- WriteWithoutSigpipe

// A kernel before 6.18.
class OsWithoutQuietWrites : public internal::Os {
 public:
  ssize_t WriteQuietly(int, const void*, size_t) override {
    errno = EOPNOTSUPP;
    return -1;
  }
};

// With the flag against SIGPIPE, and without.
class WriteWithoutSigpipeTest : public testing::TestWithParam<bool> {
 protected:
  WriteWithoutSigpipeTest() {
    if (!GetParam()) scoped_ = std::make_unique<internal::ScopedOs>(&os_);
  }

 private:
  OsWithoutQuietWrites os_;
  std::unique_ptr<internal::ScopedOs> scoped_;
};

INSTANTIATE_TEST_SUITE_P(, WriteWithoutSigpipeTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "ByFlag" : "ByMask";
                         });

// WRT-05
TEST_P(WriteWithoutSigpipeTest, ReportsABrokenPipeAsAnErrorAndNothingElse) {
  const SigpipeState restored;
  SigpipeState::Set(SIG_DFL);
  const UniqueFd fd = BrokenPipe();

  errno = 0;
  EXPECT_EQ(WriteWithoutSigpipe(fd.get(), "x"), -1);

  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(SigpipeState::Get(), SIG_DFL);
  EXPECT_FALSE(IsBlocked(SIGPIPE));
  EXPECT_FALSE(IsPending(SIGPIPE));
}

int handled = 0;

// WRT-05
TEST_P(WriteWithoutSigpipeTest, DoesNotCallAHandlerOfTheHosts) {
  const SigpipeState restored;
  handled = 0;
  SigpipeState::Set([](int) { ++handled; });
  const UniqueFd fd = BrokenPipe();

  EXPECT_EQ(WriteWithoutSigpipe(fd.get(), "x"), -1);

  EXPECT_EQ(handled, 0);
  raise(SIGPIPE);
  EXPECT_EQ(handled, 1);  // The host's own signals still arrive.
}

TEST_P(WriteWithoutSigpipeTest, LeavesAnIgnoredSigpipeIgnored) {
  const SigpipeState restored;
  SigpipeState::Set(SIG_IGN);
  const UniqueFd fd = BrokenPipe();

  EXPECT_EQ(WriteWithoutSigpipe(fd.get(), "x"), -1);

  EXPECT_EQ(SigpipeState::Get(), SIG_IGN);
  EXPECT_FALSE(IsPending(SIGPIPE));
}

TEST_P(WriteWithoutSigpipeTest, LeavesABlockedSigpipeBlockedAndNoneBehind) {
  const SigpipeState restored;
  SigpipeState::Block();
  const UniqueFd fd = BrokenPipe();

  EXPECT_EQ(WriteWithoutSigpipe(fd.get(), "x"), -1);

  EXPECT_TRUE(IsBlocked(SIGPIPE));
  EXPECT_FALSE(IsPending(SIGPIPE));
}

// WRT-05
TEST_P(WriteWithoutSigpipeTest, LeavesASigpipeThatWasPendingToTheHost) {
  const SigpipeState restored;
  SigpipeState::Block();
  raise(SIGPIPE);
  const UniqueFd fd = BrokenPipe();

  EXPECT_EQ(WriteWithoutSigpipe(fd.get(), "x"), -1);

  EXPECT_TRUE(IsPending(SIGPIPE));
}

TEST_P(WriteWithoutSigpipeTest, IsAWriteOtherwise) {
  absl::StatusOr<Pipe> pipe = MakePipe();
  ASSERT_THAT(pipe, IsOk());

  EXPECT_EQ(WriteWithoutSigpipe(pipe->write_end.get(), "abc"), 3);

  EXPECT_EQ(ReadSome(pipe->read_end, 10), "abc");
}

// ---- StdinWriter

class StdinWriterTest : public testing::Test {
 protected:
  void SetUp() override { Open(/*limit=*/0); }

  void Open(size_t limit) {
    absl::StatusOr<Pipe> pipe = MakePipe(4096);
    ASSERT_THAT(pipe, IsOk());
    ASSERT_THAT(SetNonblocking(pipe->read_end), IsOk());
    ASSERT_THAT(SetNonblocking(pipe->write_end), IsOk());
    reader_ = std::move(pipe->read_end);
    absl::StatusOr<std::unique_ptr<Reaper>> reaper =
        Reaper::Create(Command({"cat"}), /*leads_group=*/false, [] {});
    ASSERT_THAT(reaper, IsOk());
    writer_ = nullptr;
    end_ = std::make_unique<ChildEnd>(*std::move(reaper));
    writer_ = std::make_shared<StdinWriter>(std::move(pipe->write_end),
                                            StdinWriter::Kind::kPipe, *end_,
                                            Options(limit));
  }

  StdinWriter::Options Options(size_t limit) {
    StdinWriter::Options options;
    options.limit = limit;
    options.wake = [this] { woken_ = true; };
    return options;
  }

  // Reads until all input has arrived, and acts as the loop.
  std::string ReadAll() {
    std::string all;
    for (;;) {
      const std::string some = ReadSome(reader_, 100000);
      all += some;
      if (writer_->pending() == 0 && some.empty()) return all;
      writer_->Advance(0);
    }
  }

  // Expects that `write` tells how many bytes there is no memory for, and that
  // the pipe has taken as many as `expected`.
  void ExpectReportOfMissingMemory(
      const std::function<absl::Status(absl::string_view)>& write,
      const Matcher<size_t>& expected) {
    if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
    EXPECT_HOLDS_IN_OWN_HOST([&] {
      constexpr size_t kMuch = 8 * 1024 * 1024;
      const std::string data(kMuch, 'x');
      LeaveMemory(kMuch / 2);

      const absl::Status status = write(data);

      EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
      const size_t taken = ReadAll().size();
      EXPECT_THAT(taken, expected);
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(std::to_string(kMuch - taken)));
      EXPECT_THAT(writer_->Write("more"), IsOk());
      EXPECT_EQ(ReadAll(), "more");
    });
  }

  bool AtEnd() {
    char byte;
    return read(reader_.get(), &byte, 1) == 0;
  }

  bool WokeLoop() { return woken_.exchange(false); }

  UniqueFd reader_;
  std::atomic<bool> woken_{false};
  std::unique_ptr<ChildEnd> end_;  // Of a child that runs for ever.
  std::shared_ptr<StdinWriter> writer_;
};

TEST_F(StdinWriterTest, WritesBytesThatFitAtOnce) {
  EXPECT_THAT(writer_->Write("abc"), IsOk());

  EXPECT_EQ(ReadSome(reader_, 10), "abc");
  EXPECT_FALSE(WokeLoop());
  EXPECT_EQ(writer_->pending(), 0);
}

// WRT-08
TEST_F(StdinWriterTest, QueuesBytesThatDoNotFitInOrder) {
  std::string expected;
  for (int i = 0; expected.size() < 100000; ++i) {
    const std::string piece = std::to_string(i) + " ";
    EXPECT_THAT(writer_->Write(piece), IsOk());
    expected += piece;
  }

  EXPECT_TRUE(WokeLoop());
  EXPECT_GT(writer_->pending(), 90000);
  EXPECT_EQ(ReadAll(), expected);
  EXPECT_EQ(writer_->pending(), 0);
}

// WRT-03
TEST_F(StdinWriterTest, ClosesAfterTheQueuedBytes) {
  const std::string data(100000, 'x');
  EXPECT_THAT(writer_->Write(data), IsOk());

  EXPECT_THAT(writer_->Close(), IsOk());

  EXPECT_EQ(ReadAll(), data);
  EXPECT_TRUE(AtEnd());
  EXPECT_EQ(writer_->fd(), -1);
}

// WRT-04
TEST_F(StdinWriterTest, TakesNothingAfterClose) {
  EXPECT_THAT(writer_->Close(), IsOk());
  EXPECT_THAT(writer_->Close(), IsOk());

  EXPECT_THAT(writer_->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));

  writer_->Advance(0);
  EXPECT_TRUE(AtEnd());
  EXPECT_THAT(writer_->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

// WRT-09
TEST_F(StdinWriterTest, DoesNothingForNoBytes) {
  EXPECT_THAT(writer_->Write(""), IsOk());

  writer_->Advance(0);
  EXPECT_FALSE(IsReadable(reader_.get()));
  EXPECT_GE(writer_->fd(), 0);
}

// WRT-06
TEST_F(StdinWriterTest, CountsTheBytesThatABrokenPipeDidNotTake) {
  reader_.Reset();

  EXPECT_THAT(writer_->Write("12345"),
              AllOf(HasCode(absl::StatusCode::kFailedPrecondition)));

  EXPECT_EQ(writer_->undelivered(), 5);
  EXPECT_THAT(std::string(writer_->Write("6").message()),
              HasSubstr("5 bytes were not delivered"));
  EXPECT_THAT(writer_->Close(), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(WokeLoop());
  writer_->Advance(0);
  EXPECT_EQ(writer_->fd(), -1);
}

// WRT-06
TEST_F(StdinWriterTest, DropsTheQueuedBytesWhenTheReaderHasGone) {
  EXPECT_THAT(writer_->Write(std::string(100000, 'x')), IsOk());
  const size_t waiting = writer_->pending();
  reader_.Reset();

  writer_->Break();

  EXPECT_EQ(writer_->pending(), 0);
  EXPECT_EQ(writer_->undelivered(), waiting);
  EXPECT_EQ(writer_->fd(), -1);
  EXPECT_THAT(writer_->WriteAndFlush("", DeadlineAfter(kNeverReached)),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(StdinWriterTest, RefusesToWriteToAPipeThatBrokeWithNothingLost) {
  reader_.Reset();
  writer_->Break();

  EXPECT_THAT(writer_->Close(), IsOk());
  EXPECT_THAT(writer_->Write("x"),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST_F(StdinWriterTest, DropsTheQueuedBytesWhenItIsAborted) {
  EXPECT_THAT(writer_->Write(std::string(100000, 'x')), IsOk());
  const size_t waiting = writer_->pending();

  EXPECT_TRUE(writer_->Abort());

  EXPECT_TRUE(WokeLoop());
  writer_->Advance(0);
  EXPECT_EQ(writer_->undelivered(), waiting);
  EXPECT_EQ(ReadSome(reader_, 100000).size(), 100000 - waiting);
  EXPECT_TRUE(AtEnd());
  EXPECT_FALSE(writer_->Abort());
}

TEST_F(StdinWriterTest, KnowsThatItWasClosedBeforeItIsAborted) {
  EXPECT_THAT(writer_->Close(), IsOk());

  EXPECT_FALSE(writer_->Abort());
}

TEST_F(StdinWriterTest, FlushesWhenThePipeHasTakenEverything) {
  EXPECT_THAT(writer_->WriteAndFlush("", absl::InfinitePast()), IsOk());
  EXPECT_THAT(writer_->Write(std::string(100000, 'x')), IsOk());
  EXPECT_THAT(writer_->WriteAndFlush("", DeadlineAfter(kShort)),
              HasCode(absl::StatusCode::kDeadlineExceeded));

  std::thread driver([this] { ReadAll(); });

  EXPECT_THAT(writer_->WriteAndFlush("", DeadlineAfter(kNeverReached)), IsOk());
  driver.join();
}

TEST_F(StdinWriterTest, KeepsTheRestInOrderWhenAFlushEnds) {
  std::string data(100000, 'a');
  EXPECT_THAT(writer_->WriteAndFlush(data, DeadlineAfter(kShort)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  // The caller may use its memory again.
  data.assign(100000, 'b');
  EXPECT_THAT(writer_->WriteAndFlush(data, DeadlineAfter(kShort)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  data.assign(100000, 'c');

  EXPECT_EQ(ReadAll(), std::string(100000, 'a') + std::string(100000, 'b'));
  EXPECT_EQ(writer_->undelivered(), 0);
}

TEST_F(StdinWriterTest, KeepsTheOrderOfAWriteDuringAFlush) {
  std::thread flusher([this] {
    EXPECT_THAT(
        writer_->WriteAndFlush(std::string(100000, 'a'), DeadlineAfter(kShort)),
        HasCode(absl::StatusCode::kDeadlineExceeded));
  });
  while (writer_->pending() == 0) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(writer_->Write("b"), IsOk());
  flusher.join();

  EXPECT_EQ(ReadAll(), std::string(100000, 'a') + "b");
}

TEST_F(StdinWriterTest, EndsAFlushWhenItIsAborted) {
  std::thread flusher([this] {
    EXPECT_THAT(writer_->WriteAndFlush(std::string(100000, 'a'),
                                       DeadlineAfter(kNeverReached)),
                HasCode(absl::StatusCode::kFailedPrecondition));
  });
  while (writer_->pending() == 0) absl::SleepFor(absl::Milliseconds(1));
  const size_t pending = writer_->pending();
  EXPECT_TRUE(writer_->Abort());
  flusher.join();

  EXPECT_EQ(writer_->undelivered(), pending);
  EXPECT_EQ(writer_->pending(), 0);
}

TEST_F(StdinWriterTest, TakesAllBytesOrNoneAtTheLimit) {
  Open(/*limit=*/10000);
  EXPECT_THAT(writer_->Write(std::string(10000, 'a')), IsOk());
  const size_t room = 10000 - writer_->pending();

  EXPECT_THAT(writer_->Write(std::string(room + 1, 'b')),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(writer_->pending(), 10000 - room);
  EXPECT_THAT(writer_->Write(std::string(room, 'c')), IsOk());

  EXPECT_EQ(ReadAll(), std::string(10000, 'a') + std::string(room, 'c'));
  EXPECT_EQ(writer_->undelivered(), 0);
}

TEST_F(StdinWriterTest, TakesNothingOfAWriteThatThereIsNoMemoryFor) {
  ExpectReportOfMissingMemory(
      [this](absl::string_view data) { return writer_->Write(data); }, Eq(0));
}

TEST_F(StdinWriterTest, ReportsHowMuchOfAFlushThereIsNoMemoryFor) {
  ExpectReportOfMissingMemory(
      [this](absl::string_view data) {
        return writer_->WriteAndFlush(data, DeadlineAfter(kShort));
      },
      Gt(0));
}

// ---- With a thread of its own

class ThreadedStdinWriterTest : public StdinWriterTest {
 protected:
  void SetUp() override {
    StdinWriterTest::SetUp();
    const int fd = dup(writer_->fd());
    writer_ = std::make_shared<StdinWriter>(
        UniqueFd(fd), StdinWriter::Kind::kPipe, *end_, StdinWriter::Options());
    writer_->UseThread(writer_);
  }
  void TearDown() override { writer_->Stop(); }

  // Reads until end-of-file.
  std::string ReadToEnd() {
    std::string all;
    pollfd readable = {reader_.get(), POLLIN, 0};
    while (poll(&readable, 1, 30 * 1000) == 1) {
      const std::string some = ReadSome(reader_, 100000);
      if (some.empty()) break;
      all += some;
    }
    return all;
  }
};

TEST_F(ThreadedStdinWriterTest, HasAThreadFromTheFirstWriteOn) {
  EXPECT_THAT(LibraryThreads(), testing::IsEmpty());

  EXPECT_THAT(writer_->Write("x"), IsOk());

  while (LibraryThreads() != std::vector<std::string>{"asyncproc-in"}) {
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST_F(ThreadedStdinWriterTest, NeedsNoThreadToCloseAnEmptyQueue) {
  EXPECT_THAT(writer_->Close(), IsOk());

  EXPECT_TRUE(AtEnd());
  EXPECT_THAT(LibraryThreads(), testing::IsEmpty());
}

// WRT-08
TEST_F(ThreadedStdinWriterTest, WritesTheQueuedBytesAndTheEnd) {
  const std::string data(1000000, 'x');
  EXPECT_THAT(writer_->Write(data), IsOk());
  EXPECT_THAT(writer_->Close(), IsOk());

  EXPECT_EQ(ReadToEnd(), data);
  EXPECT_THAT(writer_->WriteAndFlush("", DeadlineAfter(kNeverReached)), IsOk());
}

TEST_F(ThreadedStdinWriterTest, FlushesWithoutACopy) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([this] {
    constexpr size_t kMuch = 8 * 1024 * 1024;
    const std::string data(kMuch, 'x');
    size_t count = 0;
    std::thread reader([this, &count] {
      pollfd readable = {reader_.get(), POLLIN, 0};
      char bytes[4096];
      ssize_t size = 0;
      do {
        count += static_cast<size_t>(size);
        poll(&readable, 1, -1);
        size = read(reader_.get(), bytes, sizeof(bytes));
      } while (size > 0);
    });
    EXPECT_THAT(writer_->Write("x"), IsOk());  // Starts the thread.
    LeaveMemory(kMuch / 2);

    EXPECT_THAT(writer_->WriteAndFlush(absl::string_view(data).substr(1),
                                       DeadlineAfter(kNeverReached)),
                IsOk());
    EXPECT_THAT(writer_->Close(), IsOk());
    reader.join();
    EXPECT_EQ(count, kMuch);
    writer_->Stop();
  });
}

TEST_F(ThreadedStdinWriterTest, FlushesForTwoCallersOneAfterTheOther) {
  std::string all;
  std::thread reader([&] { all = ReadToEnd(); });
  std::vector<std::thread> callers;
  for (const char letter : {'a', 'b'}) {
    callers.emplace_back([this, letter] {
      EXPECT_THAT(writer_->WriteAndFlush(std::string(1000000, letter),
                                         DeadlineAfter(kNeverReached)),
                  IsOk());
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(writer_->Close(), IsOk());
  reader.join();

  EXPECT_EQ(all.size(), 2000000);
  EXPECT_EQ(all.find_first_not_of(all[0]), 1000000);
}

// WRT-06
TEST_F(ThreadedStdinWriterTest, NoticesThatTheReaderHasGone) {
  const std::string data(1000000, 'x');
  EXPECT_THAT(writer_->Write(data), IsOk());

  reader_.Reset();

  EXPECT_THAT(writer_->WriteAndFlush("", DeadlineAfter(kNeverReached)),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_GT(writer_->undelivered(), 900000);
}

// Starts no threads.
class OsWithoutThreads : public internal::Os {
 public:
  int ThreadCreate(pthread_t*, const pthread_attr_t*, void* (*)(void*),
                   void*) override {
    return EAGAIN;
  }
};

TEST_F(ThreadedStdinWriterTest, TakesNothingWithoutAThread) {
  OsWithoutThreads os;
  {
    const ScopedOs scoped(&os);

    EXPECT_THAT(writer_->Write("lost?"),
                HasCode(absl::StatusCode::kResourceExhausted));
  }

  EXPECT_FALSE(IsReadable(reader_.get()));
  EXPECT_EQ(writer_->undelivered(), 0);
  EXPECT_THAT(writer_->Write("kept"), IsOk());
  EXPECT_THAT(writer_->Close(), IsOk());
  EXPECT_EQ(ReadToEnd(), "kept");
}

// ---- For a terminal

// A terminal in raw mode, which passes all bytes.
class TerminalStdinWriterTest : public StdinWriterTest {
 protected:
  void SetUp() override {
    StdinWriterTest::SetUp();
    absl::StatusOr<PtyPair> pty = MakeRawPty();
    ASSERT_THAT(pty, IsOk());
    ASSERT_THAT(SetNonblocking(pty->master), IsOk());
    ASSERT_THAT(SetNonblocking(pty->slave), IsOk());
    reader_ = std::move(pty->slave);
    terminal_ = UniqueFd(dup(pty->master.get()));
    writer_ = std::make_shared<StdinWriter>(std::move(pty->master),
                                            StdinWriter::Kind::kTerminal, *end_,
                                            Options(kLimit));
  }

  // Fills the queue up to its limit. Returns the number of written bytes.
  size_t Fill() {
    size_t written = 0;
    for (size_t size = kLimit; size > 0; size /= 2) {
      while (writer_->Write(std::string(size - 1, 'x') + "\n").ok()) {
        written += size;
      }
    }
    EXPECT_EQ(writer_->pending(), kLimit);
    return written;
  }

  // Reads until `end` has arrived, and acts as the loop.
  std::string ReadUntil(const std::string& end) {
    std::string all;
    while (all.size() < end.size() ||
           all.compare(all.size() - end.size(), end.size(), end) != 0) {
      writer_->Advance(0);
      pollfd poll_fd = {reader_.get(), POLLIN, 0};
      if (poll(&poll_fd, 1, kTooLong) == 0) break;
      all += ReadSome(reader_, 100000);
    }
    return all;
  }

  UniqueFd terminal_;  // Stays open when the queue is closed.

  static constexpr size_t kLimit = 1 << 16;
  static constexpr int kTooLong = 30 * 1000;
};

TEST_F(TerminalStdinWriterTest, ClosesBehindAllThatMayWait) {
  const size_t written = Fill();

  EXPECT_THAT(writer_->Close(), IsOk());

  EXPECT_EQ(ReadUntil("\4").size(), written + 1);
  EXPECT_EQ(writer_->undelivered(), 0);
}

TEST_F(TerminalStdinWriterTest, StaysOpenWithoutMemoryForItsEnd) {
  if (kSlowness > 1) GTEST_SKIP() << "a sanitizer needs memory for itself";
  EXPECT_HOLDS_IN_OWN_HOST([this] {
    constexpr size_t kMuch = 8 * 1024 * 1024;
    StdinWriter queue(UniqueFd(dup(terminal_.get())),
                      StdinWriter::Kind::kTerminal, *end_, Options(0));
    ASSERT_THAT(queue.Write(std::string(kMuch, '\n')), IsOk());
    // Fills the memory of the bytes that the terminal has taken.
    ASSERT_THAT(queue.Write(std::string(kMuch - queue.pending(), '\n')),
                IsOk());
    LeaveMemory(kMuch / 2);

    EXPECT_THAT(queue.Close(), HasCode(absl::StatusCode::kResourceExhausted));

    // The sent bytes have made room.
    while (queue.pending() > kMuch / 3) {
      ASSERT_FALSE(ReadSome(reader_, 4096).empty());
      queue.Advance(0);
    }
    EXPECT_THAT(queue.Close(), IsOk());
  });
}

TEST_F(TerminalStdinWriterTest, TypesItsEndWhenAllThatMayWaitIsDropped) {
  const size_t written = Fill();

  EXPECT_TRUE(writer_->Abort());

  EXPECT_EQ(ReadUntil("\4\4").size(), written - kLimit + 2);
  EXPECT_EQ(writer_->undelivered(), kLimit);
}

}  // namespace
}  // namespace asyncproc::internal

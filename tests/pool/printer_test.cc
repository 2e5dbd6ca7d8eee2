#include "tools/asyncproc/pool/printer.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"

namespace asyncproc::cli {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
  }
  // All output up to end-of-file.
  std::string Rest() {
    write.Reset();
    std::string all;
    char buffer[4096];
    for (ssize_t size;
         (size = ::read(read.get(), buffer, sizeof(buffer))) > 0;) {
      all.append(buffer, size);
    }
    return all;
  }
  UniqueFd read, write;
};

class PrinterTest : public testing::Test {
 protected:
  PrinterOptions Options() {
    PrinterOptions options;
    options.out = &out_output_.emplace(out_.write.get(), "out");
    options.err = &err_output_.emplace(err_.write.get(), "err");
    return options;
  }

  JobPrint Job(absl::string_view out, absl::string_view err = "",
               std::string note = "") {
    JobPrint job{StoredOutput(&store_), StoredOutput(&store_), std::nullopt,
                 std::move(note)};
    EXPECT_THAT(job.out.Append(out), IsOk());
    EXPECT_THAT(job.err.Append(err), IsOk());
    return job;
  }

  OutputStore store_{OutputStore::Options()};
  Pipe out_, err_;
  std::optional<Output> out_output_, err_output_;
};

TEST_F(PrinterTest, PrintsJobsInOnePieceEach) {
  auto printer = Printer::Start(Options(), [] {});
  ASSERT_THAT(printer, IsOk());

  (*printer)->Print(Job("one\n", "err one\n", "note one\n"));
  (*printer)->Print(Job("two without an end", "", ""));
  (*printer)->Print(Job("three\n"));
  (*printer)->Note("note\n");

  EXPECT_THAT((*printer)->Finish(kNeverReached), IsOk());
  EXPECT_EQ(out_.Rest(), "one\ntwo without an endthree\n");
  EXPECT_EQ(err_.Rest(), "err one\nnote one\nnote\n");
}

TEST_F(PrinterTest, PutsTheTagBeforeEachLine) {
  auto printer = Printer::Start(Options(), [] {});
  ASSERT_THAT(printer, IsOk());
  JobPrint job = Job("one\n\ntwo", "err\n");
  job.tag = "T\t";

  (*printer)->Print(std::move(job));

  EXPECT_THAT((*printer)->Finish(kNeverReached), IsOk());
  EXPECT_EQ(out_.Rest(), "T\tone\nT\t\nT\ttwo\n");
  EXPECT_EQ(err_.Rest(), "T\terr\n");
}

TEST_F(PrinterTest, TakesThePanelAwayForOutputOnTheSameScreen) {
  PrinterOptions options = Options();
  options.out = options.err;
  options.out_on_screen = options.err_on_screen = true;
  auto printer = Printer::Start(options, [] {});
  ASSERT_THAT(printer, IsOk());
  (*printer)->Show({"panel"}, 80);
  // Reads until the panel is drawn.
  std::string seen;
  char buffer[100];
  while (seen.find("panel") == std::string::npos) {
    const ssize_t size = read(err_.read.get(), buffer, sizeof(buffer));
    ASSERT_GT(size, 0);
    seen.append(buffer, size);
  }

  (*printer)->Print(Job("no end"));

  EXPECT_THAT((*printer)->Finish(kNeverReached), IsOk());
  // The panel is erased and the text printed; then the panel may be drawn again
  // and erased.
  EXPECT_THAT(err_.Rest(), testing::StartsWith("\r\033[Kno end"));
}

TEST_F(PrinterTest, DrawsNothingOverOutputThatGoesElsewhere) {
  PrinterOptions options = Options();
  options.err_on_screen = true;
  auto printer = Printer::Start(options, [] {});
  ASSERT_THAT(printer, IsOk());
  (*printer)->Show({"panel"}, 80);
  (*printer)->Print(Job("out\n"));

  EXPECT_THAT((*printer)->Finish(kNeverReached), IsOk());
  EXPECT_EQ(out_.Rest(), "out\n");
}

TEST_F(PrinterTest, HasNoRoomWithoutAReader) {
  PrinterOptions options = Options();
  options.backlog = 4;
  absl::Notification woken;
  auto printer = Printer::Start(options, [&] {
    if (!woken.HasBeenNotified()) woken.Notify();
  });
  ASSERT_THAT(printer, IsOk());
  EXPECT_TRUE((*printer)->HasRoom());

  const std::string much(1 << 20, 'x');
  for (int i = 0; i < 6; ++i) (*printer)->Print(Job(much));

  EXPECT_FALSE((*printer)->HasRoom());
  EXPECT_THAT((*printer)->Finish(kShort),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  size_t all = 0;
  std::string buffer(1 << 16, '\0');
  while (all < 6 * much.size()) {
    all += read(out_.read.get(), buffer.data(), buffer.size());
  }
  EXPECT_THAT((*printer)->Finish(kNeverReached), IsOk());
  EXPECT_TRUE(woken.HasBeenNotified());
  EXPECT_TRUE((*printer)->HasRoom());
}

TEST_F(PrinterTest, ReportsThatTheReaderHasGone) {
  const auto old = signal(SIGPIPE, SIG_IGN);
  out_.read.Reset();
  absl::Notification woken;
  auto printer = Printer::Start(Options(), [&] {
    if (!woken.HasBeenNotified()) woken.Notify();
  });
  ASSERT_THAT(printer, IsOk());

  (*printer)->Print(Job("x"));

  EXPECT_TRUE(woken.WaitForNotificationWithTimeout(kNeverReached));
  EXPECT_THAT((*printer)->status(),
              HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE((*printer)->Finish(kNeverReached).ok());
  signal(SIGPIPE, old);
}

TEST_F(PrinterTest, GoesOnWithoutAPanelWhenTheTerminalIsGone) {
  const auto old = signal(SIGPIPE, SIG_IGN);
  PrinterOptions options = Options();
  options.err_on_screen = true;
  err_.read.Reset();
  auto printer = Printer::Start(options, [] {});
  ASSERT_THAT(printer, IsOk());

  (*printer)->Show({"panel"}, 80);
  (*printer)->Print(Job("out\n"));

  EXPECT_THAT((*printer)->Finish(kNeverReached), IsOk());
  EXPECT_EQ(out_.Rest(), "out\n");
  signal(SIGPIPE, old);
}

}  // namespace
}  // namespace asyncproc::cli

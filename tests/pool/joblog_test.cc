#include "tools/asyncproc/pool/joblog.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing.h"

namespace asyncproc::cli {
namespace {

using testing::HasSubstr;
using Past = JobLog::Past;

constexpr char kHeader[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    "\n";

JobRecord Record(int64_t number, int exit_value, std::string command) {
  JobRecord record;
  record.number = number;
  record.start = absl::FromUnixMillis(1795249105782);
  record.runtime = absl::Milliseconds(1500);
  record.received = 12;
  record.exit_value = exit_value;
  record.command = std::move(command);
  return record;
}

TEST(JobRecordTest, IsALineAsGnuParallelWritesIt) {
  EXPECT_EQ(FormatJobRecord(Record(3, 1, "echo a\tb;\necho c")),
            absl::StrCat("3\t:\t1795249105.782\t     1.500\t0\t12\t1\t0\techo "
                         "a\tb;",
                         absl::string_view("\0", 1), "echo c\n"));
}

TEST(JobRecordTest, IsReadBackAsItWas) {
  const std::string line = FormatJobRecord(Record(3, -1, "echo a\tb;\necho c"));

  const auto record =
      ParseJobRecord(absl::string_view(line).substr(0, line.size() - 1));

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->number, 3);
  EXPECT_EQ(record->host, ":");
  EXPECT_EQ(record->runtime, absl::Milliseconds(1500));
  EXPECT_EQ(record->exit_value, -1);
  EXPECT_EQ(record->command, "echo a\tb;\necho c");
  EXPECT_EQ(FormatJobRecord(*record), line);
}

TEST(JobRecordTest, IsNotMadeOfAnythingElse) {
  for (const std::string line :
       {"", "Seq\tHost", "x\t:\t1\t1\t0\t0\t0\t0\techo",
        "1\t:\t1\t1\t0\t0\t0"}) {
    EXPECT_FALSE(ParseJobRecord(line).has_value()) << line;
  }
}

TEST(JobLogTest, StartsAnewUnlessItIsResumed) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("log", "something else\n");

  auto log = JobLog::Create(path);
  ASSERT_THAT(log, IsOk());
  ASSERT_THAT(log->Append(Record(1, 0, "true")), IsOk());

  EXPECT_EQ(directory.Read("log"),
            kHeader + FormatJobRecord(Record(1, 0, "true")));
  EXPECT_THAT(log->Find(1, "true"), IsOkAndHolds(Past::kNone));
}

TEST(JobLogTest, ListsTheFinishedJobsWhenItIsResumed) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/log";
  {
    auto log = JobLog::Resume(path);
    ASSERT_THAT(log, IsOk());
    ASSERT_THAT(log->Append(Record(1, 0, "a")), IsOk());
    ASSERT_THAT(log->Append(Record(3, 1, "c")), IsOk());
    ASSERT_THAT(log->Append(Record(4, 1, "d")), IsOk());
    ASSERT_THAT(log->Append(Record(4, 0, "d")), IsOk());
  }

  auto log = JobLog::Resume(path);
  ASSERT_THAT(log, IsOk());
  EXPECT_THAT(log->Find(1, "a"), IsOkAndHolds(Past::kOk));
  EXPECT_THAT(log->Find(2, "b"), IsOkAndHolds(Past::kNone));
  EXPECT_THAT(log->Find(3, "c"), IsOkAndHolds(Past::kFailed));
  EXPECT_THAT(log->Find(4, "d"), IsOkAndHolds(Past::kOk));
  EXPECT_THAT(log->Find(1, "other"),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(JobLogTest, DropsALineThatWasTorn) {
  const TemporaryDirectory directory;
  const std::string first = FormatJobRecord(Record(1, 0, "a"));
  const std::string path = directory.Write(
      "log", absl::StrCat(kHeader, first, "2\t:\t1795249105.782\t   1"));

  auto log = JobLog::Resume(path);
  ASSERT_THAT(log, IsOk());
  EXPECT_THAT(log->Find(2, "b"), IsOkAndHolds(Past::kNone));
  ASSERT_THAT(log->Append(Record(2, 0, "b")), IsOk());

  EXPECT_EQ(directory.Read("log"),
            kHeader + first + FormatJobRecord(Record(2, 0, "b")));
}

TEST(JobLogTest, ListsTheJobsThatRanInAKilledRun) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/log";
  {
    auto log = JobLog::Create(path);
    ASSERT_THAT(log, IsOk());
    for (int64_t job : {1, 2, 3}) ASSERT_THAT(log->NoteStart(job), IsOk());
    ASSERT_THAT(log->Append(Record(1, 0, "a")), IsOk());
    ASSERT_THAT(log->NoteEnd(3), IsOk());
    // Job 2 has not ended: its note stays.
  }

  {
    auto log = JobLog::Resume(path);
    ASSERT_THAT(log, IsOk());
    EXPECT_THAT(log->cut_off(), testing::ElementsAre(2));
    ASSERT_THAT(log->NoteStart(2), IsOk());
    ASSERT_THAT(log->Append(Record(2, 0, "b")), IsOk());
  }

  EXPECT_THAT(JobLog::Resume(path)->cut_off(), testing::IsEmpty());
  EXPECT_NE(access((path + ".running").c_str(), F_OK), 0);
}

TEST(JobLogTest, ResumesNothingThatIsNoLog) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("log", "a letter\nof mine\n");

  const auto log = JobLog::Resume(path);

  EXPECT_THAT(log, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(log.status().message(), HasSubstr(path));
  EXPECT_EQ(directory.Read("log"), "a letter\nof mine\n");
}

TEST(JobLogTest, BelongsToOnePool) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/log";
  auto log = JobLog::Create(path);
  ASSERT_THAT(log, IsOk());

  EXPECT_THAT(JobLog::Resume(path),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(JobLogTest, KeepsNoPartOfALineThatCannotBeWritten) {
  const TemporaryDirectory directory;
  auto log = JobLog::Create(directory.path() + "/log");
  ASSERT_THAT(log, IsOk());
  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small = {100, old.rlim_max};
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);

  const absl::Status status = log->Append(Record(1, 0, std::string(100, 'x')));

  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(directory.path() + "/log"));
  EXPECT_EQ(directory.Read("log"), kHeader);
}

TEST(JobLogTest, ReportsWhichFileItCannotOpen) {
  const auto log = JobLog::Create("/no/such/directory/log");

  EXPECT_THAT(log, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(log.status().message(), HasSubstr("/no/such/directory/log"));
}

}  // namespace
}  // namespace asyncproc::cli

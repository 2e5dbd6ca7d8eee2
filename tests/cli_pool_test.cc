// asyncproc pool, run as users run it.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asyncproc/command.h"
#include "asyncproc/process.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/loopback_sshd.h"
#include "tests/testing.h"

namespace asyncproc {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;
using testing::UnorderedElementsAre;

std::string Tool() {
  return absl::StrCat(std::filesystem::current_path().string(),
                      "/tools/asyncproc/asyncproc");
}

Command Pool(std::vector<std::string> arguments) {
  std::vector<std::string> argv = {Tool(), "pool"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Command command(argv);
  command.env.Set("LC_ALL", "C.UTF-8").Set("NO_COLOR", "1");
  command.process_group = ProcessGroup::New();
  return command;
}

// The output of a run, and its exit code.
struct Outcome {
  int code = -1;
  std::string out, err;
  ResourceUsage usage;
};

Outcome RunPool(std::vector<std::string> arguments, std::string input = "") {
  RunOptions options;
  options.timeout = kNeverReached;
  options.input = std::move(input);
  const auto result = Run(Pool(std::move(arguments)), options);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) return {};
  return {result->status.ShellCode(), std::string(result->out),
          std::string(result->err), result->usage};
}

std::vector<std::string> Lines(absl::string_view text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// The column `index` of a joblog, without its header.
std::vector<std::string> Column(absl::string_view joblog, int index) {
  std::vector<std::string> column;
  for (const std::string& line : Lines(joblog)) {
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    EXPECT_EQ(fields.size(), 9) << line;
    column.push_back(fields.at(index));
  }
  if (!column.empty()) column.erase(column.begin());
  return column;
}

// Waits until `done` returns true, at most a minute.
template <typename Done>
bool Await(Done done) {
  for (const absl::Time end = absl::Now() + kNeverReached; absl::Now() < end;
       absl::SleepFor(absl::Milliseconds(5))) {
    if (done()) return true;
  }
  return done();
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

TEST(CliPoolTest, RunsAJobForEachValue) {
  const Outcome outcome =
      RunPool({"-j3", "echo {#}: {}", ":::", "a", "b c", "$(echo x)"});

  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(Lines(outcome.out),
              UnorderedElementsAre("1: a", "2: b c", "3: $(echo x)"));
}

TEST(CliPoolTest, TellsOfEachJobByALineWhereThereIsNoTerminal) {
  const Outcome outcome = RunPool({"exit {}", ":::", "0", "3"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(
      Lines(outcome.err),
      UnorderedElementsAre(
          AllOf(StartsWith("asyncproc pool: 1/2: ok, "), EndsWith("exit 0")),
          AllOf(StartsWith("asyncproc pool: 2/2: exited with status 3, "),
                EndsWith("exit 3")),
          "asyncproc pool: 1 of 2 jobs failed:",
          AllOf(StartsWith("  job 2: exited with status 3, "),
                EndsWith("exit 3"))));
  EXPECT_EQ(RunPool({"--display=none", "true", ":::", "0"}).err, "");
}

TEST(CliPoolTest, TakesValuesOrCommandsFromStdin) {
  EXPECT_THAT(Lines(RunPool({"echo got"}, "a b\nc").out),
              UnorderedElementsAre("got a b", "got c"));
  EXPECT_THAT(Lines(RunPool({}, "echo a | tr a b\nexit 0\necho c").out),
              UnorderedElementsAre("b", "c"));
  EXPECT_EQ(RunPool({"false"}, "").code, 0);
}

TEST(CliPoolTest, TakesOneListOfValuesFromStdinAndNoSecondOne) {
  EXPECT_EQ(RunPool({"-k", "echo", "::::", "-", ":::", "x"}, "1\n2\n").out,
            "1 x\n2 x\n");
  for (const std::vector<std::string>& twice :
       std::vector<std::vector<std::string>>{
           {"echo", "::::", "-", "::::", "-"},
           {"echo", "::::", "-", "-"},
           {"echo", "::::", "-", "::::+", "-"},
           {"-a", "-", "echo", "::::", "-"}}) {
    const Outcome outcome = RunPool(twice, "1\n2\n");
    EXPECT_EQ(outcome.code, 125) << absl::StrJoin(twice, " ");
    EXPECT_THAT(outcome.err, HasSubstr("stdin"));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(CliPoolTest, StartsJobsAsTheirLinesCome) {
  auto pool = MustSpawn(Pool({"-j2", "echo got {}"}));

  ASSERT_THAT(pool->Write("one\n"), IsOk());
  AwaitLine(*pool, "got one");
  ASSERT_THAT(pool->Write("two\n"), IsOk());
  AwaitLine(*pool, "got two");
  ASSERT_THAT(pool->CloseStdin(), IsOk());

  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(CliPoolTest, CombinesSeveralLists) {
  const Outcome outcome =
      RunPool({"-k", "echo {2}{1}", ":::", "a", "b", ":::", "1", "2"});

  EXPECT_EQ(outcome.out, "1a\n2a\n1b\n2b\n");
}

TEST(CliPoolTest, KeepsTheOrderOnRequest) {
  const TemporaryDirectory directory;
  // The first job waits for the last.
  const std::string script =
      absl::StrCat("case {} in 1) until [ -e ", directory.path(),
                   "/go ]; do sleep 0.01; done;; 3) touch ", directory.path(),
                   "/go;; esac; echo {}");

  EXPECT_EQ(RunPool({"-j3", "-k", script, ":::", "1", "2", "3"}).out,
            "1\n2\n3\n");
}

TEST(CliPoolTest, TagsEachLine) {
  EXPECT_EQ(RunPool({"-k", "--tag", "printf 'a\\nb'", ":::", "x", "y z"}).out,
            "x\ta\nx\tb\ny z\ta\ny z\tb\n");
}

TEST(CliPoolTest, ExitsWithTheNumberOfThoseThatFailed) {
  EXPECT_EQ(RunPool({"exit {}", ":::", "0", "7", "0", "1", "127"}).code, 3);
  std::vector<std::string> many = {"-j4", "--display=none", "false", ":::"};
  for (int i = 0; i < 100; ++i) many.push_back("x");
  EXPECT_EQ(RunPool(many).code, 100);
  many.push_back("x");
  EXPECT_EQ(RunPool(many).code, 101);
  many.push_back("x");
  EXPECT_EQ(RunPool(many).code, 101);
}

TEST(CliPoolTest, ReportsWrongOptions) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{
           {"--halt", "x", "true", ":::", "1"},
           {"-j", "x", "true", ":::", "1"},
           {"-j", "2000000000", "true", ":::", "1"},
           {"-j", "60000", "--hosts", "a,b", "true", ":::", "1"},
           {"--resume", "true", ":::", "1"},
           {"--joblog", "/no/such/dir/log", "true", ":::", "1"},
           {"--trace", "/dev/null", "true", ":::", "1"},
           {"--display", "x", "true", ":::", "1"},
           {"echo `{}`", ":::", "1"},
           {"echo {2}", ":::", "1"}}) {
    const Outcome outcome = RunPool(wrong);
    EXPECT_EQ(outcome.code, 125) << absl::StrJoin(wrong, " ");
    EXPECT_THAT(outcome.err, StartsWith("asyncproc pool: "));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(CliPoolTest, ShowsTheCommandsOfADryRun) {
  EXPECT_EQ(RunPool({"--dry-run", "rm {}", ":::", "a b", "c"}).out,
            "rm 'a b'\nrm c\n");
  EXPECT_EQ(RunPool({"--dry-run", "rm"}, "a\nb").out, "rm a\nrm b\n");
}

TEST(CliPoolTest, HaltsNowAndEndsTheRunningJobs) {
  const TemporaryDirectory directory;
  const std::string pid = directory.path() + "/pid";
  const absl::Time start = absl::Now();

  // The grandchild is in a session of its own.
  const Outcome outcome = RunPool(
      {"-j2", "--halt", "now,fail=1",
       absl::StrCat("case {} in 1) setsid sleep 1000 & echo $! > ", pid,
                    "; wait;; 2) until [ -s ", pid,
                    " ]; do sleep 0.01; done; exit 7;; *) echo more;; esac"),
       ":::", "1", "2", "3"});

  EXPECT_EQ(outcome.code, 7);
  EXPECT_EQ(outcome.out, "");
  EXPECT_LT(absl::Now() - start, kNeverReached / 2);
  int sleeper = 0;
  ASSERT_TRUE(absl::SimpleAtoi(directory.Read("pid"), &sleeper));
  EXPECT_TRUE(AwaitProcessEnd(sleeper));
}

TEST(CliPoolTest, HaltsSoonAndWaitsForTheRunningJobs) {
  const TemporaryDirectory directory;
  const std::string script = absl::StrCat(
      "case {} in 1) touch ", directory.path(), "/go; exit 3;; 2) until [ -e ",
      directory.path(), "/go ]; do sleep 0.01; done; sleep 0.1; esac; echo {}");

  const Outcome outcome =
      RunPool({"-j2", "--halt=soon,fail=1", script, ":::", "1", "2", "3", "4"});

  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.out, "2\n");
}

TEST(CliPoolTest, EndsJobsThatTimeOut) {
  const TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";

  const Outcome outcome =
      RunPool({"-j2", "--timeout=0.2", "--joblog", log,
               "echo begun {}; sleep {}", ":::", "1000", "0"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(Lines(outcome.out),
              UnorderedElementsAre("begun 1000", "begun 0"));
  EXPECT_THAT(outcome.err, HasSubstr("1/2: timed out"));
  EXPECT_THAT(Column(directory.Read("log"), 6),
              UnorderedElementsAre("-1", "0"));
  EXPECT_EQ(
      RunPool({"--timeout=0.1", "--halt=now,fail=1", "sleep", ":::", "1000"})
          .code,
      124);
}

TEST(CliPoolTest, RetriesFailedJobs) {
  const TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";
  const std::string script = absl::StrCat(
      "cd ", directory.path(),
      "; echo x >> {}; n=$(wc -l < {}); echo try $n; test $n -ge {}");

  const Outcome outcome = RunPool(
      {"--retries=3", "--joblog", log, "-k", script, ":::", "1", "3", "9"});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "try 1\ntry 3\ntry 3\n");
  EXPECT_EQ(
      RunPool({"--retries=2", "--line-buffer", "echo {}; false", ":::", "x"})
          .out,
      "x\nx\n");
  EXPECT_THAT(Column(directory.Read("log"), 0),
              UnorderedElementsAre("1", "2", "3"));
}

TEST(CliPoolTest, WritesAJobLogThatGnuParallelKnows) {
  const TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";

  RunPool({"-j1", "--joblog", log, "{}", ":::", "echo abc", "exit 3",
           "kill -9 $$"});
  // A value is one word, so none of these is a command.
  EXPECT_THAT(Column(directory.Read("log"), 6),
              ElementsAre("127", "127", "127"));

  RunPool({"-j1", "--joblog", log}, "echo abc\nexit 3\nkill -9 $$");
  const std::string text = directory.Read("log");
  EXPECT_THAT(text, StartsWith("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive"
                               "\tExitval\tSignal\tCommand\n"));
  EXPECT_THAT(Column(text, 0), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Column(text, 1), ElementsAre(":", ":", ":"));
  EXPECT_THAT(Column(text, 5), ElementsAre("4", "0", "0"));
  EXPECT_THAT(Column(text, 6), ElementsAre("0", "3", "0"));
  EXPECT_THAT(Column(text, 7), ElementsAre("0", "0", "9"));
  EXPECT_THAT(Column(text, 8), ElementsAre("echo abc", "exit 3", "kill -9 $$"));
}

// A pool of jobs that write their number to `started`, and end when a file `go`
// exists.
class InterruptedPool {
 public:
  std::vector<std::string> Arguments() const {
    return {"-j2",
            "--joblog",
            directory_.path() + "/log",
            "--resume",
            absl::StrCat("cd ", directory_.path(),
                         "; echo {} >> started; setsid sleep 1000 & p=$!; "
                         "until [ -e go ]; do sleep 0.01; done; kill $p; "
                         "echo done {}"),
            ":::",
            "1",
            "2",
            "3",
            "4"};
  }

  void AwaitStarted(size_t count) const {
    ASSERT_TRUE(Await([&] {
      return Exists(directory_.path() + "/started") &&
             Lines(directory_.Read("started")).size() >= count;
    }));
  }

  const TemporaryDirectory& directory() const { return directory_; }

 private:
  TemporaryDirectory directory_;
};

TEST(CliPoolTest, FinishesGentlyAtTheFirstInterruptAndResumes) {
  const InterruptedPool scene;
  auto pool = MustSpawn(Pool(scene.Arguments()));
  scene.AwaitStarted(2);

  ASSERT_THAT(pool->Signal(SIGINT), IsOk());
  auto line = pool->err().ReadLine(kNeverReached);
  EXPECT_THAT(line, IsOkAndHolds(HasSubstr("interrupted: waiting for 2")));
  scene.directory().Write("go", "");

  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_THAT(Lines(pool->Read()), UnorderedElementsAre("done 1", "done 2"));
  EXPECT_THAT(Column(scene.directory().Read("log"), 0),
              UnorderedElementsAre("1", "2"));

  const Outcome rest = RunPool(scene.Arguments());
  EXPECT_EQ(rest.code, 0);
  EXPECT_THAT(Lines(rest.out), UnorderedElementsAre("done 3", "done 4"));
  EXPECT_EQ(RunPool(scene.Arguments()).out, "");
}

TEST(CliPoolTest, KillsEveryTreeAtTheSecondInterruptAndResumes) {
  const InterruptedPool scene;
  auto pool = MustSpawn(Pool(scene.Arguments()));
  scene.AwaitStarted(2);
  const pid_t pid = pool->pid();
  // The shells of the jobs, and the sleepers in sessions of their own.
  std::vector<int> children;
  ASSERT_TRUE(Await([&] {
    children.clear();
    const std::string found = OutputOf(Command::Shell(absl::StrCat(
        "for c in $(pgrep -P ", pid, "); do echo $c; pgrep -P $c; done")));
    for (const std::string& line : Lines(found)) {
      int child;
      if (absl::SimpleAtoi(line, &child)) children.push_back(child);
    }
    return children.size() >= 4;
  }));

  const absl::Time start = absl::Now();
  ASSERT_THAT(pool->Signal(SIGINT), IsOk());
  EXPECT_THAT(pool->err().ReadLine(kNeverReached), IsOk());
  ASSERT_THAT(pool->Signal(SIGINT), IsOk());

  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGINT)));
  EXPECT_LT(absl::Now() - start, kNeverReached / 2);
  for (int child : children) EXPECT_TRUE(AwaitProcessEnd(child));
  EXPECT_THAT(Column(scene.directory().Read("log"), 0), SizeIs(0));

  scene.directory().Write("go", "");
  EXPECT_THAT(Lines(RunPool(scene.Arguments()).out), SizeIs(4));
}

TEST(CliPoolTest, EndsAtOnceWhenItIsTerminated) {
  const InterruptedPool scene;
  auto pool = MustSpawn(Pool(scene.Arguments()));
  scene.AwaitStarted(2);

  ASSERT_THAT(pool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
}

TEST(CliPoolTest, ResumesWithTheFailedJobsOnRequest) {
  const TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";
  const std::vector<std::string> jobs = {"echo ran {}; exit {}", ":::", "0",
                                         "1", "2"};
  const auto with = [&](const std::string& option) {
    std::vector<std::string> arguments = {"-k", "--joblog", log, option};
    arguments.insert(arguments.end(), jobs.begin(), jobs.end());
    return RunPool(arguments);
  };

  EXPECT_EQ(with("--resume").code, 2);
  EXPECT_EQ(with("--resume").out, "");
  EXPECT_EQ(with("--resume-failed").out, "ran 1\nran 2\n");
  const Outcome other = RunPool(
      {"--joblog", log, "--resume", "echo other {}", ":::", "0", "1", "2"});
  EXPECT_EQ(other.code, 125);
  EXPECT_THAT(other.err, HasSubstr("not the jobs of that log"));
}

TEST(CliPoolTest, PrintsEachOutputWholeForAnySize) {
  std::vector<std::string> arguments = {"-j4", "--display=none",
                                        "yes {} | head -c {#}000000", ":::"};
  for (char c = 'a'; c < 'i'; ++c) arguments.push_back(std::string(1, c));

  const Outcome outcome = RunPool(arguments);

  EXPECT_EQ(outcome.code, 0);
  ASSERT_EQ(outcome.out.size(), 36000000);
  std::set<char> seen;
  size_t at = 0;
  while (at < outcome.out.size()) {
    const char c = outcome.out[at];
    EXPECT_TRUE(seen.insert(c).second) << c << " is torn at " << at;
    const size_t size = 1000000 * (c - 'a' + 1);
    std::string expected(size, c);
    for (size_t i = 1; i < size; i += 2) expected[i] = '\n';
    ASSERT_EQ(outcome.out.compare(at, size, expected), 0) << c;
    at += size;
  }
  EXPECT_THAT(seen, SizeIs(8));
}

TEST(CliPoolTest, KeepsMuchOutputOutOfMemory) {
  // The second job prints the peak memory of its parent.
  Command pool = Pool({"-j1", "--display=none"});
  pool.out = Stdio::Null();
  RunOptions options;
  options.timeout = kNeverReached;
  options.input =
      "head -c 300000000 /dev/zero\n"
      "sed -n 's/^VmHWM: *\\t* *\\([0-9]*\\) kB/\\1/p' /proc/$PPID/status "
      ">&2\n";

  const auto result = asyncproc::Run(pool, options);

  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->status.ok()) << result->err;
  int kib = 0;
  ASSERT_TRUE(absl::SimpleAtoi(std::string(result->err), &kib)) << result->err;
  EXPECT_LT(kib, kSlowness > 1 ? 400000 : 40000);
}

TEST(CliPoolTest, ReportsThatOutputCannotBeKept) {
  Command pool =
      Pool({"--retries=2", "head -c 3000000 /dev/zero; : {}", ":::", "a"});
  pool.env.Set("TMPDIR", "/no/such/directory");
  RunOptions options;
  options.timeout = kNeverReached;

  const auto result = asyncproc::Run(pool, options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status, ExitStatus::Exited(125));
  EXPECT_THAT(std::string(result->err), HasSubstr("/no/such/directory"));
}

TEST(CliPoolTest, EndsWhenItsReaderHasGone) {
  RunOptions options;
  options.timeout = kNeverReached;

  const auto result = asyncproc::Run(
      Command::Shell(absl::StrCat(
          "{ yes | ", ShellQuote(Tool()),
          " pool --display=none -j2 echo; echo $? >&2; } | head -n 1")),
      options);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "y\n");
  EXPECT_EQ(result->err, "141\n");
}

TEST(CliPoolTest, RunsAllJobsWhenOnlyItsOwnLinesCannotBeWritten) {
  // A FIFO without a reader is on descriptor 4.
  for (const auto& [redirection, code] :
       {std::pair{"2>&-", 0}, {"2>/dev/full", 125}, {"2>&4", 0}}) {
    TemporaryDirectory directory;
    Command command = Command::Shell(absl::StrCat(
        "mkfifo gone && exec 3<>gone 4>gone 3<&-; exec ", ShellQuote(Tool()),
        " pool -j1 'touch job{}' ::: 1 2 3 ", redirection));
    command.working_directory = directory.path();

    const auto result = asyncproc::Run(command);

    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->status.ShellCode(), code) << redirection;
    for (const char* job : {"/job1", "/job2", "/job3"}) {
      EXPECT_TRUE(Exists(directory.path() + job)) << redirection << job;
    }
  }
}

TEST(CliPoolTest, PrintsWhatTheJobLeavesBehindWritesWithinTheDrainTime) {
  // Writes when the job has ended and has been reaped.
  const std::string late =
      "(while kill -0 $$; do :; done 2>/dev/null; sleep 0.07; echo late) &";

  const Outcome standard = RunPool({late, ":::", ""});
  const Outcome longer = RunPool({"--drain=1m", late, ":::", ""});

  EXPECT_EQ(standard.out, "late\n");
  EXPECT_THAT(standard.err, Not(HasSubstr("open")));
  EXPECT_EQ(longer.out, "late\n");
}

TEST(CliPoolTest, ReportsThatAnotherProcessHasTheOutputOpen) {
  const Outcome outcome =
      RunPool({"--drain=0", "sleep 1000 & echo $!", ":::", ""});

  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err,
              HasSubstr("1/1: ok, another process has its output open, "));
  pid_t holder = 0;
  ASSERT_TRUE(absl::SimpleAtoi(outcome.out, &holder)) << outcome.out;
  EXPECT_EQ(kill(holder, SIGKILL), 0);
}

TEST(CliPoolTest, RunsTheJobsThatHadNoRoomWhenItResumes) {
  TemporaryDirectory directory;
  const std::string log = absl::StrCat(directory.path(), "/log");
  const std::vector<std::string> jobs = {
      "touch", absl::StrCat(directory.path(), "/job{}"), ":::", "1", "2", "3"};
  std::vector<std::string> words = {"pool", "--display=none", "--joblog", log};
  words.insert(words.end(), jobs.begin(), jobs.end());
  std::string line = absl::StrCat("ulimit -n 8; exec ", ShellQuote(Tool()));
  for (const std::string& word : words) {
    absl::StrAppend(&line, " ", ShellQuote(word));
  }

  const auto scarce = asyncproc::Run(Command::Shell(line));

  ASSERT_THAT(scarce, IsOk());
  EXPECT_EQ(scarce->status.ShellCode(), 125);
  EXPECT_THAT(std::string(scarce->err), HasSubstr("Too many open files"));
  EXPECT_THAT(Lines(scarce->err), SizeIs(1));

  std::vector<std::string> again = {"--resume", "--joblog", log};
  again.insert(again.end(), jobs.begin(), jobs.end());
  EXPECT_EQ(RunPool(again).code, 0);
  for (const char* job : {"/job1", "/job2", "/job3"}) {
    EXPECT_TRUE(Exists(directory.path() + job)) << job;
  }
}

TEST(CliPoolTest, ReportsThatTheTreeOfAJobCouldNotBeSearchedFor) {
  const std::string without_proc = absl::StrCat(
      "mount -t tmpfs none /proc || exit 77; exec ", ShellQuote(Tool()),
      " pool --timeout 0.1 'sleep 1000; : {}' ::: 1");
  const auto result =
      asyncproc::Run(Command({"unshare", "-m", "sh", "-c", without_proc}));
  ASSERT_THAT(result, IsOk());
  if (result->status.exit_code() == 77 ||
      absl::StrContains(result->err, "unshare")) {
    GTEST_SKIP() << result->err;
  }

  EXPECT_EQ(result->status.ShellCode(), 1);
  EXPECT_THAT(std::string(result->err),
              HasSubstr("could not be searched for, and may live"));
}

TEST(CliPoolTest, RefusesAValueWithoutEnd) {
  const auto result = asyncproc::Run(Command::Shell(absl::StrCat(
      "tr '\\0' a </dev/zero | ", ShellQuote(Tool()), " pool echo")));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status.ShellCode(), 125);
  EXPECT_EQ(result->err,
            "asyncproc pool: stdin has a value of more than 16 MiB: values end "
            "with a newline, or with --null by a NUL\n");
}

TEST(CliPoolTest, RefusesAValueWithoutEndInAFile) {
  for (const char* lists : {":::: /dev/zero", ":::: /dev/zero ::: x"}) {
    const auto result = asyncproc::Run(
        Command::Shell(absl::StrCat(ShellQuote(Tool()), " pool echo ", lists)));

    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->status.ShellCode(), 125);
    EXPECT_THAT(std::string(result->err),
                HasSubstr("/dev/zero: a value has a NUL byte"));
  }
  const auto result = asyncproc::Run(Command(
      {"/bin/bash", "-c",
       absl::StrCat(ShellQuote(Tool()),
                    " pool echo :::: <(tr '\\0' a </dev/zero) ::: x")}));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status.ShellCode(), 125);
  EXPECT_THAT(std::string(result->err),
              HasSubstr("has a value of more than 16 MiB"));
}

TEST(CliPoolTest, PrintsALineWithoutEndInPieces) {
  const auto result = asyncproc::Run(
      Command::Shell(absl::StrCat(ShellQuote(Tool()),
                                  " pool --line-buffer \": {}; tr '\\\\0' a "
                                  "</dev/zero\" ::: a 2>/dev/null | "
                                  "head -n 1 | wc -c")));

  ASSERT_THAT(result, IsOk());
  const int size = std::stoi(std::string(result->out));
  EXPECT_GT(size, 16 << 20);
  EXPECT_LT(size, 17 << 20);
}

TEST(CliPoolTest, ReadsOneFileAsItComes) {
  const auto result = asyncproc::Run(
      Command({"/bin/bash", "-c",
               absl::StrCat(ShellQuote(Tool()),
                            " pool -j1 --halt now,fail=1 false :::: <(yes)")}));

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->status.ShellCode(), 1);
}

TEST(CliPoolTest, CanBeEndedWithoutAReader) {
  Command command = Pool({"-j2", "yes {} | head -c 10000000", ":::", "a"});
  command.output_buffer = OutputBound::BlockChild(1000);
  auto pool = MustSpawn(command);
  ASSERT_TRUE(Await([&] { return pool->out().stats().bytes > 0; }));

  ASSERT_THAT(pool->Signal(SIGTERM), IsOk());

  EXPECT_TRUE(AwaitProcessEnd(pool->pid()));
}

TEST(CliPoolTest, WritesResultsToFiles) {
  const TemporaryDirectory directory;

  RunPool({"--results", directory.path() + "/r", "echo {1}; echo {2} >&2",
           ":::", "a/b", ":::", "x"});

  EXPECT_EQ(directory.Read("r/1/a\\_b/2/x/stdout"), "a/b\n");
  EXPECT_EQ(directory.Read("r/1/a\\_b/2/x/stderr"), "x\n");
  EXPECT_EQ(directory.Read("r/1/a\\_b/2/x/seq"), "1");
}

TEST(CliPoolTest, WritesATrace) {
  const TemporaryDirectory directory;

  RunPool({"-j2", "--trace", directory.path() + "/t", "exit {}", ":::", "0",
           "1", "0", "0"});

  const auto trace = nlohmann::json::parse(directory.Read("t"), nullptr, false);
  ASSERT_FALSE(trace.is_discarded());
  int bars = 0, failed = 0;
  std::set<int> rows;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    ++bars;
    failed += event.contains("cname");
    rows.insert(event["tid"].get<int>());
    EXPECT_GE(event["ts"].get<int64_t>(), 0);
  }
  EXPECT_EQ(bars, 4);
  EXPECT_EQ(failed, 1);
  for (int row : rows) EXPECT_THAT(row, testing::AnyOf(1, 2));
}

TEST(CliPoolTest, ReportsCommandsThatCannotBeRun) {
  // The line is too long for a shell.
  const Outcome outcome =
      RunPool({"true"}, std::string(300000, 'x') + "\nshort\n");

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("not run"));
}

// ---- On other hosts.

TEST(CliPoolTest, SpreadsItsJobsOverHosts) {
  const TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";

  // Two jobs at once, one on each host: the first waits for the second.
  const Outcome outcome =
      RunPool({"-j1", "--joblog", log, "--via", "env HERE={host}", "--hosts",
               "red,blue",
               absl::StrCat("cd ", directory.path(),
                            "; touch $HERE; until [ -e red -a -e blue ]; do "
                            "sleep 0.01; done; echo $HERE; : {}"),
               ":::", "1", "2"});

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(Lines(outcome.out), UnorderedElementsAre("red", "blue"));
  EXPECT_THAT(Column(directory.Read("log"), 1),
              UnorderedElementsAre("red", "blue"));
  EXPECT_EQ(
      RunPool({"--hosts", "a,b", "--via", "env", "true", ":::", "1"}).code,
      125);
  EXPECT_EQ(RunPool({"--via", "/no/such/program", "true", ":::", "1"}).code, 1);
}

// ssh to `sshd`, as a value of --via.
std::string Via(const LoopbackSshd& sshd) {
  return absl::StrCat(
      absl::StrJoin(sshd.options().ssh, " "),
      " -o ControlMaster=auto -o ControlPersist=60 -o ControlPath=",
      sshd.options().control_path, " {host}");
}

TEST(CliPoolTest, RunsOverSsh) {
  const LoopbackSshd sshd;

  const Outcome outcome =
      RunPool({"-k", "--via", Via(sshd), "--hosts", "loopback",
               "echo {} ${SSH_CONNECTION%% *}; exit 3", ":::", "it's", "$(x)"});

  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "it's 127.0.0.1\n$(x) 127.0.0.1\n") << outcome.err;
}

TEST(CliPoolTest, EndsTheRemoteCommandOverSsh) {
  const TemporaryDirectory directory;
  const LoopbackSshd sshd;
  auto pool = MustSpawn(Pool({"--via", Via(sshd), "--hosts", "loopback",
                              "echo $$ > {}; sleep 1000; true",
                              ":::", directory.path() + "/pid"}));
  int job = 0;
  ASSERT_TRUE(Await([&] {
    return Exists(directory.path() + "/pid") &&
           absl::SimpleAtoi(directory.Read("pid"), &job);
  }));

  ASSERT_THAT(pool->Signal(SIGTERM), IsOk());

  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Signaled(SIGTERM)));
  EXPECT_TRUE(AwaitProcessEnd(job));
}

// ---- On a terminal.

// A screen of tmux, in which one command runs.
class Screen {
 public:
  Screen(const Command& command, int columns, int rows) {
    // /bin/sh, independent of the user's shell. Without the trap, some shells
    // end at a Ctrl-C that the command survives.
    std::string script = "trap : INT; LC_ALL=C.UTF-8 NO_COLOR=1";
    for (const std::string& word : command.argv) {
      absl::StrAppend(&script, " ", ShellQuote(word));
    }
    absl::StrAppend(&script, "; echo \"code $?\"; exec sleep 1000");
    Tmux({"-f", "/dev/null", "new-session", "-d", "-x", absl::StrCat(columns),
          "-y", absl::StrCat(rows), "/bin/sh", "-c", script});
  }
  ~Screen() {
    Tmux({"kill-server"});
    EXPECT_TRUE(Await([&] { return !Lives(); }));
  }

  std::string Tmux(std::vector<std::string> arguments) const {
    return OutputOf(CommandFor(std::move(arguments)));
  }

  // The screen and its scrollback.
  std::string Text() const { return Tmux({"capture-pane", "-p", "-S", "-"}); }
  // Only the screen: when lines get longer than the screen is wide, tmux moves
  // the first of them to the scrollback for ever.
  std::string Visible() const { return Tmux({"capture-pane", "-p"}); }

  bool AwaitText(absl::string_view text) const {
    bool lives = true;
    const bool done = Await([&] {
      lives = Lives();
      return !lives || absl::StrContains(Text(), text);
    });
    if (!lives) ADD_FAILURE() << "tmux has ended; no " << text;
    if (!done) ADD_FAILURE() << "no " << text << " on this:\n" << Text();
    return done && lives;
  }

 private:
  bool Lives() const {
    const auto result = Run(CommandFor({"has-session"}));
    return result.ok() && result->status.ok();
  }

  Command CommandFor(std::vector<std::string> arguments) const {
    // A relative path, because the path of a socket must be short.
    Command command({"tmux", "-u", "-S", "socket"});
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    command.working_directory = directory_.path();
    command.env.Set("LC_ALL", "C.UTF-8").Set("TERM", "xterm").Unset("TMUX");
    return command;
  }

  const TemporaryDirectory directory_;
};

TEST(CliPoolTerminalTest, DrawsAPanelAndErasesIt) {
  const TemporaryDirectory directory;
  directory.Write("job",
                  "cd $(dirname $0)\n"
                  "if [ $1 = a ]; then echo first; exit; fi\n"
                  "printf 'at 10%%\\rat 42%%'\n"
                  "until [ -e $1 ]; do sleep 0.01; done\n"
                  "echo\n");
  Screen screen(Pool({"-j3", "sh", directory.path() + "/job", "{}", ":::", "a",
                      "b", "c"}),
                150, 24);

  ASSERT_TRUE(screen.AwaitText(" 1/3"));
  ASSERT_TRUE(screen.AwaitText("42%"));
  const std::string panel = screen.Text();
  EXPECT_THAT(Lines(panel)[0], "first");
  EXPECT_THAT(Lines(panel)[1], StartsWith("2    0:0"));
  EXPECT_THAT(Lines(panel)[2], StartsWith("3    0:0"));
  EXPECT_THAT(Lines(panel)[3], StartsWith("[\u2588"));
  EXPECT_THAT(panel, Not(HasSubstr("10%")));

  directory.Write("b", "");
  ASSERT_TRUE(screen.AwaitText(" 2/3"));
  directory.Write("c", "");
  ASSERT_TRUE(screen.AwaitText("code 0"));

  const std::string after = screen.Text();
  EXPECT_THAT(Lines(after)[0], "first");
  EXPECT_THAT(after, Not(HasSubstr("/3")));
  EXPECT_THAT(after, Not(HasSubstr("0:0")));
}

TEST(CliPoolTerminalTest, PrintsLinesInTheBackground) {
  const Screen screen(
      Command({"sh", "-c",
               absl::StrCat("set -m; ", ShellQuote(Tool()),
                            " pool 'sleep 0.3; echo hello' ::: 1 & wait")}),
      150, 24);

  ASSERT_TRUE(screen.AwaitText("code 0"));

  EXPECT_THAT(Lines(screen.Text())[0], "hello 1");
  EXPECT_THAT(Lines(screen.Text())[1], StartsWith("asyncproc pool: 1/1: ok, "));
}

TEST(CliPoolTerminalTest, DrawsThePanelAnewWhenTheScreenIsResized) {
  const TemporaryDirectory directory;
  Screen screen(
      Pool({"-j3",
            absl::StrCat("echo a line that is so long that it is cut off {}; "
                         "until [ -e ",
                         directory.path(), "/go ]; do sleep 0.01; done"),
            ":::", "x", "y", "z"}),
      100, 24);
  ASSERT_TRUE(screen.AwaitText(" 0/3"));
  ASSERT_TRUE(screen.AwaitText("3    0:0"));

  // The number of lines on the screen that begin with `start` and contain
  // `part`.
  const auto count = [&](absl::string_view start, absl::string_view part) {
    const std::vector<std::string> lines = Lines(screen.Visible());
    return std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
      return absl::StartsWith(line, start) && absl::StrContains(line, part);
    });
  };

  screen.Tmux({"resize-window", "-x", "40", "-y", "24"});
  // Each line once, and no remains of the lines that wrapped when the screen
  // got narrower.
  EXPECT_TRUE(Await([&] {
    return count("1   ", "") == 1 && count("2   ", "") == 1 &&
           count("3   ", "") == 1 && count("", "0/3") == 1 &&
           count("", "") == 24 && count("", " ") == 4;
  })) << screen.Visible();
  EXPECT_EQ(count("", "cut off z"), 0);
  screen.Tmux({"resize-window", "-x", "120", "-y", "24"});
  EXPECT_TRUE(Await([&] {
    return count("3   ", "cut off z") == 1 && count("", "0/3") == 1;
  })) << screen.Visible();

  directory.Write("go", "");
  ASSERT_TRUE(screen.AwaitText("code 0"));
  EXPECT_THAT(screen.Visible(), Not(HasSubstr("/3")));
}

TEST(CliPoolTerminalTest, FinishesGentlyAtCtrlCAndEndsAllAtTheNext) {
  Screen screen(Pool({"-j2", "sleep {}", ":::", "1000", "1001", "1002"}), 100,
                24);
  ASSERT_TRUE(screen.AwaitText("0:00 1001"));

  screen.Tmux({"send-keys", "C-c"});
  ASSERT_TRUE(screen.AwaitText("interrupted"));
  // The signal has not reached the jobs.
  EXPECT_THAT(screen.Text(), HasSubstr("0 1000"));
  screen.Tmux({"send-keys", "C-c"});

  ASSERT_TRUE(screen.AwaitText("code 130"));
  EXPECT_THAT(screen.Text(), Not(HasSubstr("0 1000")));
}

TEST(CliPoolTerminalTest, DrawsThePanelAnewWhenItIsContinued) {
  const TemporaryDirectory directory;
  Command command = Pool({"until [ -e {} ]; do sleep 0.01; done",
                          ":::", directory.path() + "/go"});
  command.pty = Pty{24, 80, /*echo=*/false};
  command.process_group = ProcessGroup::Inherit();
  command.env.Set("TERM", "xterm");
  auto pool = MustSpawn(command);
  ASSERT_THAT(pool->out().ReadUntil("0/1", kNeverReached), IsOk());

  ASSERT_THAT(pool->Signal(SIGSTOP), IsOk());
  ASSERT_THAT(pool->Signal(SIGCONT), IsOk());
  // The panel is drawn again without moving the cursor up first.
  ASSERT_THAT(pool->out().ReadUntil("\033[?7h\033[?7l1 ", kNeverReached),
              IsOk());

  directory.Write("go", "");
  EXPECT_THAT(pool->WaitFor(kNeverReached),
              IsOkAndHolds(ExitStatus::Exited(0)));
}

TEST(CliPoolTerminalTest, LeavesNothingWhenTheTerminalDies) {
  const TemporaryDirectory directory;
  int job = 0, pool = 0;
  {
    Screen screen(Pool({"echo $PPID $$ > {}; sleep 1000",
                        ":::", directory.path() + "/pids"}),
                  80, 24);
    ASSERT_TRUE(screen.AwaitText("0/1"));
    ASSERT_TRUE(Await([&] {
      if (!Exists(directory.path() + "/pids")) return false;
      const std::vector<std::string> pids =
          absl::StrSplit(directory.Read("pids"), absl::ByAnyChar(" \n"));
      return pids.size() > 2 && absl::SimpleAtoi(pids[0], &pool) &&
             absl::SimpleAtoi(pids[1], &job);
    }));
    ASSERT_TRUE(ProcessLives(pool));
  }

  EXPECT_TRUE(AwaitProcessEnd(pool));
  EXPECT_TRUE(AwaitProcessEnd(job));
}

}  // namespace
}  // namespace asyncproc

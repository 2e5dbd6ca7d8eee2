#include "tools/asyncproc/pool/pool_command.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/internal/os/os.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/host_command.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/pool.h"
#include "tools/asyncproc/signal_watcher.h"

ABSL_FLAG(int, jobs, 0,
          "how many run at once; by default as many as there are processors");
ABSL_FLAG(int, retries, 0, "run a job that fails again, so many times at most");
ABSL_FLAG(std::string, halt, "never",
          "give up: 'now' ends what runs, 'soon' waits for it; for "
          "example now,fail=1 or soon,success=3 or soon,done=10");
ABSL_FLAG(bool, keep_order, false,
          "print the output in the order of the jobs, not of their ends");
ABSL_FLAG(bool, tag, false, "begin each line of output with the job's values");
ABSL_FLAG(std::string, joblog, "",
          "write a line for each job, as GNU parallel does");
ABSL_FLAG(std::string, results, "",
          "also write the output of each job to files in this folder, as GNU "
          "parallel does");
ABSL_FLAG(std::string, trace, "",
          "write what ran when and for how long, for https://ui.perfetto.dev");
ABSL_FLAG(bool, resume, false,
          "leave out the jobs that the --joblog says have ended");
ABSL_FLAG(bool, resume_failed, false,
          "as --resume, but run those again that failed");
ABSL_FLAG(std::string, display, "auto",
          "'panel', 'lines' or 'none'; 'auto' is a panel on a terminal, and "
          "elsewhere a line on stderr for each job that has ended");
ABSL_FLAG(bool, dry_run, false, "print the commands, and run none");

namespace asyncproc::cli {
namespace {

using Lists = std::vector<std::vector<std::string>>;

// What is on the command line behind the options.
struct Words {
  std::string command;
  Lists lists;  // None: the values are the lines of stdin.
};

Words Split(const std::vector<std::string>& words) {
  Words result;
  auto at = std::find(words.begin(), words.end(), ":::");
  result.command =
      absl::StrJoin(std::vector<std::string>(words.begin(), at), " ");
  while (at != words.end()) {
    const auto next = std::find(std::next(at), words.end(), ":::");
    result.lists.emplace_back(std::next(at), next);
    at = next;
  }
  return result;
}

int Processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

bool SameTerminal(int a, int b) {
  struct stat of_a, of_b;
  return isatty(a) && isatty(b) && fstat(a, &of_a) == 0 &&
         fstat(b, &of_b) == 0 && of_a.st_rdev == of_b.st_rdev;
}

absl::StatusOr<PoolOptions::Progress> ProgressFromFlag() {
  const std::string what = absl::GetFlag(FLAGS_display);
  if (what == "panel") return PoolOptions::Progress::kPanel;
  if (what == "lines") return PoolOptions::Progress::kLines;
  if (what == "none") return PoolOptions::Progress::kNone;
  if (what != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("--display ", what, ": it is auto, panel, lines or none"));
  }
  const char* const terminal = getenv("TERM");
  const bool obeys = terminal != nullptr && *terminal != '\0' &&
                     std::string(terminal) != "dumb";
  return isatty(STDERR_FILENO) && obeys ? PoolOptions::Progress::kPanel
                                        : PoolOptions::Progress::kLines;
}

// Each child that runs takes some descriptors. Returns what the limit was, if
// it had to be raised: children are to have that.
std::optional<rlimit> RaiseDescriptorLimit(int slots) {
  rlimit limit;
  const rlim_t needed = 8 * static_cast<rlim_t>(slots) + 64;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
    return std::nullopt;
  }
  const rlimit old = limit;
  limit.rlim_cur = std::min(limit.rlim_max, needed);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return old;
}

// Spreads the slots over the hosts.
absl::Status SetTargets(PoolOptions* options) {
  auto targets = Targets::FromFlags();
  if (!targets.ok()) return targets.status();
  const std::vector<std::string>& hosts = targets->hosts();
  options->slots *= hosts.size();
  if (!hosts[0].empty()) options->hosts = hosts;
  options->make_command = [targets = *std::move(targets),
                           limit = RaiseDescriptorLimit(options->slots)](
                              const std::string& line, int slot) {
    const std::vector<std::string>& hosts = targets.hosts();
    Command command =
        targets.On(hosts[(slot - 1) % hosts.size()], Command::Shell(line));
    if (limit.has_value()) command.rlimits[RLIMIT_NOFILE] = *limit;
    return command;
  };
  return absl::OkStatus();
}

absl::StatusOr<PoolOptions> OptionsFromFlags(const Words& words) {
  PoolOptions options;
  const int jobs = absl::GetFlag(FLAGS_jobs);
  options.retries = absl::GetFlag(FLAGS_retries);
  if (jobs < 0 || options.retries < 0) {
    return absl::InvalidArgumentError("--jobs and --retries are not negative");
  }
  options.slots = jobs == 0 ? Processors() : jobs;
  auto command = CommandTemplate::Parse(
      words.command, words.lists.empty() ? 1 : words.lists.size());
  if (!command.ok()) return command.status();
  options.command = *std::move(command);
  auto halt = HaltPolicy::Parse(absl::GetFlag(FLAGS_halt));
  if (!halt.ok()) return halt.status();
  options.halt = *halt;
  auto progress = ProgressFromFlag();
  if (!progress.ok()) return progress.status();
  options.progress = *progress;
  options.limits = LimitsFromFlags();
  options.keep_order = absl::GetFlag(FLAGS_keep_order);
  options.tag = absl::GetFlag(FLAGS_tag);
  options.retry_failed = absl::GetFlag(FLAGS_resume_failed);
  if (options.progress == PoolOptions::Progress::kPanel) {
    options.printer.err_on_screen = true;
    options.printer.out_on_screen = SameTerminal(STDOUT_FILENO, STDERR_FILENO);
  }
  if (absl::Status status = SetTargets(&options); !status.ok()) return status;
  return options;
}

absl::StatusOr<PoolFiles> FilesFromFlags(absl::string_view title) {
  PoolFiles files;
  const std::string joblog = absl::GetFlag(FLAGS_joblog);
  const bool resume =
      absl::GetFlag(FLAGS_resume) || absl::GetFlag(FLAGS_resume_failed);
  if (resume && joblog.empty()) {
    return absl::InvalidArgumentError("--resume needs a --joblog");
  }
  if (!joblog.empty()) {
    auto log = resume ? JobLog::Resume(joblog) : JobLog::Create(joblog);
    if (!log.ok()) return log.status();
    files.log = *std::move(log);
  }
  if (const std::string path = absl::GetFlag(FLAGS_results); !path.empty()) {
    auto results = ResultsDirectory::Create(path);
    if (!results.ok()) return results.status();
    files.results = *std::move(results);
  }
  if (const std::string path = absl::GetFlag(FLAGS_trace); !path.empty()) {
    auto trace = TraceWriter::Create(path, title, internal::MonotonicNow());
    if (!trace.ok()) return trace.status();
    files.trace = *std::move(trace);
  }
  return files;
}

absl::StatusOr<std::unique_ptr<JobSource>> MakeSource(
    const Words& words, std::function<void()> wake) {
  if (!words.lists.empty()) return std::make_unique<ProductSource>(words.lists);
  return LineSource::Create(STDIN_FILENO, std::move(wake));
}

int DryRun(const CommandTemplate& command, JobSource& source, Bell& bell) {
  int64_t number = 0;
  for (;;) {
    const auto values = source.Next();
    if (absl::IsUnavailable(values.status())) {
      bell.Wait(absl::InfiniteDuration());
      continue;
    }
    if (absl::IsOutOfRange(values.status())) return kSuccess;
    absl::Status status = values.status();
    if (status.ok()) {
      status =
          WriteAll(STDOUT_FILENO, command.Fill(*values, ++number, 1) + "\n");
    }
    if (!status.ok()) {
      Complain("pool", status.message());
      return kOwnFailure;
    }
  }
}

int DryRun(const CommandTemplate& command, const Words& words) {
  Bell bell;
  auto source = MakeSource(words, [&bell] { bell.Ring(); });
  if (source.ok()) return DryRun(command, **source, bell);
  Complain("pool", source.status().message());
  return kOwnFailure;
}

// The signals have to be blocked before there is any other thread, and the pool
// is there before it has its source, which has a thread.
int RunPool(PoolOptions options, PoolFiles files, const Words& words) {
  Pool pool(std::move(options), std::move(files));
  std::vector<int> signals = SignalWatcher::EndingSignals();
  signals.insert(signals.end(), {SIGWINCH, SIGCONT});
  auto watcher = SignalWatcher::Start(
      signals,
      [&pool](const ReceivedSignal& signal) { pool.Signal(signal.number); });
  absl::Status status = watcher.status();
  if (status.ok()) {
    auto source = MakeSource(words, [&pool] { pool.Wake(); });
    status = source.status();
    if (status.ok()) {
      pool.SetSource(*std::move(source));
      return pool.Run();
    }
  }
  Complain("pool", status.message());
  return kOwnFailure;
}

int PoolMain(const std::vector<std::string>& given) {
  const Words words = Split(given);
  auto options = OptionsFromFlags(words);
  if (!options.ok()) {
    Complain("pool", options.status().message());
    return kOwnFailure;
  }
  if (absl::GetFlag(FLAGS_dry_run)) return DryRun(options->command, words);
  auto files =
      FilesFromFlags(words.command.empty() ? "asyncproc pool" : words.command);
  if (!files.ok()) {
    Complain("pool", files.status().message());
    return kOwnFailure;
  }
  return RunPool(*std::move(options), *std::move(files), words);
}

const char kDescription[] =
    "Runs COMMAND by /bin/sh for each VALUE, so many at once; without :::, for "
    "each line of stdin; without COMMAND, the values are the commands. {} in "
    "it "
    "is the value, quoted so that it stays one word whatever is in it; {.} is "
    "it without its extension, {/} without its directory, {//} its directory, "
    "{/.} without either, {#} the number of the job, {%} that of its slot. "
    "With "
    "several :::, there is a job for each combination, and {1}, {2} are the "
    "values, also {1.} and so on. Without any of these, COMMAND has the value "
    "behind it.\n\n"
    "Each job has a session of its own, and nothing on its stdin. What it "
    "writes is printed when it has ended, in one piece, stdout first; of one "
    "that was run several times, what it wrote the last time. Meanwhile it is "
    "kept in memory, and beyond that in a file without a name in $TMPDIR.\n\n"
    "With --via, COMMAND is run by another: 'srun -n1', say, or 'ssh {host}' "
    "with --hosts. There are --jobs slots for each host then.\n\n"
    "On a terminal there is a panel below the output, with what runs, what it "
    "said last, and how far all of it is.\n\n"
    "Ctrl-C lets the jobs that run come to their end, and starts no more; the "
    "second Ctrl-C ends them, with all that they have started, the third one "
    "by SIGKILL. Other signals that end programs do as two of them. The same "
    "command line with --resume then goes on; those that were ended count as "
    "not run.";

}  // namespace

Subcommand PoolSubcommand() {
  Subcommand pool;
  pool.name = "pool";
  pool.synopsis = "[COMMAND] [::: VALUE ...] ...";
  pool.summary = "run many commands, so many at once";
  pool.description = kDescription;
  pool.options = {
      {"What runs",
       {{"jobs", "N", 'j'},
        {"retries", "N"},
        {"halt", "WHEN,WHAT=N"},
        {"dry_run"}}},
      {"Where it runs", {{"via", "COMMAND"}, {"hosts", "HOST,..."}}},
      {"Limits of each job",
       {{"timeout", "TIME"},
        {"idle_timeout", "TIME"},
        {"escalate", "STEPS"},
        {"scope", "SCOPE"}}},
      {"What is printed",
       {{"keep_order", "", 'k'}, {"tag"}, {"display", "WHAT"}}},
      {"What is written",
       {{"joblog", "FILE"},
        {"results", "DIR"},
        {"trace", "FILE"},
        {"resume"},
        {"resume_failed"}}},
  };
  pool.exit_codes = {
      {"1-100", "So many jobs have failed."},
      {"101", "More have."},
      {"",
       "After --halt, the code of the job that did it: its own, 124 if it "
       "took too long, 128 and its signal; 0 if it did not fail."},
  };
  pool.examples = {
      {"Compress all logs, four at once:",
       "asyncproc pool -j4 'gzip -k {}' ::: *.log"},
      {"Each combination, what failed twice once more, and a picture of it:",
       "asyncproc pool --retries 2 --trace t.json './bench {1} {2}' ::: a b "
       "::: "
       "1 2 3"},
      {"Commands from a file; go on where Ctrl-C ended it:",
       "asyncproc pool --joblog log --resume < commands"},
      {"On two machines, two at once on each:",
       "asyncproc pool -j2 --via 'ssh {host}' --hosts a,b 'make -C {}' ::: x y "
       "z"},
  };
  pool.main = PoolMain;
  return pool;
}

}  // namespace asyncproc::cli

#include "tools/asyncproc/pool/pool_command.h"

#include <errno.h>
#include <fcntl.h>
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
#include <tuple>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/host_command.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/pool.h"
#include "tools/asyncproc/signal_watcher.h"

ABSL_FLAG(std::string, jobs, "",
          "How many run at once: N; +N or -N, so many more or fewer than there "
          "are processors; N%, of the processors; 0, as many as there can be. "
          "Without this option, as many as there are processors.");
ABSL_FLAG(int, retries, 1,
          "Run a job that fails again, up to N times in all; on another host, "
          "if there are several.");
ABSL_FLAG(asyncproc::cli::Pause, delay, {},
          "Wait for so long between two starts.");
ABSL_FLAG(std::string, arg_file, "",
          "Take the values from the lines of this file, and leave stdin alone; "
          "- is stdin.");
ABSL_FLAG(bool, null, false,
          "Values in files and on stdin end with a NUL, as of find -print0.");
ABSL_FLAG(int, max_replace_args, 1,
          "Give each job so many values: {1}, {2} and so on.");
ABSL_FLAG(std::string, replace, "{}",
          "Let this stand for the value in COMMAND, in place of {}.");
ABSL_FLAG(bool, line_buffer, false,
          "Print the lines of each job as they come, among those of others.");
ABSL_FLAG(std::string, halt, "never",
          "Give up: 'now' ends what runs, 'soon' waits for it; for example "
          "now,fail=1 or soon,success=3 or soon,done=10 or now,fail=30%.");
ABSL_FLAG(bool, keep_order, false,
          "Print the output in the order of the jobs, not of their ends.");
ABSL_FLAG(bool, tag, false, "Begin each line of output with the job's values.");
ABSL_FLAG(std::string, joblog, "",
          "Write a line for each job, as GNU parallel does.");
ABSL_FLAG(std::string, results, "",
          "Also write the output of each job to files in this folder, as GNU "
          "parallel does.");
ABSL_FLAG(std::string, trace, "",
          "Write what ran when and for how long, for https://ui.perfetto.dev.");
ABSL_FLAG(bool, resume, false,
          "Leave out the jobs that the --joblog says have ended.");
ABSL_FLAG(bool, resume_failed, false,
          "As --resume, but run those again that failed.");
ABSL_FLAG(std::string, display, "auto",
          "'panel', 'lines' or 'none'; 'auto' is a panel on a terminal, where "
          "stdout is that terminal too, a file or /dev/null; and elsewhere a "
          "line on stderr for each job that has ended.");
ABSL_FLAG(bool, dry_run, false, "Print the commands, and run none.");

namespace asyncproc::cli {
namespace {

// The most that can be asked for to run at once.
constexpr int64_t kMostJobs = 100000;
// What -j0 is at the most.
constexpr int64_t kMostWithoutLimit = 10000;
constexpr int kMostRetries = 1000;
constexpr int kMostValues = 1000;

// What is on the command line behind the options.
struct Words {
  std::string command;
  // None: the values are the lines of `file`, or of stdin.
  std::vector<LinkedLists> lists;
  std::string file;
  char end = '\n';         // Of each value in files.
  size_t values_each = 1;  // Of one list, for each job.

  // How many values each job has.
  size_t values() const {
    size_t count = 0;
    for (const LinkedLists& linked : lists) count += linked.size();
    return std::max(values_each, std::max<size_t>(count, 1));
  }
};

UniqueFd OpenInput(const std::string& path) {
  return path.empty() || path == "-"
             ? UniqueFd(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3))
             : OpenFile(path.c_str(), O_RDONLY);
}

// All values in a file.
absl::StatusOr<std::vector<std::string>> ReadValues(const std::string& path,
                                                    char end) {
  const UniqueFd fd = OpenInput(path);
  if (!fd.valid()) return absl::ErrnoToStatus(errno, path);
  std::string text;
  std::string buffer(1 << 16, '\0');
  for (;;) {
    const ssize_t size = read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, path);
    if (size == 0) break;
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  std::vector<std::string> values = absl::StrSplit(text, end);
  if (values.back().empty()) values.pop_back();
  if (end != '\0' && text.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": a value has a NUL byte, which no command can have: --null is "
        "for values that end with one"));
  }
  return values;
}

bool IsSeparator(const std::string& word) {
  return word == ":::" || word == ":::+" || word == "::::" || word == "::::+";
}

absl::StatusOr<Words> Split(const std::vector<std::string>& words) {
  Words result;
  result.end = absl::GetFlag(FLAGS_null) ? '\0' : '\n';
  result.file = absl::GetFlag(FLAGS_arg_file);
  result.values_each =
      static_cast<size_t>(absl::GetFlag(FLAGS_max_replace_args));
  auto at = std::find_if(words.begin(), words.end(), IsSeparator);
  result.command =
      absl::StrJoin(std::vector<std::string>(words.begin(), at), " ");
  if (at != words.end() && !result.file.empty()) {
    auto values = ReadValues(result.file, result.end);
    if (!values.ok()) return values.status();
    result.lists.push_back({*std::move(values)});
  }
  while (at != words.end()) {
    const std::string& separator = *at;
    const auto next = std::find_if(std::next(at), words.end(), IsSeparator);
    std::vector<std::vector<std::string>> given;
    if (absl::StartsWith(separator, "::::")) {
      for (auto path = std::next(at); path != next; ++path) {
        auto values = ReadValues(*path, result.end);
        if (!values.ok()) return values.status();
        given.push_back(*std::move(values));
      }
    } else {
      given.emplace_back(std::next(at), next);
    }
    for (std::vector<std::string>& list : given) {
      if (!absl::EndsWith(separator, "+")) {
        result.lists.push_back({std::move(list)});
      } else if (result.lists.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat(separator, " has no list before it to be linked to"));
      } else {
        result.lists.back().push_back(std::move(list));
      }
    }
    at = next;
  }
  if (result.values_each > 1 &&
      (result.lists.size() > 1 ||
       (result.lists.size() == 1 && result.lists[0].size() > 1))) {
    return absl::InvalidArgumentError(
        "--max-replace-args is for one list of values");
  }
  return result;
}

int Processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// Whether nothing that is written to stdout can come to the terminal of stderr
// behind the back of the panel: through a pager, say.
bool StdoutLeavesPanelAlone() {
  struct stat out, null;
  if (IsSameFile(STDOUT_FILENO, STDERR_FILENO)) return true;
  if (fstat(STDOUT_FILENO, &out) != 0) return false;
  return S_ISREG(out.st_mode) ||
         (S_ISCHR(out.st_mode) && stat("/dev/null", &null) == 0 &&
          out.st_rdev == null.st_rdev);
}

PoolOptions::Progress ProgressFromFlag() {
  const std::string what = absl::GetFlag(FLAGS_display);
  if (what == "panel") return PoolOptions::Progress::kPanel;
  if (what == "lines") return PoolOptions::Progress::kLines;
  if (what == "none") return PoolOptions::Progress::kNone;
  const char* const terminal = getenv("TERM");
  const bool obeys = terminal != nullptr && *terminal != '\0' &&
                     std::string(terminal) != "dumb";
  return isatty(STDERR_FILENO) && obeys && StdoutLeavesPanelAlone()
             ? PoolOptions::Progress::kPanel
             : PoolOptions::Progress::kLines;
}

// The descriptors that each job takes, with some for its start.
constexpr rlim_t kDescriptorsEach = 8;
constexpr rlim_t kDescriptorsOfOurs = 64;

// Returns what the limit of descriptors was, if it had to be raised: children
// are to have that.
std::optional<rlimit> RaiseDescriptorLimit(int slots) {
  rlimit limit;
  const rlim_t needed =
      kDescriptorsEach * static_cast<rlim_t>(slots) + kDescriptorsOfOurs;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
    return std::nullopt;
  }
  const rlimit old = limit;
  limit.rlim_cur = std::min(limit.rlim_max, needed);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return old;
}

int64_t AsManyAsThereCanBe() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kMostWithoutLimit;
  const rlim_t most =
      (std::max(limit.rlim_max, kDescriptorsOfOurs) - kDescriptorsOfOurs) /
      kDescriptorsEach;
  return std::clamp<int64_t>(
      static_cast<int64_t>(std::min<rlim_t>(most, kMostWithoutLimit)), 1,
      kMostWithoutLimit);
}

// --jobs, in all its forms.
absl::StatusOr<int64_t> JobsFromFlag() {
  const std::string text = absl::GetFlag(FLAGS_jobs);
  if (text.empty()) return Processors();
  absl::string_view digits = text;
  const bool more = absl::ConsumePrefix(&digits, "+");
  const bool fewer = absl::ConsumePrefix(&digits, "-");
  const bool percent = absl::ConsumeSuffix(&digits, "%");
  int64_t number;
  if (digits.empty() || !absl::ascii_isdigit(digits[0]) ||
      !absl::SimpleAtoi(digits, &number) ||
      static_cast<int>(more) + static_cast<int>(fewer) +
              static_cast<int>(percent) >
          1) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text,
                     "' is no value for --jobs: it is N, +N, -N, N% "
                     "or 0"));
  }
  if (number > kMostJobs) {
    return absl::InvalidArgumentError(
        absl::StrCat("--jobs ", text, ": the most is ", kMostJobs));
  }
  if (more) number += Processors();
  if (fewer) number = Processors() - number;
  if (percent) number = Processors() * number / 100;
  if (text == "0") return AsManyAsThereCanBe();
  return std::max<int64_t>(number, 1);
}

// Spreads the slots over the hosts.
absl::Status SetTargets(PoolOptions* options) {
  auto targets = Targets::FromFlags();
  if (!targets.ok()) return targets.status();
  const std::vector<std::string>& hosts = targets->hosts();
  const int64_t slots = options->slots * static_cast<int64_t>(hosts.size());
  if (slots > kMostJobs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--jobs for ", hosts.size(), " hosts: the most in all is ", kMostJobs));
  }
  options->slots = static_cast<int>(slots);
  if (!hosts[0].empty()) options->hosts = hosts;
  options->over_ssh = targets->over_ssh();
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

absl::Status CheckNumbers() {
  const std::tuple<const char*, int, int, int> numbers[] = {
      {"--retries", absl::GetFlag(FLAGS_retries), 0, kMostRetries},
      {"--max-replace-args", absl::GetFlag(FLAGS_max_replace_args), 1,
       kMostValues}};
  for (const auto& [name, value, least, most] : numbers) {
    if (value < least || value > most) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is from ", least, " to ", most));
    }
  }
  if (absl::GetFlag(FLAGS_replace).empty()) {
    return absl::InvalidArgumentError("--replace is empty");
  }
  return absl::OkStatus();
}

absl::StatusOr<PoolOptions> OptionsFromFlags(const Words& words) {
  PoolOptions options;
  auto jobs = JobsFromFlag();
  if (!jobs.ok()) return jobs.status();
  options.slots = static_cast<int>(*jobs);
  options.tries = std::max(1, absl::GetFlag(FLAGS_retries));
  options.delay = absl::GetFlag(FLAGS_delay).value;
  auto command = CommandTemplate::Parse(words.command, words.values(),
                                        absl::GetFlag(FLAGS_replace));
  if (!command.ok()) return command.status();
  options.command = *std::move(command);
  auto halt = HaltPolicy::Parse(absl::GetFlag(FLAGS_halt));
  if (!halt.ok()) return halt.status();
  options.halt = *halt;
  options.progress = ProgressFromFlag();
  options.limits = LimitsFromFlags();
  options.keep_order = absl::GetFlag(FLAGS_keep_order);
  options.tag = absl::GetFlag(FLAGS_tag);
  options.line_buffer = absl::GetFlag(FLAGS_line_buffer);
  if (options.line_buffer && options.keep_order) {
    return absl::InvalidArgumentError(
        "--line-buffer and --keep-order exclude each other");
  }
  const ByteSize head = absl::GetFlag(FLAGS_keep_head);
  const ByteSize tail = absl::GetFlag(FLAGS_keep_tail);
  if (head.is_set() || tail.is_set()) {
    options.head = head.is_set() ? head.value : 0;
    options.tail = tail.is_set() ? tail.value : 0;
  }
  // One pipe for both keeps the order in which a job writes. In --results they
  // are apart.
  options.one_stream = IsSameFile(STDOUT_FILENO, STDERR_FILENO) &&
                       absl::GetFlag(FLAGS_results).empty();
  options.retry_failed = absl::GetFlag(FLAGS_resume_failed);
  if (options.progress == PoolOptions::Progress::kPanel) {
    options.printer.err_on_screen = true;
    options.printer.out_on_screen = IsSameFile(STDOUT_FILENO, STDERR_FILENO);
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
    files.log.emplace(*std::move(log));
  }
  if (const std::string path = absl::GetFlag(FLAGS_results); !path.empty()) {
    auto results = ResultsDirectory::Create(path);
    if (!results.ok()) return results.status();
    files.results = *std::move(results);
  }
  if (const std::string path = absl::GetFlag(FLAGS_trace); !path.empty()) {
    auto trace = TraceWriter::Create(path, title, MonotonicNow());
    if (!trace.ok()) return trace.status();
    files.trace = *std::move(trace);
  }
  return files;
}

absl::StatusOr<std::unique_ptr<JobSource>> MakeSource(
    const Words& words, std::function<void()> wake) {
  std::unique_ptr<JobSource> source;
  if (!words.lists.empty()) {
    source = std::make_unique<ProductSource>(words.lists);
  } else {
    UniqueFd fd = OpenInput(words.file);
    if (!fd.valid()) {
      return absl::ErrnoToStatus(errno,
                                 words.file.empty() ? "stdin" : words.file);
    }
    if (isatty(fd.get()) == 1) {
      Complain(
          "pool",
          absl::StrCat("reads ", words.command.empty() ? "commands" : "values",
                       " from the terminal, one in a line; "
                       "Ctrl-D ends them"));
    }
    auto lines = LineSource::Create(std::move(fd), std::move(wake), words.end);
    if (!lines.ok()) return lines.status();
    source = *std::move(lines);
  }
  if (words.values_each < 2) return source;
  return std::make_unique<GroupingSource>(std::move(source), words.values_each);
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
          Output::Stdout().Write(command.Fill(*values, ++number, 1) + "\n");
    }
    if (!status.ok()) {
      // FinishOutput reports what became of stdout.
      if (values.status() == status) Complain("pool", status.message());
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
  Orphans orphans;
  Pool pool(std::move(options), std::move(files), &orphans);
  std::vector<int> signals = SignalWatcher::EndingSignals();
  signals.insert(signals.end(), {SIGWINCH, SIGCONT, SIGTSTP});
  auto watcher = SignalWatcher::Start(
      signals,
      [&pool](const ReceivedSignal& signal) { pool.Signal(signal.number); },
      &orphans);
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

void NoteCutOff(const JobLog& log) {
  if (log.cut_off().empty()) return;
  Complain("pool",
           absl::StrCat("the last run was killed while these jobs ran, which "
                        "run again: ",
                        absl::StrJoin(log.cut_off(), ", ")));
}

int PoolMain(const std::vector<std::string>& given) {
  if (absl::Status status = CheckNumbers(); !status.ok()) {
    Complain("pool", status.message());
    return kOwnFailure;
  }
  const auto split = Split(given);
  if (!split.ok()) {
    Complain("pool", split.status().message());
    return kOwnFailure;
  }
  const Words& words = *split;
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
  if (files->log.has_value()) NoteCutOff(*files->log);
  return RunPool(*std::move(options), *std::move(files), words);
}

const char kDescription[] =
    "Runs COMMAND by /bin/sh for each VALUE, so many at once; without :::, for "
    "each line of stdin; without COMMAND, the values are the commands. {} in "
    "it is the value, quoted so that it stays one word whatever is in it; {.} "
    "is it without its extension, {/} without its directory, {//} its "
    "directory, {/.} without either, {#} the number of the job, {%} that of "
    "its slot. With several :::, there is a job for each combination, and {1}, "
    "{2} are the values, also {1.} and so on; :::+ is for values that go with "
    "those of the list before, the first with the first. :::: and ::::+ have "
    "names of files behind them, whose lines are values. Without any of these "
    "in it, COMMAND has the value behind it.\n\n"
    "Each job has a session of its own, and nothing on its stdin. What it "
    "writes is printed when it has ended, in one piece, stdout first; where "
    "stdout and stderr are the same file, pipe or terminal, in the order in "
    "which it came; of one that was run several times, what it wrote the last "
    "time. Meanwhile it is kept in memory, and beyond that in a file without a "
    "name in $TMPDIR. A job that writes much is printed while it runs, and the "
    "others behind it. When nobody reads any more, all is ended.\n\n"
    "With --via, COMMAND is run by another: 'srun -n1', say, or 'ssh {host}' "
    "with --hosts. There are --jobs slots for each host then. A host that ssh "
    "cannot reach is put aside, and its jobs go to the others.\n\n"
    "On a terminal there is a panel below the output, with what runs, what it "
    "wrote last, and how far all of it is. At the end the jobs that have "
    "failed are listed.\n\n"
    "Ctrl-C lets the jobs that run come to their end, and starts no more; the "
    "second Ctrl-C ends them, with all that they have started, the third one "
    "by SIGKILL. Other signals that end programs do as two of them. The same "
    "command line with --resume then goes on; those that were ended count as "
    "not run. Ctrl-Z stops the jobs, too, and they are continued "
    "together.\n\n"
    "When asyncproc itself is killed by SIGKILL, a small process that it "
    "starts at its own start, asyncproc-guard, ends the jobs: all processes "
    "that still have the variable ASYNCPROC_MARK in their environment and "
    "belong to the same user, in whatever session they are. It needs /proc, "
    "and finds no process that has cleared its environment. FILE.running "
    "beside a --joblog tells the next --resume which jobs ran then.";

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
        {"delay", "TIME"},
        {"dry_run"}}},
      {"Values",
       {{"arg_file", "FILE", 'a', "", {}, /*once=*/true},
        {"null", "", '0'},
        {"max_replace_args", "N", 'N'},
        {"replace", "TEXT", 'I'}}},
      {"Where it runs", {{"via", "COMMAND"}, {"hosts", "HOST,..."}}},
      {"Limits of each job",
       {{"timeout", "TIME"},
        {"idle_timeout", "TIME"},
        {"escalate", "STEPS"},
        {"scope", "SCOPE", 0, "", {"child", "group", "tree"}}}},
      {"What is printed",
       {{"keep_order", "", 'k'},
        {"line_buffer"},
        {"tag"},
        {"keep_head", "SIZE"},
        {"keep_tail", "SIZE"},
        {"display", "WHAT", 0, "", {"auto", "panel", "lines", "none"}}}},
      {"What is written",
       {{"joblog", "FILE"},
        {"results", "DIR"},
        {"trace", "FILE"},
        {"resume"},
        {"resume_failed"}}},
  };
  pool.hints = {
      {"--bar", "--display panel shows how far all is"},
      {"--progress", "--display panel shows how far all is"},
      {"--eta", "--display panel shows how long the rest takes"},
      {"--pipe", "jobs read nothing from stdin; split the input into files"},
      {"--pipepart",
       "jobs read nothing from stdin; split the input into files"},
      {"--block", "jobs read nothing from stdin; split the input into files"},
      {"--spreadstdin",
       "jobs read nothing from stdin; split the input into files"},
      {"-X", "--max-replace-args gives each job several values"},
      {"-m", "--max-replace-args gives each job several values"},
      {"--xargs", "--max-replace-args gives each job several values"},
      {"-n", "--max-replace-args gives each job several values"},
      {"-L", "--max-replace-args gives each job several values"},
      {"--max-args", "--max-replace-args gives each job several values"},
      {"-P", "--jobs is how many run at once"},
      {"--max-procs", "--jobs is how many run at once"},
      {"-S", "--hosts names other machines"},
      {"--sshlogin", "--hosts names other machines"},
      {"--slf", "--hosts names other machines"},
      {"--sshloginfile", "--hosts names other machines"},
      {"-u", "--line-buffer prints what comes, by whole lines"},
      {"--ungroup", "--line-buffer prints what comes, by whole lines"},
      {"--lb", "its name is --line-buffer"},
      {"--dryrun", "its name is --dry-run"},
      {"--link", ":::+ links a list to the one before"},
      {"--xapply", ":::+ links a list to the one before"},
      {"-d", "values end with a newline, or with --null by a NUL"},
      {"-C", "give one list for each column, linked by :::+"},
      {"--colsep", "give one list for each column, linked by :::+"},
      {"-v", "--display lines prints each command that has ended"},
      {"-t", "--display lines prints each command that has ended"},
      {"--verbose", "--display lines prints each command that has ended"},
      {"--resultsdir", "its name is --results"},
      {"--retry-failed", "its name is --resume-failed"},
      {"--termseq", "--escalate has the steps by which a job is ended"},
      {"--memfree", "--jobs alone says how many run at once"},
      {"--load", "--jobs alone says how many run at once"},
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
      {"Each combination, each up to twice, and a picture of it:",
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

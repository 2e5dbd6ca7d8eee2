#include "tools/asyncproc/pool/pool_command.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/asyncproc/control_group.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/host_command.h"
#include "tools/asyncproc/inherited.h"
#include "tools/asyncproc/job_control.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/bell.h"
#include "tools/asyncproc/pool/job_count.h"
#include "tools/asyncproc/pool/job_values.h"
#include "tools/asyncproc/pool/pool.h"
#include "tools/asyncproc/signal_watcher.h"

ABSL_FLAG(
    std::string, jobs, "",
    "The number of jobs that run at once: N; +N or -N, relative to the "
    "number of processors; N%, of the processors; 0, as many as the limit "
    "of descriptors allows. Without this option, one for each processor.");
ABSL_FLAG(int, retries, 1,
          "Run a job that fails again, up to N times in all; on another host, "
          "if there are several.");
ABSL_FLAG(asyncproc::cli::Pause, delay, {},
          "Wait this long between two starts.");
ABSL_FLAG(std::string, arg_file, "",
          "Take the values from the lines of this file, and leave stdin alone; "
          "- is stdin.");
ABSL_FLAG(bool, null, false,
          "Values in files and on stdin end with a NUL, as those of find "
          "-print0.");
ABSL_FLAG(int, max_replace_args, 1,
          "Give each job N values: {1}, {2} and so on.");
ABSL_FLAG(std::string, replace, "{}",
          "The text in COMMAND that stands for the value, in place of {}.");
ABSL_FLAG(
    bool, line_buffer, false,
    "Print the lines of each job as they come, among those of other jobs. A "
    "line of more than 16 MiB is printed as several lines.");
ABSL_FLAG(std::string, halt, "never",
          "Start no more jobs after this event: 'now' ends the running jobs, "
          "'soon' waits for them; for example now,fail=1 or soon,success=3 or "
          "soon,done=10 or now,fail=30%.");
ABSL_FLAG(bool, keep_order, false,
          "Print the outputs in the order of the jobs, not of their ends.");
ABSL_FLAG(bool, tag, false,
          "Begin each line of output with the values of the job.");
ABSL_FLAG(std::string, joblog, "",
          "Write a line for each job, in the format of GNU parallel.");
ABSL_FLAG(
    std::string, results, "",
    "Also write the output of each job to files in this directory, at the "
    "paths of GNU parallel.");
ABSL_FLAG(std::string, trace, "",
          "Write the times of all jobs to this file, for "
          "https://ui.perfetto.dev.");
ABSL_FLAG(bool, resume, false,
          "Leave out the jobs that have ended according to the --joblog.");
ABSL_FLAG(bool, resume_failed, false,
          "As --resume, but run the failed jobs again.");
ABSL_FLAG(std::string, display, "auto",
          "'panel', 'lines' or 'none'. 'auto' is a panel if stderr is a "
          "terminal, with asyncproc in its foreground, and stdout is the same "
          "terminal, a file or /dev/null; else a line on stderr for each job "
          "that has ended.");
ABSL_FLAG(bool, dry_run, false, "Print the commands, and run none.");

namespace asyncproc::cli {
namespace {

constexpr int kMostRetries = 1000;
constexpr int kMostValues = 1000;

// Whether no byte of stdout can reach the terminal of stderr unseen by the
// panel: through a pager, say.
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
  return isatty(STDERR_FILENO) && obeys && StdoutLeavesPanelAlone() &&
                 !InBackground(STDERR_FILENO)
             ? PoolOptions::Progress::kPanel
             : PoolOptions::Progress::kLines;
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
    command.drain_grace = absl::GetFlag(FLAGS_drain).value;
    if (limit.has_value()) command.rlimits[RLIMIT_NOFILE] = *limit;
    PassIgnoredSignals(&command);
    if (!targets.over_ssh()) PassDescriptors(&command);
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
  return absl::OkStatus();
}

absl::StatusOr<PoolOptions> OptionsFromFlags(const JobWords& words) {
  PoolOptions options;
  auto jobs = ParseJobCount(absl::GetFlag(FLAGS_jobs));
  if (!jobs.ok()) return jobs.status();
  options.slots = static_cast<int>(*jobs);
  options.tries = std::max(1, absl::GetFlag(FLAGS_retries));
  options.output.early = options.tries == 1;
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
  options.output.keep_order = absl::GetFlag(FLAGS_keep_order);
  options.tag = absl::GetFlag(FLAGS_tag);
  options.output.line_buffer = absl::GetFlag(FLAGS_line_buffer);
  if (options.output.line_buffer && options.output.keep_order) {
    return absl::InvalidArgumentError(
        "--line-buffer and --keep-order exclude each other");
  }
  const ByteSize head = absl::GetFlag(FLAGS_keep_head);
  const ByteSize tail = absl::GetFlag(FLAGS_keep_tail);
  if (head.is_set() || tail.is_set()) {
    options.output.head = head.is_set() ? head.value : 0;
    options.output.tail = tail.is_set() ? tail.value : 0;
  }
  // One pipe for both streams keeps the order in which a job writes. --results
  // needs two.
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
      // FinishOutput reports the error of stdout.
      if (values.status() == status) Complain("pool", status.message());
      return kOwnFailure;
    }
  }
}

absl::StatusOr<int> DryRun(const CommandTemplate& command, JobWords* words) {
  Bell bell;
  auto source = MakeSource(words, [&bell] { bell.Ring(); });
  if (!source.ok()) return source.status();
  return DryRun(command, **source, bell);
}

// The watcher blocks signals before there is any other thread, and the pool
// exists before its source, which has a thread.
absl::StatusOr<int> RunPool(PoolOptions options, PoolFiles files,
                            JobWords* words) {
  auto group = ControlGroup::EnterIf(absl::GetFlag(FLAGS_cgroup));
  if (!group.ok()) return group.status();
  Orphans orphans(*std::move(group));
  Pool pool(std::move(options), std::move(files), &orphans);
  std::vector<int> signals = SignalWatcher::EndingSignals();
  signals.insert(signals.end(), {SIGWINCH, SIGCONT, SIGTSTP});
  auto watcher = SignalWatcher::Start(
      signals,
      [&pool](const ReceivedSignal& signal) { pool.Signal(signal.number); },
      &orphans);
  if (!watcher.ok()) return watcher.status();
  auto source = MakeSource(words, [&pool] { pool.Wake(); });
  if (!source.ok()) return source.status();
  pool.SetSource(*std::move(source));
  return pool.Run();
}

void NoteCutOff(const JobLog& log) {
  if (log.cut_off().empty()) return;
  Complain("pool",
           absl::StrCat("the last run was killed while these jobs ran, which "
                        "run again: ",
                        absl::StrJoin(log.cut_off(), ", ")));
}

absl::StatusOr<int> RunCommand(const std::vector<std::string>& given) {
  if (absl::Status status = CheckNumbers(); !status.ok()) return status;
  JobWords settings;
  settings.end = absl::GetFlag(FLAGS_null) ? '\0' : '\n';
  settings.file = absl::GetFlag(FLAGS_arg_file);
  settings.values_each =
      static_cast<size_t>(absl::GetFlag(FLAGS_max_replace_args));
  auto words = SplitWords(given, std::move(settings));
  if (!words.ok()) return words.status();
  auto options = OptionsFromFlags(*words);
  if (!options.ok()) return options.status();
  if (absl::GetFlag(FLAGS_dry_run)) return DryRun(options->command, &*words);
  auto files = FilesFromFlags(words->command.empty() ? "asyncproc pool"
                                                     : words->command);
  if (!files.ok()) return files.status();
  if (files->log.has_value()) NoteCutOff(*files->log);
  return RunPool(*std::move(options), *std::move(files), &*words);
}

int PoolMain(const std::vector<std::string>& given) {
  const absl::StatusOr<int> code = RunCommand(given);
  if (code.ok()) return *code;
  Complain("pool", code.status().message());
  return kOwnFailure;
}

const char kDescription[] =
    "Runs COMMAND by /bin/sh for each VALUE, several jobs at a time; "
    "without :::, for each line of stdin; without COMMAND, the values are "
    "the commands. In COMMAND, {} is the value, quoted so that it stays "
    "one word whatever bytes it has; {.} is the value without its "
    "extension, {/} without its directory, {//} its directory, {/.} "
    "without both, {#} the number of the job, {%} the number of its slot. "
    "With several :::, there is a job for each combination, and {1}, {2} "
    "are the values, also {1.} and so on. :::+ links a list to the list "
    "before: the first value goes with the first, the second with the "
    "second. :::: and ::::+ are followed by names of files, whose lines "
    "are the values; a single file is read as the jobs need it. A COMMAND "
    "without any of these places gets the value "
    "at its end. A value is refused where no quotes keep a shell from running "
    "it as a command: in backquotes, ${...}, $((...)), a comment or a "
    "here-document, and behind text that asyncproc cannot follow.\n\n"
    "Each job has a session of its own, and an empty stdin. Its output is "
    "printed in one piece when it has ended, stdout first; if stdout and "
    "stderr are the same file, pipe or terminal, in the order of its "
    "writes. Of a job that was retried, only the output of the last try "
    "is printed; with --line-buffer, the lines of all tries. Until a job has "
    "ended, its output is kept in memory, and beyond a "
    "bound in a file without a name in $TMPDIR. A large output is printed "
    "while its job runs; the outputs of other jobs follow. When the "
    "reader of asyncproc's stdout has gone, all jobs are ended as soon as one "
    "of them has written to stdout; and they are ended when the output of one "
    "cannot be printed. The lines that asyncproc itself writes on stderr end "
    "no job where they cannot be written. What a job leaves behind may write "
    "to the job's output until --drain is over, and receives SIGPIPE after "
    "that; the job keeps its slot meanwhile. To end all processes of a job, "
    "asyncproc needs /proc.\n\n"
    "With --via, another program runs COMMAND: 'srun -n1', say, or 'ssh "
    "{host}' with --hosts. Then each host has --jobs slots. A host that "
    "ssh cannot reach is put aside, and its jobs go to the other hosts.\n\n"
    "On a terminal, a panel below the output shows the running jobs, the "
    "last line of each, and the progress of the pool. At the end the "
    "failed jobs are listed.\n\n"
    "Ctrl-C starts no more jobs, and waits for the running ones; the "
    "second Ctrl-C ends them, with all processes that they have started; "
    "the third one kills them by SIGKILL. Each of SIGTERM, SIGHUP, "
    "SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGIO, "
    "SIGPWR, SIGSTKFLT and the real-time signals counts as two Ctrl-C, unless "
    "it was ignored when asyncproc started: then the jobs ignore it, too. Jobs "
    "inherit the descriptors above 2 that asyncproc was started with, but not "
    "over ssh. The same command line with "
    "--resume continues; it repeats jobs that were ended. Ctrl-Z stops the "
    "jobs, "
    "too, and they are continued together.\n\n"
    "If asyncproc itself is killed, by SIGKILL or by a signal of a crash, as "
    "SIGABRT is, a small process, "
    "asyncproc-guard, ends the jobs: all processes of the same user, in "
    "any session, that still have this run's value in the environment "
    "variable ASYNCPROC_MARK. The guard needs /proc, and finds a process "
    "that has cleared its environment only with --cgroup. FILE.running beside "
    "a "
    "--joblog tells the next --resume which jobs were cut off.";

}  // namespace

Subcommand PoolSubcommand() {
  Subcommand pool;
  pool.name = "pool";
  pool.synopsis = "[COMMAND] [::: VALUE ...] ...";
  pool.summary = "run many commands, several at a time";
  pool.description = kDescription;
  pool.options = {
      {"Jobs",
       {{"jobs", "N", 'j'},
        {"retries", "N"},
        {"halt", "WHEN,WHAT=N"},
        {"delay", "TIME"},
        {"cgroup"},
        {"dry_run"}}},
      {"Values",
       {{"arg_file", "FILE", 'a', "", {}, /*once=*/true},
        {"null", "", '0'},
        {"max_replace_args", "N", 'N'},
        {"replace", "TEXT", 'I'}}},
      {"Hosts", {{"via", "COMMAND"}, {"hosts", "HOST,..."}}},
      {"Limits of each job",
       {{"timeout", "TIME"},
        {"idle_timeout", "TIME"},
        {"escalate", "STEPS"},
        {"scope", "SCOPE", 0, "", {"child", "group", "tree"}},
        {"drain", "TIME"}}},
      {"Output",
       {{"keep_order", "", 'k'},
        {"line_buffer"},
        {"tag"},
        {"keep_head", "SIZE"},
        {"keep_tail", "SIZE"},
        {"display", "KIND", 0, "", {"auto", "panel", "lines", "none"}}}},
      {"Files",
       {{"joblog", "FILE"},
        {"results", "DIR"},
        {"trace", "FILE"},
        {"resume"},
        {"resume_failed"}}},
  };
  pool.hints = {
      {"--bar", "--display panel shows the progress"},
      {"--progress", "--display panel shows the progress"},
      {"--eta", "--display panel shows the time left"},
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
      {"-P", "--jobs is the number of jobs at a time"},
      {"--max-procs", "--jobs is the number of jobs at a time"},
      {"-S", "--hosts names other machines"},
      {"--sshlogin", "--hosts names other machines"},
      {"--slf", "--hosts names other machines"},
      {"--sshloginfile", "--hosts names other machines"},
      {"-u", "--line-buffer prints whole lines as they come"},
      {"--ungroup", "--line-buffer prints whole lines as they come"},
      {"--lb", "its name is --line-buffer"},
      {"--linebuffer", "its name is --line-buffer"},
      {"--group", "the output of each job is printed in one piece anyway"},
      {"--will-cite", "leave it out"},
      {"--citation", "leave it out"},
      {"--no-notice", "leave it out"},
      {"-q", "values are always quoted; quote COMMAND for /bin/sh"},
      {"--quote", "values are always quoted; quote COMMAND for /bin/sh"},
      {"-r", "without values no job runs anyway"},
      {"--no-run-if-empty", "without values no job runs anyway"},
      {"-i", "-I TEXT sets the text that stands for the value"},
      {"-s", "--max-replace-args gives each job several values"},
      {"-p", "--dry-run prints the commands, and runs none"},
      {"--interactive", "--dry-run prints the commands, and runs none"},
      {"--wd", "write cd DIR && before COMMAND"},
      {"--workdir", "write cd DIR && before COMMAND"},
      {"--nice", "write nice before COMMAND"},
      {"--env",
       "jobs inherit the environment; for --hosts, write NAME=VALUE "
       "before COMMAND"},
      {"--tmpdir", "the variable TMPDIR names the directory"},
      {"--files", "--results writes the outputs to files"},
      {"--tagstring", "--tag begins each line with the values"},
      {"--shuf", "pipe the values through shuf"},
      {"--transfer", "no files are copied; use scp in COMMAND"},
      {"--transferfile", "no files are copied; use scp in COMMAND"},
      {"--trc", "no files are copied; use scp in COMMAND"},
      {"--return", "no files are copied; use scp in COMMAND"},
      {"--basefile", "no files are copied; use scp in COMMAND"},
      {"--semaphore", "flock limits the jobs of several shells"},
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
      {"--termseq", "--escalate has the steps that end a job"},
      {"--memfree", "--jobs alone sets the number of jobs at a time"},
      {"--load", "--jobs alone sets the number of jobs at a time"},
  };
  pool.exit_codes = {
      {"0", "no job failed"},
      {"1-100",
       "the number of failed jobs: those with a status other than 0, or ended "
       "by a signal or a time limit"},
      {"101", "more than 100 jobs failed"},
      {"",
       "After --halt, the status of the job that caused it: its own, 124 "
       "after a time limit, 128 plus its signal; 0 if it did not fail."},
      {"125",
       "asyncproc itself failed: a wrong option, no room for any process, "
       "output that cannot be written. A job that was not run is not in the "
       "--joblog"},
      {"128+n",
       "signal n, as 130 for Ctrl-C, stopped asyncproc; 141: the reader of its "
       "output had gone"},
  };
  pool.examples = {
      {"Compress all logs, four at once:",
       "asyncproc pool -j4 'gzip -k {}' ::: *.log"},
      {"Each combination, at most two tries, and a trace:",
       "asyncproc pool --retries 2 --trace t.json './bench {1} {2}' ::: a b "
       "::: "
       "1 2 3"},
      {"Commands from a file; continues a run that Ctrl-C ended:",
       "asyncproc pool --joblog log --resume < commands"},
      {"On two machines, two jobs at a time on each:",
       "asyncproc pool -j2 --via 'ssh {host}' --hosts a,b 'make -C {}' ::: x y "
       "z"},
  };
  pool.main = PoolMain;
  return pool;
}

}  // namespace asyncproc::cli

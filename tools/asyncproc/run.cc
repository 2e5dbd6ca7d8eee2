#include "tools/asyncproc/run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/recorder.h"
#include "re2/re2.h"
#include "tools/asyncproc/byte_regex.h"
#include "tools/asyncproc/console.h"
#include "tools/asyncproc/control_group.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/host_command.h"
#include "tools/asyncproc/inherited.h"
#include "tools/asyncproc/job_control.h"
#include "tools/asyncproc/orphans.h"
#include "tools/asyncproc/os/open_file.h"
#include "tools/asyncproc/os/raw_mode.h"
#include "tools/asyncproc/os/thread.h"
#include "tools/asyncproc/os/unique_fd.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/run_job.h"
#include "tools/asyncproc/run_report.h"
#include "tools/asyncproc/signal_watcher.h"

namespace asyncproc::cli {

// The value of --prefix. An empty name is not the same as no --prefix.
struct Prefix {
  std::optional<std::string> name;
};

bool AbslParseFlag(absl::string_view text, Prefix* prefix, std::string*) {
  prefix->name = std::string(text);
  return true;
}

std::string AbslUnparseFlag(const Prefix& prefix) {
  return prefix.name.value_or("");
}

}  // namespace asyncproc::cli

ABSL_FLAG(bool, pty, false,
          "Give the command a terminal. Its stdout and stderr then both go to "
          "stdout, and the keys that are typed go to the command unchanged. "
          "After the end of stdin, Ctrl-D is typed each time that the command "
          "waits for input.");
ABSL_FLAG(asyncproc::cli::Prefix, prefix, {},
          "Begin each line with this name and a colon; an empty NAME is no "
          "prefix. With several hosts the default is the name of the host.");
ABSL_FLAG(std::string, progress, "",
          "Lines that match this regular expression (RE2) report progress: the "
          "first group is a percentage, or the first two groups are the steps "
          "done and the steps in all. On a terminal such a line updates a bar; "
          "elsewhere it is a line on stderr. A \"\\r\" ends a line, too.");
ABSL_FLAG(
    std::string, ready_line, "",
    "The command is ready when it writes a line that matches this regular "
    "expression.");
ABSL_FLAG(std::string, then, "",
          "When the command is ready, run this by /bin/sh. When that ends, end "
          "the command, and exit with the status of this. It has the line as "
          "$ASYNCPROC_READY, and the groups of the expression as "
          "$ASYNCPROC_READY_1 and so on.");
ABSL_FLAG(
    bool, keep_output, false,
    "Let the command write directly to asyncproc's own stdout and stderr. "
    "A daemon that the command leaves behind can then write there for as "
    "long as it lives.");
ABSL_FLAG(bool, explain, false,
          "Print on stderr the command and its surroundings, its state when a "
          "time limit ends it, and how it ended.");
ABSL_FLAG(std::string, signal, "",
          "End the command by this signal first, in place of the first step of "
          "--escalate.");
ABSL_FLAG(std::optional<asyncproc::cli::Pause>, kill_after, std::nullopt,
          "Send SIGKILL this long after the first signal, in place of the "
          "further steps of --escalate; 0 sends no SIGKILL.");
ABSL_FLAG(bool, preserve_status, false,
          "After a time limit, exit with the status of the command, not with "
          "124.");

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Runs COMMAND, prints its output live, and exits with its status. The "
    "first word that is not an option begins the command; the words after "
    "it are passed on unchanged.\n\n"
    "The command inherits stdin, so input that it does not read stays "
    "there. With --pty and --record, and if --escalate has a 'close', "
    "asyncproc reads stdin and passes it on, a little ahead of the "
    "command. If it cannot read stdin, it reports that, the command reads "
    "end-of-file, and the exit status is 125, unless the command itself has "
    "failed.\n\n"
    "SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, "
    "SIGIO, SIGPWR, SIGSTKFLT, the real-time signals, SIGTSTP, SIGCONT and "
    "SIGWINCH are passed on to the command and to all processes that it has "
    "started. SIGTERM and SIGHUP end the command: the signal replaces the "
    "first step of --escalate, and the other steps follow; a second such "
    "signal is SIGKILL at once. A signal that was ignored when asyncproc "
    "started stays ignored, and the command ignores it, too. The command also "
    "inherits the descriptors above 2 that asyncproc was started with, but not "
    "over ssh. If a signal that asyncproc has received ends the command, "
    "asyncproc ends by the same signal. A command that asyncproc ends leaves "
    "no process behind, not even one in another session. The same holds if "
    "SIGINT or SIGQUIT ends the command after asyncproc has received one of "
    "them: if the command is killed by the signal, or exits with 130 or 131. "
    "With --scope group on a terminal, the command is the foreground process "
    "group while it runs.\n\n"
    "A command that ends by itself may leave processes behind. They "
    "receive SIGPIPE if they write to its stdout or stderr after "
    "asyncproc has ended: --keep-output prevents that, and so does a "
    "redirection to a file.\n\n"
    "If asyncproc itself is killed, by SIGKILL or by a signal of a crash, as "
    "SIGABRT is, the kernel kills the "
    "command, and a small process, asyncproc-guard, ends the other "
    "processes of the command, in any session: all processes of the same "
    "user that still have this run's value in the environment variable "
    "ASYNCPROC_MARK. The guard needs /proc, and finds a process that has "
    "cleared its environment only with --cgroup.\n\n"
    "When the reader of asyncproc's output has gone, the command receives "
    "SIGPIPE, as it would without asyncproc. With --pty, asyncproc ends the "
    "command instead: "
    "SIGHUP replaces the first step of --escalate, and the exit status is 141. "
    "If the output cannot be written, as on a full disk, asyncproc reports "
    "that; the exit status is then 125, unless the command itself has failed. "
    "A slow reader slows the command down. If stdout and stderr are the same "
    "file, pipe or terminal, the command has one pipe for both, which keeps "
    "the order of its writes.";

std::vector<OptionGroup> Options() {
  return {
      {"Limits",
       {{"timeout", "TIME"},
        {"idle_timeout", "TIME"},
        {"escalate", "STEPS"},
        {"signal", "SIGNAL", 's'},
        {"kill_after", "TIME", 'k'},
        {"preserve_status"},
        {"scope", "SCOPE", 0, "", {"child", "group", "tree"}},
        {"cgroup"},
        {"drain", "TIME"}}},
      {"Input and output",
       {{"pty"},
        {"prefix", "NAME", 0, "", {}, /*once=*/false, /*may_be_empty=*/true},
        {"timestamps"},
        {"keep_head", "SIZE"},
        {"keep_tail", "SIZE"},
        {"keep_output"},
        {"progress", "REGEX"}}},
      {"Servers", {{"ready_line", "REGEX"}, {"then", "COMMAND"}}},
      {"Reports",
       {{"explain"},
        {"report", "FORMAT", 0, "", {"json", "text"}},
        {"record", "FILE"}}},
      {"Other machines", {{"via", "COMMAND"}, {"hosts", "HOST,..."}}},
  };
}

// Refuses the options for which the tool has to see the output.
absl::Status CheckKeepOutput() {
  if (!absl::GetFlag(FLAGS_keep_output)) return absl::OkStatus();
  const std::pair<const char*, bool> others[] = {
      {"--pty", absl::GetFlag(FLAGS_pty)},
      {"--prefix", !absl::GetFlag(FLAGS_prefix).name.value_or("").empty()},
      {"--timestamps", absl::GetFlag(FLAGS_timestamps)},
      {"--keep-head", absl::GetFlag(FLAGS_keep_head).is_set()},
      {"--keep-tail", absl::GetFlag(FLAGS_keep_tail).is_set()},
      {"--progress", !absl::GetFlag(FLAGS_progress).empty()},
      {"--ready-line", !absl::GetFlag(FLAGS_ready_line).empty()},
      {"--record", !absl::GetFlag(FLAGS_record).empty()},
      {"--idle-timeout",
       absl::GetFlag(FLAGS_idle_timeout).value != absl::InfiniteDuration()},
      {"several --hosts", absl::GetFlag(FLAGS_hosts).size() > 1}};
  for (const auto& [name, given] : others) {
    if (given) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--keep-output hides the output from asyncproc: not with ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFlags(const std::vector<std::string>& words) {
  if (words.empty()) {
    return absl::InvalidArgumentError(
        "no command is given; see asyncproc run --help");
  }
  const std::string signal = absl::GetFlag(FLAGS_signal);
  if (!signal.empty() && SignalByName(signal) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", signal,
                     "' is not a value of --signal: it is a "
                     "signal, like TERM, SIGTERM or 15"));
  }
  if (!absl::GetFlag(FLAGS_then).empty() &&
      absl::GetFlag(FLAGS_ready_line).empty()) {
    return absl::InvalidArgumentError("--then needs a --ready-line");
  }
  if (absl::Status status = CheckKeepOutput(); !status.ok()) return status;
  if (absl::GetFlag(FLAGS_hosts).size() > 1 && absl::GetFlag(FLAGS_pty)) {
    return absl::InvalidArgumentError("--pty is for one host alone");
  }
  if (absl::GetFlag(FLAGS_hosts).size() > 1 &&
      !absl::GetFlag(FLAGS_record).empty() &&
      !absl::StrContains(absl::GetFlag(FLAGS_record), "{host}")) {
    return absl::InvalidArgumentError(
        "--record of several hosts needs a {host} in the name of the file");
  }
  for (const auto& [option, text] :
       {std::pair{"--progress", absl::GetFlag(FLAGS_progress)},
        std::pair{"--ready-line", absl::GetFlag(FLAGS_ready_line)}}) {
    if (absl::Status status = CheckRegex(option, text); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// Whether a terminal may signal the tool's group: the command then belongs in
// that group, as that of `timeout --foreground` does.
bool HasTerminal() {
  if (isatty(STDIN_FILENO) == 1) return true;
  const UniqueFd tty = OpenFile("/dev/tty", O_RDWR | O_NOCTTY);
  return tty.valid() && tcgetpgrp(tty.get()) == getpgrp();
}

bool HasCloseStep(const Escalation& escalation) {
  return std::any_of(
      escalation.steps.begin(), escalation.steps.end(),
      [](const EscalationStep& step) { return step.signal == 0; });
}

// --signal and --kill-after, as timeout has them.
void ApplyTimeoutOptions(std::vector<EscalationStep>* steps) {
  if (const int signal = SignalByName(absl::GetFlag(FLAGS_signal));
      signal != 0) {
    steps->front() = EscalationStep::Signal(signal, steps->front().grace);
  }
  const std::optional<Pause> after = absl::GetFlag(FLAGS_kill_after);
  if (!after.has_value()) return;
  steps->resize(1);
  if (after->value == absl::ZeroDuration()) {
    steps->front().grace = absl::InfiniteDuration();
    return;
  }
  steps->front().grace = after->value;
  steps->push_back(EscalationStep::Signal(SIGKILL, absl::Seconds(10)));
}

RunSettings SettingsFromFlags() {
  RunSettings settings;
  settings.limits = LimitsFromFlags();
  ApplyTimeoutOptions(&settings.limits.escalation.steps);
  settings.preserve_status = absl::GetFlag(FLAGS_preserve_status);
  PrintOptions& print = settings.print;
  print.style.prefix = absl::GetFlag(FLAGS_prefix).name.value_or("");
  print.style.timestamps = absl::GetFlag(FLAGS_timestamps);
  const ByteSize head = absl::GetFlag(FLAGS_keep_head);
  const ByteSize tail = absl::GetFlag(FLAGS_keep_tail);
  if (head.is_set() || tail.is_set()) {
    print.head = head.is_set() ? head.value : 0;
    print.tail = tail.is_set() ? tail.value : 0;
  }
  print.progress = absl::GetFlag(FLAGS_progress);
  settings.ready_line = absl::GetFlag(FLAGS_ready_line);
  settings.then = absl::GetFlag(FLAGS_then);
  settings.explain = absl::GetFlag(FLAGS_explain);
  settings.keep_output = absl::GetFlag(FLAGS_keep_output);
  settings.in_our_group = HasTerminal() && settings.limits.escalation.scope !=
                                               TerminationScope::kGroup;
  return settings;
}

Pty PtyLikeOurs() {
  Pty pty;
  winsize size = {};
  if ((ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 ||
       ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) &&
      size.ws_row > 0 && size.ws_col > 0) {
    pty.rows = size.ws_row;
    pty.columns = size.ws_col;
  }
  // Bytes from a pipe are not echoed: no person types them.
  pty.echo = isatty(STDIN_FILENO) == 1;
  return pty;
}

Command MakeCommand(const std::vector<std::string>& words, bool alone,
                    RunSettings* settings) {
  Command command(words);
  command.drain_grace = absl::GetFlag(FLAGS_drain).value;
  command.die_with_parent = true;
  if (absl::GetFlag(FLAGS_pty)) {
    command.pty = PtyLikeOurs();
    settings->pump_stdin = true;
    settings->in_our_group = false;
    return command;
  }
  if (!settings->in_our_group) command.process_group = ProcessGroup::New();
  if (settings->keep_output) {
    command.out = Stdio::Inherit();
    command.err = Stdio::Inherit();
  } else if (IsSameFile(STDOUT_FILENO, STDERR_FILENO)) {
    // One pipe for both keeps the order in which the command writes.
    command.err = Stdio::ToStdout();
  }
  if (!alone) {
    command.in = Stdio::Null();  // They could not share it.
  } else if (HasCloseStep(settings->limits.escalation) ||
             !absl::GetFlag(FLAGS_record).empty()) {
    settings->pump_stdin = true;
  } else {
    command.in = Stdio::Inherit();
  }
  return command;
}

// Adds a recorder to `command` if --record asks for one.
absl::StatusOr<std::shared_ptr<Recorder>> Record(absl::string_view host,
                                                 Command* command) {
  const std::string file =
      absl::StrReplaceAll(absl::GetFlag(FLAGS_record), {{"{host}", host}});
  if (file.empty()) return nullptr;
  auto recorder = Recorder::ToFile(file);
  if (recorder.ok()) command->observer = *recorder;
  return recorder;
}

void Report(const std::vector<RunReport>& reports, bool explain,
            Console* console) {
  const std::string format = absl::GetFlag(FLAGS_report);
  for (const RunReport& report : reports) {
    if (format == "json") {
      console->Say(ToJson(report));
    } else if (format == "text" || explain) {
      console->Say(ToText(report));
    }
  }
}

std::vector<RunReport> RunAll(
    const std::vector<std::unique_ptr<RunJob>>& jobs) {
  std::vector<RunReport> reports(jobs.size());
  std::vector<Thread> threads;
  for (size_t i = 1; i < jobs.size(); ++i) {
    auto thread =
        Thread::Start("host", [&, i] { reports[i] = jobs[i]->Run(); });
    if (thread.ok()) {
      threads.push_back(*std::move(thread));
    } else {
      reports[i].error = std::string(thread.status().message());
      reports[i].exit_code = kOwnFailure;
      Complain("run", reports[i].error);
    }
  }
  reports[0] = jobs[0]->Run();
  for (Thread& thread : threads) thread.Join();
  return reports;
}

bool Any(const std::vector<std::unique_ptr<RunJob>>& jobs,
         bool (RunJob::*is)() const) {
  return std::any_of(jobs.begin(), jobs.end(),
                     [is](const auto& job) { return ((*job).*is)(); });
}

// Whether SIGINT or SIGQUIT ended the command: it was killed by the signal, or
// exited as a shell does that reports this. A command with another status has
// survived the signal and ended by itself.
bool EndedByInterrupt(const RunReport& report) {
  if (!report.status.has_value()) return false;
  const int code = ExitCodeOf(*report.status);
  return code == kSignalBase + SIGINT || code == kSignalBase + SIGQUIT;
}

// Returns the exit status: the first that is not 0.
int Conclude(const std::vector<std::unique_ptr<RunJob>>& jobs,
             const std::vector<RunReport>& reports, const RunSettings& settings,
             Console* console) {
  int code = kSuccess;
  for (const RunReport& report : reports) {
    if (code == kSuccess) code = report.exit_code;
  }
  // The output of the command could not be written, for another reason than
  // that its reader has gone.
  if (code == kSignalBase + SIGPIPE &&
      (Output::Stdout().lost() || Output::Stderr().lost())) {
    code = kOwnFailure;
  }
  const bool stuck = Any(jobs, &RunJob::stuck);
  // No report if stderr takes no more bytes.
  pollfd err = {STDERR_FILENO, POLLOUT, 0};
  if (stuck && (console->shared() || poll(&err, 1, 0) <= 0)) {
    EndBySignal(code);
    _exit(code);
  }
  console->ClearBar();
  Report(reports, settings.explain, console);
  if (stuck) {
    // The printing thread waits for a reader, perhaps for ever.
    Complain("run",
             "the reader of the output does not read: the rest is dropped");
    const int last = FinishOutput(code);
    EndBySignal(last);
    _exit(last);
  }
  return code;
}

absl::StatusOr<int> RunCommand(const std::vector<std::string>& words) {
  if (absl::Status status = CheckFlags(words); !status.ok()) return status;
  auto targets = Targets::FromFlags();
  if (!targets.ok()) return targets.status();
  RunSettings settings = SettingsFromFlags();
  const bool alone = targets->hosts().size() == 1;
  const Command command = MakeCommand(words, alone, &settings);
  auto group = ControlGroup::EnterIf(absl::GetFlag(FLAGS_cgroup));
  if (!group.ok()) return group.status();
  Orphans orphans(*std::move(group));
  Console console;
  Foreground foreground;
  Foreground* const terminal =
      alone && !command.pty.has_value() ? &foreground : nullptr;
  std::vector<RunSettings> own(targets->hosts().size(), settings);
  std::vector<std::shared_ptr<Recorder>> recorders;
  std::vector<std::unique_ptr<RunJob>> jobs;
  for (size_t i = 0; i < own.size(); ++i) {
    const std::string& host = targets->hosts()[i];
    if (!alone && !absl::GetFlag(FLAGS_prefix).name.has_value()) {
      own[i].print.style.prefix = host;
    }
    Command there = targets->On(host, command);
    PassIgnoredSignals(&there);
    if (!targets->over_ssh()) PassDescriptors(&there);
    auto recorder = Record(host, &there);
    if (!recorder.ok()) return recorder.status();
    if (*recorder != nullptr) recorders.push_back(*std::move(recorder));
    jobs.push_back(std::make_unique<RunJob>(there, host, own[i], &console,
                                            &orphans, terminal));
  }
  // The master of a shared connection is to outlive the tool.
  const bool whole_tree =
      !targets->over_ssh() &&
      settings.limits.escalation.scope == TerminationScope::kTree;
  std::atomic<bool> interrupted{false};
  std::vector<int> signals = SignalWatcher::EndingSignals();
  signals.insert(signals.end(), {SIGWINCH, SIGTSTP, SIGCONT});
  auto watcher = SignalWatcher::Start(
      signals,
      [&](const ReceivedSignal& signal) {
        if (signal.number == SIGWINCH) {
          console.Resized();
        } else if (signal.number == SIGINT || signal.number == SIGQUIT) {
          interrupted = true;
        }
        for (const auto& job : jobs) job->OnSignal(signal);
        if (signal.number == SIGTSTP) StopSelf();
      },
      &orphans);
  if (!watcher.ok()) return watcher.status();
  RawMode raw;
  if (absl::GetFlag(FLAGS_pty)) {
    // Echo and Ctrl-C are the business of the command's own terminal.
    absl::Status status = raw.Enter(STDIN_FILENO);
    if (!status.ok()) return status;
  }
  // As timeout: a command in the background that reads the terminal is stopped,
  // and the tool goes on, so that the time limit holds. Where the tool itself
  // reads the terminal, it is stopped, too.
  if (!settings.pump_stdin) signal(SIGTTIN, SIG_IGN);
  std::vector<RunReport> reports = RunAll(jobs);
  raw.Leave();
  const bool ended_by_interrupt =
      interrupted &&
      std::any_of(reports.begin(), reports.end(), EndedByInterrupt);
  if (whole_tree && (ended_by_interrupt || Any(jobs, &RunJob::was_ended))) {
    for (const Survivor& survivor : orphans.EndAll(absl::Seconds(5))) {
      reports[0].survivors.push_back(survivor);
    }
  }
  orphans.Dismiss();
  absl::Status recorded;
  for (const auto& recorder : recorders) recorded.Update(recorder->Close());
  const int code = Conclude(jobs, reports, settings, &console);
  // An incomplete recording must not look complete.
  if (!recorded.ok()) return recorded;
  return code;
}

int RunMain(const std::vector<std::string>& words) {
  const absl::StatusOr<int> code = RunCommand(words);
  if (code.ok()) return *code;
  Complain("run", code.status().message());
  return kOwnFailure;
}

}  // namespace

Subcommand RunSubcommand() {
  Subcommand run;
  run.name = "run";
  run.synopsis = "[--] COMMAND [ARGUMENT ...]";
  run.summary = "run one command, within limits, and end all of it";
  run.description = kDescription;
  run.options = Options();
  run.exit_codes = {
      {"124",
       "a time limit ended the command, whatever its status; not with "
       "--preserve-status"},
      {"125",
       "asyncproc itself failed: a wrong option, no room for a process, "
       "input that cannot be read, output that cannot be written; or the "
       "command ended with status 0 before it was ready or before --then "
       "ended"},
      {"126",
       "the command exists, but cannot be run; so is a script without a first "
       "line like #!/bin/sh"},
      {"127",
       "the command does not exist: empty entries and . in PATH are skipped"},
      {"128+n", "signal n killed the command"},
      {"other",
       "the status of the command, or of that of --then; with several hosts, "
       "the first status that is not 0, in the order of --hosts"},
  };
  run.examples = {
      {"At most half a minute; SIGINT first, then SIGTERM, then SIGKILL:",
       "asyncproc run --timeout 30s --escalate INT,5s:TERM,5s:KILL -- make"},
      {"A bar for a program that prints percentages:",
       "asyncproc run --progress '\\((\\d+)%\\)' -- pg_basebackup -P -D copy"},
      {"A server, while a test of it runs:",
       "asyncproc run --ready-line 'port (\\d+)' --then 'curl "
       "localhost:$ASYNCPROC_READY_1' -- python3 -um http.server 0"},
      {"On two machines at once, with the name of the machine before each "
       "line:",
       "asyncproc run --hosts build1,build2 -- uptime"},
      {"As a step of a Slurm job:",
       "asyncproc run --via 'srun -n1' --timeout 1h -- ./simulate"},
  };
  run.hints = {
      {"-c", "asyncproc run -- sh -c 'LINE' runs a line of a shell"},
      {"--foreground", "a command in a terminal is always in the foreground"},
      {"--verbose", "--explain reports the steps"},
      {"-v", "--explain reports the steps"},
  };
  run.main = RunMain;
  return run;
}

}  // namespace asyncproc::cli

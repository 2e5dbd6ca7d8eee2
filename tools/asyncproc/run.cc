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
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/host_command.h"
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

ABSL_FLAG(bool, pty, false,
          "Give the command a terminal. Both of its streams are then stdout, "
          "and keys go to it as they are.");
ABSL_FLAG(std::string, prefix, "",
          "Begin each line with this and a colon. With several hosts it is the "
          "host.");
ABSL_FLAG(std::string, progress, "",
          "Lines in which this regular expression (of RE2) matches are "
          "progress: its first group is a percentage, or its first two are how "
          "many of how many. On a terminal they become a bar, which is redrawn "
          "at each; elsewhere each is a line on stderr. A \"\\r\" ends a line "
          "too.");
ABSL_FLAG(std::string, ready_line, "",
          "The command is ready when it says a line in which this regular "
          "expression matches.");
ABSL_FLAG(std::string, then, "",
          "Once it is ready, run this by /bin/sh; when that ends, so does the "
          "command, and the exit status is that of this. It has the line as "
          "$ASYNCPROC_READY, and what the groups matched as "
          "$ASYNCPROC_READY_1 and so on.");
ABSL_FLAG(bool, keep_output, false,
          "Let the command write to asyncproc's own stdout and stderr, with "
          "nothing in between: what it leaves behind on purpose can then write "
          "there for as long as it lives.");
ABSL_FLAG(bool, explain, false,
          "Say on stderr what is run and in what surroundings, what it is "
          "doing when its time is up, and how it ended.");
ABSL_FLAG(std::string, signal, "",
          "Begin to end the command by this signal, in place of the first of "
          "--escalate.");
ABSL_FLAG(std::optional<asyncproc::cli::Pause>, kill_after, std::nullopt,
          "Then give it this long before SIGKILL, in place of what --escalate "
          "has behind its first step; 0 sends none.");
ABSL_FLAG(bool, preserve_status, false,
          "End as the command has ended also when its time was up, and not "
          "with 124.");
ABSL_FLAG(asyncproc::cli::Pause, drain,
          (asyncproc::cli::Pause{absl::Milliseconds(200)}),
          "When the command has ended and another process still has its output "
          "open, go on until that has said nothing for so long.");

namespace asyncproc::cli {

namespace {

const char kDescription[] =
    "Runs COMMAND and ends as it ends, printing what it says on both streams "
    "live. The first word that is no option begins the command; nothing behind "
    "it is touched.\n\n"
    "The command reads asyncproc's own stdin: what it does not read stays "
    "there. With --pty and --record, and where --escalate has a 'close', "
    "asyncproc reads it for the command, a little ahead.\n\n"
    "SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT and SIGWINCH are "
    "passed on to the command and all that it has started. SIGTERM and SIGHUP "
    "are the first step of --escalate, and the others follow; a second signal "
    "of these is SIGKILL at once. A command that asyncproc ends leaves nothing "
    "behind, also no process that has gone to another session. With --scope "
    "group on a terminal, the command is the foreground process group for as "
    "long as it runs.\n\n"
    "A command that ends by itself may leave processes behind. They get "
    "SIGPIPE when they write to its stdout or stderr after asyncproc has "
    "ended: --keep-output prevents that, and so does a redirection to a "
    "file.\n\n"
    "When asyncproc itself is killed by SIGKILL, the kernel kills the command, "
    "and a small process that asyncproc starts at its own start, "
    "asyncproc-guard, ends all others of the command: those that still have "
    "the variable ASYNCPROC_MARK in their environment and belong to the same "
    "user, in whatever session they are. It needs /proc, and finds no process "
    "that has cleared its environment.\n\n"
    "When nobody reads asyncproc's output any more, the command gets SIGPIPE, "
    "as it would without asyncproc. When the output cannot be written, to a "
    "full disk, say, asyncproc says so; the exit status is 125 then, unless "
    "the command has failed by itself. A slow reader slows the command down. "
    "Where stdout and stderr are the same file, pipe or terminal, the command "
    "has one pipe for both, so that the order stays.";

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
        {"drain", "TIME"}}},
      {"Input and output",
       {{"pty"},
        {"prefix", "NAME"},
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

absl::Status CheckPattern(absl::string_view option, const std::string& text) {
  const RE2 pattern(text, ByteRegexOptions());
  if (pattern.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      option, ": '", text, "' is no regular expression: ", pattern.error()));
}

// What asyncproc could do only if it saw the output.
absl::Status CheckKeepOutput() {
  if (!absl::GetFlag(FLAGS_keep_output)) return absl::OkStatus();
  const std::pair<const char*, bool> others[] = {
      {"--pty", absl::GetFlag(FLAGS_pty)},
      {"--prefix", !absl::GetFlag(FLAGS_prefix).empty()},
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
        "which command? See asyncproc run --help");
  }
  const std::string signal = absl::GetFlag(FLAGS_signal);
  if (!signal.empty() && SignalByName(signal) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--signal: '", signal, "' is no signal"));
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
    if (absl::Status status = CheckPattern(option, text); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// Whether a terminal may be about to signal our group, and only that: the
// command is then better in it, as that of `timeout --foreground` is.
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
  print.style.prefix = absl::GetFlag(FLAGS_prefix);
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
  // Nobody types what comes by a pipe.
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

// Makes `command` one that is recorded, if it is to be.
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

// The exit code: the first that is not 0.
int Conclude(const std::vector<std::unique_ptr<RunJob>>& jobs,
             const std::vector<RunReport>& reports, const RunSettings& settings,
             Console* console) {
  int code = kSuccess;
  for (const RunReport& report : reports) {
    if (code == kSuccess) code = report.exit_code;
  }
  // The command has got SIGPIPE because its output could not be written.
  if (code == kSignalBase + SIGPIPE &&
      (Output::Stdout().lost() || Output::Stderr().lost())) {
    code = kOwnFailure;
  }
  const bool stuck = Any(jobs, &RunJob::stuck);
  // Where stderr takes nothing any more, there is nobody to report to.
  pollfd err = {STDERR_FILENO, POLLOUT, 0};
  if (stuck && (console->shared() || poll(&err, 1, 0) <= 0)) _exit(code);
  console->ClearBar();
  Report(reports, settings.explain, console);
  if (stuck) {
    // Its thread waits for a reader, and would for ever.
    Complain("run", "nobody reads the output: what is left of it is dropped");
    _exit(FinishOutput(code));
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
  Orphans orphans;
  Console console;
  Foreground foreground;
  Foreground* const lend =
      alone && command.process_group.is_new() ? &foreground : nullptr;
  std::vector<RunSettings> own(targets->hosts().size(), settings);
  std::vector<std::shared_ptr<Recorder>> recorders;
  std::vector<std::unique_ptr<RunJob>> jobs;
  for (size_t i = 0; i < own.size(); ++i) {
    const std::string& host = targets->hosts()[i];
    if (!alone && settings.print.style.prefix.empty()) {
      own[i].print.style.prefix = host;
    }
    Command there = targets->On(host, command);
    auto recorder = Record(host, &there);
    if (!recorder.ok()) return recorder.status();
    if (*recorder != nullptr) recorders.push_back(*std::move(recorder));
    jobs.push_back(std::make_unique<RunJob>(there, host, own[i], &console,
                                            &orphans, lend));
  }
  // The master of a shared connection is to outlive this.
  const bool whole_tree =
      !targets->over_ssh() &&
      settings.limits.escalation.scope == TerminationScope::kTree;
  std::atomic<bool> interrupted{false};
  std::vector<int> signals = SignalWatcher::EndingSignals();
  signals.insert(signals.end(), {SIGWINCH, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT});
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
  std::vector<RunReport> reports = RunAll(jobs);
  raw.Leave();
  if (whole_tree && (interrupted || Any(jobs, &RunJob::was_ended))) {
    for (const Survivor& survivor : orphans.EndAll(absl::Seconds(5))) {
      reports[0].survivors.push_back(survivor);
    }
  }
  absl::Status recorded;
  for (const auto& recorder : recorders) recorded.Update(recorder->Close());
  const int code = Conclude(jobs, reports, settings, &console);
  // A recording that is not whole must not look like one.
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
  run.examples = {
      {"No longer than half a minute, and asked to stop before it is made to:",
       "asyncproc run --timeout 30s --escalate INT,5s:TERM,5s:KILL -- make"},
      {"A bar for what says how far it is:",
       "asyncproc run --progress '\\((\\d+)%\\)' -- pg_basebackup -P -D copy"},
      {"A server, for as long as a test of it takes:",
       "asyncproc run --ready-line 'port (\\d+)' --then 'curl "
       "localhost:$ASYNCPROC_READY_1' -- python3 -um http.server 0"},
      {"On two machines at once, with their names before each line:",
       "asyncproc run --hosts build1,build2 -- uptime"},
      {"As a step of a job of Slurm:",
       "asyncproc run --via 'srun -n1' --timeout 1h -- ./simulate"},
  };
  run.hints = {
      {"--foreground", "a command in a terminal is always in the foreground"},
      {"--verbose", "--explain tells what is done"},
      {"-v", "--explain tells what is done"},
  };
  run.main = RunMain;
  return run;
}

}  // namespace asyncproc::cli

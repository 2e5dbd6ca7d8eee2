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
#include <thread>
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
#include "asyncproc/internal/io/raw_mode.h"
#include "asyncproc/internal/text/regex_options.h"
#include "asyncproc/recorder.h"
#include "re2/re2.h"
#include "tools/asyncproc/console.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/host_command.h"
#include "tools/asyncproc/orphans.h"
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
ABSL_FLAG(bool, explain, false,
          "Say on stderr what is run and in what surroundings, what it is "
          "doing when its time is up, and how it ended.");
ABSL_FLAG(asyncproc::cli::TimeSpan, drain,
          (asyncproc::cli::TimeSpan{absl::Milliseconds(200)}),
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
    "SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are passed on to the "
    "command and all that it has started. SIGTERM and SIGHUP are the first "
    "step of --escalate, and "
    "the others follow; a second one is SIGKILL at once. A command that "
    "asyncproc ends leaves nothing behind, also no process that has gone to "
    "another session. When asyncproc itself is killed, so is the command.\n\n"
    "When nobody reads asyncproc's output any more, the command gets SIGPIPE, "
    "as it would without asyncproc. A slow reader slows the command down.";

std::vector<OptionGroup> Options() {
  return {
      {"Limits",
       {{"timeout", "TIME"},
        {"idle_timeout", "TIME"},
        {"escalate", "STEPS"},
        {"scope", "SCOPE"},
        {"drain", "TIME"}}},
      {"Input and output",
       {{"pty"},
        {"prefix", "NAME"},
        {"timestamps"},
        {"keep_head", "SIZE"},
        {"keep_tail", "SIZE"},
        {"progress", "REGEX"}}},
      {"Servers", {{"ready_line", "REGEX"}, {"then", "COMMAND"}}},
      {"Reports", {{"explain"}, {"report", "FORMAT"}, {"record", "FILE"}}},
      {"Other machines", {{"via", "COMMAND"}, {"hosts", "HOST,..."}}},
  };
}

absl::Status CheckPattern(absl::string_view option, const std::string& text) {
  const RE2 pattern(text, internal::RegexOptions(RegexEncoding::kBytes));
  if (pattern.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      option, ": '", text, "' is no regular expression: ", pattern.error()));
}

absl::Status CheckFlags(const std::vector<std::string>& words) {
  if (words.empty()) {
    return absl::InvalidArgumentError(
        "which command? See asyncproc run --help");
  }
  const std::string report = absl::GetFlag(FLAGS_report);
  if (!report.empty() && report != "json" && report != "text") {
    return absl::InvalidArgumentError("--report is json or text");
  }
  if (!absl::GetFlag(FLAGS_then).empty() &&
      absl::GetFlag(FLAGS_ready_line).empty()) {
    return absl::InvalidArgumentError("--then needs a --ready-line");
  }
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
  const int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (tty < 0) return false;
  const bool foreground = tcgetpgrp(tty) == getpgrp();
  close(tty);
  return foreground;
}

bool HasCloseStep(const Escalation& escalation) {
  return std::any_of(
      escalation.steps.begin(), escalation.steps.end(),
      [](const EscalationStep& step) { return step.signal == 0; });
}

RunSettings SettingsFromFlags() {
  RunSettings settings;
  settings.limits = LimitsFromFlags();
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
  std::vector<std::thread> threads;
  for (size_t i = 1; i < jobs.size(); ++i) {
    threads.emplace_back([&, i] { reports[i] = jobs[i]->Run(); });
  }
  reports[0] = jobs[0]->Run();
  for (std::thread& thread : threads) thread.join();
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
  const bool stuck = Any(jobs, &RunJob::stuck);
  // Where stderr takes nothing any more, there is nobody to report to.
  pollfd err = {STDERR_FILENO, POLLOUT, 0};
  if (stuck && (console->shared() || poll(&err, 1, 0) <= 0)) _exit(code);
  console->ClearBar();
  Report(reports, settings.explain, console);
  if (stuck) {
    // Its thread waits for a reader, and would for ever.
    Complain("run", "nobody reads the output: what is left of it is dropped");
    _exit(code);
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
  Console console;
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
    jobs.push_back(std::make_unique<RunJob>(there, host, own[i], &console));
  }
  // The master of a shared connection is to outlive this.
  const bool whole_tree =
      !targets->over_ssh() &&
      settings.limits.escalation.scope == TerminationScope::kTree;
  if (whole_tree) AdoptOrphans();
  std::atomic<bool> interrupted{false};
  std::vector<int> signals = SignalWatcher::EndingSignals();
  signals.insert(signals.end(), {SIGWINCH, SIGUSR1, SIGUSR2});
  auto watcher =
      SignalWatcher::Start(signals, [&](const ReceivedSignal& signal) {
        if (signal.number == SIGWINCH) {
          console.Resized();
        } else if (signal.number == SIGINT || signal.number == SIGQUIT) {
          interrupted = true;
        }
        for (const auto& job : jobs) job->OnSignal(signal);
      });
  if (!watcher.ok()) return watcher.status();
  internal::RawMode raw;
  if (absl::GetFlag(FLAGS_pty)) {
    // Echo and Ctrl-C are the business of the command's own terminal.
    absl::Status status = raw.Enter(STDIN_FILENO);
    if (!status.ok()) return status;
  }
  std::vector<RunReport> reports = RunAll(jobs);
  raw.Leave();
  if (whole_tree && (interrupted || Any(jobs, &RunJob::was_ended))) {
    for (const Survivor& survivor : EndOrphans(absl::Seconds(5))) {
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
  run.main = RunMain;
  return run;
}

}  // namespace asyncproc::cli

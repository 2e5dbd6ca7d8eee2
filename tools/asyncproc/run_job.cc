#include "tools/asyncproc/run_job.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/text.h"
#include "tools/asyncproc/byte_regex.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/flags.h"
#include "tools/asyncproc/inherited.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/os/mutex_lock.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {

namespace {

// How long output may wait for its reader after a limit or a signal has ended
// the command: the user does not want to wait for ever.
constexpr absl::Duration kReaderPatience = absl::Seconds(2);

// The most bytes that the child may write ahead of a slow reader.
constexpr size_t kAhead = 256 * 1024;

// How often a command that has the terminal is checked for being stopped.
constexpr absl::Duration kStopPeriod = absl::Milliseconds(100);

// For a user who knows timeout, or a shell.
std::string AdviceFor(const Command& command, const absl::Status& status) {
  const std::string& program = command.argv[0];
  TimeSpan time;
  std::string error;
  if (!absl::IsNotFound(status)) return "";
  if (command.argv.size() > 1 && AbslParseFlag(program, &time, &error)) {
    return absl::StrCat("; for a time limit, use --timeout ", program);
  }
  if (command.argv.size() == 1 && absl::StrContains(program, ' ')) {
    return "; for a line of a shell, use sh -c";
  }
  return "";
}

}  // namespace

RunJob::RunJob(Command command, std::string host, const RunSettings& settings,
               Console* console, Orphans* orphans, Foreground* foreground)
    : command_(std::move(command)),
      host_(std::move(host)),
      settings_(settings),
      console_(console),
      orphans_(orphans),
      foreground_(foreground),
      ready_pattern_(
          settings.ready_line.empty()
              ? nullptr
              : std::make_unique<RE2>(settings.ready_line, ByteRegexOptions())),
      main_(orphans),
      then_(orphans) {}

RunJob::~RunJob() { then_thread_.Join(); }

RunReport RunJob::Run() {
  RunReport report;
  report.command = command_.DebugString();
  report.host = host_;
  if (settings_.explain) console_->Write(Console::kErr, command_.Explain());
  PrintOptions options = settings_.print;
  if (ready_pattern_ != nullptr) {
    options.on_line = [this](absl::string_view line) { OnLine(line); };
  }
  if (command_.pty.has_value()) {
    options.on_lost = [this] { OnLostOutput(); };
  }
  start_ = last_output_ = MonotonicNow();
  if (absl::Status status = Start(command_, options, &main_); !status.ok()) {
    report.error = std::string(status.message());
    // No program has the empty name: as timeout and the shells have it.
    report.exit_code =
        command_.argv[0].empty() ? kNotFound : ExitCodeOfFailedStart(status);
    Complain("run",
             absl::StrCat(status.message(), AdviceFor(command_, status)));
    return report;
  }
  report.pid = main_.process->pid();
  if (foreground_ != nullptr) {
    was_foreground_ = foreground_->ours();
    if (command_.process_group.is_new()) foreground_->Lend(report.pid);
  }
  {
    MutexLock lock(mu_);
    process_ = main_.process.get();
    for (int signal : early_) Take(signal);
  }
  if (settings_.pump_stdin) {
    auto pump = StdinPump::Start(main_.process.get());
    if (pump.ok()) {
      pump_ = *std::move(pump);
    } else {
      Complain("run", pump.status().message());
      input_failed_ = true;
      main_.process->CloseStdin().IgnoreError();
    }
  }
  const Why why = Supervise();
  was_ended_ = why != Why::kEnded;
  hurry_ = was_ended_ && why != Why::kThen;
  End(why, &report);
  Finish(&report);
  report.exit_code = ExitCode(why, &report);
  return report;
}

absl::Status RunJob::Start(Command command, const PrintOptions& options,
                           PrintedProcess* printed) {
  command.output_buffer = OutputBound::BlockChild(kAhead);
  orphans_->Mark(&command);
  const bool own_output = command.out.kind() == Stdio::Kind::kInherit;
  const bool one_stream =
      command.pty.has_value() || command.err.kind() == Stdio::Kind::kToStdout;
  {
    Orphans::Birth birth(orphans_);
    auto process = Process::Spawn(std::move(command));
    if (!process.ok()) return process.status();
    birth.Started((*process)->pid());
    printed->process = *std::move(process);
  }
  if (own_output) return absl::OkStatus();
  for (const Console::Stream stream : {Console::kOut, Console::kErr}) {
    if (one_stream && stream == Console::kErr) continue;
    OutputStream& from = stream == Console::kOut ? printed->process->out()
                                                 : printed->process->err();
    auto printer = StreamPrinter::Start(&from, console_, stream, options);
    if (!printer.ok()) {
      // Ends the other printer, which would wait for the command.
      printed->process->out().Close();
      return printer.status();
    }
    printed->printers.push_back(*std::move(printer));
  }
  return absl::OkStatus();
}

RunJob::Why RunJob::Supervise() {
  CancellationScope scope(wake_);
  const ChildLimits& limits = settings_.limits;
  while (true) {
    absl::Duration left = limits.timeout - (MonotonicNow() - start_);
    if (limits.idle_timeout != absl::InfiniteDuration()) {
      left = std::min(left, limits.idle_timeout - IdleTime());
    }
    const bool has_terminal =
        foreground_ != nullptr && foreground_->HasTerminal();
    if (has_terminal) left = std::min(left, kStopPeriod);
    const bool lent = has_terminal && FollowTerminal();
    const auto status =
        main_.process->WaitFor(std::max(left, absl::ZeroDuration()));
    if (absl::IsCancelled(status.status())) {
      MutexLock lock(mu_);
      if (asked_by_ != 0) return Why::kSignal;
      return lost_output_ ? Why::kLostOutput : Why::kThen;
    }
    if (!absl::IsDeadlineExceeded(status.status())) return Why::kEnded;
    if (lent && main_.process->state() == ProcessState::kStopped) {
      StopWithCommand();
    }
    if (MonotonicNow() - start_ >= limits.timeout) return Why::kTimeout;
    if (IdleTime() >= limits.idle_timeout) return Why::kIdle;
  }
}

// The shell may bring the tool to the foreground, and the command with it.
// Returns whether the command has the terminal to itself.
bool RunJob::FollowTerminal() {
  if (command_.process_group.is_new()) {
    if (!foreground_->lent()) foreground_->Lend(main_.process->pid());
    return foreground_->lent();
  }
  // SIGTTIN stops a command in the background, and not the tool: the shell does
  // not know that the command is to be continued.
  const bool ours = foreground_->ours();
  if (ours && !std::exchange(was_foreground_, ours) &&
      main_.process->state() == ProcessState::kStopped) {
    main_.process->Signal(SIGCONT, TerminationScope::kTree).IgnoreError();
  }
  was_foreground_ = ours;
  return false;
}

// The command has the terminal to itself, and Ctrl-Z has stopped only the
// command.
void RunJob::StopWithCommand() {
  foreground_->TakeBack();
  StopSelf();
  // If the tool is in the background now, so is the command.
  const pid_t group = main_.process->pid();
  foreground_->Lend(group);
  main_.process->Signal(SIGCONT, TerminationScope::kGroup).IgnoreError();
}

// A child is not idle while its output waits to be printed.
absl::Duration RunJob::IdleTime() {
  const uint64_t bytes =
      main_.process->out().stats().bytes + main_.process->err().stats().bytes;
  const bool busy =
      std::any_of(main_.printers.begin(), main_.printers.end(),
                  [](const auto& printer) { return printer->busy(); });
  const absl::Time now = MonotonicNow();
  if (bytes != seen_bytes_ || busy) last_output_ = now;
  seen_bytes_ = bytes;
  return now - last_output_;
}

Escalation RunJob::EscalationFor(Why why) const {
  Escalation escalation = settings_.limits.escalation;
  if (why != Why::kSignal && why != Why::kLostOutput) return escalation;
  // The signal that the tool received replaces the first step. Programs expect
  // SIGHUP when their terminal is gone.
  const int signal = [this, why] {
    MutexLock lock(mu_);
    return why == Why::kSignal ? asked_by_ : SIGHUP;
  }();
  escalation.steps[0] =
      EscalationStep::Signal(signal, escalation.steps[0].grace);
  return escalation;
}

void RunJob::End(Why why, RunReport* report) {
  {
    MutexLock lock(mu_);
    no_then_ = true;
    then_in_time_ = then_ended_;
  }
  if (foreground_ != nullptr) foreground_->TakeBack();
  if (why == Why::kEnded) return;
  switch (why) {
    case Why::kTimeout:
      report->ended_because = "timeout";
      break;
    case Why::kIdle:
      report->ended_because = "idle-timeout";
      break;
    case Why::kSignal:
      report->ended_because = "signal";
      break;
    case Why::kLostOutput:
      report->ended_because = "lost-output";
      break;
    default:
      report->ended_because = "then";
  }
  if (settings_.explain) {
    Explain(absl::StrCat("is ended because of ", report->ended_because,
                         " after ",
                         absl::FormatDuration(MonotonicNow() - start_), "; ",
                         Diagnose(*main_.process).ToString()));
  }
  const Escalation escalation = EscalationFor(why);
  const auto end = main_.process->Terminate(escalation);
  if (!end.ok()) {
    report->error = std::string(end.status().message());
    Complain("run", report->error);
    return;
  }
  if (end->ended_by_step.has_value()) {
    report->ended_by_step = end->ended_by_step;
    report->ended_by = escalation.steps[*end->ended_by_step].ToString();
  }
  report->survivors = end->survivors;
}

// Collects the result, and waits until all output is printed.
void RunJob::Finish(RunReport* report) {
  if (pump_ != nullptr) input_failed_ = !pump_->Stop();
  pump_.reset();
  const auto status = main_.process->Wait(WNOHANG);
  if (status.ok()) {
    report->status = *status;
  } else if (report->error.empty()) {
    report->error = std::string(status.status().message());
    Complain("run", report->error);
  }
  if (report->status.has_value() && !report->status->output_complete()) {
    std::set<pid_t> seen;
    for (OutputStream* stream :
         {&main_.process->out(), &main_.process->err()}) {
      for (const PipeHolder& holder : stream->holders()) {
        if (seen.insert(holder.pid).second) report->held_by.push_back(holder);
      }
    }
  }
  Settle(&main_);
  report->out.bytes = main_.process->out().stats().bytes;
  report->err.bytes = main_.process->err().stats().bytes;
  if (stuck_) return;
  if (!main_.printers.empty()) {
    report->out.left_out = main_.printers[0]->left_out();
  }
  if (main_.printers.size() > 1) {
    report->err.left_out = main_.printers[1]->left_out();
  }
  FinishThen(report);
}

void RunJob::FinishThen(RunReport* report) {
  Thread then;
  Process* unfinished = nullptr;
  {
    MutexLock lock(mu_);
    std::swap(then, then_thread_);
    report->ready_after = ready_after_;
    report->ready_line = ready_line_;
    if (!then_ended_) unfinished = then_process_;
  }
  if (unfinished != nullptr) {
    unfinished->Terminate(settings_.limits.escalation).IgnoreError();
  }
  if (!then.running()) return;
  then.Join();
  if (then_.process != nullptr) Settle(&then_);
}

// Waits until all output of the command is printed. Does not wait for output of
// other processes that still have its pipes.
void RunJob::Settle(PrintedProcess* printed) {
  printed->process->out().Close();
  printed->process->err().Close();
  for (const auto& printer : printed->printers) {
    uint64_t progress = printer->progress();
    absl::Time last = MonotonicNow();
    while (!printer->AwaitEnd(absl::Milliseconds(50))) {
      const absl::Time now = MonotonicNow();
      if (printer->progress() != std::exchange(progress, printer->progress())) {
        last = now;
      }
      MutexLock lock(mu_);
      const bool hurry = hurry_ || asked_by_ != 0;
      if (hurry && (now - last > kReaderPatience || asked_twice_)) {
        stuck_ = true;
        return;
      }
    }
  }
}

void RunJob::OnLine(absl::string_view written) {
  // As ReadyCondition::Line does by default.
  const std::string line = StripControlSequences(written);
  const int groups = ready_pattern_->NumberOfCapturingGroups();
  std::vector<absl::string_view> found(static_cast<size_t>(groups) + 1);
  {
    MutexLock lock(mu_);
    if (ready_after_.has_value()) return;
  }
  if (!ready_pattern_->Match(line, 0, line.size(), RE2::UNANCHORED,
                             found.data(), groups + 1)) {
    return;
  }
  const absl::Duration after = MonotonicNow() - start_;
  {
    MutexLock lock(mu_);
    ready_after_ = after;
    ready_line_ = line;
    then_wanted_ = !settings_.then.empty();
  }
  if (settings_.explain) {
    Explain(absl::StrCat("is ready after ", absl::FormatDuration(after)));
  }
  if (!settings_.then.empty()) {
    StartThen(line, {found.begin() + 1, found.end()});
  }
}

// Writes to a terminal do not fail, so no SIGPIPE ends the command.
void RunJob::OnLostOutput() {
  {
    MutexLock lock(mu_);
    lost_output_ = true;
  }
  wake_.Cancel();
}

void RunJob::StartThen(absl::string_view line,
                       const std::vector<std::string>& groups) {
  then_command_ = Command::Shell(settings_.then);
  then_command_.in = Stdio::Null();
  PassIgnoredSignals(&then_command_);
  PassDescriptors(&then_command_);
  then_command_.err = command_.err;
  then_command_.process_group =
      command_.pty.has_value() ? ProcessGroup::New() : command_.process_group;
  then_command_.env.Set("ASYNCPROC_READY", line);
  for (size_t i = 0; i < groups.size(); ++i) {
    then_command_.env.Set(absl::StrCat("ASYNCPROC_READY_", i + 1), groups[i]);
  }
  MutexLock lock(mu_);
  if (no_then_) return;
  auto thread = Thread::Start("then", [this] { RunThen(); });
  if (thread.ok()) {
    then_thread_ = *std::move(thread);
    return;
  }
  Complain("run", thread.status().message());
  then_code_ = kOwnFailure;
  then_ended_ = true;
  wake_.Cancel();
}

void RunJob::RunThen() {
  PrintOptions options = settings_.print;
  options.progress.clear();
  then_code_ = kOwnFailure;
  if (absl::Status status = Start(then_command_, options, &then_);
      !status.ok()) {
    Complain("run", status.message());
    then_code_ = ExitCodeOfFailedStart(status);
  } else {
    bool late;
    {
      MutexLock lock(mu_);
      then_process_ = then_.process.get();
      for (int signal : then_early_) PassOn(then_process_, signal);
      late = no_then_;
    }
    // FinishThen may have come before this process was known.
    if (late) {
      then_.process->Terminate(settings_.limits.escalation).IgnoreError();
    }
    const auto end = then_.process->Wait();
    if (end.ok()) then_code_ = ExitCodeOf(*end);
    then_.process->out().Close();
    then_.process->err().Close();
  }
  {
    MutexLock lock(mu_);
    then_ended_ = true;
  }
  wake_.Cancel();
}

int RunJob::ExitCode(Why why, RunReport* report) {
  bool then_ran;
  bool server_ended;
  bool ready;
  {
    MutexLock lock(mu_);
    then_ran = then_ended_;
    server_ended = why == Why::kEnded && then_wanted_ && !then_in_time_;
    ready = ready_after_.has_value();
  }
  const bool timed_out = why == Why::kTimeout || why == Why::kIdle;
  if (timed_out && !settings_.preserve_status) return kTimedOut;
  if (timed_out || why == Why::kSignal) {
    return report->status.has_value() ? ExitCodeOf(*report->status)
                                      : kOwnFailure;
  }
  // The status of a command without a terminal. If the command has ended before
  // the first step, its own status counts.
  if (why == Why::kLostOutput && report->ended_by_step.has_value()) {
    return kSignalBase + SIGPIPE;
  }
  if (server_ended && report->status.has_value()) {
    report->error =
        absl::StrCat("the command ended (", report->status->ToString(),
                     ") before --then ended");
    Complain("run", absl::StrCat(report->command, ": ", report->error));
    const int code = ExitCodeOf(*report->status);
    return code == kSuccess ? kOwnFailure : code;
  }
  if (then_ran) {
    return then_code_ == kSuccess && input_failed_ ? kOwnFailure : then_code_;
  }
  if (!report->status.has_value()) return kOwnFailure;
  if (ready_pattern_ != nullptr && !ready && report->status->ok()) {
    report->error = "the command ended before it was ready";
    Complain("run", absl::StrCat(report->command, ": ", report->error));
    return kOwnFailure;
  }
  const int code = ExitCodeOf(*report->status);
  return code == kSuccess && input_failed_ ? kOwnFailure : code;
}

void RunJob::OnSignal(const ReceivedSignal& signal) {
  MutexLock lock(mu_);
  if (process_ == nullptr) {
    early_.push_back(signal.number);
    return;
  }
  // The terminal has sent it to the command, too.
  if (signal.from_terminal && settings_.in_our_group &&
      signal.number != SIGCONT && signal.number != SIGHUP) {
    return;
  }
  Take(signal.number);
}

void RunJob::Take(int signal) {
  switch (signal) {
    case SIGTERM:
    case SIGHUP:
      if (asked_by_ != 0) {
        // A second signal: the user does not want to wait.
        asked_twice_ = true;
        process_->Signal(SIGKILL, settings_.limits.escalation.scope)
            .IgnoreError();
        return;
      }
      asked_by_ = signal;
      wake_.Cancel();
      return;
    case SIGWINCH:
      if (process_->pty() == nullptr) break;
      winsize size = {};
      if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 ||
          ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        process_->pty()->SetSize(size.ws_row, size.ws_col).IgnoreError();
      }
      return;
  }
  PassOn(process_, signal);
  if (then_process_ != nullptr) {
    PassOn(then_process_, signal);
  } else if (then_thread_.running()) {
    then_early_.push_back(signal);
  }
}

void RunJob::PassOn(Process* process, int signal) const {
  // With --pty the command is in another session, whose process groups ignore a
  // SIGTSTP from here.
  const int number =
      signal == SIGTSTP && command_.pty.has_value() ? SIGSTOP : signal;
  const TerminationScope scope = signal == SIGWINCH
                                     ? TerminationScope::kChild
                                     : settings_.limits.escalation.scope;
  process->Signal(number, scope).IgnoreError();
}

void RunJob::Explain(absl::string_view what) const {
  console_->Say(absl::StrCat("asyncproc run: ", host_,
                             host_.empty() ? "" : ": ", command_.argv[0], " ",
                             what));
}

}  // namespace asyncproc::cli

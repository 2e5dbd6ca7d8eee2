#include "tools/asyncproc/pool/pool.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/job_control.h"
#include "tools/asyncproc/os/clock.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/screen_text.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {
namespace {

constexpr absl::Duration kPanelPeriod = absl::Milliseconds(100);
// How often the pool checks whether its output still has a reader.
constexpr absl::Duration kReaderPeriod = absl::Milliseconds(500);
// The most bytes of a line that the panel shows.
constexpr size_t kLongestLine = 1000;

bool SpeaksUtf8() {
  for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* const value = getenv(name);
    if (value == nullptr || *value == '\0') continue;
    return absl::StrContainsIgnoreCase(value, "utf-8") ||
           absl::StrContainsIgnoreCase(value, "utf8");
  }
  return false;
}

PanelScreen ScreenOf(int fd) {
  PanelScreen screen;
  winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    screen.columns = size.ws_col;
    screen.rows = size.ws_row;
  }
  screen.utf8 = SpeaksUtf8();
  const char* const no_colour = getenv("NO_COLOR");
  screen.colours = no_colour == nullptr || *no_colour == '\0';
  return screen;
}

// The exit status of ssh when the connection fails.
constexpr int kSshFailed = 255;

// The first line of an output.
std::string FirstLine(const StoredOutput& output) {
  std::string line;
  output
      .ForEach([&line](absl::string_view piece) {
        line = std::string(
            piece.substr(0, std::min<size_t>(piece.find('\n'), 200)));
        return absl::CancelledError("it is enough");
      })
      .IgnoreError();
  while (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

Escalation KillAtOnce() {
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(SIGKILL, absl::Seconds(1))};
  escalation.scope = TerminationScope::kTree;
  return escalation;
}

}  // namespace

Pool::Pool(PoolOptions options, PoolFiles files, Orphans* orphans)
    : options_(std::move(options)),
      files_(std::move(files)),
      orphans_(orphans),
      slots_(options_.slots, options_.hosts.size()),
      store_(options_.store) {}

void Pool::Wake() {
  bell_.Ring();
  ProcessPoller<int>::Stop();
}

void Pool::Signal(int number) {
  if (number == SIGWINCH || number == SIGCONT) {
    if (number == SIGCONT) {
      continued_ = true;
      stop_ = false;
    }
    screen_changed_ = true;
  } else if (number == SIGTSTP) {
    stop_ = true;
  } else {
    int none = 0;
    signal_.compare_exchange_strong(none, number);
    interrupts_ += number == SIGINT ? 1 : 2;
  }
  Wake();
}

int Pool::Run() {
  begin_ = MonotonicNow();
  auto printer = Printer::Start(options_.printer, [this] { Wake(); });
  if (!printer.ok()) {
    Complain("pool", printer.status().message());
    return kOwnFailure;
  }
  printer_ = *std::move(printer);
  queue_ = std::make_unique<OutputQueue>(
      options_.output, &store_, printer_.get(), [this] { AwaitRoom(); });
  StartAll();
  while (!IsOver()) {
    Await();
    HandleSignals();
    CheckPrinter(printer_->status());
    CheckReader();
    StartAll();
    ShowPanel();
  }
  queue_->Flush();
  EndOrphans();
  Summarize();
  if (!FinishPrinting()) _exit(ExitCode());
  // FinishOutput reports the errors of stdout and stderr.
  if (!failure_.ok() && !unread_ &&
      failure_ != options_.printer.out->status() &&
      failure_ != options_.printer.err->status()) {
    Complain("pool", failure_.message());
  }
  return ExitCode();
}

bool Pool::IsOver() const {
  if (running() > 0 || !again_.empty()) return false;
  return source_ended_ || stopping_ != Stopping::kNot;
}

// Waits for an event: of a child, a signal, the source, the printer or the
// clock.
void Pool::Await() {
  const bool panel = options_.progress == PoolOptions::Progress::kPanel;
  absl::Duration timeout =
      panel ? next_panel_ - MonotonicNow() : absl::InfiniteDuration();
  if (running() > 0 && !running_.empty()) {
    timeout = std::min(timeout, kReaderPeriod);
  }
  if (const absl::Duration wait = next_start_ - MonotonicNow();
      wait > absl::ZeroDuration() && slots_.HasFree()) {
    timeout = std::min(timeout, wait);
  }
  if (running() == 0)
    return bell_.Wait(std::max(timeout, absl::ZeroDuration()));
  const absl::Status status = Poll(std::max(timeout, absl::ZeroDuration()));
  if (!status.ok() && !absl::IsDeadlineExceeded(status) &&
      !absl::IsCancelled(status)) {
    Fail(status);
  }
}

// ---- Starting.

bool Pool::MayStart() const {
  return stopping_ == Stopping::kNot && slots_.HasFree() && !crowded_ &&
         MonotonicNow() >= next_start_ && queue_->HasRoom();
}

void Pool::StartAll() {
  while (MayStart()) {
    std::optional<Queued> job = NextJob();
    if (!job.has_value()) return;
    Start(*std::move(job));
  }
}

std::optional<Pool::Queued> Pool::NextRetry() {
  for (auto queued = again_.begin(); queued != again_.end(); ++queued) {
    if (!slots_.Find(queued->job.avoid).has_value()) continue;
    Queued next = std::move(*queued);
    again_.erase(queued);
    return next;
  }
  return std::nullopt;
}

std::optional<Pool::Queued> Pool::NextJob() {
  if (std::optional<Queued> retry = NextRetry(); retry.has_value()) {
    return retry;
  }
  while (!source_ended_) {
    auto values = source_->Next();
    if (absl::IsUnavailable(values.status())) return std::nullopt;
    source_ended_ = !values.ok();
    if (absl::IsOutOfRange(values.status())) return std::nullopt;
    if (!values.ok()) {
      Fail(values.status());
      return std::nullopt;
    }
    Job job;
    job.number = ++taken_;
    job.order = taken_ - skipped_ - 1;
    job.values = *std::move(values);
    absl::StatusOr<bool> done = IsDone(job);
    if (!done.ok()) {
      Fail(done.status());
      return std::nullopt;
    }
    if (!*done) return Queued{std::move(job), std::nullopt};
    ++skipped_;
  }
  return std::nullopt;
}

absl::StatusOr<bool> Pool::IsDone(const Job& job) {
  if (!files_.log.has_value()) return false;
  // The log does not tell the slot in which the job ran.
  std::optional<std::string> line;
  if (!options_.command.uses_slot()) {
    line = options_.command.Fill(job.values, job.number, 1);
  }
  const auto past = files_.log->Find(job.number, line);
  if (!past.ok()) return past.status();
  const bool done = *past == JobLog::Past::kOk ||
                    (*past == JobLog::Past::kFailed && !options_.retry_failed);
  // No other job is to get the files of this one.
  if (done && files_.results.has_value()) {
    files_.results->PathFor(job.number, job.values);
  }
  return done;
}

void Pool::Start(Queued queued) {
  const int slot = *slots_.Find(queued.job.avoid);
  JobRun run;
  run.job = std::move(queued.job);
  run.output = queue_->Open(run.job.order, TagOf(run.job));
  run.start = absl::Now();
  run.begin = MonotonicNow();
  run.line = options_.command.Fill(run.job.values, run.job.number, slot);
  if (files_.results.has_value()) {
    auto files = files_.results->Open(run.job.number, run.job.values);
    if (!files.ok()) return Fail(files.status());
    run.files = *std::move(files);
  }
  const absl::Status status =
      Spawn(slot, CommandFor(run.line, slot), run.job.number, &run.pid);
  if (status.ok()) {
    ++run.job.tries;
    next_start_ = run.begin + options_.delay;
    slots_.Take(slot);
    const auto at = running_.emplace(slot, std::move(run)).first;
    if (files_.log.has_value()) {
      absl::Status noted = files_.log->NoteStart(at->second.job.number);
      if (!noted.ok()) Fail(noted);
    }
  } else if (ExitCodeOfFailedStart(status) != kOwnFailure) {
    FailToStart(std::move(run), slot, status);
  } else {
    // The job has not run. The result of its last try stays with it.
    again_.push_front({std::move(run.job), std::move(queued.last)});
    // There may be room when another job has ended.
    crowded_ = absl::IsResourceExhausted(status) && running() > 0;
    if (!crowded_) Fail(status);
  }
}

Command Pool::CommandFor(const std::string& line, int slot) const {
  Command command = options_.make_command == nullptr
                        ? Command::Shell(line)
                        : options_.make_command(line, slot);
  command.new_session = true;
  if (options_.one_stream) command.err = Stdio::ToStdout();
  return command;
}

absl::Status Pool::Spawn(int slot, Command command, int64_t number,
                         pid_t* pid) {
  orphans_->Mark(&command, number);
  Orphans::Birth birth(orphans_);
  absl::Status status = ProcessPoller<int>::Run(slot, std::move(command),
                                                std::nullopt, options_.limits);
  if (!status.ok()) return status;
  *pid = GetPid(slot).value_or(0);
  birth.Started(*pid);
  return status;
}

void Pool::FailToStart(JobRun run, int slot, const absl::Status& status) {
  // Further tries would fail, too.
  run.job.tries = options_.tries;
  EndedRun ended{std::move(run), slots_.HostOf(slot), false, 0, "", {}};
  ended.code = ExitCodeOfFailedStart(status);
  ended.words = "not run";
  ended.record.exit_value = ended.code;
  JobOutput* const output = ended.run.output.get();
  absl::Status stored =
      queue_->Add(output, ChildStream::kErr,
                  absl::StrCat("asyncproc pool: ", status.message(), "\n"));
  stored.Update(queue_->Complete(output));
  if (!stored.ok()) Fail(stored);
  End(std::move(ended), slot, ResourceUsage());
}

// ---- Events of the children.

absl::Status Pool::OnOutput(const int& slot, ChildStream stream,
                            absl::string_view data) {
  const bool is_err = stream == ChildStream::kErr;
  JobRun& run = running_.at(slot);
  if (options_.progress == PoolOptions::Progress::kPanel) Watch(run, data);
  if (run.files.has_value()) {
    absl::Status status =
        (is_err ? run.files->err : run.files->out).Write(data);
    if (!status.ok()) return status;
  }
  run.received += static_cast<int64_t>(data.size());
  if (doubted_.count(slot) > 0) return absl::OkStatus();
  if (!is_err && !data.empty()) has_output_ = true;
  return queue_->Add(run.output.get(), stream, data);
}

std::optional<std::string> Pool::TagOf(const Job& job) const {
  if (!options_.tag) return std::nullopt;
  return absl::StrCat(absl::StrJoin(job.values, " "), "\t");
}

// Jobs wait for a slow reader, as they would if they wrote to it themselves.
void Pool::AwaitRoom() {
  while (!printer_->HasRoom() && printer_->status().ok() && interrupts_ < 2) {
    bell_.Wait(kPanelPeriod);
  }
}

// Keeps the last line, for the panel.
void Pool::Watch(JobRun& run, absl::string_view data) const {
  const auto is_end = [](char c) { return c == '\n' || c == '\r'; };
  if (data.size() > kLongestLine) {
    data.remove_prefix(data.size() - kLongestLine);
    run.last_line.clear();
  }
  while (!data.empty()) {
    if (is_end(data[0])) {
      run.last_line_ended = true;
      data.remove_prefix(1);
      continue;
    }
    const size_t size =
        std::find_if(data.begin(), data.end(), is_end) - data.begin();
    if (std::exchange(run.last_line_ended, false)) run.last_line.clear();
    if (run.last_line.size() < kLongestLine) {
      absl::StrAppend(&run.last_line, data.substr(0, size));
    }
    data.remove_prefix(size);
  }
}

absl::Status Pool::OnTimeout(const int& slot, const absl::Status& /*why*/) {
  running_.at(slot).timed_out = true;
  return absl::OkStatus();
}

absl::Status Pool::OnTerminate(const int& slot, const ExitStatus& status) {
  if (doubted_.count(slot) > 0) {
    const JobRun& probe = running_.at(slot);
    const bool failed = probe.timed_out || probe.killed ||
                        (status.exited() && status.exit_code() == kSshFailed);
    FinishProbe(slot, !failed);
    StartAll();
    return absl::OkStatus();
  }
  EndedRun ended{Release(slot), slots_.HostOf(slot), false, 0, "", {}};
  if (ended.run.timed_out) {
    ended.code = kTimedOut;
    ended.words = "timed out";
    ended.record.exit_value = -1;
  } else {
    ended.ok = status.ok();
    ended.code = ExitCodeOf(status);
    ended.words = status.ok() ? "ok" : status.ToString();
    if (status.exited()) ended.record.exit_value = status.exit_code();
  }
  if (status.signaled()) ended.record.signal = status.term_signal();
  ended.run.output_open = !status.output_complete();
  if (ended.run.timed_out || ended.run.killed) {
    const absl::Status search = termination(slot).status();
    if (absl::IsResourceExhausted(search)) {
      printer_->Note(absl::StrCat("asyncproc pool: job ", ended.run.job.number,
                                  ": ", search.message(), "\n"));
    }
    orphans_->EndJob(ended.run.job.number);
  }
  if (IsDoubtful(ended, status)) {
    Probe(slot, std::move(ended), status.usage());
  } else {
    End(std::move(ended), slot, status.usage());
  }
  StartAll();
  return absl::OkStatus();
}

absl::Status Pool::OnFailure(const int& slot, const absl::Status& status) {
  if (doubted_.count(slot) > 0) {
    FinishProbe(slot, /*reached=*/false);
    return absl::OkStatus();
  }
  EndedRun ended{Release(slot), slots_.HostOf(slot), false, 0, "", {}};
  ended.code = kOwnFailure;
  ended.words = std::string(status.message());
  ended.record.exit_value = kOwnFailure;
  End(std::move(ended), slot, ResourceUsage());
  StartAll();
  return absl::OkStatus();
}

JobRun Pool::Release(int slot) {
  const auto found = running_.find(slot);
  JobRun run = std::move(found->second);
  running_.erase(found);
  absl::Status stored = queue_->Complete(run.output.get());
  if (!stored.ok()) Fail(stored);
  orphans_->Ended(run.pid);
  slots_.Release(slot);
  crowded_ = false;
  return run;
}

// ---- Hosts.

// ssh exits with 255 when it cannot reach the host. So may a command.
bool Pool::IsDoubtful(const EndedRun& ended, const ExitStatus& status) const {
  return options_.over_ssh && !options_.hosts.empty() && status.exited() &&
         status.exit_code() == kSshFailed && !ended.run.timed_out &&
         !ended.run.killed && stopping_ != Stopping::kNow &&
         !queue_->IsEarly(*ended.run.output);
}

// Runs "true" on the host of `slot`, to learn whether the host can be reached.
void Pool::Probe(int slot, EndedRun ended, const ResourceUsage& usage) {
  JobRun run;
  run.job = ended.run.job;
  run.output = queue_->Open(run.job.order, std::nullopt);
  run.line = ended.run.line;
  run.begin = MonotonicNow();
  Doubted doubted{std::move(ended), usage};
  const absl::Status status =
      Spawn(slot, CommandFor("true", slot), run.job.number, &run.pid);
  if (!status.ok()) {
    return End(std::move(doubted.ended), slot, doubted.usage);
  }
  slots_.Take(slot);
  running_.emplace(slot, std::move(run));
  doubted_.emplace(slot, std::move(doubted));
}

void Pool::FinishProbe(int slot, bool reached) {
  Release(slot);
  const auto found = doubted_.find(slot);
  Doubted doubted = std::move(found->second);
  doubted_.erase(found);
  if (reached || stopping_ != Stopping::kNot) {
    // The job may not have run: the next run repeats a job that was killed.
    doubted.ended.run.killed = !reached;
    return End(std::move(doubted.ended), slot, doubted.usage);
  }
  const size_t host = slots_.HostOf(slot);
  if (files_.log.has_value()) {
    absl::Status noted = files_.log->NoteEnd(doubted.ended.run.job.number);
    if (!noted.ok()) Fail(noted);
  }
  const std::string why = FirstLine(doubted.ended.run.output->err);
  Job job = doubted.ended.run.job;
  --job.tries;  // The host has failed, not the job.
  job.avoid = host;
  again_.push_front({std::move(job), std::nullopt});
  if (!slots_.Drop(host)) return;
  printer_->Note(absl::StrCat(
      "asyncproc pool: ", options_.hosts[host], " cannot be reached",
      why.empty() ? "" : ": ", Printable(why, /*utf8=*/true),
      slots_.LiveHosts() > 0 ? "; its jobs go to other hosts\n" : "\n"));
  if (slots_.LiveHosts() == 0)
    Fail(absl::UnavailableError("no host can be reached"));
}

// ---- Ending.

void Pool::End(EndedRun ended, int slot, const ResourceUsage& usage) {
  JobRecord& record = ended.record;
  record.number = ended.run.job.number;
  record.host = HostOf(slot);
  record.start = ended.run.start;
  record.runtime = MonotonicNow() - ended.run.begin;
  record.received = ended.run.received;
  record.command = ended.run.line;
  ended.run.files.reset();
  if (ended.run.killed) ended.words = "ended";
  Trace(ended, slot, usage);
  const bool again = !ended.ok && !ended.run.killed &&
                     stopping_ == Stopping::kNot &&
                     ended.run.job.tries < options_.tries;
  if (!again) return Settle(std::move(ended));
  if (files_.log.has_value()) {
    absl::Status noted = files_.log->NoteEnd(record.number);
    if (!noted.ok()) Fail(noted);
  }
  Job job = ended.run.job;
  job.avoid = ended.host;
  again_.push_back({std::move(job), std::move(ended)});
}

void Pool::Trace(const EndedRun& ended, int slot, const ResourceUsage& usage) {
  if (!files_.trace.has_value()) return;
  TraceSpan span;
  span.name = ended.run.line;
  span.row = slot;
  span.row_name = options_.hosts.empty()
                      ? absl::StrCat("slot ", slot)
                      : absl::StrCat("slot ", slot, " on ", HostOf(slot));
  span.start = ended.run.begin;
  span.length = ended.record.runtime;
  span.outcome = ended.words;
  span.details = {
      {"job", absl::StrCat(ended.run.job.number)},
      {"try", absl::StrCat(ended.run.job.tries)},
      {"end", ended.words},
      {"output", absl::StrCat(ended.record.received, " bytes")},
      {"user time", absl::FormatDuration(usage.user_time)},
      {"system time", absl::FormatDuration(usage.system_time)},
      {"memory", absl::StrCat(usage.max_rss_bytes / 1024, " KiB")},
  };
  if (absl::Status status = files_.trace->Add(span); !status.ok()) Fail(status);
}

void Pool::Settle(EndedRun ended) {
  // The next run repeats a job that the pool has ended.
  if (files_.log.has_value()) {
    absl::Status status = ended.run.killed
                              ? files_.log->NoteEnd(ended.record.number)
                              : files_.log->Append(ended.record);
    if (!status.ok()) Fail(status);
  }
  Count(ended);
  queue_->Print(
      std::move(ended.run.output),
      options_.progress == PoolOptions::Progress::kLines ? LineFor(ended) : "");
}

void Pool::Count(const EndedRun& ended) {
  tally_.Add(ended, options_.hosts.empty() ? "" : ended.record.host);
  if (ended.run.killed || halted_with_.has_value() ||
      !options_.halt.Reached(tally_.failed(), tally_.succeeded(),
                             KnownTotal())) {
    return;
  }
  halted_with_ = ended.code;
  Stop(options_.halt.when == HaltPolicy::When::kNow ? Stopping::kNow
                                                    : Stopping::kSoon);
}

// Lists the failed jobs and the hosts that could not be reached.
void Pool::Summarize() {
  if (options_.progress == PoolOptions::Progress::kNone) return;
  std::string text = tally_.Failures();
  std::vector<std::string> names;
  for (size_t host : slots_.dropped()) names.push_back(options_.hosts[host]);
  if (!names.empty()) {
    absl::StrAppend(&text,
                    "asyncproc pool: not reached: ", absl::StrJoin(names, ", "),
                    "\n");
  }
  if (!text.empty()) printer_->Note(text);
}

std::string Pool::LineFor(const EndedRun& ended) const {
  const std::optional<int64_t> total = source_->total();
  return absl::StrFormat(
      "asyncproc pool: %d%s: %s%s, %.2fs: %s\n", ended.run.job.number,
      total.has_value() ? absl::StrCat("/", *total) : "", ended.words,
      ended.run.output_open ? ", another process has its output open" : "",
      absl::ToDoubleSeconds(ended.record.runtime),
      Printable(ended.run.line, /*utf8=*/true));
}

std::string Pool::HostOf(int slot) const {
  if (options_.hosts.empty()) return ":";
  return options_.hosts[slots_.HostOf(slot)];
}

// ---- Stopping.

void Pool::CheckPrinter(const absl::Status& status) {
  if (status.ok() || !failure_.ok()) return;
  // The reader has gone, as head does, or the terminal has.
  const Output& out = *options_.printer.out;
  const Output& err = *options_.printer.err;
  unread_ = (out.unread() && status == out.status()) ||
            (err.unread() && status == err.status()) || signal_ != 0;
  Fail(status);
}

// Ends the pool when its reader has gone: a running job may be silent for ever.
// Jobs that never write to stdout, such as gzip, need no reader.
void Pool::CheckReader() {
  if (!has_output_ || running_.empty() || !failure_.ok() ||
      !HasNoReader(options_.printer.out->fd())) {
    return;
  }
  unread_ = true;
  Fail(absl::FailedPreconditionError("the reader of stdout has closed it"));
}

// Ends the processes that ended jobs have left behind, in whatever session.
void Pool::EndOrphans() {
  constexpr absl::Duration kPatience = absl::Seconds(5);
  const std::vector<Survivor> left = stopping_ == Stopping::kNow
                                         ? orphans_->EndAll(kPatience)
                                         : orphans_->AwaitJobs(kPatience);
  for (const Survivor& survivor : left) {
    printer_->Note(absl::StrCat("asyncproc pool: still running: ",
                                Printable(survivor.command, /*utf8=*/true),
                                " (pid ", survivor.pid, ")\n"));
  }
}

// Ctrl-Z does not reach the jobs, which have sessions of their own.
void Pool::StopWithJobs() {
  const auto signal_jobs = [this](int signal) {
    for (const auto& [slot, run] : running_) kill(-run.pid, signal);
    orphans_->SignalAll(signal);
  };
  signal_jobs(SIGSTOP);
  // A SIGCONT may have come meanwhile.
  if (stop_.exchange(false)) StopSelf();
  signal_jobs(SIGCONT);
}

// The pool itself cannot go on.
void Pool::Fail(const absl::Status& status) {
  if (failure_.ok()) failure_ = status;
  Stop(Stopping::kNow);
}

void Pool::Stop(Stopping stopping) {
  if (stopping <= stopping_) return;
  stopping_ = stopping;
  // There are no further tries.
  for (Queued& queued : std::exchange(again_, {})) {
    if (queued.last.has_value()) Settle(*std::move(queued.last));
  }
  if (stopping == Stopping::kNow) EndChildren(options_.limits.escalation);
}

void Pool::EndChildren(const Escalation& escalation) {
  for (auto& [slot, run] : running_) {
    run.killed = true;
    Terminate(slot, escalation).IgnoreError();
  }
}

void Pool::HandleSignals() {
  if (stop_) StopWithJobs();
  const int interrupts = interrupts_;
  if (interrupts == handled_interrupts_) return;
  if (handled_interrupts_ < 1) {
    Stop(Stopping::kSoon);
    if (interrupts == 1 && options_.progress == PoolOptions::Progress::kLines) {
      printer_->Note(absl::StrCat("asyncproc pool: interrupted: waiting for ",
                                  running_.size(),
                                  " jobs; once more ends them\n"));
    }
  }
  if (handled_interrupts_ < 2 && interrupts >= 2) Stop(Stopping::kNow);
  if (interrupts > 2) EndChildren(KillAtOnce());
  handled_interrupts_ = interrupts;
}

int64_t Pool::KnownTotal() const {
  return source_->total().value_or(taken_) - skipped_;
}

int Pool::ExitCode() const {
  if (signal_ != 0 && (failure_.ok() || unread_)) return kSignalBase + signal_;
  if (unread_) return kSignalBase + SIGPIPE;
  if (!failure_.ok()) return kOwnFailure;
  if (halted_with_.has_value()) return *halted_with_;
  return std::min<int64_t>(tally_.failed(), 101);
}

// ---- The screen.

void Pool::ShowPanel() {
  if (options_.progress != PoolOptions::Progress::kPanel) return;
  const absl::Time now = MonotonicNow();
  if (continued_.exchange(false)) printer_->ForgetPanel();
  if (screen_changed_.exchange(false)) next_panel_ = now;
  if (now < next_panel_) return;
  next_panel_ = now + kPanelPeriod;
  const PanelScreen screen = ScreenOf(options_.printer.err->fd());
  // In the background, the screen belongs to the shell.
  printer_->Show(InBackground(options_.printer.err->fd())
                     ? std::vector<std::string>()
                     : RenderPanel(Model(), screen),
                 screen.columns);
}

PanelModel Pool::Model() const {
  const absl::Time now = MonotonicNow();
  PanelModel model;
  for (const auto& [slot, run] : running_) {
    // The values differ between the jobs; the beginning of the line does not.
    const std::string label = options_.command.is_raw()
                                  ? run.line
                                  : absl::StrJoin(run.job.values, " ");
    model.running.push_back({slot, now - run.begin, label, run.last_line,
                             run.killed || run.timed_out});
  }
  model.failed = tally_.failed();
  model.done = tally_.failed() + tally_.succeeded();
  model.known = taken_ - skipped_;
  if (const auto total = source_->total(); total.has_value()) {
    model.total = *total - skipped_;
  }
  model.elapsed = now - begin_;
  if (stopping_ == Stopping::kNow) {
    model.note = "ending all";
  } else if (signal_ != 0) {
    model.note = "interrupted: waits for those that run; once more ends them";
  } else if (stopping_ == Stopping::kSoon) {
    model.note = "halted: waits for those that run";
  }
  return model;
}

bool Pool::FinishPrinting() {
  for (;;) {
    const absl::Status status = printer_->Finish(kPanelPeriod);
    if (!absl::IsDeadlineExceeded(status)) {
      CheckPrinter(status);
      return true;
    }
    if (interrupts_ >= 2) {
      Printer::Abandon(std::move(printer_));
      return false;
    }
  }
}

}  // namespace asyncproc::cli

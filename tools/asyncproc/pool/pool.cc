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
#include "asyncproc/internal/os/os.h"
#include "tools/asyncproc/exit_codes.h"
#include "tools/asyncproc/output.h"
#include "tools/asyncproc/pool/screen_text.h"
#include "tools/asyncproc/subcommand.h"

namespace asyncproc::cli {
namespace {

using internal::MonotonicNow;

constexpr absl::Duration kPanelPeriod = absl::Milliseconds(100);
// Of a line that the panel shows.
constexpr size_t kLongestLine = 1000;
// Jobs that wait for an earlier one to be printed: each takes some memory
// however little it wrote.
constexpr size_t kMostUnprinted = 100000;

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

Escalation KillAtOnce() {
  Escalation escalation;
  escalation.steps = {EscalationStep::Signal(SIGKILL, absl::Seconds(1))};
  escalation.scope = TerminationScope::kTree;
  return escalation;
}

}  // namespace

Pool::Pool(PoolOptions options, PoolFiles files)
    : options_(std::move(options)),
      files_(std::move(files)),
      store_(options_.store) {
  for (int slot = 1; slot <= options_.slots; ++slot) free_.insert(slot);
}

void Pool::Wake() {
  bell_.Ring();
  ProcessPoller<int>::Stop();
}

void Pool::Signal(int number) {
  if (number == SIGWINCH || number == SIGCONT) {
    if (number == SIGCONT) continued_ = true;
    screen_changed_ = true;
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
  StartAll();
  while (!IsOver()) {
    Await();
    HandleSignals();
    CheckPrinter(printer_->status());
    StartAll();
    ShowPanel();
  }
  for (auto& [order, ended] : unprinted_) PrintNow(std::move(ended));
  unprinted_.clear();
  if (!FinishPrinting()) _exit(ExitCode());
  if (!failure_.ok() && !unread_) Complain("pool", failure_.message());
  return ExitCode();
}

bool Pool::IsOver() const {
  if (running() > 0 || !again_.empty()) return false;
  return source_ended_ || stopping_ != Stopping::kNot;
}

// Until something has happened that the rest of the pool is to look at.
void Pool::Await() {
  const bool panel = options_.progress == PoolOptions::Progress::kPanel;
  const absl::Duration timeout =
      panel ? next_panel_ - MonotonicNow() : absl::InfiniteDuration();
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
  return stopping_ == Stopping::kNot && !free_.empty() && !crowded_ &&
         unprinted_.size() < kMostUnprinted && printer_->HasRoom();
}

void Pool::StartAll() {
  while (MayStart()) {
    std::optional<Job> job = NextJob();
    if (!job.has_value()) return;
    Start(*std::move(job));
  }
}

std::optional<Pool::Job> Pool::NextJob() {
  if (!again_.empty()) {
    Job job = std::move(again_.front().job);
    again_.pop_front();
    return job;
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
    if (!*done) return job;
    ++skipped_;
  }
  return std::nullopt;
}

absl::StatusOr<bool> Pool::IsDone(const Job& job) {
  if (!files_.log.has_value()) return false;
  // The slot that it ran in before is not known.
  std::optional<std::string> line;
  if (!options_.command.uses_slot()) {
    line = options_.command.Fill(job.values, job.number, 1);
  }
  const auto past = files_.log->Find(job.number, line);
  if (!past.ok()) return past.status();
  const bool done = *past == JobLog::Past::kOk ||
                    (*past == JobLog::Past::kFailed && !options_.retry_failed);
  // Its files are not to become another's.
  if (done && files_.results.has_value()) {
    files_.results->PathFor(job.number, job.values);
  }
  return done;
}

void Pool::Start(Job job) {
  const int slot = *free_.begin();
  Running run(std::move(job), &store_);
  run.start = absl::Now();
  run.begin = MonotonicNow();
  run.line = options_.command.Fill(run.job.values, run.job.number, slot);
  if (files_.results.has_value()) {
    auto files = files_.results->Open(run.job.number, run.job.values);
    if (!files.ok()) return Fail(files.status());
    run.files = *std::move(files);
  }
  const absl::Status status = Launch(slot, run);
  if (status.ok()) {
    ++run.job.tries;
    free_.erase(slot);
    running_.emplace(slot, std::move(run));
  } else if (absl::IsResourceExhausted(status) && running() > 0) {
    // When others have ended, there is room for it, perhaps.
    crowded_ = true;
    again_.push_front({std::move(run.job), std::nullopt});
  } else {
    FailToStart(std::move(run), slot, status);
  }
}

absl::Status Pool::Launch(int slot, const Running& run) {
  Command command = options_.make_command == nullptr
                        ? Command::Shell(run.line)
                        : options_.make_command(run.line, slot);
  command.new_session = true;
  return ProcessPoller<int>::Run(slot, std::move(command), std::nullopt,
                                 options_.limits);
}

void Pool::FailToStart(Running run, int slot, const absl::Status& status) {
  ++run.job.tries;
  run.err.Append(absl::StrCat("asyncproc pool: ", status.message(), "\n"))
      .IgnoreError();
  Ended ended{std::move(run), {}, {}};
  ended.outcome.code = ExitCodeOfFailedStart(status);
  ended.outcome.words = "not run";
  ended.record.exit_value = ended.outcome.code;
  // None of its tries would be better.
  ended.run.job.tries = options_.retries + 1;
  End(std::move(ended), slot, ResourceUsage());
}

// ---- What the children do.

absl::Status Pool::OnOutput(const int& slot, ChildStream stream,
                            absl::string_view data) {
  const bool is_err = stream == ChildStream::kErr;
  Running& run = running_.at(slot);
  if (options_.progress == PoolOptions::Progress::kPanel) Watch(run, data);
  if (run.files.has_value()) {
    absl::Status status =
        WriteAll(is_err ? run.files->err.get() : run.files->out.get(), data);
    if (!status.ok()) return status;
  }
  return (is_err ? run.err : run.out).Append(data);
}

// Keeps the last line, for the panel.
void Pool::Watch(Running& run, absl::string_view data) const {
  const auto is_end = [](char c) { return c == '\n' || c == '\r'; };
  if (data.size() > kLongestLine) {
    data.remove_prefix(data.size() - kLongestLine);
    run.said.clear();
  }
  while (!data.empty()) {
    if (is_end(data[0])) {
      run.said_ended = true;
      data.remove_prefix(1);
      continue;
    }
    const size_t size =
        std::find_if(data.begin(), data.end(), is_end) - data.begin();
    if (std::exchange(run.said_ended, false)) run.said.clear();
    if (run.said.size() < kLongestLine) {
      absl::StrAppend(&run.said, data.substr(0, size));
    }
    data.remove_prefix(size);
  }
}

absl::Status Pool::OnTimeout(const int& slot, const absl::Status& /*why*/) {
  running_.at(slot).timed_out = true;
  return absl::OkStatus();
}

absl::Status Pool::OnTerminate(const int& slot, const ExitStatus& status) {
  Ended ended{Release(slot), {}, {}};
  Outcome& outcome = ended.outcome;
  if (ended.run.timed_out) {
    outcome = {false, kTimedOut, "timed out"};
    ended.record.exit_value = -1;
  } else {
    outcome = {status.ok(), ExitCodeOf(status),
               status.ok() ? "ok" : status.ToString()};
    if (status.exited()) ended.record.exit_value = status.exit_code();
  }
  if (status.signaled()) ended.record.signal = status.term_signal();
  End(std::move(ended), slot, status.usage());
  StartAll();
  return absl::OkStatus();
}

absl::Status Pool::OnFailure(const int& slot, const absl::Status& status) {
  Ended ended{Release(slot), {}, {}};
  ended.outcome = {false, kOwnFailure, std::string(status.message())};
  ended.record.exit_value = kOwnFailure;
  End(std::move(ended), slot, ResourceUsage());
  StartAll();
  return absl::OkStatus();
}

Pool::Running Pool::Release(int slot) {
  const auto found = running_.find(slot);
  Running run = std::move(found->second);
  running_.erase(found);
  free_.insert(slot);
  crowded_ = false;
  return run;
}

// ---- Ending.

void Pool::End(Ended ended, int slot, const ResourceUsage& usage) {
  JobRecord& record = ended.record;
  record.number = ended.run.job.number;
  record.host = HostOf(slot);
  record.start = ended.run.start;
  record.runtime = MonotonicNow() - ended.run.begin;
  record.received = ended.run.out.size() + ended.run.err.size();
  record.command = ended.run.line;
  ended.run.files.reset();
  if (ended.run.killed) ended.outcome.words = "ended";
  Trace(ended, slot, usage);
  const bool again = !ended.outcome.ok && !ended.run.killed &&
                     stopping_ == Stopping::kNot &&
                     ended.run.job.tries <= options_.retries;
  if (!again) return Settle(std::move(ended));
  Job job = ended.run.job;
  again_.push_back({std::move(job), std::move(ended)});
}

void Pool::Trace(const Ended& ended, int slot, const ResourceUsage& usage) {
  if (!files_.trace.has_value()) return;
  TraceSpan span;
  span.name = ended.run.line;
  span.row = slot;
  span.row_name = options_.hosts.empty()
                      ? absl::StrCat("slot ", slot)
                      : absl::StrCat("slot ", slot, " on ", HostOf(slot));
  span.start = ended.run.begin;
  span.length = ended.record.runtime;
  span.outcome = ended.outcome.words;
  span.details = {
      {"job", absl::StrCat(ended.run.job.number)},
      {"try", absl::StrCat(ended.run.job.tries)},
      {"end", ended.outcome.words},
      {"output", absl::StrCat(ended.record.received, " bytes")},
      {"user time", absl::FormatDuration(usage.user_time)},
      {"system time", absl::FormatDuration(usage.system_time)},
      {"memory", absl::StrCat(usage.max_rss_bytes / 1024, " KiB")},
  };
  if (absl::Status status = files_.trace->Add(span); !status.ok()) Fail(status);
}

void Pool::Settle(Ended ended) {
  // One that was ended for no fault of its own is for the next run to do.
  if (files_.log.has_value() && !ended.run.killed) {
    absl::Status status = files_.log->Append(ended.record);
    if (!status.ok()) Fail(status);
  }
  Count(ended);
  Print(std::move(ended));
}

void Pool::Count(const Ended& ended) {
  ++(ended.outcome.ok ? succeeded_ : failed_);
  if (ended.run.killed || halted_with_.has_value() ||
      !options_.halt.Reached(failed_, succeeded_)) {
    return;
  }
  halted_with_ = ended.outcome.code;
  Stop(options_.halt.when == HaltPolicy::When::kNow ? Stopping::kNow
                                                    : Stopping::kSoon);
}

void Pool::Print(Ended ended) {
  if (!options_.keep_order) return PrintNow(std::move(ended));
  const int64_t order = ended.run.job.order;
  unprinted_.emplace(order, std::move(ended));
  while (!unprinted_.empty() && unprinted_.begin()->first == next_printed_) {
    PrintNow(std::move(unprinted_.begin()->second));
    unprinted_.erase(unprinted_.begin());
    ++next_printed_;
  }
}

void Pool::PrintNow(Ended ended) {
  JobPrint print{std::move(ended.run.out), std::move(ended.run.err),
                 std::nullopt, ""};
  if (options_.tag) {
    print.tag = absl::StrCat(absl::StrJoin(ended.run.job.values, " "), "\t");
  }
  if (options_.progress == PoolOptions::Progress::kLines) {
    print.note = LineFor(ended);
  }
  printer_->Print(std::move(print));
}

std::string Pool::LineFor(const Ended& ended) const {
  const std::optional<int64_t> total = source_->total();
  return absl::StrFormat(
      "asyncproc pool: %d%s: %s, %.2fs: %s\n", ended.run.job.number,
      total.has_value() ? absl::StrCat("/", *total) : "", ended.outcome.words,
      absl::ToDoubleSeconds(ended.record.runtime),
      Printable(ended.run.line, /*utf8=*/true));
}

std::string Pool::HostOf(int slot) const {
  if (options_.hosts.empty()) return ":";
  return options_.hosts[(slot - 1) % options_.hosts.size()];
}

// ---- Stopping.

void Pool::CheckPrinter(const absl::Status& status) {
  if (status.ok() || !failure_.ok()) return;
  // Whoever read it has gone, as head does; or the terminal has.
  unread_ = absl::IsFailedPrecondition(status) || signal_ != 0;
  Fail(status);
}

// The pool itself cannot go on.
void Pool::Fail(const absl::Status& status) {
  if (failure_.ok()) failure_ = status;
  Stop(Stopping::kNow);
}

void Pool::Stop(Stopping stopping) {
  if (stopping <= stopping_) return;
  stopping_ = stopping;
  // Their further tries are off.
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

int Pool::ExitCode() const {
  if (signal_ != 0 && (failure_.ok() || unread_)) return kSignalBase + signal_;
  if (unread_) return kSignalBase + SIGPIPE;
  if (!failure_.ok()) return kOwnFailure;
  if (halted_with_.has_value()) return *halted_with_;
  return std::min<int64_t>(failed_, 101);
}

// ---- The screen.

void Pool::ShowPanel() {
  if (options_.progress != PoolOptions::Progress::kPanel) return;
  const absl::Time now = MonotonicNow();
  if (continued_.exchange(false)) printer_->ForgetPanel();
  if (screen_changed_.exchange(false)) next_panel_ = now;
  if (now < next_panel_) return;
  next_panel_ = now + kPanelPeriod;
  const PanelScreen screen = ScreenOf(options_.printer.err_fd);
  printer_->Show(RenderPanel(Model(), screen), screen.columns);
}

PanelModel Pool::Model() const {
  const absl::Time now = MonotonicNow();
  PanelModel model;
  for (const auto& [slot, run] : running_) {
    model.running.push_back({slot, now - run.begin, run.line, run.said,
                             run.killed || run.timed_out});
  }
  model.failed = failed_;
  model.done = failed_ + succeeded_;
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

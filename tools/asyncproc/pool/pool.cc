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
// How often it is looked whether somebody still reads.
constexpr absl::Duration kReaderPeriod = absl::Milliseconds(500);
// Output of a job that is larger is printed while the job runs, if none of
// another is being printed: then a reader that has seen enough, as head has,
// can say so. In pieces of kPiece.
constexpr uint64_t kLarge = 256 << 10;
constexpr uint64_t kPiece = 64 << 10;
// A line that is longer is printed in pieces.
constexpr size_t kLongestPrinted = 64 << 10;
// Failed jobs that are named at the end.
constexpr size_t kMostFailures = 20;
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

// How ssh ends when the connection fails.
constexpr int kSshFailed = 255;

// The beginning of what a job wrote.
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
  StartAll();
  while (!IsOver()) {
    Await();
    HandleSignals();
    CheckPrinter(printer_->status());
    CheckReader();
    StartAll();
    ShowPanel();
  }
  floor_.reset();
  for (auto& [order, ended] : unprinted_) PrintNow(std::move(ended));
  unprinted_.clear();
  FlushHeld();
  EndOrphans();
  Summarize();
  if (!FinishPrinting()) _exit(ExitCode());
  // FinishOutput reports what became of stdout and stderr.
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

// Until something has happened that the rest of the pool is to look at.
void Pool::Await() {
  const bool panel = options_.progress == PoolOptions::Progress::kPanel;
  absl::Duration timeout =
      panel ? next_panel_ - MonotonicNow() : absl::InfiniteDuration();
  if (running() > 0 && !running_.empty()) {
    timeout = std::min(timeout, kReaderPeriod);
  }
  if (const absl::Duration wait = next_start_ - MonotonicNow();
      wait > absl::ZeroDuration() && !free_.empty()) {
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
  return stopping_ == Stopping::kNot && !free_.empty() && !crowded_ &&
         unprinted_.size() < kMostUnprinted && held_.size() < kMostUnprinted &&
         MonotonicNow() >= next_start_ && printer_->HasRoom();
}

void Pool::StartAll() {
  while (MayStart()) {
    std::optional<Queued> job = NextJob();
    if (!job.has_value()) return;
    Start(*std::move(job));
  }
}

// A free slot, on another host than the one that the job has failed on, if
// there is another.
std::optional<int> Pool::SlotFor(const Job& job) const {
  for (int slot : free_) {
    if (LiveHosts() < 2 || !job.avoid.has_value() ||
        HostIndex(slot) != *job.avoid) {
      return slot;
    }
  }
  return std::nullopt;
}

std::optional<Pool::Queued> Pool::NextRetry() {
  for (auto queued = again_.begin(); queued != again_.end(); ++queued) {
    if (!SlotFor(queued->job).has_value()) continue;
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

void Pool::Start(Queued queued) {
  const int slot = *SlotFor(queued.job);
  Running run(std::move(queued.job), &store_);
  run.start = absl::Now();
  run.begin = MonotonicNow();
  run.line = options_.command.Fill(run.job.values, run.job.number, slot);
  if (files_.results.has_value()) {
    auto files = files_.results->Open(run.job.number, run.job.values);
    if (!files.ok()) return Fail(files.status());
    run.files = *std::move(files);
  }
  const absl::Status status = Launch(slot, &run);
  if (status.ok()) {
    ++run.job.tries;
    next_start_ = run.begin + options_.delay;
    free_.erase(slot);
    const auto at = running_.emplace(slot, std::move(run)).first;
    MakeFilters(&at->second);
    if (files_.log.has_value()) {
      absl::Status noted = files_.log->NoteStart(at->second.job.number);
      if (!noted.ok()) Fail(noted);
    }
  } else if (absl::IsResourceExhausted(status) && running() > 0) {
    // When others have ended, there is room for it, perhaps. What its last try
    // came to stays with it.
    crowded_ = true;
    again_.push_front({std::move(run.job), std::move(queued.last)});
  } else {
    FailToStart(std::move(run), slot, status);
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

absl::Status Pool::Launch(int slot, Running* run) {
  return Spawn(slot, CommandFor(run->line, slot), run->job.number, &run->pid);
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

void Pool::MakeFilters(Running* run) {
  if (options_.head == std::numeric_limits<size_t>::max()) return;
  for (const ChildStream stream : {ChildStream::kOut, ChildStream::kErr}) {
    auto& filter =
        stream == ChildStream::kOut ? run->out_filter : run->err_filter;
    filter = std::make_unique<HeadAndTailFilter>(
        options_.head, options_.tail,
        [this, stream, run](absl::string_view data) {
          run->stored.Update(Store(*run, stream, data));
        });
  }
}

void Pool::FailToStart(Running run, int slot, const absl::Status& status) {
  ++run.job.tries;
  run.err.Append(absl::StrCat("asyncproc pool: ", status.message(), "\n"))
      .IgnoreError();
  Ended ended{std::move(run), HostIndex(slot), {}, {}};
  ended.outcome.code = ExitCodeOfFailedStart(status);
  ended.outcome.words = "not run";
  ended.record.exit_value = ended.outcome.code;
  // None of its tries would be better.
  ended.run.job.tries = options_.tries;
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
        (is_err ? run.files->err : run.files->out).Write(data);
    if (!status.ok()) return status;
  }
  run.received += static_cast<int64_t>(data.size());
  if (doubted_.count(slot) > 0) return absl::OkStatus();
  HeadAndTailFilter* const filter =
      is_err ? run.err_filter.get() : run.out_filter.get();
  if (filter == nullptr) return Store(run, stream, data);
  filter->Feed(data);
  return std::exchange(run.stored, absl::OkStatus());
}

absl::Status Pool::Store(Running& run, ChildStream stream,
                         absl::string_view data) {
  if (options_.line_buffer) return PrintLines(run, stream, data);
  StoredOutput& output = stream == ChildStream::kErr ? run.err : run.out;
  absl::Status status = output.Append(data);
  if (status.ok()) PrintIfLarge(run);
  return status;
}

// The whole lines are printed, the rest waits for its end.
absl::Status Pool::PrintLines(Running& run, ChildStream stream,
                              absl::string_view data) {
  const bool is_err = stream == ChildStream::kErr;
  std::string& line = is_err ? run.err_line : run.out_line;
  const size_t newline = data.rfind('\n');
  size_t whole = newline == data.npos ? 0 : newline + 1;
  if (line.size() + data.size() - whole > kLongestPrinted) whole = data.size();
  if (whole > 0) {
    absl::StrAppend(&line, data.substr(0, whole));
    StoredOutput out(&store_), err(&store_);
    absl::Status status = (is_err ? err : out).Append(line);
    if (!status.ok()) return status;
    line.clear();
    PrintPiece(run, std::move(out), std::move(err), /*begins_line=*/true);
  }
  absl::StrAppend(&line, data.substr(whole));
  return absl::OkStatus();
}

absl::Status Pool::FinishLines(Running& run) {
  absl::Status status = run.out.Append(std::exchange(run.out_line, ""));
  if (!status.ok()) return status;
  return run.err.Append(std::exchange(run.err_line, ""));
}

std::optional<std::string> Pool::TagOf(const Running& run) const {
  if (!options_.tag) return std::nullopt;
  return absl::StrCat(absl::StrJoin(run.job.values, " "), "\t");
}

void Pool::PrintPiece(Running& run, StoredOutput out, StoredOutput err,
                      bool begins_line) {
  AwaitRoom();
  JobPrint piece{std::move(out), std::move(err), TagOf(run), ""};
  piece.begins_line = begins_line;
  piece.ends_line = false;
  printer_->Print(std::move(piece));
}

// Jobs wait for a slow reader, as they would if they wrote to it themselves.
void Pool::AwaitRoom() {
  while (!printer_->HasRoom() && printer_->status().ok() && interrupts_ < 2) {
    bell_.Wait(kPanelPeriod);
  }
}

void Pool::PrintIfLarge(Running& run) {
  const bool mine = floor_ == run.job.order;
  if (run.out.size() < (mine ? kPiece : kLarge)) return;
  if (!mine) {
    // A try that fails is not to be seen, if there is another.
    if (floor_.has_value() || options_.tries > 1) return;
    if (options_.keep_order && run.job.order != next_printed_) return;
    floor_ = run.job.order;
  }
  if (!printer_->HasRoom()) return;
  const bool begins = run.out_begins;
  run.out_begins = run.out.EndsLine();
  PrintPiece(run, std::exchange(run.out, StoredOutput(&store_)),
             StoredOutput(&store_), begins);
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
  if (doubted_.count(slot) > 0) {
    const bool failed = running_.at(slot).timed_out ||
                        (status.exited() && status.exit_code() == kSshFailed);
    FinishProbe(slot, !failed);
    StartAll();
    return absl::OkStatus();
  }
  Ended ended{Release(slot), HostIndex(slot), {}, {}};
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
  if (ended.run.timed_out || ended.run.killed) {
    orphans_->EndJob(ended.run.job.number);
  }
  if (IsDoubtful(ended, status, slot)) {
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
  Ended ended{Release(slot), HostIndex(slot), {}, {}};
  ended.outcome = {false, kOwnFailure, std::string(status.message())};
  ended.record.exit_value = kOwnFailure;
  End(std::move(ended), slot, ResourceUsage());
  StartAll();
  return absl::OkStatus();
}

Pool::Running Pool::Release(int slot) {
  const auto found = running_.find(slot);
  // Bytes that the filters have kept go through the object where it is.
  for (auto* filter : {&found->second.out_filter, &found->second.err_filter}) {
    if (*filter != nullptr) (*filter)->Finish();
    filter->reset();
  }
  absl::Status stored = std::exchange(found->second.stored, absl::OkStatus());
  if (stored.ok()) stored = FinishLines(found->second);
  if (!stored.ok()) Fail(stored);
  Running run = std::move(found->second);
  running_.erase(found);
  orphans_->Ended(run.pid);
  FreeSlot(slot);
  return run;
}

void Pool::FreeSlot(int slot) {
  if (dropped_.count(HostIndex(slot)) == 0) free_.insert(slot);
  crowded_ = false;
}

// ---- Hosts.

size_t Pool::HostIndex(int slot) const {
  return options_.hosts.empty()
             ? 0
             : static_cast<size_t>(slot - 1) % options_.hosts.size();
}

// ssh ends with 255 when it has not reached the host, and a command may, too.
bool Pool::IsDoubtful(const Ended& ended, const ExitStatus& status,
                      int slot) const {
  return options_.over_ssh && !options_.hosts.empty() && status.exited() &&
         status.exit_code() == kSshFailed && !ended.run.timed_out &&
         !ended.run.killed && stopping_ == Stopping::kNot &&
         !(floor_ == ended.run.job.order) && HostIndex(slot) == ended.host;
}

// Runs "true" on the host of `slot`: its end tells whether the host is there.
void Pool::Probe(int slot, Ended ended, const ResourceUsage& usage) {
  Running run(ended.run.job, &store_);
  run.line = ended.run.line;
  run.begin = MonotonicNow();
  Doubted doubted{std::move(ended), usage};
  const absl::Status status =
      Spawn(slot, CommandFor("true", slot), run.job.number, &run.pid);
  if (!status.ok()) {
    return End(std::move(doubted.ended), slot, doubted.usage);
  }
  free_.erase(slot);
  running_.emplace(slot, std::move(run));
  doubted_.emplace(slot, std::move(doubted));
}

void Pool::FinishProbe(int slot, bool reached) {
  Release(slot);
  const auto found = doubted_.find(slot);
  Doubted doubted = std::move(found->second);
  doubted_.erase(found);
  if (reached || stopping_ != Stopping::kNot) {
    return End(std::move(doubted.ended), slot, doubted.usage);
  }
  const size_t host = HostIndex(slot);
  if (files_.log.has_value()) {
    absl::Status noted = files_.log->NoteEnd(doubted.ended.run.job.number);
    if (!noted.ok()) Fail(noted);
  }
  const std::string why = FirstLine(doubted.ended.run.err);
  Job job = doubted.ended.run.job;
  --job.tries;  // The host has failed, not the job.
  job.avoid = host;
  again_.push_front({std::move(job), std::nullopt});
  if (!dropped_.insert(host).second) return;
  for (int other = slot; other >= 1; --other) {
    if (HostIndex(other) == host) free_.erase(other);
  }
  for (int other = slot; other <= options_.slots; ++other) {
    if (HostIndex(other) == host) free_.erase(other);
  }
  printer_->Note(absl::StrCat(
      "asyncproc pool: ", options_.hosts[host], " cannot be reached",
      why.empty() ? "" : ": ", Printable(why, /*utf8=*/true),
      LiveHosts() > 0 ? "; its jobs go to other hosts\n" : "\n"));
  if (LiveHosts() == 0) Fail(absl::UnavailableError("no host can be reached"));
}

// ---- Ending.

void Pool::End(Ended ended, int slot, const ResourceUsage& usage) {
  JobRecord& record = ended.record;
  record.number = ended.run.job.number;
  record.host = HostOf(slot);
  record.start = ended.run.start;
  record.runtime = MonotonicNow() - ended.run.begin;
  record.received = ended.run.received;
  record.command = ended.run.line;
  ended.run.files.reset();
  if (ended.run.killed) ended.outcome.words = "ended";
  Trace(ended, slot, usage);
  const bool again = !ended.outcome.ok && !ended.run.killed &&
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
  if (files_.log.has_value()) {
    absl::Status status = ended.run.killed
                              ? files_.log->NoteEnd(ended.record.number)
                              : files_.log->Append(ended.record);
    if (!status.ok()) Fail(status);
  }
  Count(ended);
  Print(std::move(ended));
}

void Pool::Count(const Ended& ended) {
  ++(ended.outcome.ok ? succeeded_ : failed_);
  if (!ended.outcome.ok) NoteFailure(ended);
  if (ended.run.killed || halted_with_.has_value() ||
      !options_.halt.Reached(failed_, succeeded_, KnownTotal())) {
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
  const bool has_floor = floor_ == ended.run.job.order;
  if (floor_.has_value() && !has_floor) {
    held_.push_back(std::move(ended));
    return;
  }
  JobPrint print{std::move(ended.run.out), std::move(ended.run.err),
                 TagOf(ended.run), ""};
  print.begins_line = ended.run.out_begins;
  if (options_.progress == PoolOptions::Progress::kLines) {
    print.note = LineFor(ended);
  }
  printer_->Print(std::move(print));
  if (!has_floor) return;
  floor_.reset();
  FlushHeld();
}

void Pool::FlushHeld() {
  for (Ended& ended : std::exchange(held_, {})) PrintNow(std::move(ended));
}

void Pool::NoteFailure(const Ended& ended) {
  if (ended.run.killed) {
    ++killed_;
  } else if (failures_.size() < kMostFailures) {
    failures_.push_back(absl::StrFormat(
        "  job %d: %s, %.2fs%s: %s\n", ended.run.job.number,
        ended.outcome.words, absl::ToDoubleSeconds(ended.record.runtime),
        options_.hosts.empty() ? "" : absl::StrCat(", on ", ended.record.host),
        Printable(ended.run.line, /*utf8=*/true)));
  }
}

// Says at the end which jobs have failed, and how.
void Pool::Summarize() {
  if (options_.progress == PoolOptions::Progress::kNone) return;
  const int64_t failed = failed_ - killed_;
  std::string text;
  if (failed > 0) {
    absl::StrAppend(&text, "asyncproc pool: ", failed, " of ",
                    failed_ + succeeded_, " jobs failed:\n",
                    absl::StrJoin(failures_, ""));
    const int64_t more = failed - static_cast<int64_t>(failures_.size());
    if (more > 0) absl::StrAppend(&text, "  and ", more, " more\n");
  }
  if (!dropped_.empty()) {
    std::vector<std::string> names;
    for (size_t host : dropped_) names.push_back(options_.hosts[host]);
    absl::StrAppend(&text,
                    "asyncproc pool: not reached: ", absl::StrJoin(names, ", "),
                    "\n");
  }
  if (!text.empty()) printer_->Note(text);
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
  return options_.hosts[HostIndex(slot)];
}

// ---- Stopping.

void Pool::CheckPrinter(const absl::Status& status) {
  if (status.ok() || !failure_.ok()) return;
  // Whoever read it has gone, as head does; or the terminal has.
  unread_ = options_.printer.out->unread() || options_.printer.err->unread() ||
            signal_ != 0;
  Fail(status);
}

// Output that waits to be printed, by jobs that may run for ever, is kept for
// nobody when its reader has gone.
void Pool::CheckReader() {
  const bool waits = std::any_of(
      running_.begin(), running_.end(),
      [](const auto& running) { return running.second.out.size() > 0; });
  if (!waits || !failure_.ok() || !HasNoReader(options_.printer.out->fd())) {
    return;
  }
  unread_ = true;
  Fail(absl::FailedPreconditionError("nobody reads the output"));
}

// What was ended leaves nothing behind, wherever it has gone.
void Pool::EndOrphans() {
  constexpr absl::Duration kPatience = absl::Seconds(5);
  const std::vector<Survivor> left = stopping_ == Stopping::kNow
                                         ? orphans_->EndAll(kPatience)
                                         : orphans_->AwaitJobs(kPatience);
  for (const Survivor& survivor : left) {
    printer_->Note(absl::StrCat("asyncproc pool: still there: ",
                                Printable(survivor.command, /*utf8=*/true),
                                " (pid ", survivor.pid, ")\n"));
  }
}

// The jobs have sessions of their own, which Ctrl-Z does not reach.
void Pool::StopWithJobs() {
  const auto signal_jobs = [this](int signal) {
    for (const auto& [slot, run] : running_) kill(-run.pid, signal);
    orphans_->SignalAll(signal);
  };
  signal_jobs(SIGSTOP);
  StopSelf();
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
  if (stop_.exchange(false)) StopWithJobs();
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
  const PanelScreen screen = ScreenOf(options_.printer.err->fd());
  printer_->Show(RenderPanel(Model(), screen), screen.columns);
}

PanelModel Pool::Model() const {
  const absl::Time now = MonotonicNow();
  PanelModel model;
  for (const auto& [slot, run] : running_) {
    // What differs between the jobs, and not how all of them begin.
    const std::string label = options_.command.is_raw()
                                  ? run.line
                                  : absl::StrJoin(run.job.values, " ");
    model.running.push_back(
        {slot, now - run.begin, label, run.said, run.killed || run.timed_out});
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

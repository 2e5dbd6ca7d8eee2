#include "tools/asyncproc/pool/printer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tools/asyncproc/os/mutex_lock.h"

namespace asyncproc::cli {
namespace {

// The size of the pieces in which tagged output is printed.
constexpr size_t kEnough = 64 << 10;

// Puts a tag before each line.
class Tagger {
 public:
  Tagger(absl::string_view tag, bool at_start)
      : tag_(tag), at_start_(at_start) {}

  std::string Add(absl::string_view piece) {
    std::string tagged;
    while (!piece.empty()) {
      if (at_start_) absl::StrAppend(&tagged, tag_);
      const size_t end = piece.find('\n');
      at_start_ = end != absl::string_view::npos;
      const size_t size = at_start_ ? end + 1 : piece.size();
      absl::StrAppend(&tagged, piece.substr(0, size));
      piece.remove_prefix(size);
    }
    return tagged;
  }

  absl::string_view End() const { return at_start_ ? "" : "\n"; }

 private:
  const absl::string_view tag_;
  bool at_start_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Printer>> Printer::Start(
    PrinterOptions options, std::function<void()> wake) {
  std::unique_ptr<Printer> printer(new Printer(options, std::move(wake)));
  auto thread =
      Thread::Start("pool-print", [self = printer.get()] { self->Work(); });
  if (!thread.ok()) return thread.status();
  printer->thread_ = *std::move(thread);
  return printer;
}

Printer::Printer(PrinterOptions options, std::function<void()> wake)
    : options_(options), wake_(std::move(wake)) {}

Printer::~Printer() {
  {
    MutexLock lock(mu_);
    ending_ = true;
  }
  thread_.Join();
}

void Printer::Print(JobPrint job) {
  MutexLock lock(mu_);
  if (status_.ok()) items_.push_back({std::move(job), ""});
}

void Printer::Note(std::string text) {
  MutexLock lock(mu_);
  if (status_.ok()) items_.push_back({std::nullopt, std::move(text)});
}

void Printer::Show(std::vector<std::string> panel, int columns) {
  MutexLock lock(mu_);
  panel_ = std::move(panel);
  columns_ = columns;
  panel_changed_ = true;
}

void Printer::ForgetPanel() {
  MutexLock lock(mu_);
  forget_ = true;
}

bool Printer::HasRoom() const {
  MutexLock lock(mu_);
  return items_.size() < options_.backlog;
}

absl::Status Printer::status() const {
  MutexLock lock(mu_);
  return status_;
}

absl::Status Printer::Finish(absl::Duration timeout) {
  MutexLock lock(mu_);
  panel_.clear();
  panel_changed_ = true;
  if (!mu_.AwaitWithTimeout(absl::Condition(this, &Printer::IsIdle), timeout)) {
    return absl::DeadlineExceededError("the reader of stdout does not read");
  }
  return status_;
}

void Printer::Abandon(std::unique_ptr<Printer> printer) {
  printer->thread_.Detach();
  printer.release();  // NOLINT: the thread goes on using it.
}

void Printer::Work() {
  for (;;) {
    Item item;
    std::vector<std::string> panel;
    bool has_item = false, forget, draw = false;
    int columns;
    {
      MutexLock lock(mu_);
      mu_.Await(absl::Condition(this, &Printer::HasWork));
      if (ending_ && items_.empty() && !panel_changed_) return;
      forget = std::exchange(forget_, false);
      columns = columns_;
      panel = panel_;
      has_item = !items_.empty();
      if (has_item) {
        item = std::move(items_.front());
        items_.pop_front();
      } else {
        panel_changed_ = false;
      }
      // Between two items, the panel would be drawn for nothing.
      draw = items_.empty();
      busy_ = true;
    }
    if (forget) painter_.Forget();
    absl::Status status;
    if (has_item) status = PrintItem(item, columns);
    item = Item();
    if (draw) Draw(panel, columns);
    bool wake;
    {
      MutexLock lock(mu_);
      busy_ = false;
      if (!status.ok()) {
        status_ = status;
        items_.clear();
      }
      wake =
          !status.ok() || (has_item && items_.size() == options_.backlog / 2);
    }
    if (wake) wake_();
  }
}

absl::Status Printer::PrintItem(const Item& item, int columns) {
  if (!item.job.has_value()) {
    EraseIf(options_.err_on_screen, columns);
    PutNote(item.text);
    return absl::OkStatus();
  }
  EraseIf((item.job->out.size() > 0 && options_.out_on_screen) ||
              ((item.job->err.size() > 0 || !item.job->note.empty()) &&
               options_.err_on_screen),
          columns);
  return PrintJob(*item.job);
}

absl::Status Printer::PrintJob(const JobPrint& job) {
  absl::Status status =
      PrintStream(job.out, job.tag, job.begins_line, job.ends_line,
                  options_.out, options_.out_on_screen);
  if (status.ok()) {
    status = PrintStream(job.err, job.tag, /*begins=*/true, job.ends_line,
                         options_.err, options_.err_on_screen);
  }
  if (status.ok()) PutNote(job.note);
  return status;
}

absl::Status Printer::PrintStream(const StoredOutput& output,
                                  const std::optional<std::string>& tag,
                                  bool begins, bool ends, Output* to,
                                  bool on_screen) {
  if (!tag.has_value()) {
    return output.ForEach(
        [&](absl::string_view piece) { return Put(to, on_screen, piece); });
  }
  Tagger tagger(*tag, begins);
  absl::Status status = output.ForEach([&](absl::string_view piece) {
    for (; !piece.empty();
         piece.remove_prefix(std::min(kEnough, piece.size()))) {
      absl::Status put =
          Put(to, on_screen, tagger.Add(piece.substr(0, kEnough)));
      if (!put.ok()) return put;
    }
    return absl::OkStatus();
  });
  if (!status.ok() || !ends) return status;
  return Put(to, on_screen, tagger.End());
}

absl::Status Printer::Put(Output* to, bool on_screen, absl::string_view text) {
  if (text.empty()) return absl::OkStatus();
  if (on_screen) at_line_start_ = text.back() == '\n';
  return to->Write(text);
}

// A note that cannot be written ends no job.
void Printer::PutNote(absl::string_view text) {
  if (options_.err->was_closed()) return;
  Put(options_.err, options_.err_on_screen, text).IgnoreError();
}

void Printer::EraseIf(bool needed, int columns) {
  if (!needed || !painter_.drawn() || screen_gone_) return;
  screen_gone_ = !options_.err->Write(painter_.Erase(columns)).ok();
}

void Printer::Draw(const std::vector<std::string>& panel, int columns) {
  if (screen_gone_) return;
  std::string text =
      painter_.drawn() || at_line_start_ || panel.empty() ? "" : "\n";
  absl::StrAppend(&text, painter_.Draw(panel, columns));
  if (text.empty()) return;
  at_line_start_ = true;
  // A panel that cannot be drawn is no failure.
  screen_gone_ = !options_.err->Write(text).ok();
}

}  // namespace asyncproc::cli

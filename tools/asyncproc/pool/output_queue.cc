#include "tools/asyncproc/pool/output_queue.h"

#include <utility>

namespace asyncproc::cli {
namespace {

// An output that is larger is printed while its job runs, in pieces of kPiece.
constexpr uint64_t kLarge = 256 << 10;
constexpr uint64_t kPiece = 64 << 10;
// With line_buffer, a longer line is printed in pieces.
constexpr uint64_t kLongestLine = 16 << 20;
// Outputs that wait for their turn. Each takes memory, however small it is.
constexpr size_t kMostWaiting = 8192;

}  // namespace

std::unique_ptr<JobOutput> OutputQueue::Open(int64_t order,
                                             std::optional<std::string> tag) {
  auto output = std::make_unique<JobOutput>(order, store_);
  output->tag = std::move(tag);
  if (options_.head == std::numeric_limits<size_t>::max()) return output;
  for (const ChildStream stream : {ChildStream::kOut, ChildStream::kErr}) {
    (stream == ChildStream::kOut ? output->out_filter : output->err_filter) =
        std::make_unique<HeadAndTailFilter>(
            options_.head, options_.tail,
            [this, stream, to = output.get()](absl::string_view data) {
              to->filtered.Update(Store(to, stream, data));
            });
  }
  return output;
}

absl::Status OutputQueue::Add(JobOutput* output, ChildStream stream,
                              absl::string_view data) {
  HeadAndTailFilter* const filter = stream == ChildStream::kErr
                                        ? output->err_filter.get()
                                        : output->out_filter.get();
  if (filter == nullptr) return Store(output, stream, data);
  filter->Feed(data);
  return std::exchange(output->filtered, absl::OkStatus());
}

absl::Status OutputQueue::Complete(JobOutput* output) {
  for (auto* filter : {&output->out_filter, &output->err_filter}) {
    if (*filter != nullptr) (*filter)->Finish();
    filter->reset();
  }
  return std::exchange(output->filtered, absl::OkStatus());
}

absl::Status OutputQueue::Store(JobOutput* output, ChildStream stream,
                                absl::string_view data) {
  if (options_.line_buffer) return PrintLines(output, stream, data);
  absl::Status status =
      (stream == ChildStream::kErr ? output->err : output->out).Append(data);
  if (status.ok()) PrintIfLarge(output);
  return status;
}

absl::Status OutputQueue::PrintLines(JobOutput* output, ChildStream stream,
                                     absl::string_view data) {
  const bool is_err = stream == ChildStream::kErr;
  StoredOutput& line = is_err ? output->err : output->out;
  const size_t newline = data.rfind('\n');
  const bool whole = newline != data.npos;
  const size_t end = whole ? newline + 1 : data.size();
  absl::Status status = line.Append(data.substr(0, end));
  if (status.ok() && !whole) {
    if (line.size() < kLongestLine) return status;
    status = line.Append("\n");
  }
  if (!status.ok()) return status;
  StoredOutput out(store_), err(store_);
  std::swap(is_err ? err : out, line);
  PrintPiece(*output, std::move(out), std::move(err), /*begins_line=*/true);
  return line.Append(data.substr(end));
}

void OutputQueue::PrintPiece(const JobOutput& output, StoredOutput out,
                             StoredOutput err, bool begins_line) {
  await_room_();
  JobPrint piece{std::move(out), std::move(err), output.tag, ""};
  piece.begins_line = begins_line;
  piece.ends_line = false;
  printer_->Print(std::move(piece));
}

void OutputQueue::PrintIfLarge(JobOutput* output) {
  const bool early = IsEarly(*output);
  if (output->out.size() < (early ? kPiece : kLarge)) return;
  if (!early) {
    if (early_.has_value() || !options_.early) return;
    if (options_.keep_order && output->order != next_) return;
    early_ = output->order;
  }
  if (!printer_->HasRoom()) return;
  const bool begins = output->out_begins_line;
  output->out_begins_line = output->out.EndsLine();
  PrintPiece(*output, std::exchange(output->out, StoredOutput(store_)),
             StoredOutput(store_), begins);
}

void OutputQueue::Print(std::unique_ptr<JobOutput> output, std::string note) {
  const int64_t order = output->order;
  Waiting waiting{std::move(output), std::move(note)};
  if (!options_.keep_order) return PrintNow(std::move(waiting));
  unordered_.emplace(order, std::move(waiting));
  while (!unordered_.empty() && unordered_.begin()->first == next_) {
    PrintNow(std::move(unordered_.begin()->second));
    unordered_.erase(unordered_.begin());
    ++next_;
  }
}

void OutputQueue::PrintNow(Waiting waiting) {
  JobOutput& output = *waiting.output;
  const bool early = IsEarly(output);
  if (early_.has_value() && !early) {
    held_.push_back(std::move(waiting));
    return;
  }
  JobPrint print{std::move(output.out), std::move(output.err),
                 std::move(output.tag), std::move(waiting.note)};
  print.begins_line = output.out_begins_line;
  printer_->Print(std::move(print));
  if (early) PrintHeld();
}

void OutputQueue::PrintHeld() {
  early_.reset();
  for (Waiting& waiting : std::exchange(held_, {})) {
    PrintNow(std::move(waiting));
  }
}

void OutputQueue::Flush() {
  early_.reset();
  for (auto& [order, waiting] : std::exchange(unordered_, {})) {
    PrintNow(std::move(waiting));
  }
  PrintHeld();
}

bool OutputQueue::HasRoom() const {
  return unordered_.size() < kMostWaiting && held_.size() < kMostWaiting &&
         printer_->HasRoom();
}

}  // namespace asyncproc::cli

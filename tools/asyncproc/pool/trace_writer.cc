#include "tools/asyncproc/pool/trace_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace asyncproc::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::string_view kTail = "\n]}\n";

// Arguments may be any bytes; JSON takes UTF-8 only.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Metadata(absl::string_view what, int row, absl::string_view name) {
  return {{"name", std::string(what)},
          {"ph", "M"},
          {"pid", 1},
          {"tid", row},
          {"args", {{"name", std::string(name)}}}};
}

}  // namespace

absl::StatusOr<TraceWriter> TraceWriter::Create(const std::string& path,
                                                absl::string_view title,
                                                absl::Time origin) {
  absl::StatusOr<Output> file = Output::Open(path, O_WRONLY | O_TRUNC);
  if (!file.ok()) return file.status();
  struct stat status;
  if (fstat(file->fd(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a trace is written to a regular file"));
  }
  TraceWriter writer(origin, *std::move(file));
  absl::Status written = writer.Append(
      absl::StrCat("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n",
                   Dump(Metadata("process_name", 0, title))));
  if (!written.ok()) return written;
  return writer;
}

absl::Status TraceWriter::Add(const TraceSpan& span) {
  std::string events;
  if (rows_.insert(span.row).second) {
    absl::StrAppend(&events, ",\n",
                    Dump(Metadata("thread_name", span.row, span.row_name)));
  }
  const int64_t start = absl::ToInt64Microseconds(span.start - origin_);
  const int64_t length = absl::ToInt64Microseconds(span.length);
  Json bar = {{"name", span.name}, {"cat", span.outcome}, {"ph", "X"},
              {"ts", start},       {"dur", length},       {"pid", 1},
              {"tid", span.row}};
  if (span.outcome != "ok") bar["cname"] = "terrible";
  for (const auto& [name, value] : span.details) bar["args"][name] = value;
  absl::StrAppend(&events, ",\n", Dump(bar));
  if (span.outcome != "ok") {
    absl::StrAppend(&events, ",\n",
                    Dump({{"name", span.outcome},
                          {"cat", span.outcome},
                          {"ph", "i"},
                          {"ts", start + length},
                          {"pid", 1},
                          {"tid", span.row},
                          {"s", "t"},
                          {"cname", "terrible"}}));
  }
  return Append(events);
}

// Overwrites the end of the file and writes it anew in one call, so that a
// reader always finds it.
absl::Status TraceWriter::Append(absl::string_view events) {
  absl::Status written = file_.WriteAt(absl::StrCat(events, kTail), end_);
  if (!written.ok()) return written;
  end_ += static_cast<off_t>(events.size());
  return absl::OkStatus();
}

}  // namespace asyncproc::cli

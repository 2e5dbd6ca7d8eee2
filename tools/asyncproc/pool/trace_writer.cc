#include "tools/asyncproc/pool/trace_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
  internal::UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, path);
  struct stat status;
  if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a trace is written to a regular file"));
  }
  TraceWriter writer(path, origin, std::move(fd));
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

// What ends the file is written over, and anew, in one call: no reader finds it
// missing.
absl::Status TraceWriter::Append(absl::string_view events) {
  const std::string text = absl::StrCat(events, kTail);
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t size = pwrite(fd_.get(), text.data() + written,
                                text.size() - written, end_ + written);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, path_);
    written += size;
  }
  end_ += events.size();
  return absl::OkStatus();
}

}  // namespace asyncproc::cli

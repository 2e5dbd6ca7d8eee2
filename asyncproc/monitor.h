#ifndef ASYNCPROC_MONITOR_H_
#define ASYNCPROC_MONITOR_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/regex_encoding.h"
#include "re2/re2.h"

namespace asyncproc {

// Taps that watch a child's output live, while other readers still get the same
// bytes: for OutputStream::AddTap or RunOptions::on_err.

// Sends each line to absl::log, after a name:
//
//   auto log = process->err().AddTap(asyncproc::LineLogger("pg_basebackup"),
//                                    asyncproc::TapUnit::kLine);
//
// logs "pg_basebackup: checkpoint completed". Bytes that are not printable
// characters are escaped ("\r", "\x1b"); UTF-8 is not.
//
// A value. Thread safety: may be called from any thread.
class LineLogger {
 public:
  explicit LineLogger(std::string name,
                      absl::LogSeverity severity = absl::LogSeverity::kInfo);

  void operator()(absl::string_view line) const;

 private:
  std::string name_;
  absl::LogSeverity severity_;
};

// How ProgressParser reads lines.
struct ProgressOptions {
  // The encoding in which the pattern matches lines.
  RegexEncoding encoding = RegexEncoding::kBytes;
  // Whether the colours and other control sequences that a program writes for a
  // terminal are matched, and kept in Progress.
  bool keep_control_sequences = false;
};

// One progress event.
struct Progress {
  std::string line;                 // Without its line end.
  std::vector<std::string> groups;  // The matches of the pattern's groups.
  // The first group, if that is a number: often a percentage.
  std::optional<double> value;
};

// Separates the progress messages of a program from its other output: the lines
// that match a pattern become events, all others are passed on.
//
//   auto parser = asyncproc::ProgressParser::Create(
//       R"(\((\d+)%\))",
//       [](const asyncproc::Progress& progress) { Draw(*progress.value); },
//       asyncproc::LineLogger("pg_basebackup"));
//   if (!parser.ok()) return parser.status();
//   auto tap = process->err().AddTap((*parser)->tap());
//   ...
//   tap->Finish();         // The tap has seen everything.
//   (*parser)->Finish();   // And so have the callbacks.
//
// "\n", "\r" and "\r\n" all end a line here: in a progress display that a
// program redraws with "\r", each update is a line. If a program writes the
// "\r" first, an update has no end until the next one begins: so a match in the
// last, unended line is an event at once; and there is a second event when the
// line ends, if the match has changed by then. Empty lines that end with "\r"
// alone are dropped.
//
// At most 1 MiB of a line is kept: a longer line is divided into pieces of that
// size, each treated as a line. An unended line of more than 512 bytes is
// searched each time it has grown by an eighth, so that the work is linear in
// the output.
//
// Thread safety: all methods may be called from any thread; pieces of one
// stream must be fed in order. Feed and Finish call the callbacks, one at a
// time, in order, not under a lock.
// Ownership: must outlive the TapHandle.
class ProgressParser {
 public:
  // `rest` may be null: the other lines are then dropped.
  // Errors: kInvalidArgument for a pattern that RE2 does not accept.
  static absl::StatusOr<std::unique_ptr<ProgressParser>> Create(
      absl::string_view pattern,
      std::function<void(const Progress&)> on_progress, Tap rest = nullptr,
      const ProgressOptions& options = {});

  // Takes the next piece of output, of any size, cut anywhere.
  void Feed(absl::string_view piece) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the output: remaining bytes without a line end are a line too.
  void Finish() ABSL_LOCKS_EXCLUDED(mu_);

  // Calls Feed: for OutputStream::AddTap, with TapUnit::kChunk.
  Tap tap() {
    return [this](absl::string_view piece) { Feed(piece); };
  }

 private:
  struct Call {
    bool is_progress;
    Progress progress;  // For the other lines, only `line`.
  };

  ProgressParser(absl::string_view pattern,
                 std::function<void(const Progress&)> on_progress, Tap rest,
                 const ProgressOptions& options);

  std::optional<Progress> Match(absl::string_view line) const;
  void AddToLine(absl::string_view piece, std::vector<Call>* calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndLine(bool by_return, std::vector<Call>* calls)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LookAhead(std::vector<Call>* calls) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CallBack(const std::vector<Call>& calls) const;

  const RE2 pattern_;
  const bool keep_control_sequences_;
  const std::function<void(const Progress&)> on_progress_;
  const Tap rest_;

  absl::Mutex mu_;
  std::string line_ ABSL_GUARDED_BY(mu_);      // Has no end yet.
  size_t next_look_ ABSL_GUARDED_BY(mu_) = 0;  // Size of line_ to search at.
  bool after_return_ ABSL_GUARDED_BY(mu_) = false;  // A "\n" now is part of it.
  // The groups of the event for the unended line, if there was one.
  std::optional<std::vector<std::string>> early_ ABSL_GUARDED_BY(mu_);
};

}  // namespace asyncproc

#endif  // ASYNCPROC_MONITOR_H_

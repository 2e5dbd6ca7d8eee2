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

// What to hang on a child's output to watch it live, while the same bytes are
// still there for whoever reads or captures them: with OutputStream::AddTap, or
// with RunOptions::on_err.

// Sends each line to absl::log, behind a name:
//
//   auto log = process->err().AddTap(asyncproc::LineLogger("pg_basebackup"),
//                                    asyncproc::TapUnit::kLine);
//
// logs "pg_basebackup: checkpoint completed". Bytes that are no printable
// characters are shown escaped ("\r", "\x1b"), UTF-8 as it is.
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
  // The encoding in which the pattern matches them.
  RegexEncoding encoding = RegexEncoding::kBytes;
  // Whether the pattern sees, and Progress has, the colours and other control
  // sequences that a program writes for a terminal.
  bool keep_control_sequences = false;
};

// One progress event.
struct Progress {
  std::string line;                 // Without what ended it.
  std::vector<std::string> groups;  // What the groups of the pattern matched.
  // The first group, if that is a number: often a percentage.
  std::optional<double> value;
};

// Tells the progress of a program from the rest of what it says: the lines that
// match a pattern become events, all others are passed on.
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
// "\n", "\r" and "\r\n" all end a line here: a progress that is drawn over
// itself, one "\r" after the other, is one update after the other. Where the
// "\r" comes first, an update has no end until the next one begins: so a match
// in the last, unended line is an event at once; and once more when the line
// has its end, if the match is another by then. Empty lines that are ended by
// "\r" alone are nobody's.
//
// At most 1 MiB of a line is kept: a longer line is taken in pieces of that
// size, each as if it were a line. An unended line of more than 512 bytes is
// searched each time that it has grown by an eighth, so that the work is linear
// in the output.
//
// Thread safety: any thread may call anything; pieces of one stream are to be
// fed in their order. The callbacks are called by Feed and Finish, one at a
// time, in order, not under a lock.
// Ownership: must outlive the TapHandle.
class ProgressParser {
 public:
  // `rest` may be null: the other lines are dropped then.
  // Errors: kInvalidArgument for a pattern that RE2 does not take.
  static absl::StatusOr<std::unique_ptr<ProgressParser>> Create(
      absl::string_view pattern,
      std::function<void(const Progress&)> on_progress, Tap rest = nullptr,
      const ProgressOptions& options = {});

  // The next piece of output, of any size, cut anywhere.
  void Feed(absl::string_view piece) ABSL_LOCKS_EXCLUDED(mu_);

  // There will be no more: what is left without an end is a line too.
  void Finish() ABSL_LOCKS_EXCLUDED(mu_);

  // Calls Feed: for OutputStream::AddTap, with TapUnit::kChunk.
  Tap tap() {
    return [this](absl::string_view piece) { Feed(piece); };
  }

 private:
  struct Call {
    bool is_progress;
    Progress progress;  // Of the rest, only `line`.
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
  std::string line_ ABSL_GUARDED_BY(mu_);           // That has no end yet.
  size_t next_look_ ABSL_GUARDED_BY(mu_) = 0;       // At a line of that size.
  bool after_return_ ABSL_GUARDED_BY(mu_) = false;  // A "\n" now is part of it.
  // The event that the unended line already was.
  std::optional<std::vector<std::string>> early_ ABSL_GUARDED_BY(mu_);
};

}  // namespace asyncproc

#endif  // ASYNCPROC_MONITOR_H_

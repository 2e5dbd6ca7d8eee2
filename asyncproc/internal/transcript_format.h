#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_FORMAT_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_FORMAT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// Writes a transcript down, event by event, as whole lines: what
// TranscriptFormat says.
//
// Thread safety: none of its own.
class TranscriptWriter {
 public:
  virtual ~TranscriptWriter() = default;

  virtual std::string Begin(const TranscriptHeader& header) = 0;
  // Maybe nothing, or more than one line.
  virtual std::string Write(const TranscriptEvent& event) = 0;
  // What is left to be written.
  virtual std::string End() { return ""; }
};

std::unique_ptr<TranscriptWriter> NewJsonLinesWriter();
std::unique_ptr<TranscriptWriter> NewAsciinemaWriter();

// Reads one, line by line, without their ends.
class TranscriptReader {
 public:
  // By the first line. Errors: kInvalidArgument.
  static absl::StatusOr<std::unique_ptr<TranscriptReader>> Begin(
      absl::string_view line, TranscriptHeader* header);

  virtual ~TranscriptReader() = default;

  // False: the line is none that says anything to us.
  // Errors: kInvalidArgument.
  virtual absl::StatusOr<bool> Read(absl::string_view line,
                                    TranscriptEvent* event) = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_FORMAT_H_

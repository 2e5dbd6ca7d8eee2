#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_FORMAT_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_FORMAT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The two halves of a format. For the formats, see TranscriptFormat in
// transcript.h.

// Writes a transcript, event by event, as whole lines.
//
// Thread safety: none of its own.
class TranscriptWriter {
 public:
  virtual ~TranscriptWriter() = default;

  virtual std::string Begin(const TranscriptHeader& header) = 0;
  // May return an empty string, or several lines.
  virtual std::string Write(const TranscriptEvent& event) = 0;
  // Returns the remaining text.
  virtual std::string End() { return ""; }
};

// Reads a transcript line by line, without the newlines.
//
// Thread safety: none of its own.
// Errors: kInvalidArgument, with the fault of the line. The content of `header`
// or `event` is then unspecified.
class TranscriptReader {
 public:
  virtual ~TranscriptReader() = default;

  // The first line.
  virtual absl::Status Begin(absl::string_view line,
                             TranscriptHeader* header) = 0;
  // Reads each further line. Returns false for a line without a known event.
  virtual absl::StatusOr<bool> Read(absl::string_view line,
                                    TranscriptEvent* event) = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_FORMAT_H_

#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_FORMAT_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_FORMAT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The two halves of a format: TranscriptFormat, in transcript.h, says which
// there are.

// Writes a transcript down, event by event, as whole lines.
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

// Reads one, line by line, without their ends.
//
// Thread safety: none of its own.
// Errors: kInvalidArgument with what is wrong with the line. What `header` or
// `event` holds then is not to be relied on.
class TranscriptReader {
 public:
  virtual ~TranscriptReader() = default;

  // The first line.
  virtual absl::Status Begin(absl::string_view line,
                             TranscriptHeader* header) = 0;
  // Each of the others. False: it is none that says anything to us.
  virtual absl::StatusOr<bool> Read(absl::string_view line,
                                    TranscriptEvent* event) = 0;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_FORMAT_H_

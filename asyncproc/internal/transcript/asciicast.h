#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/transcript/transcript_format.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The formats of asciinema: TranscriptFormat, in transcript.h, says what
// becomes of a transcript in them. `version`: 2 or 3; the reader knows both.
std::unique_ptr<TranscriptWriter> NewAsciicastWriter(int version);
std::unique_ptr<TranscriptReader> NewAsciicastReader();

// Asciicast v1, which is not read by lines: one JSON object is all of it.
bool IsAsciicastV1(absl::string_view text);
// Errors: kInvalidArgument. REQUIRES: IsAsciicastV1(text).
absl::Status ReadAsciicastV1(absl::string_view text, TranscriptHeader* header,
                             std::vector<TranscriptEvent>* events);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_

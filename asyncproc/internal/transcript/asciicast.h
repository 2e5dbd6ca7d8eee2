#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/transcript/transcript_format.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The formats of asciinema. For the mapping of a transcript, see
// TranscriptFormat in transcript.h. `version`: 2 or 3; the reader accepts both.
std::unique_ptr<TranscriptWriter> NewAsciicastWriter(int version);
std::unique_ptr<TranscriptReader> NewAsciicastReader();

// Asciicast v1 is not read by lines: the whole text is one JSON object.
bool IsAsciicastV1(absl::string_view text);
// Errors: kInvalidArgument. REQUIRES: IsAsciicastV1(text).
absl::Status ReadAsciicastV1(absl::string_view text, TranscriptHeader* header,
                             std::vector<TranscriptEvent>* events);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_

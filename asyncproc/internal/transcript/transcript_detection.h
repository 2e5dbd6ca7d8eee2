#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_DETECTION_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_DETECTION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/transcript/transcript_format.h"

namespace asyncproc::internal {

// Returns the reader for a transcript with this first line; pass that line to
// its Begin. Errors: kInvalidArgument for an unknown format.
absl::StatusOr<std::unique_ptr<TranscriptReader>> DetectTranscript(
    absl::string_view first_line);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_DETECTION_H_

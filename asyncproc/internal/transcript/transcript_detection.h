#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_DETECTION_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_DETECTION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "asyncproc/internal/transcript/transcript_format.h"

namespace asyncproc::internal {

// The reader for a transcript whose first line this is; that line is still to
// be given to its Begin. Errors: kInvalidArgument when it is of no format that
// we know.
absl::StatusOr<std::unique_ptr<TranscriptReader>> DetectTranscript(
    absl::string_view first_line);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_DETECTION_H_

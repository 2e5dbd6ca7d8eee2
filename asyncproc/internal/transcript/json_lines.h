#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_LINES_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_LINES_H_

#include <memory>

#include "asyncproc/internal/transcript/transcript_format.h"

namespace asyncproc::internal {

// Our own format of transcripts: TranscriptFormat::kJsonLines, in transcript.h,
// describes it.
std::unique_ptr<TranscriptWriter> NewJsonLinesWriter();
std::unique_ptr<TranscriptReader> NewJsonLinesReader();

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_LINES_H_

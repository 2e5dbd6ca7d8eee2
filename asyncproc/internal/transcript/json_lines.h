#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_LINES_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_LINES_H_

#include <memory>

#include "asyncproc/internal/transcript/transcript_format.h"

namespace asyncproc::internal {

// The library's own format of transcripts: see TranscriptFormat::kJsonLines in
// transcript.h.
std::unique_ptr<TranscriptWriter> NewJsonLinesWriter();
std::unique_ptr<TranscriptReader> NewJsonLinesReader();

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_LINES_H_

#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_

#include <memory>

#include "asyncproc/internal/transcript/transcript_format.h"

namespace asyncproc::internal {

// The format of asciinema, asciicast v2: TranscriptFormat::kAsciinema, in
// transcript.h, says what becomes of a transcript in it.
std::unique_ptr<TranscriptWriter> NewAsciicastWriter();
std::unique_ptr<TranscriptReader> NewAsciicastReader();

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_H_

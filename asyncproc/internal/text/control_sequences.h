#ifndef ASYNCPROC_INTERNAL_TEXT_CONTROL_SEQUENCES_H_
#define ASYNCPROC_INTERNAL_TEXT_CONTROL_SEQUENCES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// Returns `text` without the sequences by which programs control a terminal
// (ECMA-48): colours and other CSI sequences, titles and links (OSC), and all
// others that start with ESC. A sequence cut off by the end of `text` is
// removed as well. Other control characters stay, as does the text between two
// sequences.
std::string StripControlSequences(absl::string_view text);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_CONTROL_SEQUENCES_H_

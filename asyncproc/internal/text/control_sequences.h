#ifndef ASYNCPROC_INTERNAL_TEXT_CONTROL_SEQUENCES_H_
#define ASYNCPROC_INTERNAL_TEXT_CONTROL_SEQUENCES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// `text` without the sequences by which programs control a terminal (ECMA-48):
// colours and other CSI sequences, titles and links (OSC), and all else that
// begins with ESC. A sequence that `text` cuts off is left out as well. Other
// control characters stay, as does the text between two sequences.
std::string StripControlSequences(absl::string_view text);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_CONTROL_SEQUENCES_H_

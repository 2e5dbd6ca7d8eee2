#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_TEXT_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_TEXT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The texts within the events of an asciicast.

// Of "r": "132x50", the columns first.
std::string FormatTerminalSize(const TerminalSize& size);
std::optional<TerminalSize> ParseTerminalSize(absl::string_view text);

// Of "m", a marker: what a program said about itself as it is; and all that
// has no event of its own in an asciicast, as "asyncproc: exit 0". No mark of
// a program's own begins with that word: such a one is written as "asyncproc:
// mark asyncproc: ...".
std::string FormatMarker(const TranscriptEvent& event);
// All but the time. Any text is a marker: at least Kind::kMark.
void ParseMarker(absl::string_view text, TranscriptEvent* event);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_TEXT_H_

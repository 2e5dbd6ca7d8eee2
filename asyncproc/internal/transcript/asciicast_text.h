#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_TEXT_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_TEXT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The texts within the events of an asciicast.

// The size in an event "r": "132x50", the columns first.
std::string FormatTerminalSize(const TerminalSize& size);
std::optional<TerminalSize> ParseTerminalSize(absl::string_view text);

// The text of an event "m", a marker: a program's own mark unchanged, and any
// event that has no code in an asciicast, as "asyncproc: exit 0". A program's
// own mark that starts with that prefix is written as "asyncproc: mark
// asyncproc: ...".
std::string FormatMarker(const TranscriptEvent& event);
// Sets all of `event` except the time. Any text is a marker, by default
// Kind::kMark.
void ParseMarker(absl::string_view text, TranscriptEvent* event);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_ASCIICAST_TEXT_H_

#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_VALUES_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_VALUES_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "asyncproc/termination.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// What all formats of transcripts have in common: the names of what is an
// enumeration, and how large a number may be.

// "in", "out_closed". Of a name that is none: nothing.
absl::string_view NameOf(TranscriptEvent::Kind kind);
std::optional<TranscriptEvent::Kind> KindOf(absl::string_view name);

// "child", "group", "tree".
absl::string_view NameOf(TerminationScope scope);
std::optional<TerminationScope> ScopeOf(absl::string_view name);

// Of an event: thirty years. Of the start: the year 2223. Nobody needs more,
// and both are far from where numbers overflow.
constexpr int64_t kMaxMicros = int64_t{1'000'000'000} * 1'000'000;
constexpr int64_t kMaxStartSeconds = 8'000'000'000;

// Of rows and of columns; the kernel has 16 bits for each.
constexpr int64_t kMaxTerminalSize = 65535;

constexpr int64_t kMaxExitCode = 255;

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_VALUES_H_

#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_VALUES_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_VALUES_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "asyncproc/termination.h"
#include "asyncproc/transcript_event.h"

namespace asyncproc::internal {

// The common values of all transcript formats: the names of enumerators, and
// the limits of numbers.

// "in", "out_closed". KindOf returns nothing for an unknown name.
absl::string_view NameOf(TranscriptEvent::Kind kind);
std::optional<TranscriptEvent::Kind> KindOf(absl::string_view name);

// "child", "group", "tree".
absl::string_view NameOf(TerminationScope scope);
std::optional<TerminationScope> ScopeOf(absl::string_view name);

// For an event: thirty years. For the start: the year 2223. Both suffice, and
// are far below an overflow.
constexpr int64_t kMaxMicros = int64_t{1'000'000'000} * 1'000'000;
constexpr int64_t kMaxStartSeconds = 8'000'000'000;

// For rows and columns; the kernel has 16 bits for each.
constexpr int64_t kMaxTerminalSize = 65535;

constexpr int64_t kMaxExitCode = 255;

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_TRANSCRIPT_VALUES_H_

#ifndef ASYNCPROC_TOOLS_BENCH_WORKS_H_
#define ASYNCPROC_TOOLS_BENCH_WORKS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

// The amount of each work, the same for all libraries; peers/scripts has the
// same figures.

namespace asyncproc::bench {

inline constexpr int64_t kDrained = 2'000'000'000;
inline constexpr int64_t kCaptured = 1'000'000'000;
inline constexpr int64_t kFed = 1'000'000'000;
// Through a stream with a bound.
inline constexpr int64_t kPassed = 1'000'000'000;
// Of 80 bytes each: 1 GB, and 50 MB.
inline constexpr int64_t kLines = 12'500'000;
inline constexpr int64_t kSearchedLines = 625'000;
inline constexpr absl::string_view kMarker = "MARKER 42\n";
inline constexpr absl::string_view kLine = "a line of no great length\n";
inline constexpr int64_t kCommands = 10'000;
inline constexpr int64_t kRuns = 1000;
inline constexpr int64_t kLiving = 2000;
inline constexpr int kTree = 50;

// The size of one read or write of a peer that can choose it.
inline constexpr int64_t kBuffer = 128 * 1024;

}  // namespace asyncproc::bench

#endif  // ASYNCPROC_TOOLS_BENCH_WORKS_H_

#include "tools/asyncproc/pool/job_count.h"

#include <sched.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace asyncproc::cli {
namespace {

// The most jobs that --jobs 0 allows.
constexpr int64_t kMostWithoutLimit = 10000;
// The descriptors of each job, with some for its start.
constexpr rlim_t kDescriptorsEach = 8;
constexpr rlim_t kDescriptorsOfOurs = 64;

int Processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

int64_t AsManyAsThereCanBe() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kMostWithoutLimit;
  const rlim_t most =
      (std::max(limit.rlim_max, kDescriptorsOfOurs) - kDescriptorsOfOurs) /
      kDescriptorsEach;
  return std::clamp<int64_t>(
      static_cast<int64_t>(std::min<rlim_t>(most, kMostWithoutLimit)), 1,
      kMostWithoutLimit);
}

}  // namespace

absl::StatusOr<int64_t> ParseJobCount(const std::string& text) {
  if (text.empty()) return Processors();
  absl::string_view digits = text;
  const bool more = absl::ConsumePrefix(&digits, "+");
  const bool fewer = absl::ConsumePrefix(&digits, "-");
  const bool percent = absl::ConsumeSuffix(&digits, "%");
  int64_t number;
  // absl also takes signs and spaces.
  if (digits.find_first_not_of("0123456789") != digits.npos ||
      !absl::SimpleAtoi(digits, &number) ||
      static_cast<int>(more) + static_cast<int>(fewer) +
              static_cast<int>(percent) >
          1) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text,
                     "' is not a value of --jobs: it is N, +N, -N, N% "
                     "or 0"));
  }
  if (number > kMostJobs) {
    return absl::InvalidArgumentError(
        absl::StrCat("--jobs ", text, ": the most is ", kMostJobs));
  }
  if (more) number += Processors();
  if (fewer) number = Processors() - number;
  if (percent) number = Processors() * number / 100;
  if (text == "0") return AsManyAsThereCanBe();
  return std::max<int64_t>(number, 1);
}

std::optional<rlimit> RaiseDescriptorLimit(int slots) {
  rlimit limit;
  const rlim_t needed =
      kDescriptorsEach * static_cast<rlim_t>(slots) + kDescriptorsOfOurs;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
    return std::nullopt;
  }
  const rlimit old = limit;
  limit.rlim_cur = std::min(limit.rlim_max, needed);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return old;
}

}  // namespace asyncproc::cli

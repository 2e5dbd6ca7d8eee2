#include "tools/asyncproc/pool/halt_policy.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace asyncproc::cli {

absl::StatusOr<HaltPolicy> HaltPolicy::Parse(absl::string_view text) {
  HaltPolicy policy;
  absl::string_view rest = text;
  if (rest == "never") return policy;
  bool known = true;
  if (absl::ConsumePrefix(&rest, "now,")) {
    policy.when = When::kNow;
  } else if (absl::ConsumePrefix(&rest, "soon,")) {
    policy.when = When::kSoon;
  } else {
    known = false;
  }
  if (absl::ConsumePrefix(&rest, "fail=")) {
    policy.what = What::kFail;
  } else if (absl::ConsumePrefix(&rest, "success=")) {
    policy.what = What::kSuccess;
  } else if (absl::ConsumePrefix(&rest, "done=")) {
    policy.what = What::kDone;
  } else {
    known = false;
  }
  policy.percent = absl::ConsumeSuffix(&rest, "%");
  // absl also takes signs and spaces.
  if (!known || rest.find_first_not_of("0123456789") != rest.npos ||
      !absl::SimpleAtoi(rest, &policy.count) || policy.count < 1 ||
      (policy.percent && policy.count > 100)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text,
        "' is not a value of --halt: it is never, or like now,fail=1 or "
        "soon,success=10%: WHEN is now or soon, WHAT is fail, success or "
        "done"));
  }
  return policy;
}

bool HaltPolicy::Reached(int64_t failed, int64_t succeeded,
                         int64_t total) const {
  if (when == When::kNever) return false;
  const int64_t reached = what == What::kFail      ? failed
                          : what == What::kSuccess ? succeeded
                                                   : failed + succeeded;
  if (!percent) return reached >= count;
  constexpr int64_t kLeast = 3;
  return reached >= kLeast && total > 0 &&
         static_cast<double>(reached) * 100 >=
             static_cast<double>(count) * static_cast<double>(total);
}

}  // namespace asyncproc::cli

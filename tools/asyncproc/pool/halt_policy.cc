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
  if (!known || !absl::SimpleAtoi(rest, &policy.count) || policy.count < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--halt ", text,
        ": never, or now or soon, and fail=N, success=N or done=N"));
  }
  return policy;
}

bool HaltPolicy::Reached(int64_t failed, int64_t succeeded) const {
  if (when == When::kNever) return false;
  switch (what) {
    case What::kFail:
      return failed >= count;
    case What::kSuccess:
      return succeeded >= count;
    case What::kDone:
      return failed + succeeded >= count;
  }
  return false;
}

}  // namespace asyncproc::cli

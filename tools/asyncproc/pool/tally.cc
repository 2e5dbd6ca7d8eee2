#include "tools/asyncproc/pool/tally.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/asyncproc/pool/screen_text.h"

namespace asyncproc::cli {
namespace {

constexpr size_t kMostFailures = 20;

}  // namespace

void Tally::Add(const EndedRun& ended, const std::string& host) {
  ++(ended.ok ? succeeded_ : failed_);
  if (ended.ok) return;
  if (ended.run.killed) {
    ++killed_;
  } else if (failures_.size() < kMostFailures) {
    failures_.push_back(absl::StrFormat(
        "  job %d: %s, %.2fs%s: %s\n", ended.run.job.number, ended.words,
        absl::ToDoubleSeconds(ended.record.runtime),
        host.empty() ? "" : absl::StrCat(", on ", host),
        Printable(ended.run.line, /*utf8=*/true)));
  }
}

std::string Tally::Failures() const {
  const int64_t failed = failed_ - killed_;
  if (failed == 0) return "";
  const int64_t more = failed - static_cast<int64_t>(failures_.size());
  return absl::StrCat("asyncproc pool: ", failed, " of ", failed_ + succeeded_,
                      " jobs failed:\n", absl::StrJoin(failures_, ""),
                      more > 0 ? absl::StrCat("  and ", more, " more\n") : "");
}

}  // namespace asyncproc::cli

#include "asyncproc/internal/text/prefixed.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace asyncproc::internal {

absl::Status Prefixed(absl::string_view prefix, const absl::Status& status) {
  if (status.ok()) return status;
  absl::Status prefixed(status.code(),
                        absl::StrCat(prefix, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    prefixed.SetPayload(url, payload);
  });
  return prefixed;
}

}  // namespace asyncproc::internal

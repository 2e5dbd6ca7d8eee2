#include "asyncproc/process_poller.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace asyncproc::internal {

void AppendBounded(absl::string_view data, size_t max_bytes, std::string* text,
                   uint64_t* dropped) {
  text->append(data.data(), data.size());
  // Not at every byte: each cut moves all kept bytes.
  if (max_bytes > 0 && text->size() / 2 > max_bytes) {
    CutToBound(max_bytes, text, dropped);
  }
}

void CutToBound(size_t max_bytes, std::string* text, uint64_t* dropped) {
  if (max_bytes == 0 || text->size() <= max_bytes) return;
  const size_t excess = text->size() - max_bytes;
  text->erase(0, excess);
  *dropped += excess;
}

bool FindAcross(absl::string_view text, absl::string_view data,
                std::string* tail) {
  const size_t kept = text.size() - 1;
  // A match that begins in the tail ends within the first `kept` bytes of data.
  absl::StrAppend(tail, data.substr(0, kept));
  if (absl::StrContains(*tail, text) || absl::StrContains(data, text)) {
    return true;
  }
  if (data.size() >= kept) *tail = std::string(data.substr(data.size() - kept));
  if (tail->size() > kept) tail->erase(0, tail->size() - kept);
  return false;
}

absl::Status KeyInUse(const Command& command) {
  return absl::AlreadyExistsError(
      absl::StrCat("cannot run ", command.DebugString(),
                   ": the last child of this key has not ended"));
}

absl::Status NoSuchChild() {
  return absl::NotFoundError("there is no child of this key");
}

}  // namespace asyncproc::internal

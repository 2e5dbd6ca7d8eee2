#include "asyncproc/internal/text/utf8.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace asyncproc::internal {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

enum class Verdict { kCharacter, kCut, kNone };

struct Next {
  Verdict verdict;
  size_t size;  // Of the character, or of the invalid sequence.
};

unsigned char At(absl::string_view bytes, size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

// Examines the start of `bytes`, which are not empty.
Next Look(absl::string_view bytes) {
  const unsigned char lead = At(bytes, 0);
  if (lead < 0x80) return {Verdict::kCharacter, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Verdict::kNone, 1};
  const size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < std::min(size, bytes.size()); ++i) {
    // Some values of the second byte would make an overlong form, a surrogate,
    // or a code point beyond Unicode.
    const unsigned char low = i == 1 && lead == 0xE0   ? 0xA0
                              : i == 1 && lead == 0xF0 ? 0x90
                                                       : 0x80;
    const unsigned char high = i == 1 && lead == 0xED   ? 0x9F
                               : i == 1 && lead == 0xF4 ? 0x8F
                                                        : 0xBF;
    if (At(bytes, i) < low || At(bytes, i) > high) return {Verdict::kNone, i};
  }
  return {bytes.size() < size ? Verdict::kCut : Verdict::kCharacter, size};
}

}  // namespace

size_t Utf8Size(absl::string_view bytes) {
  if (bytes.empty()) return 0;
  const Next next = Look(bytes);
  return next.verdict == Verdict::kCharacter ? next.size : 0;
}

bool IsUtf8(absl::string_view bytes) {
  while (!bytes.empty()) {
    const Next next = Look(bytes);
    if (next.verdict != Verdict::kCharacter) return false;
    bytes.remove_prefix(next.size);
  }
  return true;
}

std::string Utf8Joiner::Push(absl::string_view piece) {
  const std::string joined = absl::StrCat(cut_, piece);
  absl::string_view rest = joined;
  cut_.clear();
  std::string text;
  while (!rest.empty()) {
    const Next next = Look(rest);
    if (next.verdict == Verdict::kCut) {
      cut_ = std::string(rest);
      break;
    }
    absl::StrAppend(&text, next.verdict == Verdict::kCharacter
                               ? rest.substr(0, next.size)
                               : kReplacement);
    rest.remove_prefix(next.size);
  }
  return text;
}

std::string Utf8Joiner::Finish() {
  const bool was_cut = !cut_.empty();
  cut_.clear();
  return was_cut ? std::string(kReplacement) : "";
}

std::string ToUtf8(absl::string_view bytes) {
  Utf8Joiner joiner;
  std::string text = joiner.Push(bytes);
  return text + joiner.Finish();
}

}  // namespace asyncproc::internal

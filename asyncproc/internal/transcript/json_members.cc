#include "asyncproc/internal/transcript/json_members.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/text/utf8.h"

namespace asyncproc::internal {
namespace {

// The maximum size of an excerpt.
constexpr size_t kShown = 60;

std::string Base64Key(absl::string_view key) {
  return absl::StrCat(key, "_base64");
}

Json Parse(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                     /*allow_exceptions=*/false);
}

// The first 6 bytes of `text` are an escape like "\ud83d": returns the first 6
// bits of its value, which are 0x36 for the first half of a pair and 0x37 for
// the second. Returns 0 for any other text.
int LeadOfEscape(absl::string_view text) {
  if (!absl::StartsWith(text, "\\u") || text.size() < 6 ||
      !std::all_of(text.begin() + 2, text.begin() + 6, absl::ascii_isxdigit)) {
    return 0;
  }
  return std::stoi(std::string(text.substr(2, 4)), nullptr, 16) >> 10;
}

// Replaces bytes that are not UTF-8, and halves of pairs, by U+FFFD.
std::string ReplaceInvalid(absl::string_view text) {
  const std::string utf8 = ToUtf8(text);
  std::string valid;
  for (absl::string_view rest = utf8; !rest.empty();) {
    const int lead = LeadOfEscape(rest);
    const bool is_pair = lead == 0x36 && LeadOfEscape(rest.substr(6)) == 0x37;
    const bool is_half = !is_pair && (lead == 0x36 || lead == 0x37);
    const size_t size = is_pair ? 12 : is_half ? 6 : rest[0] == '\\' ? 2 : 1;
    absl::StrAppend(&valid, is_half ? "\\ufffd" : rest.substr(0, size));
    rest.remove_prefix(std::min(size, rest.size()));
  }
  return valid;
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  Json json = Parse(text);
  if (json.is_discarded()) json = Parse(ReplaceInvalid(text));
  if (!json.is_discarded()) return json;
  if (text.empty()) return absl::InvalidArgumentError("is empty");
  return absl::InvalidArgumentError(
      absl::StrCat("is no JSON, or not all of it: ", Excerpt(text)));
}

std::string FormatJson(const OrderedJson& json) {
  // All text here should be UTF-8. Other text is replaced, rather than
  // throwing.
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string Excerpt(absl::string_view text) {
  return absl::StrCat(absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "..." : "");
}

void JsonMembers::Fail(absl::string_view why) {
  Update(absl::InvalidArgumentError(why));
}

const Json* JsonMembers::Find(absl::string_view key) const {
  const auto it = object_.find(std::string(key));
  return it == object_.end() ? nullptr : &*it;
}

const Json* JsonMembers::Require(absl::string_view key) {
  if (!status_.ok()) return nullptr;
  const Json* const value = Find(key);
  if (value == nullptr) Fail(absl::StrCat("has no \"", key, "\""));
  return value;
}

int64_t JsonMembers::Int(absl::string_view key, int64_t min, int64_t max) {
  const Json* const value = Require(key);
  if (value == nullptr) return min;
  const auto* const number = value->get_ptr<const Json::number_integer_t*>();
  const bool too_large =
      value->is_number_unsigned() &&
      *value->get_ptr<const Json::number_unsigned_t*>() > INT64_MAX;
  if (number == nullptr || too_large || *number < min || *number > max) {
    Fail(absl::StrCat("\"", key, "\" is no whole number from ", min, " to ",
                      max));
    return min;
  }
  return *number;
}

int64_t JsonMembers::IntOr(absl::string_view key, int64_t min, int64_t max,
                           int64_t otherwise) {
  return Has(key) ? Int(key, min, max) : otherwise;
}

std::string JsonMembers::String(absl::string_view key) {
  const Json* const value = Require(key);
  if (value == nullptr) return "";
  const auto* const text = value->get_ptr<const std::string*>();
  if (text != nullptr) return *text;
  Fail(absl::StrCat("\"", key, "\" is no string"));
  return "";
}

bool JsonMembers::BoolOr(absl::string_view key, bool otherwise) const {
  const Json* const value = Find(key);
  return value != nullptr && value->is_boolean() ? value->get<bool>()
                                                 : otherwise;
}

const Json* JsonMembers::ObjectIfAny(absl::string_view key) {
  const Json* const value = Find(key);
  if (value == nullptr || value->is_object()) return value;
  Fail(absl::StrCat("\"", key, "\" is no object"));
  return nullptr;
}

bool JsonMembers::HasBytes(absl::string_view key) const {
  return Has(key) || Has(Base64Key(key));
}

std::string JsonMembers::Bytes(absl::string_view key) {
  const std::string base64_key = Base64Key(key);
  if (!Has(base64_key)) return String(key);
  std::string bytes;
  if (!absl::Base64Unescape(String(base64_key), &bytes)) {
    Fail(absl::StrCat("\"", base64_key, "\" is no base64"));
  }
  return bytes;
}

void PutBytes(OrderedJson& object, absl::string_view key,
              absl::string_view bytes) {
  if (IsUtf8(bytes)) {
    object[std::string(key)] = std::string(bytes);
  } else {
    object[Base64Key(key)] = absl::Base64Escape(bytes);
  }
}

}  // namespace asyncproc::internal

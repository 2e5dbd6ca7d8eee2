#include "asyncproc/internal/transcript/json_members.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/internal/text/utf8.h"

namespace asyncproc::internal {
namespace {

// The maximum size of an excerpt.
constexpr size_t kShown = 60;

std::string Base64Key(absl::string_view key) {
  return absl::StrCat(key, "_base64");
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                          /*allow_exceptions=*/false);
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

#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_MEMBERS_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_MEMBERS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace asyncproc::internal {

// For reading: finds a member quickly, among any number of members.
using Json = nlohmann::json;
// For writing: keeps the members in insertion order.
using OrderedJson = nlohmann::ordered_json;

// Parses exactly one value. Bytes that are not UTF-8, and half a pair of
// surrogates, read as U+FFFD. Errors: kInvalidArgument; never throws.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// Formats one line, without its newline. Invalid UTF-8 is replaced.
std::string FormatJson(const OrderedJson& json);

// The start of a text from another program, escaped for an error message.
std::string Excerpt(absl::string_view text);

// Reads the members of an object one by one, and keeps the first error: a
// missing member, or an invalid value. The status needs only one check at the
// end:
//
//   JsonMembers members(object);
//   event.signal = members.Int("signal", 1, SIGRTMAX);
//   event.data = members.Bytes("data");
//   if (!members.status().ok()) return members.status();
//
// An invalid member, and each member after it, reads as 0, empty or the
// minimum.
//
// If the value is not an object, every member is missing.
//
// Thread safety: none of its own. Ownership: the object must outlive this.
// Errors: kInvalidArgument, with the name of the member.
class JsonMembers {
 public:
  explicit JsonMembers(const Json& object) : object_(object) {}

  // Null when the member is missing.
  const Json* Find(absl::string_view key) const;
  bool Has(absl::string_view key) const { return Find(key) != nullptr; }

  int64_t Int(absl::string_view key, int64_t min, int64_t max);
  // Returns `otherwise` when the member is missing.
  int64_t IntOr(absl::string_view key, int64_t min, int64_t max,
                int64_t otherwise);
  std::string String(absl::string_view key);
  // Returns `otherwise` when the member is missing or not a boolean: not an
  // error.
  bool BoolOr(absl::string_view key, bool otherwise) const;
  // Null when the member is missing or not an object; only the latter is an
  // error.
  const Json* ObjectIfAny(absl::string_view key);

  // Any bytes, as written by PutBytes.
  bool HasBytes(absl::string_view key) const;
  std::string Bytes(absl::string_view key);

  // The first error.
  const absl::Status& status() const { return status_; }
  // Only the first error is kept.
  void Fail(absl::string_view why);
  void Update(const absl::Status& status) { status_.Update(status); }

 private:
  // Null, with an error, when the member is missing.
  const Json* Require(absl::string_view key);

  const Json& object_;
  absl::Status status_;
};

// JSON is UTF-8, so other bytes are written as base64, under another key.
void PutBytes(OrderedJson& object, absl::string_view key,
              absl::string_view bytes);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_MEMBERS_H_

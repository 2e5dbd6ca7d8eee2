#ifndef ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_MEMBERS_H_
#define ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_MEMBERS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace asyncproc::internal {

// What is read: that finds a member, among however many, in no time.
using Json = nlohmann::json;
// What is written: that keeps the order in which its members were put there.
using OrderedJson = nlohmann::ordered_json;

// Of one value, and nothing behind it. Errors: kInvalidArgument; it never
// throws.
absl::StatusOr<Json> ParseJson(absl::string_view text);

// In one line, without its end. What is no UTF-8 is replaced.
std::string FormatJson(const OrderedJson& json);

// The beginning of what somebody else wrote, fit to be shown in an error.
std::string Excerpt(absl::string_view text);

// Takes members out of an object, one after the other, and remembers the first
// that was not there, or not what it should be. So that is asked only once:
//
//   JsonMembers members(object);
//   event.signal = members.Int("signal", 1, SIGRTMAX);
//   event.data = members.Bytes("data");
//   if (!members.status().ok()) return members.status();
//
// Those that are no good, and all behind them, are 0, empty or the least that
// was allowed.
//
// Of a value that is no object, no member is there.
//
// Thread safety: none of its own. Ownership: the object has to outlive it.
// Errors: kInvalidArgument, with the name of the member.
class JsonMembers {
 public:
  explicit JsonMembers(const Json& object) : object_(object) {}

  // Null when it is not there.
  const Json* Find(absl::string_view key) const;
  bool Has(absl::string_view key) const { return Find(key) != nullptr; }

  int64_t Int(absl::string_view key, int64_t min, int64_t max);
  // `otherwise` when it is not there.
  int64_t IntOr(absl::string_view key, int64_t min, int64_t max,
                int64_t otherwise);
  std::string String(absl::string_view key);
  // `otherwise` also when it is there as something else: no error.
  bool BoolOr(absl::string_view key, bool otherwise) const;
  // Null when it is not there, or is something else: then, and only then, it is
  // an error.
  const Json* ObjectIfAny(absl::string_view key);

  // Any bytes, as PutBytes has put them.
  bool HasBytes(absl::string_view key) const;
  std::string Bytes(absl::string_view key);

  // The first error.
  const absl::Status& status() const { return status_; }
  // Nothing but the first one counts.
  void Fail(absl::string_view why);
  void Update(const absl::Status& status) { status_.Update(status); }

 private:
  // Null, and an error, when it is not there.
  const Json* Require(absl::string_view key);

  const Json& object_;
  absl::Status status_;
};

// JSON is UTF-8: so what is not is put as base64, under another key.
void PutBytes(OrderedJson& object, absl::string_view key,
              absl::string_view bytes);

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TRANSCRIPT_JSON_MEMBERS_H_

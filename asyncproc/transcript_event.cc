#include "asyncproc/transcript_event.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace asyncproc {
namespace {

// The most bytes of data in a message.
constexpr size_t kShown = 200;

std::string Quoted(absl::string_view data) {
  return absl::StrCat("\"", absl::CHexEscape(data.substr(0, kShown)), "\"",
                      data.size() > kShown ? "..." : "");
}

absl::string_view NameOf(TerminationScope scope) {
  switch (scope) {
    case TerminationScope::kChild:
      return "the child";
    case TerminationScope::kGroup:
      return "its group";
    case TerminationScope::kTree:
      return "its tree";
  }
  return "nobody";  // There is no other scope.
}

}  // namespace

std::string TranscriptEvent::ToString() const {
  switch (kind) {
    case Kind::kIn:
      return absl::StrCat("in ", Quoted(data));
    case Kind::kInClosed:
      return "the end of stdin";
    case Kind::kInBroken:
      return "stdin closed by the child";
    case Kind::kOut:
      return absl::StrCat("out ", Quoted(data));
    case Kind::kOutClosed:
      return "the end of stdout";
    case Kind::kErr:
      return absl::StrCat("err ", Quoted(data));
    case Kind::kErrClosed:
      return "the end of stderr";
    case Kind::kSignal:
      return absl::StrCat(SignalDescription(signal), " to ", NameOf(scope));
    case Kind::kResize:
      return absl::StrCat("a terminal of ", size.rows, " rows and ",
                          size.columns, " columns");
    case Kind::kLetters:
      return absl::StrCat("letters ", Quoted(data));
    case Kind::kSent:
      return absl::StrCat("sent ", Quoted(data));
    case Kind::kReceived:
      return absl::StrCat("received ", Quoted(data));
    case Kind::kMark:
      return absl::StrCat("mark ", Quoted(data));
    case Kind::kExit:
      return status.has_value() ? status->ToString()
                                : absl::StrCat("an unknown end: ", data);
  }
  return "nothing";  // There is no other kind.
}

bool operator==(const TranscriptEvent& a, const TranscriptEvent& b) {
  return a.kind == b.kind && a.time == b.time && a.data == b.data &&
         a.signal == b.signal && a.scope == b.scope && a.size == b.size &&
         a.status == b.status;
}

}  // namespace asyncproc

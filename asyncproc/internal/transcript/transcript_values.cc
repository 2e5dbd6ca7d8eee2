#include "asyncproc/internal/transcript/transcript_values.h"

namespace asyncproc::internal {
namespace {

using Kind = TranscriptEvent::Kind;

struct KindName {
  Kind kind;
  absl::string_view name;
};
constexpr KindName kKindNames[] = {
    {Kind::kIn, "in"},
    {Kind::kInClosed, "in_closed"},
    {Kind::kInBroken, "in_broken"},
    {Kind::kOut, "out"},
    {Kind::kOutClosed, "out_closed"},
    {Kind::kErr, "err"},
    {Kind::kErrClosed, "err_closed"},
    {Kind::kSignal, "signal"},
    {Kind::kResize, "resize"},
    {Kind::kLetters, "letters"},
    {Kind::kSent, "sent"},
    {Kind::kReceived, "received"},
    {Kind::kMark, "mark"},
    {Kind::kExit, "exit"},
};

struct ScopeName {
  TerminationScope scope;
  absl::string_view name;
};
constexpr ScopeName kScopeNames[] = {
    {TerminationScope::kChild, "child"},
    {TerminationScope::kGroup, "group"},
    {TerminationScope::kTree, "tree"},
};

}  // namespace

absl::string_view NameOf(Kind kind) {
  for (const KindName& known : kKindNames) {
    if (known.kind == kind) return known.name;
  }
  return "";  // All have names.
}

std::optional<Kind> KindOf(absl::string_view name) {
  for (const KindName& known : kKindNames) {
    if (known.name == name) return known.kind;
  }
  return std::nullopt;
}

absl::string_view NameOf(TerminationScope scope) {
  for (const ScopeName& known : kScopeNames) {
    if (known.scope == scope) return known.name;
  }
  return "";  // All have names.
}

std::optional<TerminationScope> ScopeOf(absl::string_view name) {
  for (const ScopeName& known : kScopeNames) {
    if (known.name == name) return known.scope;
  }
  return std::nullopt;
}

}  // namespace asyncproc::internal

#include "asyncproc/expect.h"

#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/internal/io/byte_queue.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/terminate/child_inspector.h"
#include "asyncproc/internal/text/elapsed.h"
#include "asyncproc/internal/text/prefixed.h"
#include "asyncproc/internal/text/printable.h"
#include "asyncproc/internal/text/regex_options.h"
#include "asyncproc/internal/text/required_text.h"
#include "asyncproc/internal/wait/wait.h"

namespace asyncproc {
namespace {

using internal::DeadlineAfter;
using internal::MonotonicNow;

// Bytes of the text that an error message shows.
constexpr size_t kShown = 500;

// Bytes of one read: few enough for a short search, so that the deadline is
// checked often.
constexpr size_t kPiece = 1024 * 1024;

// Silence of the output before all of it is searched again, for a match that is
// longer than the lookback. After such a search, the next one waits for
// kRestPerSearch times its duration.
constexpr absl::Duration kSilence = absl::Milliseconds(10);
constexpr int kRestPerSearch = 10;

// As string_view::find, but linear for any text, and at the speed of memory.
size_t Find(absl::string_view text, absl::string_view what, size_t from) {
  // memmem takes no null pointer, which an empty text may have.
  if (text.size() - from < what.size()) return absl::string_view::npos;
  const void* const found =
      memmem(text.data() + from, text.size() - from, what.data(), what.size());
  return found == nullptr ? absl::string_view::npos
                          : static_cast<size_t>(
                                static_cast<const char*>(found) - text.data());
}

}  // namespace

Pattern Pattern::Literal(std::string text) {
  return Pattern(Kind::kLiteral, std::move(text));
}

Pattern Pattern::Regex(std::string regex, RegexEncoding encoding) {
  Pattern pattern(Kind::kRegex, std::move(regex));
  pattern.regex_ = std::make_shared<const RE2>(
      pattern.text_, internal::RegexOptions(encoding));
  if (pattern.regex_->ok()) {
    pattern.required_ = internal::RequiredText(pattern.text_);
  }
  return pattern;
}

Pattern Pattern::Eof() { return Pattern(Kind::kEof, ""); }

Pattern Pattern::Timeout() { return Pattern(Kind::kTimeout, ""); }

std::string Pattern::ToString() const {
  switch (kind_) {
    case Kind::kLiteral:
      return absl::StrCat("\"", internal::Printable(text_), "\"");
    case Kind::kRegex:
      return absl::StrCat("/", internal::Printable(text_), "/");
    case Kind::kEof:
      return "EOF";
    case Kind::kTimeout:
      return "TIMEOUT";
  }
  return "";  // There is no other kind.
}

// One search for several patterns in a text that grows.
struct Expect::Search {
  Search(const std::vector<Pattern>& patterns, size_t lookback)
      : patterns(patterns), lookback(lookback), required(patterns.size()) {}

  // Begins with another text, at `offset` of all text.
  void StartPart(size_t offset) {
    part_start = offset;
    searched = 0;
    whole_size = 0;
    required.assign(patterns.size(), Required());
  }

  // Searches the new text, and the text before it in which a match may have
  // begun; all of `text`, if `whole` or due; but not before `floor`. Returns
  // whether there is a match. REQUIRES: floor <= text.size().
  bool Next(absl::string_view text, size_t floor, bool whole) {
    // With doubling, all searches of the whole text cost twice the last one.
    whole = whole || text.size() <= lookback || text.size() >= 2 * whole_size;
    const absl::Time start = MonotonicNow();
    for (size_t i = 0; i < patterns.size(); ++i) {
      Look(i, text, std::max(floor, From(patterns[i], whole)));
    }
    searched = text.size();
    if (found.has_value()) matched = text;
    if (whole) {
      whole_size = text.size();
      rest_until = MonotonicNow() + kRestPerSearch * (MonotonicNow() - start);
    }
    return found.has_value();
  }

  // The time of the next search of the whole text, if no output arrives before.
  absl::Time NextWhole() const {
    return std::max(MonotonicNow() + kSilence, rest_until);
  }

  // Whether a match may have been missed; a literal never is.
  bool Incomplete() const {
    if (whole_size == searched) return false;
    for (size_t i = 0; i < patterns.size(); ++i) {
      if (patterns[i].kind() == Pattern::Kind::kRegex &&
          (patterns[i].required_.empty() || required[i].there)) {
        return true;
      }
    }
    return false;
  }

  size_t From(const Pattern& pattern, bool whole) const {
    const size_t overlap = pattern.kind() == Pattern::Kind::kLiteral
                               ? pattern.text_.size() - 1
                               : (whole ? searched : lookback);
    return searched - std::min(searched, overlap);
  }

  void Look(size_t i, absl::string_view text, size_t from) {
    const Pattern& pattern = patterns[i];
    if (pattern.kind() == Pattern::Kind::kLiteral) {
      const size_t at = Find(text, pattern.text_, from);
      if (at != absl::string_view::npos) Found(i, at, pattern.text_.size());
    } else if (pattern.kind() == Pattern::Kind::kRegex) {
      absl::string_view match;
      if (!MayMatch(i, text, from)) return;
      if (pattern.regex_->Match(text, from, text.size(), RE2::UNANCHORED,
                                &match, 1)) {
        Found(i, static_cast<size_t>(match.data() - text.data()), match.size());
      }
    }
  }

  // A regex is slow compared to a search for its required text, and most output
  // does not contain that text.
  bool MayMatch(size_t i, absl::string_view text, size_t from) {
    const std::string& what = patterns[i].required_;
    if (what.empty()) return true;
    Required& state = required[i];
    if (!state.there) {
      const size_t overlap = std::min(state.searched, what.size() - 1);
      state.there =
          Find(text, what, state.searched - overlap) != absl::string_view::npos;
      state.searched = text.size();
    }
    return state.there && Find(text, what, from) != absl::string_view::npos;
  }

  void Found(size_t i, size_t at, size_t size) {
    if (found.has_value() && begin <= at) return;
    found = i;
    begin = at;
    length = size;
  }

  // The search for Pattern::required_.
  struct Required {
    size_t searched = 0;  // Bytes of the text that have been searched.
    bool there = false;   // Whether it has been found.
  };

  const std::vector<Pattern>& patterns;
  const size_t lookback;
  std::vector<Required> required;
  size_t part_start = 0;  // Of the text, which follows a gap, in all text.
  size_t searched = 0;    // Bytes of the text that have been searched.
  size_t whole_size = 0;  // The text's size when all of it was last searched.
  absl::Time rest_until = absl::InfinitePast();
  std::optional<size_t> found;  // The index of the pattern.
  absl::string_view matched;    // The text that has the match.
  size_t begin = 0;
  size_t length = 0;
};

Expect::Expect(Child* child)
    : child_(child),
      cursor_(&child->out()),
      buffer_(std::make_unique<internal::ByteQueue>()),
      skipped_(cursor_->Skipped()) {}

Expect::Expect(Process* process)
    : child_(process),
      process_(process),
      cursor_(&process->out()),
      buffer_(std::make_unique<internal::ByteQueue>()),
      skipped_(cursor_->Skipped()) {}

Expect::Expect(OutputCursor* cursor)
    : child_(nullptr),
      cursor_(cursor),
      buffer_(std::make_unique<internal::ByteQueue>()),
      skipped_(cursor_->Skipped()) {}

Expect::Expect(Expect&& other) noexcept = default;

Expect::~Expect() = default;

absl::string_view Expect::buffer() const { return buffer_->view(); }

absl::StatusOr<Expected> Expect::Await(const Pattern& pattern,
                                       absl::Duration timeout) {
  return Await(std::vector<Pattern>{pattern}, timeout);
}

absl::Status Expect::Validate(const std::vector<Pattern>& patterns) {
  if (patterns.empty()) {
    return absl::InvalidArgumentError("there is no pattern to wait for");
  }
  for (const Pattern& pattern : patterns) {
    if (pattern.kind() == Pattern::Kind::kRegex && !pattern.regex_->ok()) {
      return absl::InvalidArgumentError(absl::StrCat("cannot wait for ",
                                                     pattern.ToString(), ": ",
                                                     pattern.regex_->error()));
    }
    if (pattern.kind() == Pattern::Kind::kLiteral && pattern.text_.empty()) {
      return absl::InvalidArgumentError("an empty text matches anywhere");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Expected> Expect::Await(const std::vector<Pattern>& patterns,
                                       absl::Duration timeout) {
  return Await(patterns, DeadlineAfter(timeout));
}

absl::StatusOr<Expected> Expect::Await(const std::vector<Pattern>& patterns,
                                       absl::Time deadline) {
  if (absl::Status status = Validate(patterns); !status.ok()) {
    return internal::Prefixed(Name(), status);
  }
  const absl::Time start = MonotonicNow();
  Search search(patterns, lookback_);
  for (bool silent = false;;) {
    if (FindMatch(search, silent)) return Take(search);
    // A scope does not end a call without time to wait.
    const bool late = MonotonicNow() >= deadline;
    const absl::Status ended =
        late ? absl::OkStatus() : internal::CheckWaitScopes();
    absl::Status status;
    if (late || !ended.ok()) {
      status = FillLast();
    } else {
      // Waits for less time if a match may have been missed.
      status = Fill(search.Incomplete() ? std::min(deadline, search.NextWhole())
                                        : deadline,
                    kPiece);
      silent = absl::IsDeadlineExceeded(status);
      if (status.ok() || silent || !internal::CheckWaitScopes().ok()) continue;
    }
    if (FindMatch(search, /*whole=*/true)) return Take(search);
    if (absl::IsOutOfRange(status)) {
      return GiveUp(patterns, Pattern::Kind::kEof,
                    absl::OutOfRangeError(" before the end of the output"));
    }
    if (!status.ok() && !absl::IsDeadlineExceeded(status)) {
      return absl::Status(
          status.code(),
          Describe(patterns, absl::StrCat(": ", status.message())));
    }
    const absl::Duration waited = std::min(deadline, MonotonicNow()) - start;
    const std::string elapsed =
        absl::StrCat(" after ", internal::FormatElapsed(waited));
    if (absl::IsCancelled(ended)) {
      return absl::CancelledError(
          Describe(patterns, absl::StrCat(elapsed, ": canceled")));
    }
    if (!ended.ok()) {
      return absl::DeadlineExceededError(Describe(patterns, elapsed, waited));
    }
    return GiveUp(patterns, Pattern::Kind::kTimeout,
                  absl::DeadlineExceededError(elapsed), waited);
  }
}

bool Expect::FindMatch(Search& search, bool whole) const {
  const absl::string_view text = buffer_->view();
  const size_t floor =
      window_ == 0 ? 0 : text.size() - std::min(text.size(), window_);
  for (;;) {
    const auto gap = gaps_.upper_bound(taken_ + search.part_start);
    const bool last = gap == gaps_.end();
    const size_t end =
        last ? text.size() : static_cast<size_t>(gap->first - taken_);
    if (floor <= end &&
        search.Next(text.substr(search.part_start, end - search.part_start),
                    floor - std::min(floor, search.part_start),
                    whole || !last)) {
      return true;
    }
    if (last) return false;
    search.StartPart(end);
  }
}

absl::Status Expect::Fill(absl::Time deadline, size_t most) {
  if (without_room_.empty()) {
    const size_t room = limit_ - std::min(limit_, buffer_->size());
    if (room == 0) {
      absl::Status status = cursor_->AwaitSome(deadline);
      if (!status.ok()) return status;
      return absl::ResourceExhaustedError(
          absl::StrCat("the limit of ", limit_, " bytes is reached"));
    }
    absl::StatusOr<std::string> more =
        cursor_->ReadSome(deadline, std::min(room, most));
    if (!more.ok()) return more.status();
    without_room_ = *std::move(more);
  }
  const uint64_t end = taken_ + buffer_->size();
  if (!buffer_->Append(without_room_)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no memory to keep ", without_room_.size(), " further bytes"));
  }
  without_room_ = std::string();  // Frees the memory, unlike clear().
  // The bytes of one read have a gap in front at most.
  const uint64_t skipped = cursor_->Skipped();
  if (skipped != skipped_) gaps_[end] += skipped - skipped_;
  skipped_ = skipped;
  return absl::OkStatus();
}

absl::Status Expect::FillLast() {
  // Bytes that arrive during this call stay unread: a flood has no end.
  size_t rest = cursor_->Available() + without_room_.size();
  while (rest > 0) {
    const size_t before = buffer_->size();
    const absl::Status status =
        Fill(absl::InfinitePast(), std::min(rest, kPiece));
    if (!status.ok()) return status;
    rest -= std::min(rest, buffer_->size() - before);
  }
  return cursor_->AtEof() ? Fill(absl::InfinitePast(), kPiece)
                          : absl::OkStatus();
}

Expected Expect::Take(const Search& search) {
  const absl::string_view text = search.matched;
  const size_t begin = search.part_start + search.begin;
  Expected expected;
  expected.index = *search.found;
  expected.before = std::string(buffer_->view().substr(0, begin));
  expected.match = std::string(text.substr(search.begin, search.length));
  const Pattern& pattern = search.patterns[expected.index];
  if (pattern.kind() == Pattern::Kind::kRegex) {
    const int groups = pattern.regex_->NumberOfCapturingGroups();
    std::vector<absl::string_view> parts(static_cast<size_t>(groups) + 1);
    pattern.regex_->Match(text, search.begin, text.size(), RE2::ANCHOR_START,
                          parts.data(), groups + 1);
    expected.groups.assign(parts.begin() + 1, parts.end());
  }
  expected.dropped = Dropped(search.part_start);
  gaps_.erase(gaps_.begin(), gaps_.upper_bound(taken_ + search.part_start));
  Consume(begin + search.length);
  return expected;
}

void Expect::Consume(size_t size) {
  buffer_->Consume(size);
  taken_ += size;
  gaps_.erase(gaps_.begin(), gaps_.lower_bound(taken_));
}

uint64_t Expect::Dropped(size_t offset) const {
  uint64_t dropped = 0;
  const auto end = gaps_.upper_bound(taken_ + offset);
  for (auto gap = gaps_.begin(); gap != end; ++gap) dropped += gap->second;
  return dropped;
}

std::string Expect::TakeBuffer(size_t keep) {
  absl::string_view whole = buffer_->view();
  whole.remove_suffix(std::min(keep, whole.size()));
  std::string text(whole);
  Consume(text.size());
  return text;
}

absl::StatusOr<Expected> Expect::GiveUp(const std::vector<Pattern>& patterns,
                                        Pattern::Kind outcome,
                                        const absl::Status& why,
                                        absl::Duration waited) {
  for (size_t i = 0; i < patterns.size(); ++i) {
    if (patterns[i].kind() != outcome) continue;
    Expected expected;
    expected.index = i;
    expected.dropped = Dropped(buffer_->size());
    // End-of-file takes the remaining text; after a timeout it may yet match.
    expected.before = outcome == Pattern::Kind::kEof
                          ? TakeBuffer()
                          : std::string(buffer_->view());
    return expected;
  }
  return absl::Status(why.code(), Describe(patterns, why.message(), waited));
}

std::string Expect::Name() const {
  return child_ != nullptr ? child_->DebugString() : cursor_->name();
}

std::string Expect::ChildState(absl::Duration waited) const {
  if (child_ == nullptr) return "";
  const absl::StatusOr<ExitStatus> status = child_->Wait(WNOHANG);
  if (status.ok()) return absl::StrCat("; it has ended: ", status->ToString());
  if (!child_->IsAlive()) return "; it has ended";
  if (waited >= internal::kWorthDiagnosing) {
    const std::vector<Diagnosis> found = DiagnoseAll(*child_);
    if (!found.empty()) {
      return absl::StrCat("; ",
                          absl::StrJoin(found, "; ", absl::StreamFormatter()));
    }
  }
  std::ostringstream state;
  state << "; it is " << child_->state();
  return state.str();
}

std::string Expect::LastText() const {
  const absl::string_view text = buffer_->view();
  size_t begin = text.size() - std::min(text.size(), kShown);
  std::string quoted = "\"";
  for (auto gap = gaps_.upper_bound(taken_ + begin); gap != gaps_.end();
       ++gap) {
    const auto end = static_cast<size_t>(gap->first - taken_);
    absl::StrAppend(&quoted,
                    internal::Printable(text.substr(begin, end - begin)),
                    "\" ... \"");
    begin = end;
  }
  absl::StrAppend(&quoted, internal::Printable(text.substr(begin)), "\"");
  return quoted;
}

std::string Expect::Describe(const std::vector<Pattern>& patterns,
                             absl::string_view why,
                             absl::Duration waited) const {
  const size_t size = buffer_->size();
  const uint64_t dropped = Dropped(size);
  return absl::StrCat(
      Name(), ": no match of ",
      absl::StrJoin(patterns, ", ",
                    [](std::string* out, const Pattern& pattern) {
                      out->append(pattern.ToString());
                    }),
      why, ChildState(waited),
      dropped == 0
          ? ""
          : absl::StrCat("; ", dropped,
                         " bytes were dropped (Command::output_buffer)"),
      "; ", kShown < size ? "the last of " : "", size,
      " unmatched bytes: ", LastText());
}

}  // namespace asyncproc

#include "asyncproc/testing/matchers.h"

#include <algorithm>
#include <deque>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "asyncproc/internal/os/os.h"
#include "asyncproc/internal/wait/wait.h"
#include "asyncproc/output_stream.h"
#include "asyncproc/text.h"

namespace asyncproc {
namespace internal {
namespace {

// The wait for one stream before the other is checked.
constexpr absl::Duration kTurn = absl::Milliseconds(5);

// The most lines in a message.
constexpr size_t kShownLines = 10;

// Whether the mismatch was explained before, and needs no other check.
bool WasExplained(const Child* child, testing::MatchResultListener* listener,
                  Mismatch* mismatch) {
  if (!listener->IsInterested() || mismatch->child != child) return false;
  *listener << mismatch->explanation;
  *mismatch = {};
  return true;
}

bool Explain(const Child* child, std::string explanation,
             testing::MatchResultListener* listener, Mismatch* mismatch) {
  *listener << explanation;
  if (!listener->IsInterested()) *mismatch = {child, std::move(explanation)};
  return false;
}

// Searches for a line on both streams of one child.
class LineSearch {
 public:
  explicit LineSearch(Child& child)
      : cursors_{child.out().NewCursor(), child.err().NewCursor()} {}

  // OK: a line matches. With a timeout of zero, checks the lines that have
  // arrived. Errors: kDeadlineExceeded; kOutOfRange at the end of both streams;
  // as OutputCursor::ReadLine.
  absl::Status Find(const testing::Matcher<const std::string&>& line,
                    absl::Duration timeout) {
    const absl::Time deadline = DeadlineAfter(timeout);
    for (size_t awaited = 0;; awaited = 1 - awaited) {
      const bool last = MonotonicNow() >= deadline;
      if (absl::Status status = CheckWaitScopes(); !last && !status.ok()) {
        return status;
      }
      for (size_t i = 0; i < kStreams; ++i) {
        if (at_end_[i]) continue;
        const bool wait = i == awaited || at_end_[1 - i];
        absl::StatusOr<bool> found = Look(
            i, line, wait ? Turn(i, deadline) : absl::ZeroDuration(), deadline);
        if (!found.ok()) return found.status();
        if (*found) return absl::OkStatus();
      }
      if (at_end_[0] && at_end_[1]) {
        return absl::OutOfRangeError("both streams are at their end");
      }
      if (last) return absl::DeadlineExceededError("the time is up");
    }
  }

  // "it has said 12 lines, the last of which are 'a', 'b'".
  std::string Seen() const {
    if (count_ == 0) return "it has said no line";
    return absl::StrCat(
        "it has said ", count_, count_ == 1 ? " line: " : " lines",
        count_ == 1            ? ""
        : count_ > kShownLines ? ", the last of which are "
                               : ": ",
        absl::StrJoin(last_, ", ",
                      [](std::string* out, const std::string& line) {
                        absl::StrAppend(out, "'", Printable(line), "'");
                      }));
  }

 private:
  static constexpr size_t kStreams = 2;

  // Checks the lines of one stream that have arrived; waits for the first of
  // them. Ends at the deadline even if the child floods the stream.
  absl::StatusOr<bool> Look(size_t stream,
                            const testing::Matcher<const std::string&>& line,
                            absl::Duration wait, absl::Time deadline) {
    const bool has_time = MonotonicNow() < deadline;
    do {
      absl::StatusOr<std::string> next = cursors_[stream].ReadLine(wait);
      if (absl::IsOutOfRange(next.status())) at_end_[stream] = true;
      if (absl::IsOutOfRange(next.status()) ||
          absl::IsDeadlineExceeded(next.status())) {
        return false;
      }
      if (!next.ok()) return next.status();
      if (line.Matches(*next)) return true;
      Keep(*next);
      wait = absl::ZeroDuration();
    } while (!has_time || MonotonicNow() < deadline);
    return false;
  }

  absl::Duration Turn(size_t stream, absl::Time deadline) const {
    const absl::Duration left =
        std::max(deadline - MonotonicNow(), absl::ZeroDuration());
    return at_end_[1 - stream] ? left : std::min(left, kTurn);
  }

  void Keep(const std::string& line) {
    ++count_;
    last_.push_back(line);
    if (last_.size() > kShownLines) last_.pop_front();
  }

  OutputCursor cursors_[kStreams];
  bool at_end_[kStreams] = {false, false};
  size_t count_ = 0;
  std::deque<std::string> last_;
};

}  // namespace

absl::StatusOr<Child*> ChildIn(const Child& child) {
  return const_cast<Child*>(&child);
}

absl::StatusOr<Child*> ChildIn(Child* child) {
  if (child == nullptr) return absl::InvalidArgumentError("a null pointer");
  return child;
}

EndMatcher::EndMatcher(std::function<bool(const ExitStatus&)> accepts,
                       std::string matches, std::string differs,
                       absl::Duration timeout)
    : accepts_(std::move(accepts)),
      matches_(std::move(matches)),
      differs_(std::move(differs)),
      timeout_(timeout) {}

bool EndMatcher::MatchChild(const absl::StatusOr<Child*>& child,
                            testing::MatchResultListener* listener) const {
  if (!child.ok()) {
    *listener << "which is no child: " << child.status();
    return false;
  }
  if (WasExplained(*child, listener, &mismatch_)) return false;
  const absl::StatusOr<ExitStatus> end = (*child)->WaitFor(timeout_);
  if (!end.ok()) {
    return Explain(*child, std::string(end.status().message()), listener,
                   &mismatch_);
  }
  if (accepts_(*end)) {
    *listener << "which has ended: " << *end;
    return true;
  }
  return Explain(*child,
                 absl::StrCat("which has ended: ", end->ToString(),
                              (*child)->out().LastLines("stdout"),
                              (*child)->err().LastLines("stderr")),
                 listener, &mismatch_);
}

void LineMatcher::DescribeTo(std::ostream* out) const {
  *out << "says a line that ";
  line_.DescribeTo(out);
}

void LineMatcher::DescribeNegationTo(std::ostream* out) const {
  *out << "says no line that ";
  line_.DescribeTo(out);
}

bool LineMatcher::MatchChild(const absl::StatusOr<Child*>& child,
                             testing::MatchResultListener* listener) const {
  if (!child.ok()) {
    *listener << "which is no child: " << child.status();
    return false;
  }
  if (WasExplained(*child, listener, &mismatch_)) return false;
  LineSearch search(**child);
  const absl::Status found = search.Find(line_, timeout_);
  if (found.ok()) {
    *listener << "which has said it";
    return true;
  }
  std::ostringstream state;
  state << (*child)->state();
  return Explain(*child,
                 absl::StrCat((*child)->DebugString(), " is ", state.str(),
                              "; ", search.Seen(), "; ", found.message()),
                 listener, &mismatch_);
}

testing::PolymorphicMatcher<EndMatcher> ExitsWithCode(
    const testing::Matcher<int>& code, absl::Duration timeout) {
  const std::string which = testing::DescribeMatcher<int>(code);
  return testing::MakePolymorphicMatcher(EndMatcher(
      [code](const ExitStatus& end) {
        return end.exited() && code.Matches(end.exit_code());
      },
      absl::StrCat("exits with a status that ", which),
      absl::StrCat("does not exit with a status that ", which), timeout));
}

}  // namespace internal

testing::PolymorphicMatcher<internal::EndMatcher> IsKilledBy(
    int signal, absl::Duration timeout) {
  const std::string which = SignalName(signal);
  return testing::MakePolymorphicMatcher(internal::EndMatcher(
      [signal](const ExitStatus& end) {
        return end.signaled() && end.term_signal() == signal;
      },
      absl::StrCat("is killed by ", which),
      absl::StrCat("is not killed by ", which), timeout));
}

}  // namespace asyncproc

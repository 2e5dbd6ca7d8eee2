#ifndef ASYNCPROC_TESTING_MATCHERS_H_
#define ASYNCPROC_TESTING_MATCHERS_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asyncproc/child.h"
#include "asyncproc/exit_status.h"
#include "gmock/gmock.h"

// GoogleTest matchers for children: for the exit status, and for the lines of
// output. A failed expectation shows the last lines of both streams of the
// child.
//
//   auto child = asyncproc::Process::Spawn(command);
//   EXPECT_THAT(child, asyncproc::SaysLine("ready"));
//   EXPECT_TRUE((*child)->CloseStdin().ok());
//   EXPECT_THAT(child, asyncproc::ExitsWith(0));
//
// They take a Process or another Child, a pointer to one, and a StatusOr of a
// pointer, as Process::Spawn returns it. ExitsWith and IsKilledBy also take an
// ExitStatus, and the result of Process::Wait.
//
// Thread safety: a matcher is for one thread, as in any test.
// Blocking: each matcher waits for the child up to its timeout, which
// WithTimeout and CancellationScope shorten. For an ExitStatus there is no
// wait.

namespace asyncproc {

constexpr absl::Duration kMatcherTimeout = absl::Seconds(10);

namespace internal {

// The child that a test's value is, or points to. gmock passes values as const,
// but waiting for a child changes it.
absl::StatusOr<Child*> ChildIn(const Child& child);
absl::StatusOr<Child*> ChildIn(Child* child);
template <typename T>
absl::StatusOr<Child*> ChildIn(const std::unique_ptr<T>& child) {
  return ChildIn(static_cast<Child*>(child.get()));
}
template <typename T>
absl::StatusOr<Child*> ChildIn(const std::shared_ptr<T>& child) {
  return ChildIn(static_cast<Child*>(child.get()));
}
template <typename T>
absl::StatusOr<Child*> ChildIn(const absl::StatusOr<T>& child) {
  if (!child.ok()) return child.status();
  return ChildIn(*child);
}

// Why a child did not match. gmock asks again for an explanation; the second
// call must not wait for the whole timeout again.
struct Mismatch {
  const Child* child = nullptr;
  std::string explanation;
};

// For ExitsWith and IsKilledBy.
class EndMatcher {
 public:
  // `matches`: "exits with ..."; `differs`: "does not exit with ...".
  EndMatcher(std::function<bool(const ExitStatus&)> accepts,
             std::string matches, std::string differs, absl::Duration timeout);

  template <typename T>
  bool MatchAndExplain(const T& value,
                       testing::MatchResultListener* listener) const {
    if constexpr (std::is_same_v<T, ExitStatus>) {
      return accepts_(value);
    } else if constexpr (std::is_same_v<T, absl::StatusOr<ExitStatus>>) {
      if (value.ok()) *listener << "which holds " << *value;
      if (!value.ok()) *listener << "which is the error " << value.status();
      return value.ok() && accepts_(*value);
    } else {
      return MatchChild(ChildIn(value), listener);
    }
  }
  void DescribeTo(std::ostream* out) const { *out << matches_; }
  void DescribeNegationTo(std::ostream* out) const { *out << differs_; }

 private:
  bool MatchChild(const absl::StatusOr<Child*>& child,
                  testing::MatchResultListener* listener) const;

  std::function<bool(const ExitStatus&)> accepts_;
  std::string matches_;
  std::string differs_;
  absl::Duration timeout_;
  mutable Mismatch mismatch_;
};

// For SaysLine.
class LineMatcher {
 public:
  LineMatcher(testing::Matcher<const std::string&> line, absl::Duration timeout)
      : line_(std::move(line)), timeout_(timeout) {}

  template <typename T>
  bool MatchAndExplain(const T& value,
                       testing::MatchResultListener* listener) const {
    return MatchChild(ChildIn(value), listener);
  }
  void DescribeTo(std::ostream* out) const;
  void DescribeNegationTo(std::ostream* out) const;

 private:
  bool MatchChild(const absl::StatusOr<Child*>& child,
                  testing::MatchResultListener* listener) const;

  testing::Matcher<const std::string&> line_;
  absl::Duration timeout_;
  mutable Mismatch mismatch_;
};

testing::PolymorphicMatcher<EndMatcher> ExitsWithCode(
    const testing::Matcher<int>& code, absl::Duration timeout);

}  // namespace internal

// Matches a child that ends, as reported by Wait, with an exit status that
// matches `code`: ExitsWith(3), ExitsWith(testing::Ne(0)). A child that is
// killed by a signal has no such status. A child that still runs at the timeout
// does not match, and runs on.
template <typename Code>
testing::PolymorphicMatcher<internal::EndMatcher> ExitsWith(
    const Code& code, absl::Duration timeout = kMatcherTimeout) {
  return internal::ExitsWithCode(testing::SafeMatcherCast<int>(code), timeout);
}

// Matches a child that is killed by `signal`: IsKilledBy(SIGTERM).
testing::PolymorphicMatcher<internal::EndMatcher> IsKilledBy(
    int signal, absl::Duration timeout = kMatcherTimeout);

// Matches a child that writes a line, to stdout or stderr, that matches `line`:
// SaysLine("ready"), SaysLine(testing::HasSubstr("port")). Lines are passed
// without their end, and must be complete or the last of the stream.
//
// The matcher reads lines by its own cursors: all output that the test has not
// taken yet by out() and err() counts, is not taken, and counts again for the
// next matcher. When both streams are at their end, the result is no match,
// before the timeout; Not(SaysLine("error")) therefore waits for the end, or
// the timeout.
template <typename Line>
testing::PolymorphicMatcher<internal::LineMatcher> SaysLine(
    const Line& line, absl::Duration timeout = kMatcherTimeout) {
  return testing::MakePolymorphicMatcher(internal::LineMatcher(
      testing::MatcherCast<const std::string&>(line), timeout));
}

}  // namespace asyncproc

#endif  // ASYNCPROC_TESTING_MATCHERS_H_

// The text of each value of an enumeration: a unique word, and "unknown" for an
// invalid value.

#include <set>
#include <sstream>
#include <string>

#include "asyncproc/child.h"
#include "asyncproc/diagnose.h"
#include "asyncproc/interact.h"
#include "asyncproc/run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace asyncproc {
namespace {

template <typename T>
std::string Text(const T& value) {
  std::ostringstream stream;
  stream << value;
  return stream.str();
}

// Checks an enumeration with the values 0 to `last`.
template <typename Enum>
void ExpectWordForEach(Enum last) {
  const int count = static_cast<int>(last) + 1;
  std::set<std::string> words;
  for (int i = 0; i < count; ++i) words.insert(Text(static_cast<Enum>(i)));

  EXPECT_EQ(words.size(), static_cast<size_t>(count))
      << testing::PrintToString(words);
  EXPECT_EQ(words.count(""), 0u);
  EXPECT_EQ(Text(static_cast<Enum>(count)), "unknown");
}

TEST(WordsTest, ProcessStateHasOneForEach) {
  ExpectWordForEach(ProcessState::kAbandoned);
  EXPECT_EQ(Text(ProcessState::kDrained), "drained");
}

TEST(WordsTest, ActivityHasOneForEach) {
  ExpectWordForEach(Activity::kEnded);
  EXPECT_EQ(Text(Activity::kReadingStdin), "reading stdin");
}

TEST(WordsTest, InteractionEndHasOneForEach) {
  ExpectWordForEach(InteractionEnd::kUserEnded);
  EXPECT_EQ(Text(InteractionEnd::kEscape), "escape");
}

TEST(WordsTest, RunFailureReasonHasOneForEach) {
  ExpectWordForEach(RunFailureReason::kStatusLost);
  EXPECT_EQ(Text(RunFailureReason::kIdleTimeout), "idle timeout");
}

}  // namespace
}  // namespace asyncproc

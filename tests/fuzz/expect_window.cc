// Expect finds the match that a plain search of all arrived text finds, for any
// window and any order of arrival. The rest of the text stays in the buffer.
//
// The input is a window, a lookback, and then operations: see Session::Step.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "asyncproc/expect.h"
#include "asyncproc/internal/io/output_buffer.h"
#include "asyncproc/output_bound.h"
#include "asyncproc/output_stream.h"
#include "re2/re2.h"
#include "tests/fuzz/input.h"

namespace asyncproc {

namespace internal {

struct OutputStreamPeer {
  static OutputStream Make(std::shared_ptr<OutputBuffer> buffer) {
    return OutputStream(std::move(buffer), /*pipe=*/0);
  }
};

}  // namespace internal

namespace {

using internal::OutputBuffer;

constexpr size_t kUsualLookback = 64 * 1024;

// Regexes that may match nothing, begin far back, or end anywhere.
constexpr const char* kRegexes[] = {
    "a+", "a*",     "(a|b)c?", "a(.*)b", "(?s)a.*b", "\\n",
    "^a", "(?m)^b", "b$",      "[^a]",   "aa|b\\z",  "(a)?(b)?c",
};

// An Expect on a stream, and the text that it should have.
class Session {
 public:
  Session(size_t window, size_t lookback)
      : buffer_(std::make_shared<OutputBuffer>(OutputBound::Unbounded())),
        stream_(internal::OutputStreamPeer::Make(buffer_)),
        expect_(&stream_),
        window_(window),
        lookback_(lookback > 0 ? lookback : kUsualLookback) {
    expect_.set_window(window);
    if (lookback > 0) expect_.set_lookback(lookback);
  }

  void Step(Input& input) {
    const uint8_t operation = input.Byte() % 8;
    switch (operation) {
      case 0:
      case 1:
      case 2:
        Append(input.Characters(input.Byte() % 32));
        break;
      case 3:
        Append(std::string(16 * size_t{input.Byte()}, 'a'));
        break;
      case 4:
        CHECK(expect_.TakeBuffer() == read_);
        read_.clear();
        break;
      case 5:
        if (input.Byte() == 0) {
          buffer_->Finish();
          finished_ = true;
        }
        break;
      default:
        Await(input);
    }
    CHECK(expect_.buffer() == read_);
  }

 private:
  struct Match {
    size_t index = 0;
    size_t begin = 0;
    size_t size = 0;
  };

  void Append(absl::string_view text) {
    if (finished_) return;
    buffer_->Append(text);
    arrived_ += text;
  }

  // Stores the literal or the regex of the pattern in `text`.
  static Pattern PatternFrom(Input& input, std::string* text) {
    const uint8_t which = input.Byte();
    if (which < 128) {
      *text = std::string(input.Characters(1 + which % 4));
      if (text->empty()) *text = "a";
      return Pattern::Literal(*text);
    }
    *text = kRegexes[which % (sizeof(kRegexes) / sizeof(kRegexes[0]))];
    return Pattern::Regex(*text);
  }

  // Searches read_ for all patterns. The match that begins first wins, and
  // among equal ones the pattern that is listed first.
  bool Find(const std::vector<Pattern>& patterns,
            const std::vector<std::string>& texts, Match* best) const {
    const size_t floor =
        window_ == 0 || window_ > read_.size() ? 0 : read_.size() - window_;
    bool found = false;
    for (size_t i = 0; i < patterns.size(); ++i) {
      Match match;
      match.index = i;
      if (!FindOne(patterns[i], texts[i], floor, &match)) continue;
      if (!found || match.begin < best->begin) *best = match;
      found = true;
    }
    return found;
  }

  bool FindOne(const Pattern& pattern, const std::string& text, size_t floor,
               Match* match) const {
    if (pattern.kind() == Pattern::Kind::kLiteral) {
      match->begin = read_.find(text, floor);
      match->size = text.size();
      return match->begin != std::string::npos;
    }
    if (pattern.kind() != Pattern::Kind::kRegex) return false;
    absl::string_view part;
    if (!RE2(text, RE2::Latin1)
             .Match(read_, floor, read_.size(), RE2::UNANCHORED, &part, 1)) {
      return false;
    }
    match->begin = static_cast<size_t>(part.data() - read_.data());
    match->size = part.size();
    return true;
  }

  void Await(Input& input) {
    std::vector<Pattern> patterns;
    std::vector<std::string> texts;
    const size_t count = 1 + input.Byte() % 3;
    while (patterns.size() < count) {
      patterns.push_back(PatternFrom(input, &texts.emplace_back()));
      CHECK(!patterns.back().ToString().empty());
    }
    patterns.push_back(Pattern::Timeout());
    patterns.push_back(Pattern::Eof());
    texts.resize(patterns.size());

    // First in the text that has been read, then in all text that has arrived.
    Match match;
    bool found = Find(patterns, texts, &match);
    if (!found) {
      read_ += arrived_;
      arrived_.clear();
      found = Find(patterns, texts, &match);
    }
    const absl::StatusOr<Expected> expected =
        expect_.Await(patterns, absl::ZeroDuration());
    CHECK(expected.ok()) << expected.status();
    CheckOutcome(patterns, *expected, found, match);
  }

  void CheckOutcome(const std::vector<Pattern>& patterns,
                    const Expected& expected, bool found, const Match& match) {
    const size_t timeout = patterns.size() - 2;
    if (!found) {
      CHECK_EQ(expected.index, finished_ ? timeout + 1 : timeout);
      CHECK(expected.before == read_);
      if (finished_) read_.clear();
      return;
    }
    CHECK_LT(expected.index, timeout);
    const std::string text = expected.before + expected.match;
    CHECK(read_.compare(0, text.size(), text) == 0);
    // Of a longer text, a regex may find a match that is not the first.
    if (read_.size() <= lookback_) {
      CHECK_EQ(expected.index, match.index);
      CHECK_EQ(expected.before.size(), match.begin);
      CHECK_EQ(expected.match.size(), match.size);
    }
    read_.erase(0, text.size());
  }

  const std::shared_ptr<OutputBuffer> buffer_;
  OutputStream stream_;
  Expect expect_;
  const size_t window_;
  const size_t lookback_;
  std::string arrived_;  // Not read yet.
  std::string read_;     // Not taken yet.
  bool finished_ = false;
};

void Try(Input input) {
  const size_t window = input.Byte();
  const size_t lookback = input.Byte();
  Session session(window, lookback);
  while (!input.empty()) session.Step(input);
}

}  // namespace
}  // namespace asyncproc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  asyncproc::Try(asyncproc::Input(data, size));
  return 0;
}

// A shell reads a quoted word as the original word. A program is searched where
// a shell searches, except in "." and its equivalents.
//
// The input is PATH, a zero byte, and the word.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/spawn/path_search.h"
#include "asyncproc/internal/text/printable.h"
#include "tests/fuzz/input.h"

namespace asyncproc {
namespace {

// The word that a POSIX shell reads. Checks that all special characters are
// quoted.
std::string Unquote(absl::string_view word) {
  CHECK(!word.empty());
  std::string text;
  bool quoted = false;
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (c == '\'') {
      quoted = !quoted;
    } else if (quoted) {
      text += c;
    } else if (c == '\\') {
      CHECK_LT(++i, word.size());
      CHECK_NE(word[i], '\n');
      text += word[i];
    } else {
      CHECK(absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
            absl::StrContains("_@%+:,./-", c))
          << c;
      text += c;
    }
  }
  CHECK(!quoted);
  return text;
}

// The text that bash reads from the word $'...'.
std::string UnquoteAnsi(absl::string_view word) {
  CHECK(absl::EndsWith(word, "'"));
  word = word.substr(2, word.size() - 3);
  std::string text;
  for (size_t i = 0; i < word.size(); ++i) {
    CHECK_NE(word[i], '\'');
    if (word[i] != '\\') {
      text += word[i];
      continue;
    }
    CHECK_LT(++i, word.size());
    if (word[i] == '\'' || word[i] == '\\') {
      text += word[i];
      continue;
    }
    int code = 0;
    for (const size_t end = i + 3; i < end; ++i) {
      CHECK_LT(i, word.size());
      CHECK(word[i] >= '0' && word[i] <= '7');
      code = 8 * code + (word[i] - '0');
    }
    text += static_cast<char>(code);
    --i;
  }
  return text;
}

// Whether `directory` is "", ".", ".//.", or the like.
bool IsHere(std::string directory) {
  if (directory[0] == '/') return false;
  directory += '/';
  while (!directory.empty()) {
    const size_t dots = directory.substr(0, 2) == "./" ? 1 : 0;
    if (directory[dots] != '/') return false;
    directory.erase(0, dots + 1);
  }
  return true;
}

std::vector<std::string> Search(const std::string& path,
                                const std::string& word) {
  if (word.find('/') != std::string::npos) return {word};
  std::vector<std::string> found;
  std::string directory;
  for (const char c : path + ":") {
    if (c != ':') {
      directory += c;
      continue;
    }
    if (!IsHere(directory)) found.push_back(directory + "/" + word);
    directory.clear();
  }
  return found;
}

void Try(Input input) {
  std::string path;
  while (!input.empty()) {
    const char c = static_cast<char>(input.Byte());
    if (c == '\0') break;
    path += c;
  }
  const std::string word(input.Characters(std::string::npos));

  CHECK_EQ(Unquote(ShellQuote(word)), word);
  CHECK_EQ(Unquote(ShellQuote(path)), path);
  CHECK(internal::ProgramCandidates(word, path) == Search(path, word));
  CHECK(internal::ProgramCandidates(word, std::nullopt) ==
        Search("/bin:/usr/bin", word));
  for (const std::string& text : {word, path}) {
    const std::string shown = Command({text}).DebugString();
    CHECK_EQ(internal::Printable(shown), shown);
    CHECK(absl::StartsWith(shown, "$'") ? UnquoteAnsi(shown) == text
                                        : shown == ShellQuote(text));
  }
  CHECK_EQ(Command({word, path}).DebugString(),
           absl::StrCat(Command({word}).DebugString(), " ",
                        Command({path}).DebugString()));
}

}  // namespace
}  // namespace asyncproc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  asyncproc::Try(asyncproc::Input(data, size));
  return 0;
}

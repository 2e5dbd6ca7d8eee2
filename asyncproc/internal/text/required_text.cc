#include "asyncproc/internal/text/required_text.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"

namespace asyncproc::internal {
namespace {

bool IsDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c));
}

// The element at the start of a part of a regex.
struct Item {
  size_t size = 1;              // In the regex.
  std::optional<char> literal;  // If it matches only this character.
};

// Returns the index after the next `end` from `at` on, or the end of `text`.
size_t Behind(absl::string_view text, char end, size_t at) {
  const size_t found = text.find(end, at);
  return found == absl::string_view::npos ? text.size() : found + 1;
}

// `text` starts with a backslash.
Item Escape(absl::string_view text) {
  Item item;
  item.size = std::min<size_t>(2, text.size());
  if (text.size() < 2) return item;
  const char c = text[1];
  switch (c) {
    case 'n':
      item.literal = '\n';
      return item;
    case 'r':
      item.literal = '\r';
      return item;
    case 't':
      item.literal = '\t';
      return item;
    case 'p':
    case 'P':
    case 'x':
      // \p{Greek}, \pL, \x{10FFFF}, \x7F.
      if (text.size() > 2 && text[2] == '{') {
        item.size = Behind(text, '}', 2);
      } else {
        item.size = std::min<size_t>(c == 'x' ? 4 : 3, text.size());
      }
      return item;
    default:
      break;
  }
  if (absl::ascii_ispunct(static_cast<unsigned char>(c))) item.literal = c;
  while (IsDigit(c) && item.size < std::min<size_t>(4, text.size()) &&
         IsDigit(text[item.size])) {
    ++item.size;
  }
  return item;
}

// The size of a class, [...]. `text` starts with its bracket.
size_t SizeOfClass(absl::string_view text) {
  size_t at = 1;
  if (at < text.size() && text[at] == '^') ++at;
  if (at < text.size() && text[at] == ']') ++at;
  while (at < text.size() && text[at] != ']') {
    if (text[at] == '\\') {
      at += 2;
    } else if (text.substr(at, 2) == "[:") {
      at = Behind(text, ']', at);
    } else {
      ++at;
    }
  }
  return std::min(at + 1, text.size());
}

// The size of a group, (...). `text` starts with its parenthesis.
size_t SizeOfGroup(absl::string_view text) {
  size_t depth = 0;
  size_t at = 0;
  while (at < text.size()) {
    switch (text[at]) {
      case '\\':
        at += Escape(text.substr(at)).size;
        continue;
      case '[':
        at += SizeOfClass(text.substr(at));
        continue;
      case '(':
        ++depth;
        break;
      case ')':
        if (--depth == 0) return at + 1;
        break;
      default:
        break;
    }
    ++at;
  }
  return text.size();  // RE2 refuses a group without an end.
}

// Whether a group only sets flags for the text after it: "(?m)".
bool IsFlags(absl::string_view group) {
  if (group.size() < 3 || group[1] != '?') return false;
  return std::all_of(group.begin() + 2, group.end() - 1, [](char c) {
    return c == '-' || absl::ascii_isalpha(static_cast<unsigned char>(c));
  });
}

// The size of a repetition, {2,3}; 0 for a literal brace.
size_t SizeOfRepetition(absl::string_view text) {
  size_t at = 1;
  while (at < text.size() && IsDigit(text[at])) ++at;
  if (at == 1) return 0;
  if (at < text.size() && text[at] == ',') ++at;
  while (at < text.size() && IsDigit(text[at])) ++at;
  return at < text.size() && text[at] == '}' ? at + 1 : 0;
}

// "(?i)" and the like: letters may match in either case.
bool MayIgnoreCase(absl::string_view regex) {
  for (size_t at = regex.find("(?"); at != absl::string_view::npos;
       at = regex.find("(?", at + 1)) {
    const absl::string_view flags = regex.substr(at + 2);
    if (flags.substr(0, flags.find_first_of("<:)")).find('i') !=
        absl::string_view::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string RequiredText(absl::string_view regex) {
  if (MayIgnoreCase(regex) || regex.find("\\Q") != absl::string_view::npos) {
    return "";
  }
  std::string longest;
  std::string run;
  const auto end_run = [&] {
    if (run.size() > longest.size()) longest = run;
    run.clear();
  };
  for (absl::string_view rest = regex; !rest.empty();) {
    const char c = rest[0];
    Item item;
    switch (c) {
      case '|':
        return "";
      case '*':
      case '?':
        // The repeated element may be absent.
        if (!run.empty()) run.pop_back();
        break;
      case '{':
        item.size = SizeOfRepetition(rest);
        if (item.size == 0) {
          item = {1, c};
        } else if (!run.empty()) {
          run.pop_back();
        }
        break;
      case '\\':
        item = Escape(rest);
        break;
      case '[':
        item.size = SizeOfClass(rest);
        break;
      case '(':
        item.size = SizeOfGroup(rest);
        // A repetition after flags repeats the element before them.
        if (IsFlags(rest.substr(0, item.size)) && rest.size() < regex.size()) {
          return "";
        }
        break;
      case '+':
      case '.':
      case '^':
      case '$':
        break;
      default:
        // A repetition may apply to a whole multi-byte character.
        if (absl::ascii_isascii(static_cast<unsigned char>(c))) {
          item.literal = c;
        }
        break;
    }
    if (item.literal.has_value()) {
      run.push_back(*item.literal);
    } else {
      end_run();
    }
    rest.remove_prefix(item.size);
  }
  end_run();
  return longest;
}

}  // namespace asyncproc::internal

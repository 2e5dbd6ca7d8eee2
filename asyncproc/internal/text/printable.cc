#include "asyncproc/internal/text/printable.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "asyncproc/internal/text/utf8.h"

namespace asyncproc::internal {
namespace {

// The code point of a character in valid UTF-8.
char32_t CodePoint(absl::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead;
  char32_t code = lead & (0x7Fu >> character.size());
  for (char c : character.substr(1)) {
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3Fu);
  }
  return code;
}

bool IsPrintable(char32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return false;
  // Line and paragraph separators, and direction overrides.
  if (code == 0x061C || (code >= 0x200E && code <= 0x200F)) return false;
  if (code >= 0x2028 && code <= 0x202E) return false;
  return code < 0x2066 || code > 0x2069;
}

// The number of bytes of the character at the start of `text` if it is shown
// unchanged; 0 if its first byte is escaped.
size_t PrintableSize(absl::string_view text) {
  const size_t size = Utf8Size(text);
  return size > 0 && IsPrintable(CodePoint(text.substr(0, size))) ? size : 0;
}

// The end of the shown part of a text, at most `most` bytes and not inside a
// character.
size_t EndOfCut(absl::string_view text, size_t most) {
  if (text.size() <= most) return text.size();
  size_t end = most;
  while (end > 0 && most - end < 3 && (text[end] & 0xC0) == 0x80) --end;
  return end;
}

// `escape`: appends the escape sequence of one byte.
template <typename Escape>
std::string EscapeEach(absl::string_view text, Escape escape) {
  std::string shown;
  while (!text.empty()) {
    const size_t size = PrintableSize(text);
    if (size == 1 || size == 0) {
      escape(text[0], size == 1, &shown);
    } else {
      absl::StrAppend(&shown, text.substr(0, size));
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return shown;
}

// Appends "\033" for the byte 27.
void AppendOctal(char c, std::string* out) {
  const auto byte = static_cast<unsigned char>(c);
  absl::StrAppend(out, "\\", byte >> 6, byte >> 3 & 7, byte & 7);
}

bool IsAllPrintable(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = PrintableSize(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace

std::string Printable(absl::string_view text, size_t most) {
  const size_t end = EndOfCut(text, most);
  std::string shown = EscapeEach(
      text.substr(0, end), [](char c, bool printable, std::string* out) {
        if (printable) {
          out->push_back(c);
        } else if (c == '\n') {
          absl::StrAppend(out, "\\n");
        } else if (c == '\r') {
          absl::StrAppend(out, "\\r");
        } else if (c == '\t') {
          absl::StrAppend(out, "\\t");
        } else {
          absl::StrAppend(
              out, "\\x",
              absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
        }
      });
  if (end < text.size()) shown += "...";
  return shown;
}

std::string ShellWord(absl::string_view text) {
  const bool plain =
      !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
               absl::StrContains("_@%+:,./-", c);
      });
  if (plain) return std::string(text);
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string PrintableWord(absl::string_view text, size_t most) {
  const size_t end = EndOfCut(text, most);
  if (end < text.size()) {
    return absl::StrCat(PrintableWord(text.substr(0, end)), "...");
  }
  if (IsAllPrintable(text)) return ShellWord(text);
  return absl::StrCat("$'",
                      EscapeEach(text,
                                 [](char c, bool printable, std::string* out) {
                                   if (!printable) {
                                     AppendOctal(c, out);
                                     return;
                                   }
                                   if (c == '\'' || c == '\\')
                                     out->push_back('\\');
                                   out->push_back(c);
                                 }),
                      "'");
}

}  // namespace asyncproc::internal

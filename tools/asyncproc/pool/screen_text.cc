#include "tools/asyncproc/pool/screen_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace asyncproc::cli {
namespace {

struct Range {
  uint32_t first, last;
};

// Characters of no column: combining and invisible ones.
constexpr Range kNoColumn[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD},   {0x0610, 0x061A},
    {0x064B, 0x065F}, {0x06D6, 0x06DC}, {0x0E31, 0x0E31},   {0x0E34, 0x0E3A},
    {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},   {0x20D0, 0x20FF},
    {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xE0100, 0xE01EF},
};

// Characters of two columns: East Asian ones, and pictures.
constexpr Range kTwoColumns[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},
    {0x23E9, 0x23EC},   {0x23F0, 0x23F0},   {0x23F3, 0x23F3},
    {0x25FD, 0x25FE},   {0x2614, 0x2615},   {0x2648, 0x2653},
    {0x267F, 0x267F},   {0x2693, 0x2693},   {0x26A1, 0x26A1},
    {0x26AA, 0x26AB},   {0x26BD, 0x26BE},   {0x26C4, 0x26C5},
    {0x26CE, 0x26CE},   {0x26D4, 0x26D4},   {0x26EA, 0x26EA},
    {0x26F2, 0x26F3},   {0x26F5, 0x26F5},   {0x26FA, 0x26FA},
    {0x26FD, 0x26FD},   {0x2705, 0x2705},   {0x270A, 0x270B},
    {0x2728, 0x2728},   {0x274C, 0x274C},   {0x274E, 0x274E},
    {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x27B0, 0x27B0},   {0x27BF, 0x27BF},   {0x2B1B, 0x2B1C},
    {0x2B50, 0x2B50},   {0x2B55, 0x2B55},   {0x2E80, 0x303E},
    {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
    {0xFFE0, 0xFFE6},   {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF},
    {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A}, {0x1F200, 0x1F320},
    {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393},
    {0x1F3A0, 0x1F3CA}, {0x1F3CF, 0x1F3D3}, {0x1F3E0, 0x1F3F0},
    {0x1F3F4, 0x1F3F4}, {0x1F3F8, 0x1F43E}, {0x1F440, 0x1F440},
    {0x1F442, 0x1F4FC}, {0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F54E},
    {0x1F550, 0x1F567}, {0x1F57A, 0x1F57A}, {0x1F595, 0x1F596},
    {0x1F5A4, 0x1F5A4}, {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5},
    {0x1F6CC, 0x1F6CC}, {0x1F6D0, 0x1F6D2}, {0x1F6D5, 0x1F6D7},
    {0x1F6DC, 0x1F6DF}, {0x1F6EB, 0x1F6EC}, {0x1F6F4, 0x1F6FC},
    {0x1F7E0, 0x1F7EB}, {0x1F7F0, 0x1F7F0}, {0x1F90C, 0x1F93A},
    {0x1F93C, 0x1F945}, {0x1F947, 0x1F9FF}, {0x1FA70, 0x1FAFF},
    {0x20000, 0x3FFFD},
};

// Characters that move others or are invisible: no part of a panel.
constexpr Range kInvisible[] = {
    {0x00AD, 0x00AD}, {0x061C, 0x061C},   {0x115F, 0x1160}, {0x180E, 0x180E},
    {0x200B, 0x200F}, {0x2028, 0x202E},   {0x2060, 0x206F}, {0xFEFF, 0xFEFF},
    {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F},
};

template <size_t N>
bool Contains(const Range (&ranges)[N], uint32_t c) {
  const Range* const after = std::upper_bound(
      std::begin(ranges), std::end(ranges), c,
      [](uint32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

// The first character of `text`, and its length in bytes; 0 for bytes that are
// not UTF-8.
struct Character {
  uint32_t code = 0;
  size_t length = 0;
};

Character First(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  uint32_t code = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3F);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast[length] || code > 0x10FFFF || surrogate) return {};
  return {code, length};
}

int ColumnsOf(uint32_t c) {
  if (Contains(kNoColumn, c)) return 0;
  return Contains(kTwoColumns, c) ? 2 : 1;
}

// The length of the escape sequence at the start of `text`: colours and the
// like, up to a letter; titles and links, up to their end; and any other.
size_t EscapeLength(absl::string_view text) {
  if (text.size() < 2) return text.size();
  const char kind = text[1];
  if (kind == '[') {
    size_t at = 2;
    while (at < text.size() && text[at] >= 0x20 && text[at] < 0x40) ++at;
    return std::min(at + 1, text.size());
  }
  if (kind == ']' || kind == 'P' || kind == '_' || kind == '^') {
    const size_t bell = text.find('\a');
    const size_t end = text.find("\033\\", 2);
    if (bell < end) return bell + 1;
    return end == absl::string_view::npos ? text.size() : end + 2;
  }
  size_t at = 1;
  while (at < text.size() && text[at] >= 0x20 && text[at] < 0x30) ++at;
  return std::min(at + 1, text.size());
}

bool IsControl(uint32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

}  // namespace

std::string Printable(absl::string_view text, bool utf8) {
  std::string result;
  while (!text.empty()) {
    if (text[0] == '\033') {
      text.remove_prefix(EscapeLength(text));
      continue;
    }
    const Character first = First(text);
    const size_t length = std::max<size_t>(first.length, 1);
    if (first.length == 0 || (!utf8 && first.code >= 0x80)) {
      result += '?';
    } else if (IsControl(first.code)) {
      result += ' ';
    } else if (!Contains(kInvisible, first.code)) {
      absl::StrAppend(&result, text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return result;
}

int ColumnsOf(absl::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Character first = First(text);
    columns += ColumnsOf(first.code);
    text.remove_prefix(std::max<size_t>(first.length, 1));
  }
  return columns;
}

std::string CutToColumns(absl::string_view text, int columns, bool utf8) {
  if (columns <= 0) return "";
  int used = 0;
  size_t kept = 0;  // Bytes that leave room for the mark.
  size_t at = 0;
  while (at < text.size()) {
    const Character first = First(text.substr(at));
    used += ColumnsOf(first.code);
    if (used > columns) {
      return absl::StrCat(text.substr(0, kept), utf8 ? "\u2026" : ">");
    }
    at += std::max<size_t>(first.length, 1);
    if (used < columns) kept = at;
  }
  return std::string(text);
}

std::string FitToColumns(absl::string_view text, int columns, bool utf8) {
  std::string cut = CutToColumns(text, columns, utf8);
  cut.append(std::max(0, columns - ColumnsOf(cut)), ' ');
  return cut;
}

}  // namespace asyncproc::cli

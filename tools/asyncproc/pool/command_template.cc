#include "tools/asyncproc/pool/command_template.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "asyncproc/command.h"
#include "tools/asyncproc/pool/shell_scanner.h"

namespace asyncproc::cli {
namespace {

using Context = ShellScanner::Context;

constexpr absl::string_view kPlace = "{}";

// Why no value can be put here, as the end of a sentence. Empty: it can.
std::string Refusal(const ShellScanner& scanner) {
  switch (scanner.context()) {
    case Context::kBackquote:
      return "in backquotes: write $(...) instead";
    case Context::kParameter:
      return "in ${...}";
    case Context::kArithmetic:
      return "in $((...))";
    case Context::kComment:
      return "in a comment";
    case Context::kPlain:
    case Context::kSingle:
    case Context::kDouble:
      return scanner.doubt();
  }
  return "";
}

absl::string_view WithoutExtension(absl::string_view path) {
  const size_t dot = path.rfind('.');
  const size_t slash = path.rfind('/');
  const bool in_name = slash == absl::string_view::npos || dot > slash;
  return dot != absl::string_view::npos && in_name ? path.substr(0, dot) : path;
}

absl::string_view WithoutDirectory(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::string_view Directory(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Quotes a value as one word, and as no word with a meaning of its own.
std::string QuoteWord(absl::string_view value, bool always) {
  static constexpr absl::string_view kReserved[] = {
      "case",  "do",    "done", "elif",     "else",  "esac",
      "fi",    "for",   "if",   "function", "in",    "then",
      "until", "while", "time", "select",   "coproc"};
  std::string word = ShellQuote(value);
  if (word != value) return word;
  if (!always && std::find(std::begin(kReserved), std::end(kReserved), value) ==
                     std::end(kReserved)) {
    return word;
  }
  return absl::StrCat("'", word, "'");
}

}  // namespace

// Cuts the text into pieces.
class CommandTemplate::Parser {
 public:
  // `appended`: the place is the tool's own, at the end of the text.
  Parser(absl::string_view text, size_t values, absl::string_view place,
         bool appended)
      : text_(text),
        values_(values),
        place_(place),
        appended_(appended),
        scanner_(text) {}

  absl::StatusOr<std::vector<Piece>> Parse() {
    while (!scanner_.AtEnd()) {
      size_t size = 0;
      std::optional<Piece> place = PlaceAt(scanner_.position(), &size);
      if (!place.has_value()) {
        const size_t from = scanner_.position();
        scanner_.Advance();
        AddText(text_.substr(from, scanner_.position() - from));
        continue;
      }
      absl::Status status = Check(*place, size);
      if (!status.ok()) return status;
      place->always_quoted = HasNeighbour(size);
      place->quotes = scanner_.context() == Context::kSingle   ? Quotes::kSingle
                      : scanner_.context() == Context::kDouble ? Quotes::kDouble
                                                               : Quotes::kNone;
      pieces_.push_back(*std::move(place));
      scanner_.SkipWordPart(size);
    }
    return std::move(pieces_);
  }

 private:
  void AddText(absl::string_view text) {
    if (pieces_.empty() || pieces_.back().part != Part::kText) {
      pieces_.emplace_back();
    }
    absl::StrAppend(&pieces_.back().text, text);
  }

  // The place that begins at `from`, if any, and its size.
  std::optional<Piece> PlaceAt(size_t from, size_t* size) const {
    absl::string_view rest = text_.substr(from);
    if (place_ != kPlace) {
      if (absl::StartsWith(rest, kPlace)) return std::nullopt;
      if (absl::StartsWith(rest, place_)) {
        *size = place_.size();
        return Place("");
      }
    }
    const size_t end = rest.find('}');
    if (!absl::ConsumePrefix(&rest, "{") || end == absl::string_view::npos) {
      return std::nullopt;
    }
    *size = end + 1;
    return Place(rest.substr(0, end - 1));
  }

  static std::optional<Piece> Place(absl::string_view inside) {
    Piece piece;
    piece.part = Part::kValue;
    size_t digits = 0;
    while (digits < inside.size() && absl::ascii_isdigit(inside[digits])) {
      ++digits;
    }
    if (digits > 0 &&
        (!absl::SimpleAtoi(inside.substr(0, digits), &piece.index) ||
         piece.index == 0)) {
      return std::nullopt;
    }
    const absl::string_view what = inside.substr(digits);
    piece.without_extension = what == "." || what == "/.";
    piece.without_directory = what == "/" || what == "/.";
    piece.directory_only = what == "//";
    if (digits == 0 && what == "#") piece.part = Part::kNumber;
    if (digits == 0 && what == "%") piece.part = Part::kSlot;
    const bool known = what.empty() || piece.without_extension ||
                       piece.without_directory || piece.directory_only ||
                       piece.part != Part::kValue;
    return known ? std::make_optional(piece) : std::nullopt;
  }

  // Whether the text beside the place may change the meaning of a plain value:
  // $name{}, {}>file.
  bool HasNeighbour(size_t size) const {
    const size_t from = scanner_.position();
    const char before = from > 0 ? text_[from - 1] : ' ';
    const char behind = from + size < text_.size() ? text_[from + size] : ' ';
    return absl::ascii_isalnum(before) || before == '_' || before == '$' ||
           behind == '<' || behind == '>';
  }

  absl::Status Check(const Piece& place, size_t size) const {
    const absl::string_view name = text_.substr(scanner_.position(), size);
    if (place.index > values_) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": the number of values of each job is ", values_));
    }
    // A number is a number to any shell.
    if (place.part != Part::kValue) return absl::OkStatus();
    const std::string refusal = Refusal(scanner_);
    if (refusal.empty()) return absl::OkStatus();
    if (appended_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "COMMAND has no ", place_,
          ", so that the value would be put at its end, but a shell could run "
          "it there as a command ",
          refusal));
    }
    return absl::InvalidArgumentError(absl::StrCat(
        name, " is refused: a shell could run the value as a command ",
        refusal));
  }

  const absl::string_view text_;
  const size_t values_;
  const absl::string_view place_;
  const bool appended_;
  ShellScanner scanner_;
  std::vector<Piece> pieces_;
};

absl::StatusOr<CommandTemplate> CommandTemplate::Parse(
    absl::string_view text, size_t values, absl::string_view place) {
  CommandTemplate result;
  result.raw_ = absl::StripAsciiWhitespace(text).empty();
  if (result.raw_) return result;
  auto pieces = Parser(text, values, place, /*appended=*/false).Parse();
  if (!pieces.ok()) return pieces.status();
  if (pieces->size() == 1 && pieces->front().part == Part::kText) {
    pieces = Parser(absl::StrCat(text, " ", place), values, place,
                    /*appended=*/true)
                 .Parse();
    if (!pieces.ok()) return pieces.status();
  }
  result.pieces_ = *std::move(pieces);
  return result;
}

std::string CommandTemplate::Trim(const Piece& piece, absl::string_view value) {
  if (piece.directory_only) return std::string(Directory(value));
  if (piece.without_directory) value = WithoutDirectory(value);
  if (piece.without_extension) value = WithoutExtension(value);
  return std::string(value);
}

// The shell text for the values: each a word, or all parts of one word.
std::string CommandTemplate::Word(const Piece& piece,
                                  const std::vector<std::string>& values) {
  std::vector<std::string> trimmed;
  for (size_t i = 0; i < values.size(); ++i) {
    if (piece.index == 0 || piece.index == i + 1) {
      trimmed.push_back(Trim(piece, values[i]));
    }
  }
  switch (piece.quotes) {
    case Quotes::kSingle:
      return absl::StrCat("'", ShellQuote(absl::StrJoin(trimmed, " ")), "'");
    case Quotes::kDouble:
      return absl::StrCat("\"", ShellQuote(absl::StrJoin(trimmed, " ")), "\"");
    case Quotes::kNone:
      break;
  }
  for (std::string& word : trimmed) word = QuoteWord(word, piece.always_quoted);
  return absl::StrJoin(trimmed, " ");
}

bool CommandTemplate::uses_slot() const {
  return std::any_of(pieces_.begin(), pieces_.end(), [](const Piece& piece) {
    return piece.part == Part::kSlot;
  });
}

std::string CommandTemplate::Fill(const std::vector<std::string>& values,
                                  int64_t number, int slot) const {
  if (raw_) return absl::StrJoin(values, " ");
  std::string line;
  for (const Piece& piece : pieces_) {
    if (piece.part == Part::kText) {
      absl::StrAppend(&line, piece.text);
    } else if (piece.part == Part::kNumber) {
      absl::StrAppend(&line, number);
    } else if (piece.part == Part::kSlot) {
      absl::StrAppend(&line, slot);
    } else {
      absl::StrAppend(&line, Word(piece, values));
    }
  }
  return line;
}

}  // namespace asyncproc::cli

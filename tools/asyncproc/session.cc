#include "tools/asyncproc/session.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace asyncproc::cli {

namespace {

using Lines = std::vector<absl::string_view>;

constexpr absl::string_view kFirst = ">>>";
constexpr absl::string_view kFurther = "...";
constexpr absl::string_view kEmpty = "<BLANKLINE>";
constexpr absl::string_view kTraceback = "Traceback (most recent call last):";
constexpr absl::string_view kOldTraceback = "Traceback (innermost last):";

// Removes the ends of lines that a terminal makes of "\n".
absl::string_view WithoutReturns(absl::string_view line) {
  while (absl::ConsumeSuffix(&line, "\r")) {
  }
  return line;
}

Lines SplitLines(absl::string_view text) {
  Lines lines = absl::StrSplit(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (absl::string_view& line : lines) line = WithoutReturns(line);
  return lines;
}

bool IsBlank(absl::string_view line) {
  return absl::StripAsciiWhitespace(line).empty();
}

bool IsIndented(absl::string_view line) {
  return absl::StartsWith(line, " ") || absl::StartsWith(line, "\t");
}

size_t IndentOf(absl::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

// Removes `prompt` from `line`, if the line is the prompt or has a blank after
// it.
bool ConsumePrompt(absl::string_view* line, absl::string_view prompt) {
  if (*line == prompt) {
    line->remove_prefix(prompt.size());
    return true;
  }
  return absl::ConsumePrefix(line, absl::StrCat(prompt, " "));
}

bool IsFirst(absl::string_view line) {
  line.remove_prefix(IndentOf(line));
  return ConsumePrompt(&line, kFirst);
}

// Whether a line of `text` is such a line.
bool HasFirst(absl::string_view text) {
  const Lines lines = SplitLines(text);
  return std::any_of(lines.begin(), lines.end(), IsFirst);
}

// The offset of the text of `line` after its indent and any backslashes, if
// that text, at the start of a line, is read as no part of a reply; else npos.
size_t MarkOf(absl::string_view line) {
  const size_t mark =
      std::min(line.find_first_not_of('\\', IndentOf(line)), line.size());
  absl::string_view text = line.substr(mark);
  return text == kEmpty || ConsumePrompt(&text, kFirst) ||
                 ConsumePrompt(&text, kFurther)
             ? mark
             : line.npos;
}

// A line of a reply as a session has it: one backslash more before a mark.
std::string Escaped(absl::string_view line) {
  if (IsBlank(line)) return std::string(kEmpty);
  const size_t mark = MarkOf(line);
  if (mark == line.npos) return std::string(line);
  return absl::StrCat(line.substr(0, mark), "\\", line.substr(mark));
}

// The inverse of Escaped.
std::string Unescaped(absl::string_view line) {
  if (line == kEmpty) return "";
  const size_t mark = MarkOf(line);
  if (mark == line.npos || mark == IndentOf(line)) return std::string(line);
  return absl::StrCat(line.substr(0, mark - 1), line.substr(mark));
}

// The directives in a statement's comments: "# doctest: +ELLIPSIS, +SKIP".
struct Options {
  bool ellipsis = false;
  bool any_whitespace = false;
  bool ignore_detail = false;
  bool skip = false;
};

Options OptionsOf(absl::string_view statement) {
  Options options;
  for (absl::string_view line : absl::StrSplit(statement, '\n')) {
    const size_t begin = line.find("doctest:");
    const size_t comment = line.rfind('#', begin);
    if (begin == line.npos || comment == line.npos) continue;
    for (const absl::string_view word :
         absl::StrSplit(line.substr(begin + 8), absl::ByAnyChar(" ,\t"))) {
      options.ellipsis |= word == "+ELLIPSIS";
      options.any_whitespace |= word == "+NORMALIZE_WHITESPACE";
      options.ignore_detail |= word == "+IGNORE_EXCEPTION_DETAIL";
      options.skip |= word == "+SKIP";
    }
  }
  return options;
}

// Whether `text` is `expected`, in which "..." stands for anything.
bool MatchesEllipsis(absl::string_view expected, absl::string_view text) {
  const std::vector<absl::string_view> pieces = absl::StrSplit(expected, "...");
  if (!absl::ConsumePrefix(&text, pieces.front())) return false;
  if (pieces.size() == 1) return text.empty();
  if (!absl::ConsumeSuffix(&text, pieces.back())) return false;
  for (size_t i = 1; i + 1 < pieces.size(); ++i) {
    const size_t at = text.find(pieces[i]);
    if (at == text.npos) return false;
    text.remove_prefix(at + pieces[i].size());
  }
  return true;
}

std::string WithSingleSpaces(absl::string_view text) {
  return absl::StrJoin(
      absl::StrSplit(text, absl::ByAnyChar(" \t\n\r\f\v"), absl::SkipEmpty()),
      " ");
}

bool Matches(absl::string_view expected, absl::string_view text,
             const Options& options) {
  if (expected == text) return true;
  if ((expected == "1\n" && text == "True\n") ||
      (expected == "0\n" && text == "False\n")) {
    return true;
  }
  const std::string single_expected =
      options.any_whitespace ? WithSingleSpaces(expected) : "";
  const std::string single_text =
      options.any_whitespace ? WithSingleSpaces(text) : "";
  if (options.any_whitespace) {
    expected = single_expected;
    text = single_text;
  }
  return expected == text ||
         (options.ellipsis && MatchesEllipsis(expected, text));
}

// The end of an expected traceback after its stack, whose paths and line
// numbers are not compared.
std::optional<std::string> ExceptionOf(absl::string_view expected) {
  const Lines lines = SplitLines(expected);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] != kTraceback && lines[i] != kOldTraceback) continue;
    // The exception begins with a word.
    const auto is_stack = [](absl::string_view line) {
      return line.empty() ||
             (line[0] != '_' &&
              !absl::ascii_isalnum(static_cast<unsigned char>(line[0])));
    };
    for (++i; i < lines.size() && is_stack(lines[i]); ++i) {
    }
    return absl::StrCat(absl::StrJoin(lines.begin() + static_cast<ptrdiff_t>(i),
                                      lines.end(), "\n"),
                        "\n");
  }
  return std::nullopt;
}

// "http.client.BadStatusLine: ''" -> "BadStatusLine"
absl::string_view ExceptionType(absl::string_view exception) {
  const absl::string_view name =
      exception.substr(0, exception.find_first_of(":\n"));
  return name.substr(name.rfind('.') + 1);
}

// Whether the last lines of `text` are `exception`.
bool EndsWithException(absl::string_view exception, absl::string_view text,
                       const Options& options) {
  for (size_t begin = 0; begin < text.size();) {
    const absl::string_view rest = text.substr(begin);
    if (Matches(exception, rest, options)) return true;
    if (options.ignore_detail && !IsIndented(rest) &&
        ExceptionType(rest) == ExceptionType(exception)) {
      return true;
    }
    const size_t newline = text.find('\n', begin);
    if (newline == text.npos) break;
    begin = newline + 1;
  }
  return false;
}

// The text as a session has it: a line of blanks is an empty line.
std::string Normal(absl::string_view text) {
  std::string normal;
  for (const absl::string_view line : SplitLines(text)) {
    absl::StrAppend(&normal, IsBlank(line) ? "" : line, "\n");
  }
  return normal;
}

}  // namespace

SessionReader::SessionReader(Source source, Form form, bool is_stream,
                             Language language)
    : source_(std::move(source)),
      form_(form),
      is_stream_(is_stream),
      language_(language) {}

absl::StatusOr<std::optional<SessionStep>> SessionReader::Next() {
  left_block_ = false;
  if (form_ == Form::kDoctest) return NextDoctest();
  for (;;) {
    DropRead();
    const size_t begin = read_;
    const auto line = ReadLine();
    if (!line.ok()) return line.status();
    if (!line->has_value()) return std::nullopt;
    if (IsBlank(**line)) continue;
    const bool is_doctest =
        form_ == Form::kByFirstLines
            ? HasFirst(absl::string_view(text_).substr(begin))
            : IsFirst(**line);
    if (is_doctest) {
      if (form_ == Form::kLines) {
        return absl::InvalidArgumentError(
            absl::StrCat("line ", line_,
                         " begins with '>>> ', but the first lines of the "
                         "session do not: use --file or --check for "
                         "a session that begins with other text"));
      }
      form_ = Form::kDoctest;
      read_ = begin;
      --line_;
      return NextDoctest();
    }
    form_ = Form::kLines;
    SessionStep step{line_, std::string(**line), std::nullopt};
    if (by_line_) return step;
    if (absl::Status status = TakeFurther(&step); !status.ok()) return status;
    return step;
  }
}

absl::StatusOr<std::optional<SessionStep>> SessionReader::NextDoctest() {
  absl::StatusOr<std::optional<absl::string_view>> line;
  do {
    DropRead();
    line = ReadLine();
    if (!line.ok()) return line.status();
    if (!line->has_value()) return std::nullopt;
  } while (!IsFirst(**line));
  const size_t indent = IndentOf(**line);
  const auto without_indent = [indent](absl::string_view text) {
    return text.substr(std::min(indent, IndentOf(text)));
  };
  absl::string_view text = without_indent(**line);
  ConsumePrompt(&text, kFirst);
  SessionStep step{line_, std::string(text), ""};
  size_t end = read_;
  bool in_reply = false;
  for (line = ReadLine(); line.ok() && line->has_value(); line = ReadLine()) {
    text = without_indent(**line);
    if (!in_reply && ConsumePrompt(&text, kFurther)) {
      absl::StrAppend(&step.statement, "\n", text);
    } else if (IsBlank(**line) || IsFirst(**line)) {
      read_ = end;
      --line_;
      break;
    } else {
      in_reply = true;
      absl::StrAppend(&*step.expected, Unescaped(text), "\n");
    }
    end = read_;
  }
  if (!line.ok()) return line.status();
  return step;
}

absl::Status SessionReader::TakeFurther(SessionStep* step) {
  SqlReader sql(language_);
  size_t read = 0;
  for (;;) {
    if (absl::Status status = TakeBlock(step); !status.ok()) return status;
    sql.Read(absl::StrCat(step->statement.substr(read), "\n"));
    read = step->statement.size() + 1;
    if (!sql.IsInStatement()) return absl::OkStatus();
    const absl::StatusOr<bool> more = TakeLine(step);
    if (!more.ok() || !*more) return more.status();
  }
}

bool SessionReader::ReadsOnAfter(absl::string_view statement) const {
  if (!is_stream_ || read_ < text_.size()) return true;
  if (MayGoOn(language_, statement)) return true;
  const size_t newline = statement.rfind('\n');
  return newline != statement.npos && !HasEnd(language_) &&
         IsIndented(statement.substr(newline + 1));
}

absl::Status SessionReader::TakeBlock(SessionStep* step) {
  const bool python = language_ == Language::kPython;
  size_t end = read_;
  int end_line = line_;
  std::string held;      // Blank lines and comments, which may be between.
  bool comment = false;  // Whether one of them is a comment.
  absl::Status status;
  while (ReadsOnAfter(step->statement)) {
    const auto line = ReadLine();
    status = line.status();
    if (!line.ok() || !line->has_value()) break;
    const absl::string_view text = **line;
    absl::StrAppend(&held, "\n", text);
    if (IsBlank(text)) continue;
    if (python &&
        (absl::StartsWith(text, "#") || (comment && IsPythonComment(text)))) {
      comment = true;
      continue;
    }
    if (!IsIndented(text) && !(python && ContinuesPython(text))) break;
    step->statement += held;
    held.clear();
    comment = false;
    end = read_;
    end_line = line_;
  }
  read_ = end;
  line_ = end_line;
  return status;
}

absl::StatusOr<bool> SessionReader::TakeLine(SessionStep* step) {
  const size_t begin = read_;
  const int begin_line = line_;
  std::string further;
  for (;;) {
    const auto line = ReadLine();
    if (!line.ok()) return line.status();
    if (!line->has_value()) {
      read_ = begin;
      line_ = begin_line;
      return false;
    }
    absl::StrAppend(&further, "\n", **line);
    if (!IsBlank(**line)) break;
  }
  step->statement += further;
  return true;
}

absl::StatusOr<bool> SessionReader::Extend(SessionStep* step) {
  if (form_ == Form::kDoctest) return false;
  bool extended = false;
  do {
    const absl::StatusOr<bool> more = TakeLine(step);
    if (!more.ok()) return more.status();
    if (!*more) break;
    extended = true;
    if (absl::Status status = TakeBlock(step); !status.ok()) return status;
  } while (EndsInBlock(language_, step->statement));
  return extended;
}

absl::StatusOr<std::optional<std::string>> SessionReader::NextLine(
    SessionStep* step) {
  if (form_ == Form::kDoctest) return std::nullopt;
  const size_t begin = read_;
  auto line = ReadLine();
  if (!line.ok()) return line.status();
  if (!line->has_value()) return std::nullopt;
  std::string text(**line);
  left_block_ = !left_block_ && !text.empty() && !IsIndented(text) &&
                !ContinuesPython(text) && IsPythonBlock(step->statement);
  if (left_block_) {
    read_ = begin;
    --line_;
    return "";
  }
  absl::StrAppend(&step->statement, "\n", text);
  return text;
}

absl::StatusOr<std::optional<absl::string_view>> SessionReader::ReadLine() {
  size_t newline = text_.find('\n', read_);
  while (newline == text_.npos && !ended_) {
    if (text_.size() >= kLongest) {
      return absl::ResourceExhaustedError(
          absl::StrCat("line ", line_ + 1, ": a command of the session has ",
                       "more than ", kLongest, " bytes"));
    }
    const absl::StatusOr<std::string> more = source_();
    if (!more.ok()) return more.status();
    ended_ = more->empty();
    const size_t size = text_.size();
    text_ += *more;
    newline = text_.find('\n', size);
  }
  if (read_ == text_.size()) return std::nullopt;
  absl::string_view line = absl::string_view(text_).substr(read_);
  line = line.substr(0, newline == text_.npos ? newline : newline - read_);
  read_ += line.size() + (newline == text_.npos ? 0 : 1);
  // A byte order mark, which some editors write.
  if (++line_ == 1) absl::ConsumePrefix(&line, "\xef\xbb\xbf");
  return WithoutReturns(line);
}

void SessionReader::DropRead() {
  constexpr size_t kWorthwhile = 65536;
  if (read_ < kWorthwhile && read_ < text_.size()) return;
  text_.erase(0, read_);
  read_ = 0;
}

std::string FormatStep(absl::string_view statement, absl::string_view reply) {
  std::string text;
  absl::string_view prompt = kFirst;
  for (const absl::string_view line : absl::StrSplit(statement, '\n')) {
    absl::StrAppend(&text, prompt, line.empty() ? "" : " ", line, "\n");
    prompt = kFurther;
  }
  for (const absl::string_view line : SplitLines(reply)) {
    absl::StrAppend(&text, Escaped(line), "\n");
  }
  return text;
}

std::string FormatProse(absl::string_view text) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view read = WithoutReturns(line);
    lines.push_back(IsFirst(read) ? Escaped(read) : std::string(line));
  }
  return absl::StrJoin(lines, "\n");
}

bool IsAsExpected(const SessionStep& step, absl::string_view out,
                  absl::string_view err, Stderr rule) {
  const Options options = OptionsOf(step.statement);
  const std::string expected = Normal(step.expected.value_or(""));
  const std::string shown = Normal(absl::StrCat(out, err));
  if (options.skip || expected == shown) return true;
  if (const auto exception = ExceptionOf(expected); exception.has_value()) {
    return EndsWithException(*exception, shown, options);
  }
  return Matches(expected, shown, options) ||
         (rule == Stderr::kMayBeMissing &&
          Matches(expected, Normal(out), options));
}

}  // namespace asyncproc::cli

#include "tools/asyncproc/session.h"

#include <algorithm>
#include <optional>
#include <utility>

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

std::vector<SessionStep> ParseDoctest(const Lines& lines) {
  std::vector<SessionStep> steps;
  for (size_t i = 0; i < lines.size();) {
    if (!IsFirst(lines[i])) {
      ++i;
      continue;
    }
    SessionStep step;
    step.line = static_cast<int>(i) + 1;
    const size_t indent = IndentOf(lines[i]);
    const auto without_indent = [indent](absl::string_view line) {
      return line.substr(std::min(indent, IndentOf(line)));
    };
    absl::string_view line = without_indent(lines[i]);
    ConsumePrompt(&line, kFirst);
    step.statement = std::string(line);
    for (++i; i < lines.size(); ++i) {
      line = without_indent(lines[i]);
      if (!ConsumePrompt(&line, kFurther)) break;
      absl::StrAppend(&step.statement, "\n", line);
    }
    step.expected = "";
    for (; i < lines.size() && !IsBlank(lines[i]) && !IsFirst(lines[i]); ++i) {
      line = without_indent(lines[i]);
      absl::StrAppend(&*step.expected, Unescaped(line), "\n");
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<SessionStep> ParsePlain(const Lines& lines) {
  std::vector<SessionStep> steps;
  std::string blank_lines;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (IsBlank(lines[i])) {
      absl::StrAppend(&blank_lines, lines[i], "\n");
      continue;
    }
    SessionStep step{static_cast<int>(i) + 1, std::string(lines[i]),
                     std::nullopt, std::exchange(blank_lines, "")};
    if (IsIndented(lines[i]) && !steps.empty()) {
      Append(step, &steps.back());
    } else {
      steps.push_back(std::move(step));
    }
  }
  return steps;
}

// Joins the lines of each statement of SQL.
std::vector<SessionStep> JoinSql(std::vector<SessionStep> steps,
                                 Language language) {
  std::vector<SessionStep> joined;
  SqlReader reader(language);
  for (SessionStep& step : steps) {
    const bool goes_on = reader.IsInStatement();
    reader.Read(absl::StrCat(step.statement, "\n"));
    if (goes_on) {
      Append(step, &joined.back());
    } else {
      joined.push_back(std::move(step));
    }
  }
  return joined;
}

// Joins the branches of each statement of Python, with the comments between
// them.
std::vector<SessionStep> JoinPython(std::vector<SessionStep> steps) {
  std::vector<SessionStep> joined;
  for (SessionStep& step : steps) {
    joined.push_back(std::move(step));
    if (!ContinuesPython(joined.back().statement)) continue;
    size_t first = joined.size() - 1;
    while (first > 0 && IsPythonComment(joined[first - 1].statement)) --first;
    if (first == 0) continue;
    for (size_t i = first; i < joined.size(); ++i) {
      Append(joined[i], &joined[first - 1]);
    }
    joined.resize(first);
  }
  return joined;
}

std::vector<SessionStep> Join(std::vector<SessionStep> steps,
                              Language language) {
  if (language == Language::kPython) return JoinPython(std::move(steps));
  return IsSql(language) ? JoinSql(std::move(steps), language) : steps;
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

SessionScript ParseSession(absl::string_view text, Language language) {
  const Lines lines = SplitLines(text);
  SessionScript script;
  script.is_doctest = std::any_of(lines.begin(), lines.end(), IsFirst);
  script.steps = script.is_doctest ? ParseDoctest(lines)
                                   : Join(ParsePlain(lines), language);
  return script;
}

void Append(const SessionStep& further, SessionStep* step) {
  absl::StrAppend(&step->statement, "\n", further.blank_lines,
                  further.statement);
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

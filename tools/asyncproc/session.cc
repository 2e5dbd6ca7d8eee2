#include "tools/asyncproc/session.h"

#include <algorithm>

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

Lines SplitLines(absl::string_view text) {
  Lines lines = absl::StrSplit(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (absl::string_view& line : lines) absl::ConsumeSuffix(&line, "\r");
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

// Takes `prompt` off, if `line` has it alone or with a blank behind it.
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
      absl::StrAppend(&*step.expected, line == kEmpty ? "" : line, "\n");
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<SessionStep> ParsePlain(const Lines& lines) {
  std::vector<SessionStep> steps;
  std::string empty;  // Lines that count only if an indented one follows.
  for (size_t i = 0; i < lines.size(); ++i) {
    if (IsBlank(lines[i])) {
      absl::StrAppend(&empty, "\n");
    } else if (IsIndented(lines[i]) && !steps.empty()) {
      absl::StrAppend(&steps.back().statement, empty, "\n", lines[i]);
      empty.clear();
    } else {
      steps.push_back(
          {static_cast<int>(i) + 1, std::string(lines[i]), std::nullopt});
      empty.clear();
    }
  }
  return steps;
}

// Lines without the stack of a traceback, whose paths and numbers nobody wants
// to write down.
Lines WithoutStack(absl::string_view text) {
  Lines kept;
  bool in_stack = false;
  for (const absl::string_view line : SplitLines(text)) {
    if (in_stack && IsIndented(line)) continue;
    in_stack = line == kTraceback;
    kept.push_back(line);
  }
  return kept;
}

}  // namespace

SessionScript ParseSession(absl::string_view text) {
  const Lines lines = SplitLines(text);
  SessionScript script;
  script.is_doctest = std::any_of(lines.begin(), lines.end(), IsFirst);
  script.steps = script.is_doctest ? ParseDoctest(lines) : ParsePlain(lines);
  return script;
}

std::string FormatStep(absl::string_view statement, absl::string_view reply) {
  std::string text;
  absl::string_view prompt = kFirst;
  for (const absl::string_view line : absl::StrSplit(statement, '\n')) {
    absl::StrAppend(&text, prompt, line.empty() ? "" : " ", line, "\n");
    prompt = kFurther;
  }
  for (const absl::string_view line : SplitLines(reply)) {
    absl::StrAppend(&text, IsBlank(line) ? kEmpty : line, "\n");
  }
  return text;
}

bool IsAsExpected(absl::string_view expected, absl::string_view reply) {
  Lines got = WithoutStack(reply);
  for (absl::string_view& line : got) {
    // As FormatStep writes it, which is how an empty line is expected.
    if (IsBlank(line)) line = "";
  }
  return WithoutStack(expected) == got;
}

}  // namespace asyncproc::cli

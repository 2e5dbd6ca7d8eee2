#include "tools/asyncproc/repl_language.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace asyncproc::cli {
namespace {

bool IsWordStart(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalpha(byte) || c == '_' || byte >= 0x80;
}

bool IsInWord(char c) {
  return IsWordStart(c) || c == '$' ||
         absl::ascii_isdigit(static_cast<unsigned char>(c));
}

absl::string_view TakePrefix(absl::string_view* text, size_t size) {
  const absl::string_view prefix = text->substr(0, size);
  text->remove_prefix(prefix.size());
  return prefix;
}

void SkipLine(absl::string_view* text) {
  text->remove_prefix(std::min(text->find('\n'), text->size()));
}

// "$$" or "$name$" at the start of `text`, or nothing.
absl::string_view DollarQuote(absl::string_view text) {
  size_t end = 1;
  while (end < text.size() && text[end] != '$' && IsInWord(text[end])) ++end;
  if (end == text.size() || text[end] != '$') return "";
  return end == 1 || IsWordStart(text[1]) ? text.substr(0, end + 1) : "";
}

// The arguments of a command of psql, which end at the end of the line, or at a
// backslash outside of quotes.
void SkipArguments(absl::string_view name, absl::string_view* text) {
  const absl::string_view first = absl::StripLeadingAsciiWhitespace(*text);
  if (name == "copy" || absl::StartsWith(*text, "!") ||
      absl::StartsWith(first, "|")) {
    return SkipLine(text);
  }
  char quote = 0;
  while (!text->empty() && text->front() != '\n') {
    const char c = text->front();
    if (quote == 0 && c == '\\') return;
    const bool escapes = quote == '\'' && c == '\\' && text->size() > 1;
    if (quote == 0 && (c == '\'' || c == '"' || c == '`')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
    text->remove_prefix(escapes && (*text)[1] != '\n' ? 2 : 1);
  }
}

// Whether `text` begins with a word of Python that a block may follow.
bool BeginsBlock(absl::string_view text) {
  if (absl::StartsWith(text, "@")) return true;
  size_t size = 0;
  while (size < text.size() && IsInWord(text[size])) ++size;
  const absl::string_view first = text.substr(0, size);
  for (const char* word : {"async", "class", "def", "for", "if", "match", "try",
                           "while", "with"}) {
    if (first == word) return true;
  }
  return false;
}

}  // namespace

Language LanguageOf(absl::string_view preset) {
  if (preset == "bc") return Language::kBc;
  if (preset == "dc") return Language::kDc;
  if (preset == "ocaml") return Language::kOcaml;
  if (preset == "prolog") return Language::kProlog;
  if (preset == "psql") return Language::kPsql;
  if (preset == "sqlite3") return Language::kSqlite3;
  if (preset == "python" || preset == "python3") return Language::kPython;
  return Language::kOther;
}

bool IsSql(Language language) {
  return language == Language::kPsql || language == Language::kSqlite3;
}

bool ContinuesPython(absl::string_view text) {
  if (absl::StartsWith(text, "#")) return !IsPythonComment(text);
  for (const char* word : {"elif", "else", "except", "finally"}) {
    absl::string_view rest = text;
    if (!absl::ConsumePrefix(&rest, word)) continue;
    // "except*" and "else\", too.
    return !rest.empty() && absl::StrContains(" \t:(*\\", rest.substr(0, 1));
  }
  return false;
}

bool IsPythonComment(absl::string_view text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view code = absl::StripLeadingAsciiWhitespace(line);
    if (!code.empty() && code.front() != '#') return false;
  }
  return true;
}

bool IsPythonBlock(absl::string_view text) {
  if (!BeginsBlock(text)) return false;
  for (size_t at = text.find(':'); at != text.npos;
       at = text.find(':', at + 1)) {
    const absl::string_view after = text.substr(at + 1, 1);
    if (after.empty() || absl::StrContains(" \t\n", after)) return true;
  }
  return false;
}

bool HasEnd(Language language) {
  return language == Language::kOcaml || language == Language::kProlog;
}

bool MayGoOn(Language language, absl::string_view text) {
  text = absl::StripTrailingAsciiWhitespace(text);
  switch (language) {
    case Language::kOcaml:
      return !absl::EndsWith(text, ";;");
    case Language::kProlog:
      return !absl::EndsWith(text, ".");
    case Language::kPython:
      return BeginsBlock(text);
    default:
      return false;
  }
}

bool EndsInBlock(Language language, absl::string_view text) {
  if (language != Language::kBc && language != Language::kDc) return false;
  const bool bc = language == Language::kBc;
  int depth = 0;
  while (!text.empty()) {
    if (bc && (text.front() == '"' || absl::StartsWith(text, "/*"))) {
      const absl::string_view end = text.front() == '"' ? "\"" : "*/";
      const size_t at = text.find(end, end.size());
      if (at == text.npos) return true;
      text.remove_prefix(at + end.size());
      continue;
    }
    // In a string of dc, this is text.
    if (text.front() == '#' && (bc || depth == 0)) {
      SkipLine(&text);
      continue;
    }
    if (text.front() == (bc ? '{' : '[')) ++depth;
    if (text.front() == (bc ? '}' : ']')) depth = std::max(depth - 1, 0);
    text.remove_prefix(1);
  }
  return depth > 0;
}

void SqlReader::Read(absl::string_view lines) {
  if (!IsSql(language_)) return;
  while (!lines.empty()) {
    end_.empty() ? ReadToken(&lines) : ReadToEnd(&lines);
  }
}

void SqlReader::ReadToken(absl::string_view* text) {
  const bool psql = language_ == Language::kPsql;
  const char c = text->front();
  const bool at_start = at_start_;
  at_start_ = c == '\n';
  if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
    text->remove_prefix(1);
    return;
  }
  // A command of sqlite3, or a comment of its shell.
  if (!psql && at_start && !in_statement_ && (c == '.' || c == '#')) {
    return SkipLine(text);
  }
  if (absl::StartsWith(*text, "--")) return SkipLine(text);
  if (absl::ConsumePrefix(text, "/*")) {
    end_ = "*/";
    comments_ = 1;
    return;
  }
  if (psql && c == '\\') return ReadCommand(text);
  if (c == ';' && parentheses_ == 0 && blocks_ == 0) {
    text->remove_prefix(1);
    return EndStatement();
  }
  in_statement_ = true;
  if (IsWordStart(c)) return ReadWord(text);
  if (c == '\'' || c == '"' || (!psql && c == '`')) {
    end_ = std::string(1, c);
  } else if (!psql && c == '[') {
    end_ = "]";
  } else if (psql && c == '$') {
    const absl::string_view quote = DollarQuote(*text);
    end_ = std::string(quote);
    text->remove_prefix(std::max<size_t>(quote.size(), 1));
    return;
  } else if (psql && c == '(') {
    ++parentheses_;
  } else if (psql && c == ')') {
    parentheses_ = std::max(parentheses_ - 1, 0);
  }
  text->remove_prefix(1);
}

void SqlReader::ReadToEnd(absl::string_view* text) {
  const bool psql = language_ == Language::kPsql;
  while (!text->empty()) {
    if (psql && end_ == "*/" && absl::ConsumePrefix(text, "/*")) {
      ++comments_;
    } else if (absl::ConsumePrefix(text, end_)) {
      if (end_ == "*/" && --comments_ > 0) continue;
      // A quote of two characters stands for one, and does not end the quote.
      const bool goes_on =
          end_.size() == 1 && end_ != "]" && absl::ConsumePrefix(text, end_);
      if (goes_on) continue;
      end_.clear();
      escapes_ = false;
      at_start_ = false;
      return;
    } else {
      text->remove_prefix(
          escapes_ && text->front() == '\\' && text->size() > 1 ? 2 : 1);
    }
  }
}

void SqlReader::ReadWord(absl::string_view* text) {
  size_t size = 1;
  while (size < text->size() && IsInWord((*text)[size])) ++size;
  const std::string word = absl::AsciiStrToLower(TakePrefix(text, size));
  if (language_ == Language::kPsql && word == "e" &&
      absl::ConsumePrefix(text, "'")) {
    end_ = "'";
    escapes_ = true;
    return;
  }
  constexpr size_t kMost = 4;  // "create or replace function"
  if (words_.size() < kMost) words_.push_back(word);
  if (parentheses_ > 0 || !MayHaveBody()) return;
  if (word == "begin" || (word == "case" && blocks_ > 0)) {
    ++blocks_;
  } else if (word == "end" && blocks_ > 0) {
    --blocks_;
  }
}

void SqlReader::ReadCommand(absl::string_view* text) {
  text->remove_prefix(1);
  // "\;" is a part of the statement, and "\\" ends a command.
  if (absl::ConsumePrefix(text, ";") || absl::ConsumePrefix(text, "\\")) return;
  size_t size = 0;
  while (size < text->size() && IsInWord((*text)[size])) ++size;
  const absl::string_view name = TakePrefix(text, size);
  SkipArguments(name, text);
  // The commands that use the statement up.
  for (const char* last : {"crosstabview", "g", "gdesc", "gexec", "gset", "gx",
                           "parse", "r", "reset", "sendpipeline", "watch"}) {
    if (name == last) EndStatement();
  }
}

bool SqlReader::MayHaveBody() const {
  size_t i = 0;
  const auto next_is = [&](absl::string_view word) {
    if (i == words_.size() || words_[i] != word) return false;
    ++i;
    return true;
  };
  if (!next_is("create")) return false;
  if (language_ == Language::kPsql) {
    if (next_is("or") && !next_is("replace")) return false;
    return next_is("function") || next_is("procedure");
  }
  if (!next_is("temp")) next_is("temporary");
  return next_is("trigger");
}

void SqlReader::EndStatement() {
  in_statement_ = false;
  words_.clear();
  parentheses_ = 0;
  blocks_ = 0;
}

}  // namespace asyncproc::cli

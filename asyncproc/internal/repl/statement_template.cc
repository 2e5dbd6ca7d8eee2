#include "asyncproc/internal/repl/statement_template.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asyncproc/command.h"
#include "asyncproc/internal/text/utf8.h"

namespace asyncproc::internal {
namespace {

using Values = StatementTemplate::Values;

// The statement, with text that is not complete in place of a backslash that
// continues its last line. In a comment, that text is a comment too.
std::string ToTest(absl::string_view statement) {
  const size_t last = statement.find_last_not_of('\\');
  const size_t backslashes = statement.size() - (last + 1);  // npos + 1 is 0.
  if (backslashes % 2 == 0) return std::string(statement);
  statement.remove_suffix(1);
  // After a "$", the quotes keep the second one from being "$$".
  return absl::StrCat(statement, "\"\"${");
}

// One word of fish. Its `read` takes a byte that is not UTF-8, and those that
// follow, for nothing: so such a byte is written as \XE9.
std::string FishQuote(absl::string_view text) {
  std::string word = "'";
  while (!text.empty()) {
    const size_t size = Utf8Size(text);
    if (size == 0) {
      absl::StrAppend(&word, "'\\X",
                      absl::Hex(static_cast<unsigned char>(text[0])), "'");
      text.remove_prefix(1);
      continue;
    }
    if (text[0] == '\'' || text[0] == '\\') word.push_back('\\');
    absl::StrAppend(&word, text.substr(0, size));
    text.remove_prefix(size);
  }
  word.push_back('\'');
  return word;
}

struct Field {
  absl::string_view name;
  void (*append)(const Values& values, std::string* text);
};

constexpr Field kFields[] = {
    {"{statement}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(text, values.statement);
     }},
    {"{quoted}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(text, ShellQuote(absl::StrCat(values.statement, "\n")));
     }},
    {"{quoted_function}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(
           text, ShellQuote(absl::StrCat("asyncproc() {\n",
                                         ToTest(values.statement), "\n}")));
     }},
    {"{quoted_test}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(
           text, ShellQuote(absl::StrCat(ToTest(values.statement), "\n")));
     }},
    {"{quoted_capture}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(
           text, ShellQuote(absl::StrCat(
                     values.statement,
                     // After `eval 'a\\'` bash takes the next line for more of
                     // the command, where no array can be assigned.
                     "\n\n{ asyncproc=(\"$?\" \"$_\" \"${PIPESTATUS[@]}\"); } "
                     ">/dev/null 2>&1")));
     }},
    {"{quoted_fish}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(text, FishQuote(values.statement));
     }},
    {"{length}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(text, values.statement.size());
     }},
    {"{id}", [](const Values& values,
                std::string* text) { absl::StrAppend(text, values.id); }},
    {"{status}",
     [](const Values& values, std::string* text) {
       absl::StrAppend(text, values.status);
     }},
    {"{state}", [](const Values& values,
                   std::string* text) { absl::StrAppend(text, values.state); }},
    {"{head}", [](const Values& values,
                  std::string* text) { absl::StrAppend(text, values.head); }},
    {"{tail}", [](const Values& values,
                  std::string* text) { absl::StrAppend(text, values.tail); }},
};

// The field at the start of `text`; null when there is none.
const Field* FieldAt(absl::string_view text) {
  for (const Field& field : kFields) {
    if (absl::StartsWith(text, field.name)) return &field;
  }
  return nullptr;
}

}  // namespace

StatementTemplate::StatementTemplate(absl::string_view text) {
  Piece piece;
  while (!text.empty()) {
    if (const Field* const field = FieldAt(text); field != nullptr) {
      piece.append = field->append;
      pieces_.push_back(std::move(piece));
      piece = Piece();
      text.remove_prefix(field->name.size());
    } else {
      piece.text.push_back(text[0]);
      text.remove_prefix(1);
    }
  }
  pieces_.push_back(std::move(piece));
}

std::string StatementTemplate::Fill(const Values& values) const {
  std::string text;
  for (const Piece& piece : pieces_) {
    text += piece.text;
    if (piece.append != nullptr) piece.append(values, &text);
  }
  return text;
}

}  // namespace asyncproc::internal

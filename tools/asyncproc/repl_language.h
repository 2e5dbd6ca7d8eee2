#ifndef ASYNCPROC_TOOLS_ASYNCPROC_REPL_LANGUAGE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_REPL_LANGUAGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// The language of a session, as far as its text shows which lines belong to one
// statement.
enum class Language {
  kOther,
  kBc,
  kDc,
  kOcaml,
  kProlog,
  kPsql,
  kPython,
  kSqlite3
};

// The language of a preset.
Language LanguageOf(absl::string_view preset);
bool IsSql(Language language);

// Whether `text`, the lines after a statement of Python, continues it although
// the first line is not indented: as "else:" does, or a comment in the middle
// of a block.
bool ContinuesPython(absl::string_view text);

// Whether all lines of `text` are comments of Python.
bool IsPythonComment(absl::string_view text);

// Whether `text` begins as a statement of Python with a block does, and has the
// ':' before the block.
bool IsPythonBlock(absl::string_view text);

// Whether lines that begin with a blank may continue `text`, which may be a
// whole statement. True for a statement of Python that may have a block, and
// for one of OCaml or Prolog without its end, ";;" or ".".
bool MayGoOn(Language language, absl::string_view text);
// Whether each statement has such an end.
bool HasEnd(Language language);

// Whether `text`, the beginning of a statement, ends in a block, string or
// comment of bc, or in a string of dc. False in another language.
bool EndsInBlock(Language language, absl::string_view text);

// Reads SQL, line by line, as psql or the shell of sqlite3 does, to find the
// ends of statements.
//
//   SqlReader reader(Language::kSqlite3);
//   reader.Read("delete from t\n");
//   // reader.IsInStatement()
//   reader.Read("where a = 1;\n");
//   // !reader.IsInStatement()
class SqlReader {
 public:
  // Finds no statement in another language.
  explicit SqlReader(Language language) : language_(language) {}

  // `lines`: whole lines, with their ends.
  void Read(absl::string_view lines);

  // Whether the statement, or the comment, of the last line goes on.
  bool IsInStatement() const { return in_statement_ || !end_.empty(); }

 private:
  // Each of the following removes the text that it reads from the front.
  //
  // Outside of quotes and comments.
  void ReadToken(absl::string_view* text);
  // Up to `end_`, if it is there.
  void ReadToEnd(absl::string_view* text);
  void ReadWord(absl::string_view* text);
  // A command of psql after a backslash.
  void ReadCommand(absl::string_view* text);

  // Whether the statement is one whose body has statements.
  bool MayHaveBody() const;
  void EndStatement();

  Language language_;
  // The end of the quote or comment that is being read, or empty.
  std::string end_;
  int comments_ = 0;      // Comments of psql may be in comments.
  bool escapes_ = false;  // A backslash in the quote escapes a character.
  bool at_start_ = true;  // Of a line.
  bool in_statement_ = false;
  std::vector<std::string> words_;  // The first ones of the statement.
  int parentheses_ = 0;
  int blocks_ = 0;  // BEGIN ... END and CASE ... END.
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_REPL_LANGUAGE_H_

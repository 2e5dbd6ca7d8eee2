#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_SHELL_SCANNER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_SHELL_SCANNER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// Follows a script for a POSIX shell, so as to know within which quotes each
// position is. Where it cannot know, doubt() has the reason.
//
//   ShellScanner scanner(R"(echo "$(basename x)")");
//   while (!scanner.AtEnd()) scanner.Advance();
//
// Thread safety: as a struct. The script must outlive the scanner.
class ShellScanner {
 public:
  enum class Context {
    kPlain,       // No quotes, or a command substitution within them.
    kSingle,      // '...'
    kDouble,      // "..."
    kBackquote,   // `...`
    kParameter,   // ${...}
    kArithmetic,  // $((...))
    kComment,
  };

  explicit ShellScanner(absl::string_view script) : script_(script) {}

  bool AtEnd() const { return at_ >= script_.size(); }
  size_t position() const { return at_; }
  Context context() const;
  // Why the meaning of a word here is unknown. Empty: it is known.
  const std::string& doubt() const { return doubt_; }

  // Advances by one unit: a character, a backslash with its character, or the
  // opening of a context. REQUIRES: !AtEnd().
  void Advance();
  // Advances by `size` characters, which are taken as a part of a word.
  void SkipWordPart(size_t size) { at_ += size; }

 private:
  // The contexts, and those that a ")" ends.
  enum class Level {
    kSubstitution,  // $(...)
    kParenthesis,   // (...) within one.
    kSingle,
    kDouble,
    kBackquote,
    kParameter,
    kArithmetic,
    kArithmeticParenthesis,
    kComment,
  };

  bool LooksAt(absl::string_view text) const;
  bool AtWordStart() const;
  bool InSubstitution() const;
  void Open(Level level, size_t size);
  void Close(size_t size);
  void Doubt(absl::string_view why);
  void AdvancePlain();
  void AdvanceDollar();
  void AdvanceDouble();
  void AdvanceNested();

  const absl::string_view script_;
  size_t at_ = 0;
  std::vector<Level> levels_;
  bool here_document_ = false;  // Its text begins at the next line.
  std::string doubt_;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_SHELL_SCANNER_H_

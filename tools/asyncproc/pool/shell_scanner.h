#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_SHELL_SCANNER_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_SHELL_SCANNER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// Follows a script for a POSIX shell so far as to know, anywhere in it, within
// which quotes that is. It knows what it does not know: see doubt().
//
//   ShellScanner scanner(R"(echo "$(basename x)")");
//   while (!scanner.AtEnd()) scanner.Advance();
//
// Thread safety: as a struct. The script must outlive it.
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
  // Why nobody can tell what a word here would be. Empty: it is known.
  const std::string& doubt() const { return doubt_; }

  // Goes on by what belongs together: a character as a rule, with what a
  // backslash takes from the shell, or what opens a context. REQUIRES:
  // !AtEnd().
  void Advance();
  // Goes on by `size` characters that are a part of a word, whatever they are.
  void SkipWordPart(size_t size) { at_ += size; }

 private:
  // One more than contexts: what a ")" ends.
  enum class Level {
    kSubstitution,  // $(...)
    kParenthesis,   // (...) in one.
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

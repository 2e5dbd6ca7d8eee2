#ifndef ASYNCPROC_INTERNAL_REPL_STATEMENT_TEMPLATE_H_
#define ASYNCPROC_INTERNAL_REPL_STATEMENT_TEMPLATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace asyncproc::internal {

// The text of ReplDialect::statement, parsed once, with the places of its
// fields.
//
// Thread safety: immutable after construction.
class StatementTemplate {
 public:
  // The values of the fields, in the order of repl_dialects.h.
  struct Values {
    absl::string_view statement;
    uint64_t id = 0;
    absl::string_view status;
    absl::string_view state;
    absl::string_view head;
    absl::string_view tail;
  };

  // A word in braces that is not the name of a field is text.
  explicit StatementTemplate(absl::string_view text);

  // Returns the text with its fields replaced. Field names inside a value are
  // not replaced.
  std::string Fill(const Values& values) const;

 private:
  using Append = void (*)(const Values& values, std::string* text);
  // Literal text, and the field that follows it.
  struct Piece {
    std::string text;
    Append append = nullptr;  // Null at the end.
  };

  std::vector<Piece> pieces_;
};

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_REPL_STATEMENT_TEMPLATE_H_

#include "asyncproc/text.h"

#include "asyncproc/internal/text/control_sequences.h"
#include "asyncproc/internal/text/printable.h"

namespace asyncproc {

std::string Printable(absl::string_view text, size_t most) {
  return internal::Printable(text, most);
}

std::string StripControlSequences(absl::string_view text) {
  return internal::StripControlSequences(text);
}

}  // namespace asyncproc

#ifndef ASYNCPROC_INTERNAL_TEXT_REGEX_OPTIONS_H_
#define ASYNCPROC_INTERNAL_TEXT_REGEX_OPTIONS_H_

#include "asyncproc/regex_encoding.h"
#include "re2/re2.h"

namespace asyncproc::internal {

// For every RE2 that is matched against the output of a child. A pattern that
// RE2 refuses is not logged: it is an error that is returned.
inline RE2::Options RegexOptions(RegexEncoding encoding) {
  RE2::Options options(RE2::Quiet);
  options.set_encoding(encoding == RegexEncoding::kUtf8
                           ? RE2::Options::EncodingUTF8
                           : RE2::Options::EncodingLatin1);
  return options;
}

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_REGEX_OPTIONS_H_

#ifndef ASYNCPROC_INTERNAL_TEXT_REGEX_OPTIONS_H_
#define ASYNCPROC_INTERNAL_TEXT_REGEX_OPTIONS_H_

#include "asyncproc/regex_encoding.h"
#include "re2/re2.h"

namespace asyncproc::internal {

// For every RE2 that is matched against a child's output. An invalid pattern is
// not logged, since it is returned as an error.
inline RE2::Options RegexOptions(RegexEncoding encoding) {
  RE2::Options options(RE2::Quiet);
  options.set_encoding(encoding == RegexEncoding::kUtf8
                           ? RE2::Options::EncodingUTF8
                           : RE2::Options::EncodingLatin1);
  return options;
}

}  // namespace asyncproc::internal

#endif  // ASYNCPROC_INTERNAL_TEXT_REGEX_OPTIONS_H_

#ifndef ASYNCPROC_TOOLS_ASYNCPROC_BYTE_REGEX_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_BYTE_REGEX_H_

#include "re2/re2.h"

namespace asyncproc::cli {

// For every regular expression of the command line: matches bytes, since the
// output of a command need not be UTF-8, and logs nothing.
inline RE2::Options ByteRegexOptions() {
  RE2::Options options(RE2::Quiet);
  options.set_encoding(RE2::Options::EncodingLatin1);
  return options;
}

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_BYTE_REGEX_H_

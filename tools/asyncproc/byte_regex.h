#ifndef ASYNCPROC_TOOLS_ASYNCPROC_BYTE_REGEX_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_BYTE_REGEX_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "re2/re2.h"

namespace asyncproc::cli {

// For every regular expression of the command line: matches bytes, since the
// output of a command need not be UTF-8, and logs nothing.
inline RE2::Options ByteRegexOptions() {
  RE2::Options options(RE2::Quiet);
  options.set_encoding(RE2::Options::EncodingLatin1);
  return options;
}

// Errors: kInvalidArgument, unless `text`, the value of the option, is a
// regular expression.
inline absl::Status CheckRegex(absl::string_view option,
                               const std::string& text) {
  const RE2 regex(text, ByteRegexOptions());
  if (regex.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      option, ": '", text, "' is not a regular expression: ", regex.error()));
}

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_BYTE_REGEX_H_

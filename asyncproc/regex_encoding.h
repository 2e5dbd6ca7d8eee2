#ifndef ASYNCPROC_REGEX_ENCODING_H_
#define ASYNCPROC_REGEX_ENCODING_H_

namespace asyncproc {

// The encoding in which a regular expression matches the output of a child.
//
// Children write bytes, which need not be UTF-8, and a read may end inside of a
// character. With kBytes, each byte is one character: "." matches every byte
// but "\n", and text of the pattern that is not ASCII matches its own bytes.
// With kUtf8, a character of several bytes is one: "caf." matches all of
// "café", "[é]" and "(?i)é" match it, \p{Greek} and \x{20AC} may
// occur; and nothing matches a byte that is not UTF-8, "." included.
enum class RegexEncoding { kBytes, kUtf8 };

}  // namespace asyncproc

#endif  // ASYNCPROC_REGEX_ENCODING_H_

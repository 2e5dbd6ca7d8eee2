#ifndef ASYNCPROC_TOOLS_ASYNCPROC_POOL_COMMAND_TEMPLATE_H_
#define ASYNCPROC_TOOLS_ASYNCPROC_POOL_COMMAND_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace asyncproc::cli {

// A command line for /bin/sh with places for values, written as GNU parallel
// has them:
//
//   {}    the values                  {#}   the number of the job, from 1
//   {.}   without the extension       {%}   the number of its slot, from 1
//   {/}   without the directory       {2}   the second value; also {2.} {2/}
//   {//}  the directory                     {2//} {2/.}
//   {/.}  without either
//
//   auto gzip = CommandTemplate::Parse("gzip -k {}", 1);
//   gzip->Fill({"my file"}, 1, 1)     // gzip -k 'my file'
//
// A value stays a part of a word, whatever bytes it has: it is quoted by
// ShellQuote, and quotes of the template around its place are closed before it
// and opened again after it. A place in backquotes, in ${...} or $((...)), in a
// comment or in a here-document is refused, as no quoting works there. A
// backslash before "{" keeps the text as it is. Another shell that reads the
// command line, as in "ssh host {}", applies its own rules.
//
// A template without a place gets " {}" at its end. An empty template is a
// value by itself, unquoted: the values are then the command lines.
//
// A value. Thread safety: as a struct.
class CommandTemplate {
 public:
  // `values`: the number of values of each job. `place`: the text that stands
  // for the values in place of "{}".
  // Errors: kInvalidArgument for a place that is refused, or for a value that
  // does not exist; the message names the place and the reason.
  static absl::StatusOr<CommandTemplate> Parse(absl::string_view text,
                                               size_t values,
                                               absl::string_view place = "{}");

  // REQUIRES: as many values as Parse was told.
  std::string Fill(const std::vector<std::string>& values, int64_t number,
                   int slot) const;

  // Whether the values are the command lines.
  bool is_raw() const { return raw_; }
  // Whether Fill depends on the slot.
  bool uses_slot() const;

 private:
  enum class Part { kText, kValue, kNumber, kSlot };
  enum class Quotes { kNone, kSingle, kDouble };
  // A piece of text, or a place.
  struct Piece {
    Part part = Part::kText;
    std::string text;
    size_t index = 0;  // The number of the value, from 1; 0: all of them.
    bool without_extension = false;
    bool without_directory = false;
    bool directory_only = false;
    bool always_quoted = false;
    Quotes quotes = Quotes::kNone;  // The quotes around it.
  };

  class Parser;

  static std::string Trim(const Piece& piece, absl::string_view value);
  static std::string Word(const Piece& piece,
                          const std::vector<std::string>& values);

  std::vector<Piece> pieces_;
  bool raw_ = false;
};

}  // namespace asyncproc::cli

#endif  // ASYNCPROC_TOOLS_ASYNCPROC_POOL_COMMAND_TEMPLATE_H_

#include "tools/asyncproc/pool/shell_scanner.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace asyncproc::cli {

ShellScanner::Context ShellScanner::context() const {
  if (levels_.empty()) return Context::kPlain;
  switch (levels_.back()) {
    case Level::kSubstitution:
    case Level::kParenthesis:
      return Context::kPlain;
    case Level::kSingle:
      return Context::kSingle;
    case Level::kDouble:
      return Context::kDouble;
    case Level::kBackquote:
      return Context::kBackquote;
    case Level::kParameter:
      return Context::kParameter;
    case Level::kArithmetic:
    case Level::kArithmeticParenthesis:
      return Context::kArithmetic;
    case Level::kComment:
      return Context::kComment;
  }
  return Context::kPlain;
}

bool ShellScanner::LooksAt(absl::string_view text) const {
  return absl::StartsWith(script_.substr(at_), text);
}

bool ShellScanner::AtWordStart() const {
  return at_ == 0 || absl::StrContains(" \t\n;&|()", script_[at_ - 1]);
}

bool ShellScanner::InSubstitution() const {
  return std::find(levels_.begin(), levels_.end(), Level::kSubstitution) !=
         levels_.end();
}

void ShellScanner::Open(Level level, size_t size) {
  levels_.push_back(level);
  at_ += size;
}

void ShellScanner::Close(size_t size) {
  levels_.pop_back();
  at_ += size;
}

void ShellScanner::Doubt(absl::string_view why) {
  if (doubt_.empty()) doubt_ = std::string(why);
}

void ShellScanner::Advance() {
  switch (context()) {
    case Context::kPlain:
      return AdvancePlain();
    case Context::kDouble:
      return AdvanceDouble();
    case Context::kSingle:
      if (script_[at_] == '\'') return Close(1);
      ++at_;
      return;
    case Context::kComment:
      if (script_[at_] == '\n') return Close(0);
      ++at_;
      return;
    case Context::kBackquote:
    case Context::kParameter:
    case Context::kArithmetic:
      return AdvanceNested();
  }
}

void ShellScanner::AdvancePlain() {
  const char c = script_[at_];
  if (c == '\\') {
    at_ = std::min(at_ + 2, script_.size());
  } else if (c == '\'') {
    Open(Level::kSingle, 1);
  } else if (c == '"') {
    Open(Level::kDouble, 1);
  } else if (c == '`') {
    Open(Level::kBackquote, 1);
  } else if (c == '$') {
    AdvanceDollar();
  } else if (c == '#' && AtWordStart()) {
    Open(Level::kComment, 1);
  } else if (c == '(') {
    Open(Level::kParenthesis, 1);
  } else if (c == ')' && !levels_.empty()) {
    Close(1);
  } else if (LooksAt("<<")) {
    here_document_ = true;
    at_ += 2;
  } else {
    // Its patterns have a ")" that ends no context.
    if (LooksAt("case") && AtWordStart() && InSubstitution()) {
      Doubt("behind a case in $(...)");
    }
    if (c == '\n' && here_document_) Doubt("in or behind a here-document");
    ++at_;
  }
}

void ShellScanner::AdvanceDollar() {
  if (LooksAt("$((")) return Open(Level::kArithmetic, 3);
  if (LooksAt("$(")) return Open(Level::kSubstitution, 2);
  if (LooksAt("${")) return Open(Level::kParameter, 2);
  // Some shells take this for a kind of quotes or of arithmetic, others do not.
  if (context() == Context::kPlain && (LooksAt("$'") || LooksAt("$\""))) {
    Doubt("behind a $ before quotes");
  }
  if (LooksAt("$[")) Doubt("behind a $[");
  ++at_;
}

void ShellScanner::AdvanceDouble() {
  const char c = script_[at_];
  if (c == '"') {
    Close(1);
  } else if (c == '\\') {
    at_ = std::min(at_ + 2, script_.size());
  } else if (c == '`') {
    Open(Level::kBackquote, 1);
  } else if (c == '$') {
    AdvanceDollar();
  } else {
    ++at_;
  }
}

// Follows only the plainest content of these.
void ShellScanner::AdvanceNested() {
  const char c = script_[at_];
  const Level level = levels_.back();
  if (level == Level::kBackquote) {
    if (c == '`') return Close(1);
    at_ = std::min(at_ + (c == '\\' ? 2 : 1), script_.size());
    return;
  }
  if (absl::StrContains("'\"\\`", c) || LooksAt("$(") || LooksAt("${")) {
    Doubt("behind quotes or a $ in ${...} or $((...))");
  }
  if (level == Level::kParameter) {
    if (c == '}') return Close(1);
  } else if (c == '(') {
    return Open(Level::kArithmeticParenthesis, 1);
  } else if (c == ')' && level == Level::kArithmeticParenthesis) {
    return Close(1);
  } else if (LooksAt("))")) {
    return Close(2);
  } else if (c == ')') {
    Doubt("behind a $(( that is not closed by ))");
  }
  ++at_;
}

}  // namespace asyncproc::cli

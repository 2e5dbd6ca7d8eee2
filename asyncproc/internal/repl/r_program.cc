#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// R itself prints errors and, at the end of a statement, its warnings.
const absl::string_view kRProgram = R"r(
options(keep.source = TRUE, showErrorCalls = FALSE)
local({
  unlockBinding(".Last.value", baseenv())
  statements <- completions <- NULL
  # Opens the channel, again after a closeAllConnections() of the user.
  open_channel <- function() {
    is_at <- function(channel, path) {
      identical(tryCatch(summary(channel)$description,
                         error = function(condition) NULL), path)
    }
    if (!is_at(statements, "/dev/fd/8")) {
      statements <<- file("/dev/fd/8", "rb", raw = TRUE)
    }
    if (!is_at(completions, "/dev/fd/9")) {
      completions <<- file("/dev/fd/9", "wb", raw = TRUE)
    }
  }
  warned <- FALSE
  incomplete <- FALSE
  # An error that is not shown makes R print the warnings.
  show_warnings <- function() {
    if (!warned) return()
    warned <<- FALSE
    user <- options(show.error.messages = FALSE, error = NULL)
    withRestarts(stop(), abort = function() NULL)
    options(user)
  }
  # Whether a condition names a call of this program.
  is_own <- function(call) {
    identical(call, quote(eval(top, globalenv()))) ||
      identical(call, quote(parse(text = source)))
  }
  # Whether a message of `parse` says that the source has no end. Its first line
  # is in the user's language, and the source follows.
  is_of_the_end <- function(message) {
    error <- sub("\n.*", "", message)
    endsWith(error, gettext("unexpected end of input", domain = "R")) ||
      grepl("INCOMPLETE_STRING", error, fixed = TRUE)
  }
  on_warning <- function(condition) {
    warned <<- TRUE
    if (is_own(conditionCall(condition))) {
      .Internal(.dfltWarn(conditionMessage(condition), NULL))
      invokeRestart("muffleWarning")
    }
  }
  on_error <- function(condition) {
    if (!is_own(conditionCall(condition))) return()
    message <- conditionMessage(condition)
    if (conditionCall(condition)[[1]] == "parse" && is_of_the_end(message)) {
      incomplete <<- TRUE
      invokeRestart("abort")
    }
    .Internal(.dfltStop(message, NULL))
  }
  serve <- function(answer) {
    flush(stdout()); flush(stderr())
    open_channel()
    writeLines(answer, completions); flush(completions)
    header <- readLines(statements, 1)
    if (length(header) == 0) quit("no")
    header <- as.numeric(strsplit(header, " ")[[1]])
    source <- readChar(statements, header[2], useBytes = TRUE)
    if (length(source) == 0) source <- ""
    Encoding(source) <- "UTF-8"
    # An interrupt that came before the statement does nothing.
    tryCatch(allowInterrupts(Sys.sleep(0)), interrupt = function(condition) NULL)
    incomplete <<- FALSE
    status <- tryCatch(withRestarts(withCallingHandlers(allowInterrupts({
      parsed <- parse(text = source)
      for (expression in parsed) {
        # By .Internal, its caller is the global environment too.
        top <- bquote(.Internal(eval(quote(.(expression)), .(globalenv()), NULL)))
        value <- withVisible(eval(top, globalenv()))
        x <- value$value
        assign(".Last.value", x, baseenv())
        if (value$visible) if (isS4(x)) methods::show(x) else print(x)
        show_warnings()
      }
      "done 0"
    }), warning = on_warning, error = on_error),
    # R invokes it after an error.
    abort = function() if (incomplete) "incomplete" else "done 1"),
    interrupt = function(condition) "done 1")
    show_warnings()
    paste(format(header[1], scientific = FALSE), status)
  }
  suspendInterrupts({
    answer <- "0 done 0"
    repeat answer <- serve(answer)
  })
}, new.env(parent = .BaseNamespaceEnv))
)r";

}  // namespace asyncproc::internal

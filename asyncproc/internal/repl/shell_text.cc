#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// A shell reads its script from the channel, so no part of the script needs a
// name. The redirections of `eval` hide the channel from the user's code.

// An interrupt between two statements does nothing. During a statement,
// descriptor 9 is closed: the failed redirection of a special built-in ends the
// surrounding `command eval`, with all loops and functions.
const absl::string_view kShSetup = R"sh(trap '{ : >&9; } 2>/dev/null' INT
)sh";

const absl::string_view kShStatement =
    R"sh(command test {status} = 0 || (exit {status})
command eval {quoted} 8<&- 9>&-
command printf '{id} done %d\n' "$?" >&9
)sh";

// $0 is "bash", as for `bash -c`. In messages bash names its script, /dev/fd/8,
// and counts lines from the script's start: BASH_SOURCE and the line counter
// cannot be changed.
//
// bash continues after a failed redirection. So an interrupt during a statement
// sets a DEBUG trap that skips all further commands, and leaves the loops that
// they are in, until the statement has ended and descriptor 9 is open again.
// (`break 0` leaves all loops and fails; outside a loop it succeeds.)
const absl::string_view kBashSetup =
    R"sh(BASH_ARGV0=bash
trap '{ : >&9; } 2>/dev/null || { shopt -s extdebug; trap "{ if { : >&9; }; then shopt -u extdebug; trap - DEBUG; else break 0 && false; fi; } 2>/dev/null" DEBUG; } 2>/dev/null' INT
)sh";

// $_ and PIPESTATUS are known only after the statement's last command, inside
// the same `eval`. A statement that cannot be the body of a function is
// incomplete or invalid, and no text may follow it. (A subshell tests this,
// because a bad `$(` ends the shell.) {state} restores the state of the
// previous completion line, for the statement to find.
const absl::string_view kBashStatement =
    R"sh(if (eval {quoted_function}) 2>/dev/null; then {state}
command eval {quoted_capture} 8<&- 9>&-
else {state}
command eval {quoted} 8<&- 9>&-
asyncproc=("$?" "$_" "${PIPESTATUS[@]}"); fi
builtin printf '{id} done %d : %q' "${asyncproc[0]-130}" "${asyncproc[1]}" >&9; if [[ "${asyncproc[*]:2}" != 0 ]]; then builtin printf '; (exit %d)' "${asyncproc[2]}" >&9; [[ ${#asyncproc[@]} -gt 3 ]] && builtin printf ' | (exit %d)' "${asyncproc[@]:3}" >&9; fi; unset asyncproc; builtin echo >&9
)sh";

// An error or an interrupt ends the statement, and the `always` block lets the
// script go on.
const absl::string_view kZshSetup =
    R"sh(0=zsh
TRAPINT() { { : >&9 } 2>/dev/null || return 130 }
)sh";

const absl::string_view kZshStatement = R"sh((exit {status})
{ builtin eval {quoted} 8<&- 9>&- } always { TRY_BLOCK_ERROR=0 TRY_BLOCK_INTERRUPT=0 }
builtin printf '{id} done %d\n' "$?" >&9
)sh";

}  // namespace asyncproc::internal

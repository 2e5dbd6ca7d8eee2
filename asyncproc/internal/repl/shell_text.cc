#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

// A shell reads its script from the channel, so no part of the script needs a
// name. The redirections of `eval` hide the channel from the user's code.
//
// All but that `eval` is in blocks whose stdout and stderr are /dev/null, which
// hide the traces of the dialect's own commands by `set -x` and a DEBUG trap.

// An interrupt between two statements does nothing. During a statement,
// descriptor 9 is closed: the failed redirection of a special built-in ends the
// surrounding `command eval`, with all loops and functions.
//
// bash reads a file that it sources to its end, before it executes anything: it
// is started again with the channel as its script. /proc has its path, which
// may have another name than sh.
const absl::string_view kShStart = R"sh(
case $BASH_VERSION/$KSH_VERSION$POSH_VERSION$YASH_VERSION$ZSH_VERSION in
  /) . /dev/fd/8;;
  */) exec -a sh "/proc/$$/exe" /dev/fd/8;;
  *) echo 'ShDialect needs dash, bash or busybox as sh' >&2; exit 2;;
esac)sh";

// For bash, the trap is that of kBashSetup.
const absl::string_view kShSetup = R"sh(if command test "$BASH_VERSION"; then
  BASH_ARGV0=sh
  trap '{ \builtin : >&9; } 2>/dev/null || { asyncproc_heads=0; \shopt -s extdebug; \trap "{ if { \builtin : >&9; }; then \shopt -u extdebug; \trap - DEBUG; \unset asyncproc_heads; else
case \$BASH_COMMAND in for\ *|select\ *|\(\(*) ((++asyncproc_heads > 100));; esac && \break 0 && ! \:; fi; } 2>/dev/null" DEBUG; } 2>/dev/null' INT
else
  trap '{ : >&9; } 2>/dev/null' INT
fi
)sh";

// A here-document takes the end of the text for its own, and a backslash that
// continues the last line continues nothing. Inside a function, both take its
// end. bash crashes at an incomplete `$(`, so there each statement is tested
// before. After a syntax error inside `[[ ]]`, bash 5.2 keeps the state of its
// parser, and the next syntax error resets it.
//
// Only the subshells of the test close descriptor 9: in the shell itself, an
// interrupt during the test would end the script.
const absl::string_view kShStatement =
    R"sh(if { case ${BASH_VERSION:+bash}:{quoted} in
    bash:*) ! (eval {quoted_function}) 8<&- 9>&- &&
      case $(command printf %s {quoted_test} | LANGUAGE=C "/proc/$$/exe" -n 2>&1 8<&- 9>&-) in
        *'unexpected EOF'* | *'unexpected token '?EOF* | *'unexpected end'* | *'delimited by end'*) ;;
        *) false;;
      esac;;
    *'<<'* | *\\?) ! (eval {quoted_function}) 8<&- 9>&- &&
      command printf '%s\n' {quoted} | sh -n 8<&- 9>&-;;
    *) false;;
  esac; } >/dev/null 2>&1
then
  command printf '{id} incomplete\n' >&9
else
  { command test {status} = 0 || (exit {status}); } 2>/dev/null
  command eval {quoted} 8<&- 9>&-
  { command printf '{id} done %d\n' "$?" >&9
    case ${BASH_VERSION-} in ?*) command eval fi || :;; esac; } 2>/dev/null
fi
)sh";

// $0 is "bash", as for `bash -c`. In messages bash names its script, /dev/fd/8,
// and counts lines from the script's start: BASH_SOURCE and the line counter
// cannot be changed.
//
// bash continues after a failed redirection. So an interrupt during a statement
// sets a DEBUG trap that skips all further commands, and leaves the loops that
// they are in, until the statement has ended and descriptor 254 is open again.
// (`break 0` leaves all loops and fails; outside a loop it succeeds.) The trap
// also runs for the head of a `for` or `select`, and for each expression of a
// `for ((`. There, the skipped head ends the loop without the break, which then
// skips all commands of the session. So the first 100 heads and expressions are
// skipped without a break: a `while ((1))` needs the break.
// Aliases work as at a prompt; a backslash keeps a word from being an alias.
// In posix mode, a failed redirection of a special built-in ends bash: so it is
// one of `builtin`.
//
// Statements may open 8 and 9: the channel moves to a number that scripts
// hardly use. 255 is bash's own, and 200 common for locks.
const absl::string_view kBashSetup = R"sh(BASH_ARGV0=bash
shopt -s expand_aliases
trap '{ \builtin : >&254; } 2>/dev/null || { asyncproc_heads=0; \shopt -s extdebug; \trap "{ if { \builtin : >&254; }; then \shopt -u extdebug; \trap - DEBUG; \unset asyncproc_heads; else
case \$BASH_COMMAND in for\ *|select\ *|\(\(*) ((++asyncproc_heads > 100));; esac && \break 0 && ! \:; fi; } 2>/dev/null" DEBUG; } 2>/dev/null' INT
exec 254>&9 8<&- 9>&- || { echo '255 descriptors are needed (ulimit -n)' >&2; exit 1; }
)sh";

// $_ and PIPESTATUS are known only after the statement's last command, inside
// the same `eval`. A statement that cannot be the body of a function is
// incomplete or invalid, and no text may follow it. (Other shells test this,
// because an incomplete `$(` crashes bash.) Nor may it follow a test that an
// interrupt has killed. `eval fi` resets the parser, as in kShStatement.
//
// {state} restores the state of the previous completion line: it is commands
// with the same $?, $_ and PIPESTATUS, which neither end the shell by `set -e`
// nor run the trap of ERR.
const absl::string_view kBashStatement =
    R"sh(if (eval {quoted_function}) >/dev/null 2>&1; then
  { {state}
  } >/dev/null 2>&1
  \command eval {quoted_capture} 254>&-
  { \command eval fi || :; } >/dev/null 2>&1
elif { asyncproc=$(LANGUAGE=C "$BASH" -n 2>&1 <<<{quoted_test} 254>&-); [[ $? == 130 ]]; } >/dev/null 2>&1; then
  { asyncproc=(130 "" 130); } >/dev/null 2>&1
elif { [[ $asyncproc =~ unexpected\ (EOF|end|token\ .EOF)|delimited\ by\ end ]]; } >/dev/null 2>&1; then
  { asyncproc=incomplete; } >/dev/null 2>&1
else
  { \builtin unset asyncproc
  {state}
  } >/dev/null 2>&1
  \command eval {quoted} 254>&-
  { asyncproc=("$?" "$_" "${PIPESTATUS[@]}")
    \command eval fi || :; } >/dev/null 2>&1
fi
{
  if [[ ${asyncproc-} == incomplete ]]; then
    \builtin printf '{id} incomplete' >&254
  else
    [[ ${asyncproc+x} ]] || asyncproc=(130 "" 130)
    \builtin printf '{id} done %d : %q' "${asyncproc[@]:0:2}" >&254
    if [[ ${asyncproc[0]} != 0 || ${asyncproc[*]:2} != 0 ]]; then
      \builtin printf -v 'asyncproc[1]' '| (exit %d) ' "${asyncproc[@]:2}"
      if [[ ${asyncproc[*]: -1} != 0 || -o pipefail && ${asyncproc[*]:2} == *[1-9]* ]]; then
        if [[ ${asyncproc[0]} == 0 ]]; then
          \builtin printf '; if %s; then :; fi' "${asyncproc[1]:2}" >&254
        elif [[ ${asyncproc[0]} == "${asyncproc[*]: -1}" || -o pipefail ]]; then
          \builtin printf '; %s && :' "${asyncproc[1]:2}" >&254
        else
          \builtin printf '; (exit %d) && :' "${asyncproc[0]}" >&254
        fi
      elif [[ ${asyncproc[0]} == 0 ]]; then
        \builtin printf '; %s' "${asyncproc[1]:2}" >&254
      elif [[ ${asyncproc[0]} == 1 ]]; then
        \builtin printf '; ! %s' "${asyncproc[1]:2}" >&254
      else
        \builtin printf '; (exit %d) && :' "${asyncproc[0]}" >&254
      fi
    fi
  fi
  \builtin unset asyncproc
  \builtin echo >&254
} >/dev/null 2>&1
)sh";

// An error or an interrupt ends the statement, and the `always` block lets the
// script go on. Of two completion lines, the first one counts. A statement that
// fails is parsed again, with four commands after it: if it is incomplete, the
// parser finds the error only behind the first of these commands. A ";" stands
// before each "}", for the option IGNORE_CLOSE_BRACES.
const absl::string_view kZshSetup =
    R"sh(0=zsh
TRAPINT() { { { : >&9 } || return 130 } 2>/dev/null }
)sh";

const absl::string_view kZshStatement = R"sh({
  if { case {quoted} in
      *'<<'* | *\\?) ! (eval {quoted_function}) && zsh -fn <<<{quoted};;
      *) false;;
    esac; } >/dev/null 2>&1 8<&- 9>&-
  then
    { builtin printf '{id} incomplete\n' >&9; } >/dev/null 2>&1
  else
    { (exit {status}); } >/dev/null 2>&1
    builtin eval {quoted} 8<&- 9>&-
  fi
} always {
  { TRY_BLOCK_ERROR=0 TRY_BLOCK_INTERRUPT=0; } >/dev/null 2>&1
}
{ case $? in
    1)
      if ! (builtin eval {quoted_function}) 8<&- 9>&- && (
        asyncproc_text={quoted}
        asyncproc_lines=${#asyncproc_text//[^$'\n']}
        asyncproc_error=$(zsh -fn /dev/stdin <<<"$asyncproc_text":$'\n:\n:\n:' 2>&1)
        (( ${${asyncproc_error#/dev/stdin:}%%:*} >= asyncproc_lines + 2 ))
      ) 8<&- 9>&-; then
        builtin printf '{id} incomplete\n' >&9
      else
        builtin printf '{id} done 1\n' >&9
      fi;;
    *) builtin printf '{id} done %d\n' "$?" >&9;;
  esac; } >/dev/null 2>&1
)sh";

}  // namespace asyncproc::internal

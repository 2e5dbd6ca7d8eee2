#include "asyncproc/internal/repl/programs.h"

namespace asyncproc::internal {

const absl::string_view kTclProgram = R"tcl(
# Statements run in an interpreter of their own, which sees neither this program
# nor this interpreter.
interp create user
foreach name {argc argv tcl_interactive tcl_rcFileName} {
  interp eval user [list set $name [set $name]]
}
interp eval user {set argv0 tclsh}
interp eval user {file channels}  ;# Registers the streams there.

# Calls `command` with a stream of the statements. A statement that closes the
# stream closes the last reference to it.
proc with_stream {channel command args} {
  catch {
    interp share user $channel {}
    try {$command $channel {*}$args} finally {close $channel}
  }
}

# Questions are written before their answer is read.
catch {
  file stat /dev/fd/0 input
  if {$input(type) in {fifo socket}} { fconfigure stdout -buffering none }
}

foreach channel {stdin stdout stderr} { catch {close $channel} }
set statements [open /dev/fd/8 rb]
set completions [open /dev/fd/9 wb]
set answer "0 done 0"
while 1 {
  foreach channel {stdout stderr} { with_stream $channel flush }
  puts $completions $answer
  flush $completions
  if {[gets $statements header] < 0} exit
  lassign $header id length
  set source [encoding convertfrom utf-8 [read $statements $length]]
  if {![info complete $source\n]} {
    set answer "$id incomplete"
    continue
  }
  set failed [catch {interp eval user $source} value options]
  if {$failed == 1} {
    # Without the frames of this program.
    regsub {\n    invoked from within\n"interp eval user \$source"$} \
      [dict get $options -errorinfo] "" trace
    with_stream stderr puts $trace
  } elseif {$value ne ""} {
    with_stream stdout puts $value
  }
  set answer "$id done [expr {$failed == 1}]"
}
)tcl";

}  // namespace asyncproc::internal

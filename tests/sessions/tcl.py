# Extracts the tests of Tcl (tests/*.test of its source, for its own package
# tcltest) as sessions. A test that has a body and a result, and no more, becomes
# a statement, the body, with the result as its reply. Any other test becomes
# the statement `test`, which reports that it passed.
import base64
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile

import extract

# The name of a channel has its descriptor.
CHANNEL = re.compile(r'\bfile\d+\b')

# fileName depends on the home directory. http and socket have servers, and time
# limits; Windows and macOS, no test here.
# The others wait or compute for seconds.
EXCLUDED = ('fileName', 'http', 'socket', 'win', 'macOS', 'clock', 'chanio', 'cmdAH', 'event',
            'compile', 'dict', 'encoding', 'exec.', 'fCmd', 'interp', 'io.',
            'ioCmd', 'ioTrans', 'lmap', 'main', 'regexp.', 'source', 'timer')

# Evaluates statements, and writes each with its kind, the expected reply, the
# code and the value. The statements are those of the test file `in`, or a
# list of kinds, statements and expected replies.
DRIVER = r'''
encoding system utf-8
namespace eval extract {
  variable from [lindex $argv 0] file [open [lindex $argv 1]] to [open [lindex $argv 2] w]
  fconfigure $file -encoding utf-8
  variable text [read $file]
  close $file

  proc emit args {
    foreach arg $args {
      lappend line [binary encode base64 [encoding convertto utf-8 $arg]]
    }
    puts $::extract::to [join $line ,]
    flush $::extract::to
  }

  proc evaluate {kind statement {expected ""}} {
    # Such as a backslash at its end.
    if {![info complete $statement\n]} return
    set code [catch {uplevel #0 $statement} value options]
    if {$code == 1} {set value [dict get $options -errorinfo]}
    emit $kind $statement $expected $code $value
    puts stdout \x1e
    puts stderr \x1e
    flush stdout
  }

  proc commands script {
    set commands {}
    set command ""
    foreach line [split $script \n] {
      append command $line
      if {[info complete $command\n]} {
        if {![regexp {^\s*(#.*)?$} $command]} {lappend commands $command}
        set command ""
      } else {
        append command \n
      }
    }
    return $commands
  }

  proc run {command {namespace ::}} {
    if {[regexp {^\s*namespace eval (\S+) \{\n(.*)\n\s*\}\s*$} $command - name body]
        && $namespace eq "::"} {
      foreach inner [commands $body] {run $inner $name}
      return
    }
    set whole [expr {$namespace eq "::" ? $command : "namespace eval $namespace {$command}"}]
    if {![regexp {^\s*(?:::tcltest::)?test\s+(\S.*)$} $command - rest]} {
      # cleanupTests may end the program, or report times.
      if {![string match *cleanupTests* $command]} {evaluate other $whole}
      return
    }
    if {[catch {uplevel #0 [list namespace eval $namespace "list $rest"]} words]} return
    set constraints {}
    switch [llength $words] {
      4 {lassign $words - - body result}
      5 {lassign $words - - constraints body result}
      default {set body -}
    }
    if {[string match -* $body]} {
      set options [lrange $words 2 end]
      if {[catch {dict keys $options} keys]} return
      catch {set constraints [dict get $options -constraints]}
      if {[lsort $keys] eq "-body -result" ||
          [lsort $keys] eq "-body -constraints -result"} {
        set body [dict get $options -body]
        set result [dict get $options -result]
      }
    }
    foreach constraint $constraints {
      if {[catch {::tcltest::testConstraint $constraint} value] || !$value} return
    }
    if {[string match -* $body]} {
      evaluate test $whole
    } else {
      if {$namespace ne "::"} {set body "namespace eval $namespace {$body}"}
      evaluate body $body $result
    }
  }
}
set argv {}
info script {}
if {$extract::from eq "file"} {
  extract::evaluate other "package require tcltest"
  extract::evaluate other "namespace import ::tcltest::*"
  extract::evaluate other "configure -verbose {pass body error}"
  foreach command [extract::commands $extract::text] {extract::run $command}
} else {
  foreach line [split [string trim $extract::text] \n] {
    extract::evaluate {*}[lmap part [split $line ,] {
      encoding convertfrom utf-8 [binary decode base64 $part]
    }]
  }
}
'''


def run(source, path):
    """The steps: (kind, statement, expected, succeeds, reply)."""
    with tempfile.TemporaryDirectory() as directory:
        file = lambda name: os.path.join(directory, name)
        with open(file('driver'), 'w') as driver:
            driver.write(DRIVER)
        work = file('work')
        os.mkdir(work)
        with open(file('out'), 'w') as out, open(file('err'), 'w') as err:
            try:
                subprocess.run(
                    ['tclsh', file('driver'), source, path, file('records')],
                    cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                    timeout=30)
            except subprocess.TimeoutExpired:
                pass
        read = lambda name: open(file(name), encoding='latin-1', newline='\n').read()
        outs, errs = read('out').split('\x1e\n'), read('err').split('\x1e\n')
        steps = []
        for line, out, err in zip(read('records').splitlines(), outs, errs):
            kind, statement, expected, code, value = (
                base64.b64decode(part).decode('latin-1') for part in line.split(','))
            if code == '1':
                err += value + '\n'
            elif value:
                out += value + '\n'
            steps.append((kind, statement, expected, code != '1', out + err))
        return steps


def passes(step):
    kind, statement, expected, succeeds, reply = step
    if not succeeds or not extract.fits(statement, extract.lines_of(reply)):
        return False
    if kind == 'body':
        return reply == (expected and expected + '\n')
    if kind == 'test':
        return '++++' in reply and 'FAILED' not in reply
    return True


def session(path):
    """The statements of a file, with the replies that tclsh itself gives to
    them twice."""
    steps = run('file', path)
    for _ in range(3):
        before = [step for step in steps if passes(step)]
        with tempfile.NamedTemporaryFile('w') as file:
            for step in before:
                file.write(','.join(
                    base64.b64encode(part.encode('latin-1')).decode()
                    for part in step[:3]) + '\n')
            file.flush()
            steps = run('list', file.name)
        if all(map(passes, steps)):
            break
    for (_, _, _, _, first), step in zip(before, steps):
        _, statement, _, _, reply = step
        if not passes(step):
            continue
        # A value that differs each time becomes an empty one.
        if reply != first or CHANNEL.fullmatch(reply.strip()):
            statement, reply = statement + '\nlist', ''
        if not CHANNEL.search(reply):
            yield statement, extract.lines_of(reply)


source, out = sys.argv[1:3]
sessions = extract.Sessions(out)
paths = sorted(glob.glob(os.path.join(source, 'tests/*.test')))
paths = [path for path in paths
         if not os.path.basename(path).startswith(EXCLUDED)]
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for path, steps in zip(paths, pool.map(lambda path: list(session(path)), paths)):
        sessions.write(os.path.basename(path), steps)
print(sessions.count)

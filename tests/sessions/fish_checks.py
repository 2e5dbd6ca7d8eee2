# fish's own checks: scripts with their output in comments.
import glob
import os
import re
import subprocess
import sys

import extract

source, out = sys.argv[1:3]
MARK = '\x1e'
DEFINE_MARK = (f'function asyncproc_mark; set -l s $status; echo {MARK}; '
               f'echo {MARK} >&2; return $s; end\n')
BLOCK = re.compile(r'(?:^|[;|]|\b(?:and|or|not|else|!)\s)\s*(begin|if|for|while|switch|function)\b')
# A statement is executed by `eval` in a loop: it is in a block, which ends with
# its local variables, in no file, and by an interactive fish.
NOT_KEPT = re.compile(
    r'^set (-\w*l|--local)|^for |REQUIRES:|Defined in|called on line|&$|'
    r'eval .*set -l|\\\n|status.* (-b|-i|is-|current-|filename|line)|^begin\nend', re.M)
END = re.compile(r'(?:^|;)\s*end\b')


def statements_of(script):
    statement, depth = '', 0
    for line in script.rstrip('\n').split('\n'):
        statement += ('\n' if statement else '') + line
        code = re.sub(r'(^|\s)#.*', '', line)
        depth += len(BLOCK.findall(code)) - len(END.findall(code))
        quotes = re.sub(r'\\.', '', re.sub(r'(?m)(^|\s)#.*', '', statement))
        if (code.strip() and depth <= 0 and not code.endswith('\\')
                and quotes.count("'") % 2 == 0 and quotes.count('"') % 2 == 0):
            yield statement
            statement, depth = '', 0
    if statement.strip():
        yield statement


def pattern_of(check):
    pieces = re.split(r'\{\{(.*?)\}\}', check)
    return ''.join(piece if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))


def session(path):
    script = extract.read(path)
    if not re.match('# ?RUN: %fish %s\n', script) or NOT_KEPT.search(script):
        return
    statements = list(statements_of(script))
    marked = DEFINE_MARK + ''.join(s + '\nasyncproc_mark\n' for s in statements)
    result = extract.run(
        ['sh', '-c', 'export HOME=$PWD; cat >s.fish; fish --no-config s.fish 2>err </dev/null; cat err'],
        marked, timeout=10).stdout
    replies = [chunk for chunk in result.split(MARK + '\n')]
    if len(replies) != 2 * len(statements) + 1:
        return
    replies = [extract.lines_of(reply) for reply in replies]
    checks = [[check.strip() for check in re.findall(rf'^\s*# *{kind}: ?(.*)$', script, re.M)]
              for kind in ('CHECK', 'CHECKERR')]
    for i, statement in enumerate(statements):
        expected = []
        for stream, reply in enumerate([replies[i], replies[len(statements) + i]]):
            for line in filter(str.strip, reply):
                if not checks[stream] or not re.fullmatch(
                        pattern_of(checks[stream][0]), line.strip()):
                    return
                expected.append(re.sub(r'\{\{.*?\}\} ?', '...', checks[stream].pop(0)))
        # The checks ignore blanks around a line, and empty lines.
        yield statement + '\n# doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE', expected


sessions = extract.Sessions(out)
for path in sorted(glob.glob(f'{source}/tests/checks/*.fish')):
    try:
        sessions.write(os.path.basename(path), list(session(path)))
    except subprocess.TimeoutExpired:
        continue
print(sessions.count)

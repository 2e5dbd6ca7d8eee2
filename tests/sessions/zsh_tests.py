# zsh's own tests: pieces of code, each with its output. The output of a piece
# that zsh executes differently by `eval` in a script does not count.
import glob
import os
import re
import shlex
import subprocess
import sys

import extract

source, out = sys.argv[1:3]
MARK = '\x1e'
SKIP = '\n# doctest: +SKIP'
# A02 gives the language's words other meanings. D01 shows the constructs around
# a command, which here are those of the dialect. E03 and Z03 have code with empty
# lines. The line editor, completion and jobs need a terminal; traps and signals
# take time.
NOT_SESSIONS = re.compile('A02|B11|C03|D01|E03|P01|V0[178]|V11|W|X|Y|Z03')


def pieces_of(text):
    """Each piece of code with its stdout and stderr, or None."""
    section = ''
    for paragraph in re.split(r'\n\n+', text):
        lines = [line for line in paragraph.split('\n') if not line.startswith('#')]
        if lines and re.match('%[a-z]+$', lines[0]):
            section = lines.pop(0)
        code = []
        while lines and re.match(r'\s', lines[0]):
            code.append(lines.pop(0))
        if not code or section == '%clean':
            continue
        result = section == '%test' and lines and re.match(r'-|[0-9]+([a-zA-Z]*):', lines[0])
        checked = result and not result[1] and not any(re.match('[<*]', line) for line in lines)
        yield '\n'.join(code), [
            [line[1:] for line in lines if line.startswith(kind)] for kind in '>?'
        ] if checked else None


def session(path):
    start = (f'ZTST_srcdir={source}/Test ZTST_testdir=$PWD '
             'ZTST_verbose=0; setopt nonomatch')
    pieces = [(start, None), *pieces_of(extract.read(path))]
    script = ''.join(
        f'eval {shlex.quote(code)} 2>&3\nprint {MARK}; print {MARK} >&3\n'
        for code, _ in pieces)
    # An open quote would make a piece of the marks.
    result = extract.run(
        ['sh', '-c', 'cat >script; zsh -f script 3>err </dev/null 2>&3; echo; cat err'],
        script, timeout=20).stdout
    marked = result.split(MARK + '\n')
    count = (len(marked) - 1) // 2
    for i, (code, expected) in enumerate(pieces[:count]):
        outputs = [marked[i], marked[count + i].removeprefix('\n') if i == 0 else marked[count + i]]
        shown = [extract.lines_of(output) for output in outputs]
        # `wait %%` waits for a job of an earlier piece, which may not be in the session.
        if expected and shown == expected and 'wait %%' not in code:
            yield code, expected[0] + expected[1]
        else:
            yield code + SKIP, []


sessions = extract.Sessions(out)
for path in sorted(glob.glob(f'{source}/Test/*.ztst')):
    name = os.path.basename(path)
    if NOT_SESSIONS.match(name):
        continue
    try:
        sessions.write(name, list(session(path)))
    except subprocess.TimeoutExpired:
        continue
print(sessions.count)

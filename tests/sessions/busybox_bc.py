# The tests of BusyBox's bc and dc, up to the first reply that GNU's, sys.argv[3],
# has differently. Those that need `bc -l` begin with GNU's own library.
import glob
import os
import re
import subprocess
import sys

import extract

source, out, program = sys.argv[1:]
MARK = '\x1e'
SEPARATOR = {'bc': f'\nprint "{MARK}\\n"\n', 'dc': f'\n[{MARK}\n]P\n'}[program]
LIBRARY = extract.read(f'{os.path.dirname(source)}/bc/bc/libmath.b') if program == 'bc' else ''


def is_complete(text):
    if program == 'dc':
        text = re.sub('#.*', '', text)
        return text.count('[') == text.count(']')
    text = re.sub(r'"[^"]*"|/\*(.|\n)*?\*/|#.*', '', text)
    return (text.count('{') == text.count('}') and '"' not in text
            and '/*' not in text and not text.endswith('\\')
            # The body of a function, a loop or a condition may follow.
            and not re.search(r'(\)|\belse)\s*$', text))


def statements_of(script):
    statement = ''
    for line in script.split('\n'):
        statement += ('\n' if statement else '') + line
        if statement.strip() and is_complete(statement):
            yield statement
            statement = ''
    if statement.strip():
        yield statement


def output_of(script):
    return extract.run(
        [program], script,
        env={**os.environ, 'BC_LINE_LENGTH': '0', 'DC_LINE_LENGTH': '0'}).stdout


def session(script, expected):
    """The steps up to the first reply that GNU's program has differently."""
    statements = list(statements_of(script))
    replies = output_of(SEPARATOR.join([*statements, ''])).split(MARK + '\n')
    steps = []
    for statement, reply in zip(statements, replies):
        if not expected.startswith(reply):
            break
        expected = expected[len(reply):]
        steps.append((statement, extract.lines_of(reply)))
    return steps


sessions = extract.Sessions(out)
for path in sorted(glob.glob(f'{source}/testsuite/{program}*_*.{program}')):
    script = extract.read(path)
    expected = extract.read(path.replace(f'.{program}', '_results.txt'))
    expected = expected.replace('\\\n', '')
    try:
        steps = max(session(script, expected),
                    session(f'{LIBRARY}\n{script}', expected), key=len)
    except subprocess.TimeoutExpired:
        continue
    sessions.write(os.path.basename(path), steps)
print(sessions.count)

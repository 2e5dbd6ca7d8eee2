# SQLite's own tests, as sessions: the SQL of each do_execsql_test whose result
# the program sqlite3 writes too, one value on each line. The SQL of others,
# which need variables of Tcl or write errors, is executed and not compared.
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

import extract

source, out = sys.argv[1:3]
MARK = '\x1e'
SKIP = f'\n-- {extract.SKIP}'
# Each value on a line, as Tcl has them in a list.
SETUP = '.mode list\n.separator "\\n" "\\n"'
# In these, the order, the time or the size of the test matters.
EXCLUDED = re.compile('(bigfile|busy|delete4|lock|malloc|soak|speed|thread|wal)')
BACKSLASHES = {'n': '\n', 't': '\t', 'r': '\r'}


def braced(text, at):
    """The place behind the word in braces that begins at `at`."""
    depth = 0
    while at < len(text):
        if text[at] == '\\':
            at += 1
        elif text[at] == '{':
            depth += 1
        elif text[at] == '}':
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def words_of(text, at, ends):
    """The words of Tcl from `at` on, until a character of `ends`, and the place
    behind it. A word without braces that has substitutions is None."""
    words = []
    while at < len(text):
        if text.startswith('\\\n', at):
            at += 2
        elif text[at] in ends:
            return words, at + 1
        elif text[at].isspace():
            at += 1
        elif text[at] == '{':
            end = braced(text, at)
            words.append(text[at + 1:end - 1].replace('\\\n', ' '))
            at = end
        else:
            match = re.compile(
                r'"((?:[^"\\]|\\.)*)"|((?:[^\s;"\\]|\\.)+)|.', re.S).match(text, at)
            word = match[1] if match[1] is not None else match[2]
            if word is None or re.search(r'[\[$]', word):
                words.append(None)
            else:
                words.append(re.sub(
                    r'\\(.)', lambda found: BACKSLASHES.get(found[1], found[1]), word,
                    flags=re.S))
            at = match.end()
    return words, at


def commands_of(text):
    at = 0
    while at < len(text):
        if text[at] == '#':
            at = (text.find('\n', at) + 1) or len(text)
            continue
        words, at = words_of(text, at, '\n;')
        if words:
            yield words


def sessions_of(text):
    """Lists of SQL with the lines of its result, or None; a list for each
    database."""
    steps = []
    for words in commands_of(text):
        if words[0] in ('reset_db', 'sqlite3', 'forcedelete'):
            yield steps
            steps = []
        if None in words:
            continue
        if words[0] == 'do_execsql_test' and len(words) in (3, 4):
            expected = words_of(words[3], 0, '')[0] if len(words) == 4 else []
            lines = None if None in expected else [
                line for value in expected for line in value.split('\n')]
            steps.append((words[2], lines))
        elif words[0] in ('execsql', 'do_catchsql_test') and len(words) in (2, 4):
            steps.append((words[-1 if len(words) == 2 else 2], None))
    yield steps


def confirmed(steps):
    """Those of sqlite3 itself."""
    text = SETUP + ''.join(f'\n{sql}\n;\n.print {MARK}' for sql, _ in steps) + '\n'
    replies = extract.run(['sqlite3', '-batch', '-init', '/dev/null'], text).stdout.split(
        MARK + '\n')
    if len(replies) != len(steps) + 1:
        return []  # A part that is not complete.
    shown = [(SETUP, [])]
    for (sql, expected), reply in zip(steps, replies):
        sql = sql.strip()
        same = expected == extract.lines_of(reply)
        if sql:
            shown.append((sql, expected) if same else (sql + SKIP, []))
    return shown if any(not sql.endswith(SKIP) for sql, _ in shown[1:]) else []


def sessions_in(path):
    found = []
    for steps in sessions_of(extract.read(path)):
        try:
            found.append(confirmed(steps) if steps else [])
        except subprocess.TimeoutExpired:
            continue
    return found


sessions = extract.Sessions(out)
# Half of them: all take two minutes.
paths = [path for path in sorted(glob.glob(f'{source}/test/*.test'))
         if not EXCLUDED.match(os.path.basename(path))][::2]
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for path, found in zip(paths, pool.map(sessions_in, paths)):
        for number, steps in enumerate(found):
            sessions.write(f'{os.path.basename(path)}_{number:03}', steps)
print(sessions.count)

# Extracts the tests of OCaml's toplevel as sessions: in the folder testsuite of
# its source, the phrases before each [%%expect {| reply |}] are a statement.
# Those sessions are written that `#use` of ocaml itself gives the same replies
# in: it does not for names with a number of the compiler's own (t/150).
import concurrent.futures
import os
import re
import sys
import tempfile

import extract

EXPECT = re.compile(
    r'\[%%expect\s*\{(\w*)\|(.*?)\|\1\}'
    r'(?:\s*,\s*Principal\s*\{(\w*)\|.*?\|\3\})?\s*\]\s*(?:;;)?', re.DOTALL)


def without_comments(text):
    """The end of a text from the line of its first phrase on, which is line 1
    for its messages."""
    depth = start = at = 0
    while at < len(text):
        if text.startswith('(*', at):
            depth += 1
            at += 2
        elif text.startswith('*)', at):
            depth -= 1
            at += 2
            if depth == 0:
                start = at
        elif depth == 0 and not text[at].isspace():
            break
        else:
            at += 1
    return text[start:].lstrip('\n').rstrip()


def chunks(text):
    """The statements, with the lines of their replies."""
    end = 0
    for match in EXPECT.finditer(text):
        statement = without_comments(text[end:match.start()])
        end = match.end()
        if statement:
            yield statement, extract.lines_of(match[2].removeprefix('\n'))


def replies(statements):
    """The replies of ocaml itself, as lines."""
    with tempfile.TemporaryDirectory() as folder:
        for i, statement in enumerate(statements):
            with open(f'{folder}/{i}', 'w', encoding='latin-1') as file:
                file.write(statement)
        out = extract.run(
            ['ocaml', '-noprompt', '-no-version', '-init', '/dev/null'],
            ''.join(f'#use "{i}";;\nprint_string "\\030";;\n'
                    for i in range(len(statements))),
            cwd=folder, timeout=60).stdout
    for reply in out.split('\x1e- : unit = ()\n'):
        yield extract.lines_of(re.sub(
            r'^File "\d+", l(ines? )', r'L\1', reply, flags=re.MULTILINE))


def session(path):
    with open(path, encoding='latin-1') as file:
        text = file.read()
    header = re.match(r'\s*\(\* TEST(.*?)\*\)', text, re.DOTALL)
    # Other tests have flags, further files, or are not for the toplevel.
    if not header or header[1].strip() != '* expect':
        return []
    steps = list(chunks(text))
    trimmed = lambda reply: [line.rstrip() for line in reply]
    confirmed = []
    for (statement, expected), reply in zip(
            steps, replies([statement for statement, _ in steps])):
        # Upstream's replies have no blanks at the ends of their lines. ocaml
        # leaves out a type that is large in memory, where the name of the file
        # counts. Later statements may need the names of this one.
        if (trimmed(reply) != trimmed(expected) or 'is not included in' in ''.join(reply)
                or not extract.fits(statement, reply)):
            break
        confirmed.append((statement, reply))
    return confirmed


sessions = extract.Sessions(sys.argv[2])
tests = os.path.join(sys.argv[1], 'testsuite/tests')
paths = [os.path.join(folder, name)
         for folder, _, names in sorted(os.walk(tests))
         for name in sorted(names) if name.endswith('.ml')
         # Half of all: a hundred files with a few statements each.
         and not folder.endswith('typing-gadts')]
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for path, steps in zip(paths, pool.map(session, paths)):
        sessions.write(os.path.relpath(path, tests), steps)
print(sessions.count)

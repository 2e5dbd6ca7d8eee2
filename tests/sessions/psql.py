"""Extracts the regression tests of PostgreSQL from the folder of its source
package, as sessions of psql for one server: one for each file, to be run in the
order of their names."""

import os
import re
import sys

import extract

DOLLAR = re.compile(r'\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$')
WORD = re.compile(r'[A-Za-z_\x80-\xff][\w$\x80-\xff]*')
COPY = re.compile(r'(?i)\bcopy [^;]*?\bfrom stdin\b')
# The first of the schedule: the rest takes another minute.
TESTS = 95
# Commands that use the statement in the buffer, or empty it.
BUFFER = re.compile(r'\\(g|gx|gset|gexec|gdesc|watch|crosstabview|r|reset)\b')
# The dialect ends a statement by an empty one: commands that repeat the last
# statement, and variables that show its end, must be in the same text.
SAME = re.compile(r"(?m)^\\(g|gx|gset|gexec|gdesc|watch|crosstabview|p)\b|"
                  r":['\"]?(ERROR|SQLSTATE|ROW_COUNT|LAST_ERROR_SQLSTATE)\b")


class Scanner:
    """Where statements end, as psql's own scanner sees it."""

    def __init__(self):
        self.quote = None  # The end of the string or name.
        self.comments = 0
        self.ifs = 0
        self.ended = False  # A statement has ended.
        self.reset()

    def reset(self):
        self.parens = 0
        self.words = []
        self.begins = 0

    def complete(self):
        return self.ended and not self.quoted() and not self.words

    def quoted(self):
        return self.quote is not None or self.comments > 0

    def word(self, word):
        word = word.lower()
        self.words.append(word)
        # The body of CREATE FUNCTION ... BEGIN ATOMIC ... END.
        if self.words[0] == 'create' and (
                'function' in self.words[:4] or 'procedure' in self.words[:4]):
            if word == 'begin' or (word == 'case' and self.begins):
                self.begins += 1
            elif word == 'end' and self.begins:
                self.begins -= 1

    def command(self, text):
        """A backslash command: the rest of the line."""
        self.ended = True
        if text.startswith('\\if'):
            self.ifs += 1
        elif text.startswith('\\endif'):
            self.ifs -= 1
        elif BUFFER.match(text):
            self.reset()

    def line(self, text):
        """Reads a line. Returns how often psql reads data of a COPY then."""
        at = 0
        copies = 0
        while at < len(text):
            rest = text[at:]
            size = 1
            if self.comments:
                if rest[:2] in ('/*', '*/'):
                    self.comments += 1 if rest[0] == '/' else -1
                    size = 2
            elif self.quote:
                if self.quote == "E'" and rest[0] == '\\':
                    size = 2
                elif self.quote[0] == '$' and rest.startswith(self.quote):
                    size = len(self.quote)
                    self.quote = None
                elif self.quote[0] != '$' and rest[0] == self.quote[-1]:
                    self.quote = None
            elif rest.startswith('--'):
                break
            elif rest.startswith('/*'):
                self.comments = 1
                size = 2
            elif rest[0] in '\'"' or re.match(r"[eE]'", rest):
                self.quote = "E'" if rest[0] in 'eE' else rest[0]
                self.words.append(rest[0])
                size = len(self.quote)
            elif found := DOLLAR.match(rest):
                self.quote = found.group()
                self.words.append('$')
                size = len(self.quote)
            elif found := WORD.match(rest):
                self.word(found.group())
                size = found.end()
            elif rest[0] == ';' and not self.parens and not self.begins:
                copies += len(COPY.findall(' '.join(self.words)))
                self.ended = True
                self.reset()
            elif rest.startswith('\\;'):
                size = 2
            elif rest[0] == '\\':
                copies += bool(COPY.match(rest[1:]))
                self.command(rest)
                break
            else:
                self.parens = max(
                    self.parens + {'(': 1, ')': -1}.get(rest[0], 0), 0)
                if not rest[0].isspace():
                    self.words.append(rest[0])
            at += size
        return copies


def split(sql, out):
    """The statements of the lines `sql`: lists of lines, each with whether psql
    repeats it in its output `out`; and whether it belongs to the one before."""
    scanner = Scanner()
    statement = []
    joined = False
    lines = iter(sql)
    for text in lines:
        # psql does not repeat empty lines of a statement.
        if text or scanner.quoted():
            statement.append((text, True))
        elif statement:
            statement.append((text, False))
        copies = scanner.line(text)
        if copies and not refused(text, out):
            for data in lines:
                statement.append((data, False))
                copies -= data == '\\.'
                if not copies:
                    break
        if scanner.complete():
            text = '\n'.join(text for text, _ in statement)
            yield statement, joined or SAME.search(text)
            statement = []
            scanner.ended = False
            joined = scanner.ifs > 0
    if statement:
        yield statement, joined


def refused(copy, out):
    """Whether a COPY failed before its data."""
    for end, text in enumerate(out, 1):
        if text == copy and out[end:] and out[end].startswith('ERROR: '):
            return not any(
                x.startswith('CONTEXT:  COPY') for x in out[end:end + 5])
    return False


class Mismatch(Exception):
    pass


def pairs(sql, out):
    """Statements with the lines of their replies."""
    found = []
    out = list(out)
    at = 0
    for statement, joined in split(sql, out):
        echo = [text for text, repeated in statement if repeated]
        begin = at
        if begin == len(out):
            raise Mismatch(echo)
        while out[begin:begin + len(echo)] != echo:
            # After a reply without a newline at its end.
            if (out[begin] != echo[0] and out[begin].endswith(echo[0]) and echo[0].startswith('\\') and
                    out[begin + 1:begin + len(echo)] == echo[1:]):
                out[begin:begin + 1] = [
                    out[begin].removesuffix(echo[0]), echo[0]]
            begin += 1
            if begin == len(out):
                raise Mismatch(echo)
        if found:
            found[-1][1].extend(out[at:begin])
        text = '\n'.join(text for text, _ in statement)
        if found and joined:
            found[-1][0] += '\n' + text
        else:
            found.append([text, []])
        at = begin + len(echo)
    found[-1][1].extend(out[at:])
    return found


def c_functions(setup):
    """The functions that need regress.so, which Debian has in no package."""
    return re.findall(
        r"(?i)create function (\w+)[^;]*\bas :'regresslib'", setup)


def by_client(statements, folder):
    """The statements, with a COPY of the server from a file of the tests, which
    the server's user may not read, as one of psql."""
    file = ''
    for text, reply in statements:
        if found := re.search(r"\\set filename :abs_srcdir '([^']*)'$", text):
            file = folder + found[1]
        elif re.search(r'\\getenv \w+ \w+$', text):
            pass
        else:
            yield re.sub(r"COPY (\w+) FROM :'filename';",
                         rf"\\copy \1 from '{file}'", text), reply


def with_directives(statements):
    """Of psql's dialect, messages begin with the name and line of a script."""
    for text, reply in statements:
        shown = [re.sub(r'^(?=(ERROR|WARNING|NOTICE|INFO|LOG|FATAL):  )', '...',
                        line) for line in reply]
        if '\\' in text and shown:
            shown[0] = re.sub(r'^(?=\\|invalid )', '...', shown[0])
        if shown != reply:
            text = f'-- {extract.ELLIPSIS}\n{text}'
        yield text, shown


# As pg_regress does.
DATABASE = """create database regression template template0;
alter database regression set lc_messages to 'C';
alter database regression set lc_monetary to 'C';
alter database regression set lc_numeric to 'C';
alter database regression set lc_time to 'C';
alter database regression set bytea_output to 'hex';
alter database regression set timezone_abbreviations to 'Default';
alter database regression set timezone to 'America/Los_Angeles';
alter database regression set datestyle to 'Postgres, MDY';
alter database regression set intervalstyle to 'postgres_verbose';"""
CLIENT = """\\c regression
\\encoding UTF8
\\pset format aligned
\\pset tuples_only off
\\set HIDE_TABLEAM on
\\set HIDE_TOAST_COMPRESSION on"""


def main():
    regress = os.path.abspath(os.path.join(sys.argv[1], 'src/test/regress'))
    setup = extract.read(f'{regress}/sql/test_setup.sql')
    missing = re.compile('|'.join(
        ['regresslib', 'dlsuffix', *c_functions(setup)]))
    sessions = extract.Sessions(sys.argv[2])
    sessions.write('000', [(DATABASE, [])])
    schedule = []
    for line in extract.read(f'{regress}/parallel_schedule').splitlines():
        if line.startswith('test: '):
            schedule += line.split()[1:]
    for number, test in enumerate(schedule[:TESTS], 1):
        path = f'{regress}/expected/{test}.out'
        if not os.path.exists(path):
            continue  # Made from a template.
        sql = extract.read(f'{regress}/sql/{test}.sql')
        try:
            found = list(pairs(sql.split('\n'),
                               extract.lines_of(extract.read(path))))
        except Mismatch:
            continue  # Strings with backslashes, or data that look like SQL.
        if test == 'test_setup':
            found = [pair for pair in found if not missing.search(pair[0])]
        found = list(by_client(found, regress))
        if missing.search(sql) and test != 'test_setup':
            continue
        # The server would read or write other files.
        if any('abs_' in text or ":'filename'" in text for text, _ in found):
            continue
        sessions.write(f'{number:03}_{test}',
                       [(CLIENT, []), *with_directives(found)])
    print(sessions.count)


main()

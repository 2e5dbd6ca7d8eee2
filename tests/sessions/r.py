"""Extracts the recorded sessions of R's own tests from the folder of its source
package, as sessions of R: one for each *.Rout.save."""

import glob
import os
import re
import sys

import extract

# Debian has them in packages of their own.
RECOMMENDED = re.compile(
    r'\b(boot|class|cluster|codetools|foreign|KernSmooth|lattice|MASS|Matrix|'
    r'mgcv|nlme|nnet|rpart|spatial|survival)\b')
# They need the network, other processes or stdin, show the prompts of source(),
# or depend on the library for linear algebra or on the locale's ICU;
# grDevices-Ex takes a minute.
NOT_COMPARED = {'internet', 'multicore2', 'snow2', 'reg-IO', 'test-system',
                'eval-etc', 'eval-etc-2', 'demos', 'lapack', 'grDevices-Ex',
                'reg-tests-2'}
# Times, addresses and places.
VOLATILE = re.compile(
    r'proc\.time|[Tt]ime elapsed|Sys\.time|system\.time|md5sum|R\.home|'
    r'R_user_dir|showConnections|str\(vi\)|vignetteInfo|<environment: 0x|<bytecode|<pointer|/tmp/')
# R writes to stdout after it has written this to stderr.
MIXED = re.compile(r'^Read \d+ (item|record)')


def steps(lines):
    """The statements with the lines of their replies."""
    found = []
    lines = list(lines)
    while lines:
        line = lines.pop(0)
        if line == '>' or line.startswith('> '):
            found.append((line[2:], []))
        elif not found:
            continue  # The banner.
        elif not found[-1][1] and (line == '+' or line.startswith('+ ')):
            found[-1] = (found[-1][0] + '\n' + line[2:], [])
        elif (re.match(r'\s*cat\((?!.*\\n)', found[-1][0], re.S)
              and '> ' in line):
            # The next prompt follows a reply without a newline.
            reply, _, rest = line.partition('> ')
            found[-1][1].append(reply)
            lines.insert(0, '> ' + rest)
        elif not line.startswith('Calls: '):  # Of a script's error.
            found[-1][1].append(line)
    return found


def main():
    sessions = extract.Sessions(sys.argv[2])
    tests = os.path.abspath(os.path.join(sys.argv[1], 'tests'))
    # As the tests are started, with a copy of their files.
    setup = [
        ('options(keep.source = FALSE)', []),
        ('Sys.setenv(TZ = "UTC", LANGUAGE = "en", SRCDIR = ".")', []),
        (f'invisible(file.copy(dir("{tests}", full.names = TRUE), "."))', []),
    ]
    for path in sorted(glob.glob(f'{sys.argv[1]}/**/*.Rout.save',
                                 recursive=True)):
        text = extract.read(path)
        name = os.path.relpath(path, sys.argv[1]).removesuffix('.Rout.save')
        if (os.path.basename(name) in NOT_COMPARED or re.search(
                r'''(require|library|requireNamespace)\(["']?''' + RECOMMENDED.pattern,
                text)):
            continue
        found = []
        for statement, reply in steps(extract.lines_of(text)):
            shown = '\n'.join([statement, *reply])
            if VOLATILE.search(shown) or (reply and MIXED.match(reply[0])):
                found.append((f'{extract.SKIP}\n{statement}', []))
            else:
                found.append((statement, reply))
        # The order of strings is always that of C.
        found.insert(0, ('invisible(Sys.setlocale("LC_COLLATE", "C"))', []))
        locale = 'C' if text.isascii() else 'C.UTF-8'
        found.insert(0, (f'invisible(Sys.setlocale("LC_ALL", "{locale}"))', []))
        sessions.write(name, setup + found)
    print(sessions.count)


main()

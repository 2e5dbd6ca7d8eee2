# The examples of node's documentation, as sessions: the code before each comment
# "Prints: text", as far as node, with all of an example in one file, prints the
# same.
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

import extract

source, out = sys.argv[1:3]
MARK = '\x1e'
BLOCK = re.compile(r'^```(?:js|cjs)\n(.*?)^```', re.M | re.S)
PRINTS = re.compile(r'// Prints:? ?(.*)')


def parts_of(block):
    """Codes with the lines that they print."""
    code, lines = [], block.split('\n')
    while lines:
        line = lines.pop(0)
        match = PRINTS.search(line)
        if not match:
            code.append(line)
            continue
        code.append(line[:match.start()])
        reply = [match[1]] if match[1] else []
        while lines and re.match(r'// ?', lines[0]) and not PRINTS.match(lines[0]):
            reply.append(re.sub('^// ?', '', lines.pop(0)))
        yield '\n'.join(code).strip('\n'), [line.strip() for line in reply]
        code = []


def confirmed(block):
    parts = list(parts_of(block))
    text = ''.join(f'{code}\nconsole.log("{MARK}");\n' for code, _ in parts)
    try:
        shown = extract.run(['node', '-'], text, timeout=10).stdout.split(f'{MARK}\n')
    except subprocess.TimeoutExpired:
        return []
    steps = []
    for (code, expected), reply in zip(parts, shown[:-1]):
        lines = extract.lines_of(reply)
        if [line.strip() for line in lines] != expected:
            break
        # The value of the last expression is no part of what is printed.
        steps.append((f'{code}\nundefined', lines))
    return steps


sessions = extract.Sessions(out)
blocks = [(f'{os.path.basename(path)}_{number:03}', match[1])
          for path in sorted(glob.glob(f'{source}/doc/api/*.md'))
          for number, match in enumerate(BLOCK.finditer(extract.read(path)))
          if PRINTS.search(match[1])]
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for (name, _), steps in zip(blocks, pool.map(confirmed, [block for _, block in blocks])):
        sessions.write(name, steps)
print(sessions.count)

# Ruby's documentation of its classes, as sessions: the examples in comments of
# its source, `code # => value`, whose value ruby shows so too. An example with
# another value or with output is executed and not compared.
import glob
import json
import os
import re
import subprocess
import sys

import extract

source, out = sys.argv[1:3]
COMMENT = re.compile(r'/\*(.*?)\*/', re.S)
VALUE = re.compile(r'(.*?)\s*#\s*=>\s*(.*)')
# An example may depend on time, processes, files, memory or numbers by chance.
EXCLUDED = re.compile(
    r'\b(ARGF|fork|exec|system|spawn|sleep|exit|abort|Process|Thread|Ractor|Time|File|Dir|IO|'
    r'gets|read|rand|srand|sample|shuffle|Random|GC|ObjectSpace|trap|warn|pid|'
    r'object_id|hash|at_exit|Fiber|TracePoint|Signal|__id__|ENV)\b|`|0x0')

# Evaluates each session, a list of codes, in a process of its own. Writes a
# line of JSON for each: the values as text, null for an error or output, false
# for code with an error of syntax; or null for all.
DRIVER = r'''
require "json"
require "set"
JSON.parse(STDIN.read).each do |codes|
  from, to = IO.pipe
  child = fork do
    from.close
    STDIN.reopen("/dev/null")
    [STDOUT, STDERR].each { |stream| stream.reopen("output", "a") }
    own = TOPLEVEL_BINDING.dup
    values = codes.map do |code|
      begin
        before = File.size("output")
        text = own.eval(code).inspect
        [STDOUT, STDERR].each(&:flush)
        text if File.size("output") == before
      rescue SyntaxError
        false
      rescue Exception
        nil
      end
    end
    to.write(values.to_json)
    to.close
    exit!
  end
  to.close
  text = from.read if IO.select([from], nil, nil, 3)
  Process.kill(:KILL, child)
  Process.wait(child)
  puts(text.nil? || text.empty? ? "null" : text)
end
'''


def examples_of(comment):
    """Codes with the text of their values, or None."""
    code = []
    for line in comment.split('\n'):
        line = re.sub(r'^\s*\*', '', line)
        if not line.startswith('   '):
            if code:
                yield '\n'.join(code), None
            code = []
            continue
        match = VALUE.fullmatch(line.strip())
        code.append(match[1] if match else line.strip())
        if match:
            yield '\n'.join(code).strip(), match[2].strip()
            code = []
    if code:
        yield '\n'.join(code), None


def session(examples, values):
    for (code, wanted), value in zip(examples, values):
        if value is False or not code.strip():
            continue
        if value is not None and value == wanted:
            yield code, [] if value == 'nil' else extract.lines_of(f'=> {value}')
        else:
            yield f'{code}\n{extract.SKIP}', []


sessions = extract.Sessions(out)
found = []
for path in sorted(glob.glob(f'{source}/*.c')):
    for number, match in enumerate(COMMENT.finditer(extract.read(path))):
        examples = list(examples_of(match[1]))
        if any(wanted for _, wanted in examples) and not EXCLUDED.search(match[1]):
            found.append((f'{os.path.basename(path)}_{number:04}', examples))
found = found[::3]  # All take minutes: each starts ruby.
result = extract.run(
    ['ruby', '-W0', '-e', DRIVER],
    json.dumps([[code for code, _ in examples] for _, examples in found]), timeout=100)
for (name, examples), line in zip(found, result.stdout.splitlines()):
    steps = list(session(examples, json.loads(line) or []))
    if any(not code.endswith(extract.SKIP) for code, _ in steps):
        sessions.write(name, [("require 'set'; nil", [])] + steps)
print(sessions.count)

# The tests of BusyBox's shell: scripts whose output is known. Those that the
# shell sys.argv[3] has the same output of become sessions.
import glob
import os
import subprocess
import sys

import extract
import shell_scripts

source, out, program = sys.argv[1:]
sessions = extract.Sessions(out)
for path in sorted(glob.glob(f'{source}/shell/ash_test/ash-*[!w]/*.tests')):
    folder, name = os.path.split(path)
    try:
        steps = shell_scripts.session(
            [program], folder, name, f'export THIS_SH={program}',
            extract.read(path.replace('.tests', '.right')))
    except subprocess.TimeoutExpired:
        continue
    if steps:
        sessions.write(f'{os.path.basename(folder)}_{name}', steps)
print(sessions.count)

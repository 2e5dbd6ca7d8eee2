"""Installs the hook in every Python that has this folder on its PYTHONPATH: the
one that runs the tests, and those that the tests run."""

import os

if os.environ.get("FORK_EXEC_HOOK"):
    import fork_exec_hook

    fork_exec_hook.install(os.environ["FORK_EXEC_HOOK"])

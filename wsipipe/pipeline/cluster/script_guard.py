"""Detect scripts that start a run while a worker process imports them.

Worker processes are spawned: each imports the script that started the run. A script without
``if __name__ == "__main__":`` then calls ``run`` again in every worker, before the worker is up.
"""

import os
from multiprocessing import process

UNGUARDED_EXIT = 87
"""Exit status of a worker process whose script calls ``run`` while it is imported."""

MESSAGE = (
    "The script calls wsipipe when it is imported, and every worker process imports it: the call would run "
    "again in each of them. Put the call, and all that should happen once, below a line "
    'if __name__ == "__main__": at the end of the script.'
)


def is_importing_script() -> bool:
    """True in a worker process that is still importing the script of the process that started it."""
    # The mark by which multiprocessing itself refuses to start processes at this moment.
    return bool(getattr(process.current_process(), "_inheriting", False))


def check_guard() -> None:
    """End this process at once if it is a worker that imports its script; the driver reports the error."""
    if is_importing_script():
        # Without a traceback of every worker, and past any ``except`` of the script.
        os._exit(UNGUARDED_EXIT)

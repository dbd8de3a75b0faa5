"""Detection of scripts that start a run while a worker process imports them.

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
    """Return whether this is a worker process that still imports the script of its parent."""
    # multiprocessing itself refuses to start processes while this attribute is set.
    return bool(getattr(process.current_process(), "_inheriting", False))


def check_guard() -> None:
    """End this process if it is a worker that imports its script.

    The main process reports the error.
    """
    if is_importing_script():
        # Skips a traceback per worker and every ``except`` of the script.
        os._exit(UNGUARDED_EXIT)

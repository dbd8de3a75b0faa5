"""A process that imports libraries once and forks the workers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_all_start_methods

METHOD = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
"""How worker processes start. A server is itself a new process, so no open handle or lock is inherited."""


def start_server(modules: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start the server in the background; one that runs already stays as it is.

    Args:
        modules: Modules that it imports.
        environment: Environment variables of the server, and so of the workers.
    """
    if METHOD != "forkserver":
        return
    forkserver.set_forkserver_preload(list(modules))
    with _set(environment):
        forkserver.ensure_running()


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

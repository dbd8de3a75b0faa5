"""A process that imports libraries once and forks the workers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_all_start_methods

METHOD = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
"""How worker processes start. A server is itself a new process, so no open handle or lock is inherited."""
OWN_PREFIX = "WSIPIPE_"
"""Variables that a worker takes from this process when it starts, and the server never has."""


def start_server(modules: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start the server in the background; one that runs already stays as it is.

    Args:
        modules: Modules that it imports.
        environment: Environment variables of the server, and so of the workers.
    """
    if METHOD != "forkserver":
        return
    forkserver.set_forkserver_preload(list(modules))
    own = {name: None for name in os.environ if name.startswith(OWN_PREFIX)}
    with _changed({**environment, **own}):
        forkserver.ensure_running()


def worker_environment() -> dict[str, str]:
    """Return the variables that a worker needs from this process as it is now.

    A worker inherits the environment of the server, which may have started long before.
    """
    return dict(os.environ) if METHOD == "forkserver" else {}


@contextmanager
def _changed(environment: Mapping[str, str | None]) -> Iterator[None]:
    """Change variables of this process for a while; None removes one."""
    before = {name: os.environ.get(name) for name in environment}
    _set(environment)
    try:
        yield
    finally:
        _set(before)


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

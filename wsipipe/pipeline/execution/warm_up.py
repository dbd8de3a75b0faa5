"""Import what shards need before a worker gets its first one."""

import threading
from importlib import import_module

_SHARDS = "wsipipe.pipeline.execution.shard_task"
_NETWORKS = "wsipipe.models.predictor"
"""Importing torch takes seconds and hundreds of MB; only workers that run a network do it."""


def shard_modules(has_networks: bool) -> tuple[str, ...]:
    """Return the modules that the shards of a workflow need.

    None of them may start a thread, since workers are forked from a process that has imported them; pyarrow
    does.
    """
    return (_SHARDS, _NETWORKS) if has_networks else (_SHARDS,)


def start_imports(has_networks: bool, runs_networks: bool) -> None:
    """Import the modules of shards in a thread of this worker.

    A worker that opens a slide or finds its tissue leaves the others without work; they use this time.

    Args:
        has_networks: Whether the workflow has networks.
        runs_networks: Whether this worker runs those of a workflow that has some.
    """
    # Not a daemon: one that still loads libraries while its process ends may abort it.
    modules = shard_modules(has_networks and runs_networks)
    threading.Thread(target=_import, args=(modules,), name="imports").start()


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        import_module(module)

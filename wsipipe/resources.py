"""Processes, threads, device and memory of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Where and with how much a run computes; none of it changes the pixels of a float32 run.

    Attributes:
        workers: CPU processes; None for one a core, or as many as the memory budget allows.
        threads: Threads of a network in each; None divides the cores.
        scheduler: Address of an existing Dask cluster.
        device: ``cpu``, ``cuda`` or ``auto``.
        memory_budget: Bytes of main memory for the whole run; workers, shards and patches are chosen from it.
    """

    workers: int | None = None
    threads: int | None = None
    scheduler: str | None = None
    device: str = "auto"
    memory_budget: int | None = None


DEFAULT_RESOURCES = Resources()

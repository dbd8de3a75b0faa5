"""Workers of a Dask cluster: resources, processors and memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from distributed import Client

from wsipipe.models.precision import processor_name
from wsipipe.pipeline.cluster.peak_memory import highest_mb


def has_workers(client: Client) -> bool:
    """Return whether any worker is connected."""
    return bool(_declared(client))


def processors(client: Client) -> list[str]:
    """Return name and instruction sets of each worker's processor."""
    return [str(name) for name in client.run(processor_name, on_error="ignore").values()]


def peak_memory_mb(client: Client) -> dict[str, float]:
    """Return the peak resident memory of each worker process, MB."""
    peaks = client.run(highest_mb, on_error="ignore")
    return {f"worker {i}": round(peak) for i, peak in enumerate(peaks.values())}


def gpu_workers(client: Client) -> int:
    """Count the workers that declare the resource ``GPU``."""
    return sum("GPU" in resources for resources in _declared(client))


@dataclass(frozen=True)
class Lane:
    """Workers that take the same tasks.

    Attributes:
        networks: Whether their tasks run a network; both values where all workers take both.
        resources: Dask resources that a task requires.
        slots: Number of tasks that run at once.
    """

    networks: tuple[bool, ...]
    resources: dict[str, float]
    slots: int


def lanes(client: Client) -> list[Lane]:
    """Return the lanes of a cluster: networks on GPU workers, everything else on CPU workers.

    Without workers that declare the resource ``GPU`` there is one lane. On a cluster whose workers declare
    nothing, every task runs anywhere.
    """
    workers = _workers(client)
    names = {name for worker in workers for name in worker["resources"]}
    cpu = Lane((False,), {"CPU": 1} if "CPU" in names else {}, _slots(workers, "CPU"))
    if "GPU" in names:
        return [Lane((True,), {"GPU": 1}, _slots(workers, "GPU")), cpu]
    return [replace(cpu, networks=(True, False))]


def call_in_all(client: Client, function: Callable[[bool], None]) -> None:
    """Call a function in every worker, with whether that worker runs networks.

    It must return at once. A worker that does not answer is left out.
    """
    found = client.scheduler_info(n_workers=-1)["workers"]
    on_gpu = {address for address, worker in found.items() if "GPU" in worker["resources"]}
    networks = on_gpu or set(found)
    for chosen, runs_networks in ((networks, True), (set(found) - networks, False)):
        if chosen:
            client.run(function, runs_networks, workers=sorted(chosen), on_error="ignore")


def _slots(workers: list[dict[str, Any]], resource: str) -> int:
    """Count the tasks with a resource that run at once.

    Where no worker declares any, all threads count.
    """
    if not any(worker["resources"] for worker in workers):
        return sum(worker["nthreads"] for worker in workers)
    return sum(min(worker["nthreads"], int(worker["resources"].get(resource, 0))) for worker in workers)


def _declared(client: Client) -> list[dict[str, float]]:
    return [worker["resources"] for worker in _workers(client)]


def _workers(client: Client) -> list[dict[str, Any]]:
    return list(client.scheduler_info(n_workers=-1)["workers"].values())

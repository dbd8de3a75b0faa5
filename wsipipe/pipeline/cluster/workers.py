"""Workers of a Dask cluster: resources, processors and memory."""

import resource

from distributed import Client

from wsipipe.models.precision import processor_name


def has_workers(client: Client) -> bool:
    """Return whether any worker is connected."""
    return bool(_declared(client))


def processors(client: Client) -> list[str]:
    """Return name and instruction sets of each worker's processor."""
    return [str(name) for name in client.run(processor_name, on_error="ignore").values()]


def peak_memory_mb(client: Client) -> dict[str, float]:
    """Return the peak resident memory of each worker process, MB."""
    peaks = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, on_error="ignore")
    return {f"worker {i}": round(peak) for i, peak in enumerate(peaks.values())}


def gpu_workers(client: Client) -> int:
    """Count the workers that declare the resource ``GPU``."""
    return sum("GPU" in resources for resources in _declared(client))


def placement(client: Client, device_stage: bool) -> dict[str, float]:
    """Return the Dask resources that a task requires.

    Networks run on GPU workers, everything else on CPU workers. On a cluster whose workers declare no such
    resource, every task runs anywhere.

    Args:
        client: Client of the cluster.
        device_stage: Whether the task runs a network.
    """
    declared = {name for resources in _declared(client) for name in resources}
    if device_stage and "GPU" in declared:
        return {"GPU": 1}
    return {"CPU": 1} if "CPU" in declared else {}


def _declared(client: Client) -> list[dict[str, float]]:
    return [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]

"""Questions to the workers of a Dask cluster, whoever started them."""

import resource

from distributed import Client

from wsipipe.models.precision import processor_name


def peak_memory_mb(client: Client) -> dict[str, float]:
    """Return the peak resident memory of each worker process, MB."""
    peaks = client.run(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, on_error="ignore")
    return {f"worker {i}": round(peak) for i, peak in enumerate(peaks.values())}


def has_workers(client: Client) -> bool:
    """Whether any worker is connected."""
    return bool(_declared(client))


def processors(client: Client) -> list[str]:
    """Name and instruction sets of each worker's processor."""
    return [str(name) for name in client.run(processor_name, on_error="ignore").values()]


def gpu_workers(client: Client) -> int:
    """Workers that declare the resource ``GPU``."""
    return sum("GPU" in resources for resources in _declared(client))


def _declared(client: Client) -> list[dict[str, float]]:
    return [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]


def placement(client: Client, device_stage: bool) -> dict[str, float]:
    """Resources that a task asks for, so that networks run on GPU workers and the rest beside them.

    A cluster whose workers declare no such resource takes every task anywhere.
    """
    declared = {name for resources in _declared(client) for name in resources}
    if device_stage and "GPU" in declared:
        return {"GPU": 1}
    return {"CPU": 1} if "CPU" in declared else {}

"""Measure what the scheduling of a shard costs, on many workers that only wait.

The workers are threads of this process, and several slides share them as in a run. Run
``python benchmarks/many_shards.py --workers 64 --shards 600 6000``; the cost of a shard and the memory must
hardly grow with the number of shards.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import psutil
from distributed import Client, LocalCluster

from wsipipe.pipeline.cluster.client import dask_settings
from wsipipe.pipeline.cluster.task_batch import TaskCall
from wsipipe.pipeline.cluster.task_pool import TaskPool

SLIDES = 4
"""Slides that run at once, each with a thread and a window of tasks of its own."""


def wait(seconds: float, attempt: int) -> int:
    """Take the time of a shard without computing."""
    time.sleep(seconds)
    return attempt


def run_slide(pool: TaskPool, name: str, shards: int, seconds: float) -> int:
    """Run the shards of a slide; return how many ended."""
    left = iter(range(shards))

    def next_task(networks: tuple[bool, ...]) -> TaskCall[int] | None:
        shard = next(left, None)
        return None if shard is None else TaskCall(f"{name}.{shard}", wait, (seconds,))

    return sum(1 for _ in pool.each(next_task))


def idle_share(seconds: float = 5.0) -> float:
    """Return the CPU seconds that the cluster takes a second while it has no tasks."""
    began = time.process_time()
    time.sleep(seconds)
    return (time.process_time() - began) / seconds


def measure(client: Client, workers: int, shards: int, seconds: float) -> None:
    """Run all slides and print the costs.

    Args:
        client: Client of the cluster.
        workers: Number of its workers.
        shards: Shards of all slides together.
        seconds: Time of a shard, s.
    """
    own = psutil.Process()
    with tempfile.TemporaryDirectory() as markers, ThreadPoolExecutor(SLIDES) as threads:
        pool = TaskPool(client, Path(markers))
        idle = idle_share()
        cpu, began = time.process_time(), time.perf_counter()
        done = sum(
            threads.map(lambda i: run_slide(pool, f"slide{i}", shards // SLIDES, seconds), range(SLIDES))
        )
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    cpu_s -= idle * wall_s
    least_s = done * seconds / workers
    print(
        f"{done} shards of {seconds:g} s on {workers} workers: {wall_s:.1f} s, {wall_s / least_s - 1:.1%} "
        f"more than {least_s:.1f}; {1000 * cpu_s / done:.2f} ms of CPU a shard besides {idle:.0%} idle, "
        f"{own.memory_info().rss / 1e6:.0f} MB"
    )


def main() -> None:
    """Run the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--shards", type=int, nargs="+", default=[600, 6000])
    parser.add_argument("--seconds", type=float, default=2.0, help="time of a shard")
    asked = parser.parse_args()
    with (
        dask_settings(),
        # Each worker watches its process, here 64 times the same one.
        dask.config.set({"distributed.admin.system-monitor.interval": "60s"}),
        LocalCluster(
            n_workers=asked.workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            resources={"CPU": 1},
            memory_limit=0,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for shards in asked.shards:
            measure(client, asked.workers, shards, asked.seconds)


if __name__ == "__main__":
    main()

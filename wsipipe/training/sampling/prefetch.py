"""Batches that are prepared in the background.

Each depends only on (seed, step). Workers do not import torch, so they use little memory.
"""

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.generic]]
Sampler = Callable[[np.random.Generator], Arrays]
AHEAD = 2


def prefetched(sampler: Sampler, seed: int, steps: range, workers: int = 0) -> Generator[Arrays]:
    """Yield the batch of each step while the next ones are prepared.

    Args:
        sampler: Function that makes a batch; pickled to the workers.
        seed: Seed; together with the step it determines the batch.
        steps: Numbers of the steps.
        workers: Number of worker processes; 0 is one thread of this process.
    """
    with _pool(sampler, workers) as pool:
        task = _sample_in_worker if workers else sampler
        waiting: deque[Future[Arrays]] = deque()
        ahead = iter(steps)
        try:
            for _ in steps:
                for step in ahead:
                    waiting.append(pool.submit(_sample, task, seed, step))
                    if len(waiting) > AHEAD * max(workers, 1):
                        break
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _sample(sampler: Sampler, seed: int, step: int) -> Arrays:
    return sampler(np.random.default_rng([seed, step]))


def _pool(sampler: Sampler, workers: int) -> Executor:
    if not workers:
        return ThreadPoolExecutor(1, thread_name_prefix="sampler")
    # The network uses the other cores, so a worker has one thread. Children inherit the environment.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # A forked child of a process with torch threads can hang, so workers are spawned.
    return ProcessPoolExecutor(workers, get_context("spawn"), _set_worker_sampler, (sampler,))


_worker_sampler: list[Sampler] = []


def _set_worker_sampler(sampler: Sampler) -> None:
    """Store the sampler with its images in a new worker."""
    _worker_sampler[:] = [sampler]


def _sample_in_worker(rng: np.random.Generator) -> Arrays:
    return _worker_sampler[0](rng)

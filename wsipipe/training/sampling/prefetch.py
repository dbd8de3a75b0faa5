"""Batches drawn ahead of the network, each from (seed, step) alone; without torch, so workers are lean."""

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
    """Batch of each step, the next ones being drawn in the background.

    Args:
        sampler: Makes a batch; pickled to the workers.
        seed: With the step's number it alone decides what is drawn.
        steps: Numbers of the steps.
        workers: Processes that draw; 0 is one thread of this process.
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
    # The network has the other cores: a worker is one thread. Children inherit what is set here.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # A forked child of a process that runs torch's threads can hang, so children start afresh.
    return ProcessPoolExecutor(workers, get_context("spawn"), _set_worker_sampler, (sampler,))


_worker_sampler: list[Sampler] = []


def _set_worker_sampler(sampler: Sampler) -> None:
    """Start of a worker: keeps the drawer with its images."""
    _worker_sampler[:] = [sampler]


def _sample_in_worker(rng: np.random.Generator) -> Arrays:
    return _worker_sampler[0](rng)

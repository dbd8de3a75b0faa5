"""Batches drawn ahead of the network, each from (seed, step) alone; without torch, so workers are lean."""

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.generic]]
Draw = Callable[[np.random.Generator], Arrays]
AHEAD = 2


def drawn(draw: Draw, seed: int, steps: range, workers: int = 0) -> Generator[Arrays]:
    """Batch of each step, the next ones being drawn in the background.

    Args:
        draw: Makes a batch; pickled to the workers.
        seed: With the step's number it alone decides what is drawn.
        steps: Numbers of the steps.
        workers: Processes that draw; 0 is one thread of this process.
    """
    with _pool(draw, workers) as pool:
        task = _worker_draw if workers else draw
        waiting: deque[Future[Arrays]] = deque()
        ahead = iter(steps)
        try:
            for _ in steps:
                for step in ahead:
                    waiting.append(pool.submit(_draw, task, seed, step))
                    if len(waiting) > AHEAD * max(workers, 1):
                        break
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _draw(draw: Draw, seed: int, step: int) -> Arrays:
    return draw(np.random.default_rng([seed, step]))


def _pool(draw: Draw, workers: int) -> Executor:
    if not workers:
        return ThreadPoolExecutor(1, thread_name_prefix="draw")
    # The network has the other cores: a worker is one thread. Children inherit what is set here.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # A forked child of a process that runs torch's threads can hang, so children start afresh.
    return ProcessPoolExecutor(workers, get_context("spawn"), _keep, (draw,))


_kept: list[Draw] = []


def _keep(draw: Draw) -> None:
    """Start of a worker: keeps the drawer with its images."""
    _kept[:] = [draw]


def _worker_draw(rng: np.random.Generator) -> Arrays:
    return _kept[0](rng)

"""Run compression and decompression in threads of this process.

Codecs let other Python threads run, so threads of one process suffice.
"""

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from wsipipe.common.machine import usable_cores

_MOST_THREADS = 16


def thread_count() -> int:
    """Return the threads that work at once.

    Workers of a cluster state their share of the processor in ``OMP_NUM_THREADS``.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "")
    usable = usable_cores()
    return max(1, min(int(stated) if stated.isdecimal() else usable, usable, _MOST_THREADS))


def in_own_thread[**Arguments, Result](
    work: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Future[Result]:
    """Start work in a thread of its own.

    No other work waits if this hangs.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run).start()
    return future


def for_each[Item](work: Callable[[Item], None], items: Iterable[Item], threads: int) -> None:
    """Do some work for each item, in several threads.

    The calling thread takes part, so that a busy pool never makes it wait.

    Args:
        work: What is done.
        items: What it is done with.
        threads: Threads at most, the calling one included.

    Raises:
        Exception: The first error of the work; the rest is not begun.
    """
    todo = deque(items)

    def drain() -> None:
        while True:
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException:
                todo.clear()
                raise

    helpers = [_pool(os.getpid()).submit(drain) for _ in range(min(threads, len(todo)) - 1)]
    try:
        drain()
    finally:
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in errors:
        if error is not None:
            raise error


def in_background[**Arguments, Result](
    work: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Future[Result]:
    """Start some work in another thread; return its future."""
    return _pool(os.getpid()).submit(work, *arguments, **named)


@functools.lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Return the pool of this process; one after a fork has no threads."""
    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="wsipipe")

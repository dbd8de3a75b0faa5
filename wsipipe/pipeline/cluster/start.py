"""Start of a cluster in the background."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Self


class ClusterStart[Client]:
    """A cluster that starts in a thread while the main thread does something else.

    Nothing starts before :meth:`begin` or :meth:`client` is called. As a context manager it closes what it
    started.

    Args:
        connect: Function whose context manager starts a cluster and gives its client.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Client]]) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cluster")
        self._started: Future[Client] | None = None
        self._cluster = ExitStack()

    def begin(self) -> Future[Client]:
        """Start the cluster, unless it was started before."""
        if self._started is None:
            # Called here, so that one thread imports Dask.
            starting = self._connect()
            self._started = self._thread.submit(self._cluster.enter_context, starting)
        return self._started

    def client(self) -> Client:
        """Return the client once the cluster has started.

        Raises:
            WsipipeError: The cluster does not start.
        """
        return self.begin().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        # A start that has begun is awaited, also after an error: only then can all of it be closed.
        self._thread.shutdown(wait=True)
        self._cluster.close()

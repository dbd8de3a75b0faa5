"""A task pool without a cluster."""

from collections.abc import Callable, Generator

from wsipipe.pipeline.cluster.task_batch import TaskSource
from wsipipe.pipeline.cluster.task_pool import TaskPool


class InProcessPool(TaskPool):
    """A pool that calls every task in this process, one after the other."""

    def __init__(self) -> None:
        """Make a pool; it needs neither client nor marker files."""

    def call[Result](self, name: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Return ``function(*arguments, attempt)``."""
        return function(*arguments, 0)

    def each[Result](self, source: TaskSource[Result]) -> Generator[Result]:
        """Yield the results of all tasks of the source."""
        while (call := source((True, False))) is not None:
            yield call.function(*call.arguments, 0)

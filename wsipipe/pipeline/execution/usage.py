"""Measure what one shard takes in its worker."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from wsipipe.pipeline.cluster.idle import idle_before_s
from wsipipe.pipeline.cluster.peak_memory import peak_mb, restart_peak
from wsipipe.pipeline.reporting.usage import Usage


class Meter:
    """Measure one shard, from its creation to :meth:`usage`."""

    def __init__(self) -> None:
        restart_peak()
        self._waiting_s = idle_before_s()
        self._began, self._cpu_began = time.monotonic(), _cpu_s()
        self._spent: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to a part: ``reading``, ``loading`` or ``writing``."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + time.monotonic() - began

    def usage(self, written_bytes: int, canvas_px: int, on_gpu: bool) -> Usage:
        """Return what was measured until now."""
        return Usage(
            waiting_s=self._waiting_s,
            busy_s=time.monotonic() - self._began,
            cpu_s=_cpu_s() - self._cpu_began,
            reading_s=self._spent.get("reading", 0.0),
            loading_s=self._spent.get("loading", 0.0),
            writing_s=self._spent.get("writing", 0.0),
            written_bytes=written_bytes,
            peak_memory_mb=peak_mb(),
            canvas_mpx=canvas_px / 1e6,
            on_gpu=on_gpu,
        )


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system

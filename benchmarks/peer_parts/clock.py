"""Take the wall and CPU seconds of a piece of work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds of this process since the clock was made, and of named parts.

    Attributes:
        parts: Wall seconds by part.
    """

    parts: dict[str, float] = field(default_factory=dict)
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=time.process_time)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the seconds of a block to a part."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - began

    def spent(self, times: int = 1) -> dict[str, float]:
        """Return seconds since the start, divided by the number of repeats."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"wall_s": wall / times, "cpu_s": cpu / times}

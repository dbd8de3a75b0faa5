"""Time, bytes and memory that shards take in the workers."""

from dataclasses import asdict, dataclass
from typing import cast

from wsipipe.pipeline.reporting.run_json import UsageEntry


@dataclass(frozen=True)
class Usage:
    """Time, bytes and memory of one shard, or of all shards of a stage.

    Seconds are added over workers: two workers that are busy for one second count as two.

    Attributes:
        waiting_s: Time that the worker was idle before the shard, s.
        busy_s: Time from the start of the shard to its end, s.
        cpu_s: Processor time of the worker in ``busy_s``, all threads, s.
        reading_s: Part of ``busy_s`` spent waiting for inputs to be read and decoded, s.
        loading_s: Part of ``busy_s`` spent loading the network, s.
        writing_s: Part of ``busy_s`` spent writing and reading back, s.
        written_bytes: Size of the files.
        peak_memory_mb: Peak memory of a worker during the shard, MB.
        canvas_mpx: Area on the canvas, Mpx.
        on_gpu: Whether the network ran on a GPU.
    """

    waiting_s: float = 0.0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    reading_s: float = 0.0
    loading_s: float = 0.0
    writing_s: float = 0.0
    written_bytes: int = 0
    peak_memory_mb: float = 0.0
    canvas_mpx: float = 0.0
    on_gpu: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        """Return the usage of both together."""
        mine, others = asdict(self), asdict(other)
        summed = {name: mine[name] + others[name] for name in mine}
        summed["peak_memory_mb"] = max(self.peak_memory_mb, other.peak_memory_mb)
        summed["on_gpu"] = self.on_gpu or other.on_gpu
        return Usage(**summed)

    def as_json(self) -> UsageEntry:
        """Return the entry for ``run.json``: numbers to the millisecond, and what follows from them."""
        numbers = {name: round(value, 3) for name, value in asdict(self).items() if name != "on_gpu"}
        rate = self.canvas_mpx / self.busy_s if self.busy_s else 0.0
        return cast(UsageEntry, {**numbers, "mpx_per_busy_s": round(rate, 3), "gpu_busy": self._gpu_busy()})

    def _gpu_busy(self) -> float | None:
        """Return the share of time in which a GPU process computed."""
        if not self.on_gpu:
            return None
        computing_s = self.busy_s - self.reading_s - self.loading_s - self.writing_s
        return round(computing_s / (self.busy_s + self.waiting_s), 3)


def wall_shares(usage: dict[str, Usage], wall_s: float) -> dict[str, float]:
    """Divide the time of a slide among its stages by their busy seconds.

    Stages run at the same time, so the clock alone does not say what each took.

    Args:
        usage: Usage of every stage, by name.
        wall_s: Time from the start of the first stage to the end of the last, s.

    Returns:
        Seconds by stage; their sum is ``wall_s``.
    """
    busy_s = sum(each.busy_s for each in usage.values())
    if not busy_s:
        return {name: wall_s / len(usage) for name in usage}
    return {name: wall_s * each.busy_s / busy_s for name, each in usage.items()}

"""Coordinates and result of one shard's task."""

from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.pipeline.planning.plan import Plan
from wsipipe.store.arrays import ShardFile


@dataclass(frozen=True)
class ShardTask:
    """Coordinates of one shard; never pixels.

    Attributes:
        plan: What is computed.
        work: The slide's work directory, on a file system that every worker sees.
        stage: Name of the stage.
        index: (row, column) of the shard.
        device: ``cpu`` or ``cuda`` for networks.
        threads: Threads of a network on a CPU.
        ahead: Shard that this worker will most likely get next; its pixels are read while the device works.
    """

    plan: Plan
    work: Path
    stage: str
    index: tuple[int, int]
    device: str = "cpu"
    threads: int = 1
    ahead: tuple[int, int] | None = None


@dataclass(frozen=True)
class ShardResult:
    """Result of a task.

    Attributes:
        index: (row, column) of the shard.
        files: Durable files.
        read_ahead_hit: Whether its pixels had been read ahead.
        attempt: How often it had been tried before.
        network: Precision, implementation and processor of its network; empty without one.
    """

    index: tuple[int, int]
    files: list[ShardFile] = field(default_factory=list)
    read_ahead_hit: bool = False
    attempt: int = 0
    network: str = ""

"""The task of one shard and its result."""

from dataclasses import dataclass, field
from pathlib import Path

from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.reporting.usage import Usage
from wsipipe.store.layout import ShardFile


@dataclass(frozen=True)
class ShardTask:
    """The task of computing one shard; it contains no pixels.

    Attributes:
        plan: Plan of the slide.
        work: The slide's work directory, on a file system shared by all workers.
        stage: Name of the stage.
        index: (row, column) of the shard.
        device: ``cpu`` or ``cuda`` for networks.
        threads: Number of threads of a network on a CPU.
        ahead: Next likely shard of this worker; its pixels are read while the device computes.
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
    """Result of the task of one shard.

    Attributes:
        stage: Name of the stage.
        index: (row, column) of the shard.
        files: Files of the shard, written durably.
        read_ahead_hit: Whether its pixels had been read ahead.
        attempt: Number of earlier attempts.
        network: Precision, implementation and processor of its network; empty without one.
        usage: Time, bytes and memory that it took.
    """

    stage: str
    index: tuple[int, int]
    files: list[ShardFile] = field(default_factory=list)
    read_ahead_hit: bool = False
    attempt: int = 0
    network: str = ""
    usage: Usage = field(default_factory=Usage, compare=False)

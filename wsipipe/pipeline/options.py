"""What a run checks before it works, and when it gives up."""

from dataclasses import dataclass
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.pipeline.cluster.attempts import SHARD_TIMEOUT_S


@dataclass(frozen=True)
class RunPolicy:
    """What a run checks before it works, and when it gives up.

    Attributes:
        restart: Compute everything anew; nothing of an earlier run is kept, its results are put aside.
        max_failures: ``N`` slides or ``P%`` of them may fail; after one more, no further slide is begun.
        checksums: ``SHA256SUMS`` that the slides must fit, as ``wsipipe index`` writes it.
        shard_timeout_s: A shard that takes longer is taken for hung; its process is stopped, another tries.
    """

    restart: bool = False
    max_failures: str | None = None
    checksums: Path | None = None
    shard_timeout_s: float = SHARD_TIMEOUT_S

    def most_failures(self, slides: int) -> int | None:
        """How many of so many slides may fail; None for all.

        Raises:
            ConfigError: ``max_failures`` is neither a count nor a percentage.
        """
        if self.max_failures is None:
            return None
        number, percent, rest = self.max_failures.partition("%")
        if not number.isdecimal() or rest or (percent and int(number) > 100):
            raise ConfigError(
                f"--max-failures {self.max_failures!r}: give a count as 3, or a percentage as 10%."
            )
        return int(number) * slides // 100 if percent else int(number)


DEFAULT_POLICY = RunPolicy()


@dataclass(frozen=True)
class Resources:
    """Where and with how much a run computes; none of it changes the pixels of a float32 run.

    Attributes:
        workers: CPU processes; None for one a core, or as many as the memory budget allows.
        threads: Threads of a network in each; None divides the cores.
        scheduler: Address of an existing Dask cluster.
        device: ``cpu``, ``cuda`` or ``auto``.
        memory_budget: Bytes of main memory for the whole run; workers, shards and patches are chosen from it.
    """

    workers: int | None = None
    threads: int | None = None
    scheduler: str | None = None
    device: str = "auto"
    memory_budget: int | None = None


DEFAULT_RESOURCES = Resources()

"""Options of a run: policy and resources."""

from dataclasses import dataclass
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.pipeline.cluster.attempts import SHARD_TIMEOUT_S
from wsipipe.pipeline.cluster.slurm_options import SlurmOptions


@dataclass(frozen=True)
class RunPolicy:
    """Policy for input checks, restarts, timeouts and tolerated failures.

    Attributes:
        restart: Whether to compute everything again; results of earlier runs are moved to ``OUT/.replaced``.
        max_failures: Number ``N`` or percentage ``P%`` of slides that may fail; after one more failure, no
            further slide is started. None for no limit.
        checksums: ``SHA256SUMS`` file that the slides must match, as written by ``wsipipe index``.
        shard_timeout_s: Time after which a shard counts as hung, s; its process is stopped, and another one
            computes it.
    """

    restart: bool = False
    max_failures: str | None = None
    checksums: Path | None = None
    shard_timeout_s: float = SHARD_TIMEOUT_S

    def most_failures(self, slides: int) -> int | None:
        """Return how many slides may fail; None for no limit.

        Args:
            slides: Number of slides of the run.

        Raises:
            ConfigError: ``max_failures`` is neither a count nor a percentage.
        """
        if self.max_failures is None:
            return None
        number, percent, rest = self.max_failures.partition("%")
        if not number.isdecimal() or rest or (percent and int(number) > 100):
            raise ConfigError(
                f"--max-failures {self.max_failures!r}: give a number such as 3, or a percentage such as 10%."
            )
        return int(number) * slides // 100 if percent else int(number)


DEFAULT_POLICY = RunPolicy()


@dataclass(frozen=True)
class Resources:
    """Processes, threads, device and memory of a run.

    None of them changes the pixels of a float32 run.

    Attributes:
        workers: Number of CPU processes; None for one per core, or as many as the memory budget allows.
        threads: Threads of a network per process; None divides the cores.
        scheduler: Address of an existing Dask cluster.
        device: ``cpu``, ``cuda`` or ``auto``.
        memory_budget: Main memory for the whole run, bytes; it determines workers, shards and patches.
        slurm: Options of workers that are jobs of SLURM; None for processes of this machine.
    """

    workers: int | None = None
    threads: int | None = None
    scheduler: str | None = None
    device: str = "auto"
    memory_budget: int | None = None
    slurm: SlurmOptions | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether workers may be on other machines."""
        return self.scheduler is not None or self.slurm is not None


DEFAULT_RESOURCES = Resources()

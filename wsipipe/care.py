"""What a run checks before it works, and when it gives up."""

from dataclasses import dataclass
from pathlib import Path

from wsipipe.attempts import PATIENCE_S
from wsipipe.errors import ConfigError


@dataclass(frozen=True)
class Care:
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
    shard_timeout_s: float = PATIENCE_S

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


CAREFUL = Care()

"""Options of workers that are jobs of SLURM, as typed: ``--cluster-option memory=8GB``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from wsipipe.errors import ConfigError

_ONE = ("partition", "account", "time", "memory", "cpus", "interface")
_SEVERAL = ("directive", "setup")
_PATTERNS = {
    "time": re.compile(r"\d+(-\d+)?(:\d+){0,2}"),
    "memory": re.compile(r"\d+(\.\d+)?[MG]i?B", re.IGNORECASE),
    "cpus": re.compile(r"[1-9]\d*"),
}


@dataclass(frozen=True)
class SlurmOptions:
    """Options of one job, which is one worker.

    Attributes:
        partition: Partition; None for SLURM's default.
        account: Account; None for SLURM's default.
        time: Time limit as SLURM reads it; None for that of the partition.
        memory: Memory of a job, with unit.
        cpus: Processors of a job, and threads of a network.
        interface: Network interface of scheduler and workers, such as ``ib0``; None for the default.
        directive: Further ``#SBATCH`` directives.
        setup: Shell lines that come before the worker in the job's script.
    """

    partition: str | None = None
    account: str | None = None
    time: str | None = None
    memory: str = "4GB"
    cpus: str = "1"
    interface: str | None = None
    directive: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read texts such as ``memory=8GB``; ``directive`` and ``setup`` may be given several times.

        Raises:
            ConfigError: A key is unknown or given twice, or a value is malformed.
        """
        one: dict[str, Any] = {}
        several: dict[str, tuple[str, ...]] = dict.fromkeys(_SEVERAL, ())
        for text in texts:
            key, _, value = text.partition("=")
            if key in _SEVERAL and value:
                several[key] = (*several[key], value)
            elif key in _ONE and key not in one and _is_valid(key, value):
                one[key] = value
            else:
                raise ConfigError(
                    f"--cluster-option {text!r}: this is no option, is malformed, or was given twice. Give "
                    f"KEY=VALUE with one of {', '.join((*_ONE, *_SEVERAL))}; memory such as 8GB, time "
                    f"such as 12:00:00."
                )
        return cls(**one, directive=several["directive"], setup=several["setup"])


def _is_valid(key: str, value: str) -> bool:
    if key in _PATTERNS:
        return bool(_PATTERNS[key].fullmatch(value))
    return bool(value) and not any(letter.isspace() for letter in value)

"""Profiles: run options of a kind of machine, in a small YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from wsipipe.common.settings import read_mapping, validated
from wsipipe.errors import ConfigError
from wsipipe.stages.workflow import workflow_folder


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Profile(BaseModel):
    """Options of ``run``, ``plan`` and ``retry`` for a kind of machine.

    Options that are given on the command line win. None of them is part of a workflow; ``precision`` alone
    changes pixels.

    Attributes:
        description: One sentence.
        workers: Number of CPU processes, or of jobs.
        threads: Threads of a network per process.
        device: ``cpu``, ``cuda`` or ``auto``.
        precision: Precision of every network.
        memory_budget: Memory for the whole run, such as ``8GB``.
        scheduler: Address of a Dask scheduler.
        cluster: ``slurm`` for workers that are jobs.
        cluster_options: ``KEY=VALUE`` options of the jobs.
        shard_timeout: Seconds after which a shard counts as hung.
        max_failures: Largest number or percentage of slides that may fail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    workers: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: str | None = None
    precision: str | None = None
    memory_budget: str | None = None
    scheduler: str | None = None
    cluster: str | None = None
    cluster_options: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    shard_timeout: float | None = Field(default=None, ge=1)
    max_failures: str | None = None


def profile_names() -> list[str]:
    """Return the names of the shipped profiles."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read_profile(name_or_path: str) -> Mapping[str, object]:
    """Read the options that a profile sets, by parameter.

    Args:
        name_or_path: One of :func:`profile_names`, or the path of a YAML file.

    Raises:
        ConfigError: There is no such profile, or it is not valid; names the line and the key.
    """
    path = _folder() / f"{name_or_path}.yaml"
    path = path if path.is_file() else Path(name_or_path)
    if not path.is_file():
        raise ConfigError(
            f"There is no profile {name_or_path!r}: it is neither a file nor one of "
            f"{', '.join(profile_names())}. Name one of them."
        )
    content = read_mapping(path, "Profile")
    found = validated(Profile, content, f"Profile {path}", file=path).model_dump(exclude_none=True)
    return {key: value for key, value in found.items() if key != "description"}


def _folder() -> Path:
    return workflow_folder() / "profiles"

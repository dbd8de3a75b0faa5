"""Profiles: run options of a kind of machine, in a small YAML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from wsipipe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def read_profile(name_or_path: str) -> "Mapping[str, object]":
    """Read the options that a profile sets, by parameter.

    Args:
        name_or_path: One of :func:`profile_names`, or the path of a YAML file.

    Raises:
        ConfigError: There is no such profile, or it is not valid; names the line and the key.
    """
    from wsipipe.common.settings import read_mapping, validated

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


def use_profile(context: typer.Context, name: str | None) -> str | None:
    """Take options from a profile where the command line gives none.

    Typer reads this callback's option before all others.

    Raises:
        ConfigError: The profile is absent or not valid, or names a cluster for a command without one.
    """
    if name is not None and not context.resilient_parsing:
        known = {parameter.name for parameter in context.command.params}
        values: dict[str, Any] = dict(read_profile(name))
        if context.info_name == "retry" and {"cluster", "scheduler"} & values.keys():
            raise ConfigError(f"--profile {name}: retry uses this machine alone. Name another profile.")
        # ``plan`` has fewer options than ``run``.
        context.default_map = {key: value for key, value in values.items() if key in known}
    return name


def _folder() -> Path:
    # The stages take half a second to import, so the folder of the workflows is found only here.
    from wsipipe.stages.workflow import workflow_folder

    return workflow_folder() / "profiles"

"""Options of the commands that plan or compute: what to run, and on what."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsipipe.cli.quantities import budget_bytes, region_px
from wsipipe.cli.shared import DeviceName, Mpp, Workers
from wsipipe.errors import ConfigError

if TYPE_CHECKING:
    from wsipipe.pipeline.cluster.slurm_options import SlurmOptions
    from wsipipe.pipeline.options import Resources


def use_profile(context: typer.Context, name: str | None) -> str | None:
    """Take options from a profile where the command line gives none.

    Typer reads this callback's option before all others.

    Raises:
        ConfigError: The profile is absent or not valid, or names a cluster for a command without one.
    """
    if name is not None and not context.resilient_parsing:
        # The model of profiles takes half a second to import.
        from wsipipe.cli.profiles import read_profile

        known = {parameter.name for parameter in context.command.params}
        values: dict[str, Any] = dict(read_profile(name))
        if context.info_name == "retry" and {"cluster", "scheduler"} & values.keys():
            raise ConfigError(f"--profile {name}: retry uses this machine alone. Name another profile.")
        # ``plan`` has fewer options than ``run``.
        context.default_map = {key: value for key, value in values.items() if key in known}
    return name


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Workflow key to override: for example tile.mpp=0.25."),
]
WorkflowName = Annotated[
    str,
    typer.Argument(
        help="nuclei, nuclei_fine, nuclei_and_tissue, nuclei_hdab, tissue, tiling_only, quality_only, "
        "or a YAML file."
    ),
]
SlidePaths = Annotated[list[str], typer.Argument(help="Files, folders, globs, or a manifest CSV.")]
Image = Annotated[str | None, typer.Option(help="Stored image: lossless, jpeg:QUALITY or none (tile.image).")]
RegionText = Annotated[
    str | None, typer.Option("--region", help="Part to compute: y,x,height,width in level-0 px.")
]
Regions = Annotated[
    Path | None,
    typer.Option(help="Folder of regions of interest: NAME.geojson for the slide NAME."),
]
Precision = Annotated[
    str | None, typer.Option(help="auto, float32 (same bits on all x86 processors) or bfloat16.")
]
Quality = Annotated[
    str | None,
    typer.Option(
        metavar="fast|fine",
        help="Choose the weights for nuclei by scale and stain of each slide; fine takes four times as long.",
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a network per process.")]
Budget = Annotated[
    str | None, typer.Option("--memory-budget", help="Memory for the whole run, for example 8GB.")
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME|FILE",
        is_eager=True,
        callback=use_profile,
        help="Options of a kind of machine: laptop, gpu, slurm, or a YAML file; other options win.",
    ),
]


@dataclass(frozen=True)
class RequestOptions:
    """What to compute on which slides.

    Attributes:
        workflow: Name or file of a workflow.
        slides: Files, folders, globs, or a manifest CSV.
        settings: Texts of ``--set``.
        image: How pixels are stored; short for a setting.
        mpp: Um per px of level 0.
        region: Part to compute, as typed.
        regions: Folder of regions of interest.
        precision: Precision of every network.
        quality: Which weights for nuclei are preferred; short for a setting.
    """

    workflow: WorkflowName
    slides: SlidePaths
    settings: Settings = None
    image: Image = None
    mpp: Mpp = None
    region: RegionText = None
    regions: Regions = None
    precision: Precision = None
    quality: Quality = None

    @property
    def all_settings(self) -> list[str]:
        """Settings of the workflow, ``--image`` and ``--quality`` included."""
        short = {"tile.image": self.image, "segment.quality": self.quality}
        return [*(self.settings or []), *(f"{key}={value}" for key, value in short.items() if value)]

    @property
    def part_px(self) -> tuple[int, int, int, int] | None:
        """Region (y, x, height, width), level-0 px; None for everything."""
        return region_px(self.region)


@dataclass(frozen=True)
class MachineOptions:
    """Processes, threads, device and memory.

    Attributes:
        profile: Profile whose options are taken where none are given.
        workers: Number of CPU processes.
        threads: Threads of a network per process.
        device: Device of the networks.
        memory_budget: Memory for the whole run, as typed.
    """

    profile: ProfileName = None
    workers: Workers = None
    threads: Threads = None
    device: DeviceName = "auto"
    memory_budget: Budget = None

    def resources(self, scheduler: str | None = None, slurm: "SlurmOptions | None" = None) -> "Resources":
        """Return the resources of a run.

        Args:
            scheduler: Address of a Dask cluster.
            slurm: Options of workers that are jobs of SLURM.
        """
        from wsipipe.pipeline.options import Resources

        budget = budget_bytes(self.memory_budget)
        return Resources(self.workers, self.threads, scheduler, self.device, budget, slurm)

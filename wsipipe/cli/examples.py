"""Examples and exit codes below the help of every command."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import typer
from typer.main import get_command_name
from typer.models import CommandInfo, TyperInfo

_COMMON = {0: "done", 64: "wrong option, name or file", 130: "interrupted"}
_SLIDES = {2: "some slides failed"}
_RUN = {1: "too many slides failed", **_SLIDES, 75: "locked, or the disk is full: run again later"}
_LATER = {75: "locked, or the disk is full: run again later"}


@dataclass(frozen=True)
class HelpEnd:
    """What stands below the options of a command.

    Attributes:
        examples: Command lines without ``wsipipe``.
        codes: Exit codes with their meaning, besides 0, 64 and 130.
    """

    examples: tuple[str, ...]
    codes: Mapping[int, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the text, with one line for each example and each exit code."""
        codes = sorted({**_COMMON, **self.codes}.items())
        lines = ["Examples:", *(f"  wsipipe {example}" for example in self.examples)]
        return "\n".join([*lines, "", "Exit codes:", *(f"  {code:<3}  {text}" for code, text in codes)])


HELP_ENDS = {
    "": HelpEnd(("demo", "run nuclei slide.svs --out results", "view results"), {**_RUN, 1: "failed"}),
    "run": HelpEnd(
        (
            "run nuclei slide.svs --out results",
            "run nuclei_and_tissue slides/ --out results --profile laptop",
            "run nuclei slide.svs --out try --region 20000,30000,4096,4096",
            "run my.yaml slides.csv --out results --set tile.mpp=0.25 --dry-run",
        ),
        _RUN,
    ),
    "demo": HelpEnd(("demo", "demo --out demo --workers 2"), _RUN),
    "plan": HelpEnd(("plan nuclei slides/", "plan tissue slides/ --workers 8 --json"), _SLIDES),
    "status": HelpEnd(("status results", "status results --json"), {**_SLIDES, **_LATER}),
    "retry": HelpEnd(("retry results", "retry results --only SLIDE_UNREADABLE"), _RUN),
    "view": HelpEnd(("view results", "view results/SLIDE --user anna", "view slide.svs"), _SLIDES),
    "review": HelpEnd(
        ("review status results/SLIDE", "review export results/SLIDE --user anna"), {1: "failed", **_LATER}
    ),
    "review status": HelpEnd(("review status results/SLIDE",), _LATER),
    "review merge": HelpEnd(
        ("review merge results/SLIDE anna ben", "review merge results/SLIDE anna ben --prefer anna"), _LATER
    ),
    "review export": HelpEnd(("review export results/SLIDE --user anna",), _LATER),
    "review import": HelpEnd(("review import edited.geojson results/SLIDE --user anna",), _LATER),
    "export": HelpEnd(
        (
            "export csv results/SLIDE",
            "export geojson results/SLIDE --class tumour --min-probability 0.7",
            "export ome-tiff results/SLIDE --layer overlay --to overlay.ome.tif",
        ),
        _LATER,
    ),
    "import": HelpEnd(
        (
            "import labels.tif --slide slide.svs --out imported --labels-mpp 0.5",
            "import qupath.geojson --slide slide.svs --out imported",
        ),
        _RUN,
    ),
    "compare": HelpEnd(
        ("compare results/SLIDE --with other/SLIDE", "compare results/SLIDE --with labels.tif --json"), _LATER
    ),
    "verify": HelpEnd(("verify results", "verify results/SLIDE"), {1: "files are damaged or missing"}),
    "clean": HelpEnd(("clean results", "clean results --yes"), _LATER),
    "info": HelpEnd(("info slide.svs", "info slide.tif --mpp 0.5 --json"), {2: "the slide cannot be read"}),
    "cores": HelpEnd(
        ("cores microarray.svs --to cores", "cores slides/ --to cores --diameter-um 1000"),
        {2: "some slides have no grid of cores"},
    ),
    "index": HelpEnd(
        ("index slides/", "index slides.csv --to SHA256SUMS"), {2: "some slides cannot be read", **_LATER}
    ),
    "workflow": HelpEnd(("workflow list", "workflow show nuclei", "workflow check my.yaml")),
    "workflow list": HelpEnd(("workflow list", "workflow list --json")),
    "workflow show": HelpEnd(("workflow show nuclei", "workflow show nuclei --set tile.mpp=0.25")),
    "workflow check": HelpEnd(("workflow check my.yaml",)),
    "workflow schema": HelpEnd(("workflow schema",)),
    "models": HelpEnd(("models", "models --json"), {1: "failed", **_LATER}),
    "models fetch": HelpEnd(("models fetch https://example.org/my_weights.safetensors",), _LATER),
    "models convert": HelpEnd(("models convert trained.pth --to my_weights.safetensors",), _LATER),
    "models export": HelpEnd(("models export nuclei_gmr_unet_0.5 --to nuclei.onnx",), _LATER),
    "certify": HelpEnd(
        (
            "certify nuclei_gmr_unet_0.5 --tiled",
            "certify --slide results/SLIDE --sample 3",
            "certify my_weights.safetensors --write --picture certificate.png",
            "certify package.module:factory --json -",
        ),
        {1: "the network or the slide failed"},
    ),
    "train": HelpEnd(
        (
            "train nuclei --data fields/ --out training",
            "train nuclei_own --data fields/ --out training --set fit.steps=500",
            "train tissue --data tiles/ --out training --folds 5",
        ),
        {1: "training failed", 75: "not finished: run the same command again"},
    ),
    "evaluate": HelpEnd(
        (
            "evaluate nuclei_gmr_unet_0.5 --data fields/",
            "evaluate training --data fields/ --angles 10 --out report",
        ),
        {1: "failed", **_LATER},
    ),
    "synth": HelpEnd(("synth slide.svs", "synth slide.svs --size 2048 --faults pen,fold"), _LATER),
    "doctor": HelpEnd(("doctor", "doctor --out results --json"), {1: "runs fail on this machine"}),
    "version": HelpEnd(("version",)),
}
"""Examples and exit codes by command."""


def add_examples(app: typer.Typer) -> None:
    """Put examples and exit codes below the help of the program and of every command."""
    for name, info in _infos(app):
        if name in HELP_ENDS:
            info.epilog = as_written(HELP_ENDS[name].text())


def as_written(text: str) -> str:
    """Mark each paragraph of a text so that the help does not wrap its lines."""
    return "\b\n" + text.replace("\n\n", "\n\n\b\n")


def _infos(app: typer.Typer, above: str = "") -> Iterator[tuple[str, CommandInfo | TyperInfo]]:
    """Yield the name and the description of every command and group."""
    if not above:
        yield "", app.info
    for command in app.registered_commands:
        name = command.name or get_command_name(command.callback.__name__ if command.callback else "")
        yield f"{above} {name}".strip(), command
    for group in app.registered_groups:
        name = f"{above} {group.name}".strip()
        yield name, group
        if group.typer_instance:
            yield from _infos(group.typer_instance, name)

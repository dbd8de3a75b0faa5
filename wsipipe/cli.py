"""What the user types: each verb parses, calls one function, prints, and returns an exit code."""

import json
import logging
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from wsipipe.errors import ConfigError, ExitCode, WsipipeError
from wsipipe.notice import NOTICE
from wsipipe.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help=f"Whole-slide pathology whose answer does not depend on which way the tissue lay. {NOTICE}",
)
# File names and error texts hold square brackets, which are no markup.
console = Console(markup=False, highlight=False)
complaints = Console(stderr=True, markup=False, highlight=False)

Mpp = Annotated[float | None, typer.Option(help="Um per px of level 0, over what the slide says.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="stage.key=value, for example tile.mpp=0.25.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the results.")]
Workers = Annotated[int | None, typer.Option(min=1, help="CPU processes; default one a core.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of a network in each process.")]
DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")]


@app.command()
def run(
    workflow: Annotated[
        str, typer.Argument(help="nuclei, tissue, nuclei_and_tissue, tiling_only, or a YAML file.")
    ],
    slides: Annotated[list[str], typer.Argument(help="Files, folders, globs, or a manifest CSV.")],
    out: Out,
    settings: Settings = None,
    image: Annotated[
        str | None, typer.Option(help="lossless, jpeg:QUALITY or none; as --set tile.image=...")
    ] = None,
    mpp: Mpp = None,
    region: Annotated[
        str | None, typer.Option(help="y,x,height,width in level-0 px: only this part.")
    ] = None,
    workers: Workers = None,
    threads: Threads = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask cluster, tcp://...")] = None,
    device: DeviceName = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open and plan; compute and write nothing.")
    ] = False,
) -> int:
    """Runs a workflow on slides; one folder a slide in OUT. Finished slides of the same plan are kept."""
    from wsipipe.workflow import Resources
    from wsipipe.workflow import run as run_workflow

    result = _with_progress(
        lambda teller: run_workflow(
            workflow,
            slides,
            out,
            settings=[*(settings or []), *([f"tile.image={image}"] if image else [])],
            mpp=mpp,
            region=_region(region),
            resources=Resources(workers, threads, scheduler, device),
            dry_run=dry_run,
            teller=teller,
        )
    )
    _print_run(result, dry_run)
    return int(result.exit_code)


def _with_progress(work: Any) -> Any:
    from wsipipe.progress import Lines, Live

    live = Live(console) if console.is_terminal else None
    with live or nullcontext():
        return work(live or Lines(console))


def _region(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    try:
        y, x, height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--region {text!r}: give four whole numbers y,x,height,width in level-0 px."
        ) from error
    return y, x, height, width


def _print_run(result: Any, dry_run: bool) -> None:
    failed = [slide for slide in result.slides if slide.status == "failed"]
    if dry_run:
        for slide in result.slides:
            console.print_json(json.dumps(slide.plan or {"slide_id": slide.slide_id, "failed": slide.code}))
    if failed:
        table = Table(
            "slide",
            "code",
            "what happened and what to do",
            title=f"{len(failed)} of {len(result.slides)} failed",
        )
        for slide in failed:
            table.add_row(str(slide.path.name), slide.code, slide.message)
        console.print(table)
    if not dry_run:
        console.print(f"Results in {result.out}; open {result.out / 'report.html'}. {NOTICE}", soft_wrap=True)


@app.command()
def info(slide: Path, mpp: Mpp = None, as_json: AsJson = False) -> None:
    """Tells what a slide is: vendor, levels, um per px and where that value comes from."""
    from wsipipe.tiling.slide import open_slide

    with open_slide(slide, mpp) as opened:
        facts: dict[str, Any] = {
            "path": str(opened.path),
            "vendor": opened.vendor,
            "mpp": opened.mpp,
            "mpp_source": opened.mpp_source,
            "bounds": {
                "y": opened.bounds.y,
                "x": opened.bounds.x,
                "height": opened.bounds.height,
                "width": opened.bounds.width,
            },
            "properties": opened.properties,
            "levels": [
                {
                    "level": level.index,
                    "height": level.height,
                    "width": level.width,
                    "mpp": level.mpp,
                    "downsample": level.downsample,
                }
                for level in opened.levels
            ],
        }
    if as_json:
        console.print_json(json.dumps(facts))
        return
    console.print(
        f"{slide}: {facts['vendor']}, {facts['mpp']:.4f} um/px ({facts['mpp_source']})", highlight=False
    )
    table = Table("level", "height", "width", "um/px", "downsample")
    for level in facts["levels"]:
        table.add_row(
            str(level["level"]),
            str(level["height"]),
            str(level["width"]),
            f"{level['mpp']:.4f}",
            f"{level['downsample']:.2f}",
        )
    console.print(table)


@app.command()
def view(result: Annotated[Path, typer.Argument(help="OUT/SLIDE, or its slide.zarr.")]) -> None:
    """Opens a finished slide in napari: image and labels, multiscale and lazy."""
    from wsipipe.review.viewer import view_result

    view_result(result)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Slide to write, .svs or .tif.")],
    size: Annotated[int, typer.Option(min=256, help="Side of level 0 in px.")] = 4096,
    seed: Annotated[int, typer.Option(help="Another seed, another slide.")] = 0,
    mpp: Annotated[float, typer.Option(help="Um per px of level 0.")] = 0.25,
) -> None:
    """Writes a synthetic H&E-like pyramidal slide with exact nuclei and tissue truth beside it."""
    from wsipipe.synth.writer import make_slide

    truth = make_slide(out, size, seed, mpp)
    console.print(f"{out}: {size} x {size} px, {truth.nuclei} nuclei, truth in {truth.path}", soft_wrap=True)


@app.command()
def demo(
    out: Out = Path("demo"),
    slide: Annotated[Path | None, typer.Option(help="A slide of yours instead of a synthetic one.")] = None,
    workers: Workers = None,
    device: DeviceName = "auto",
) -> int:
    """Makes a small synthetic slide, runs nuclei_and_tissue on it, tells how well it fits the truth."""
    from wsipipe.demo import run_demo

    result, agreement = _with_progress(lambda teller: run_demo(out, slide, workers, device, teller))
    _print_run(result, dry_run=False)
    for finished in result.results():
        for path in sorted(finished.folder.iterdir()):
            console.print(f"  {path}", soft_wrap=True)
        console.print(f"Look at it: wsipipe view {finished.folder}", soft_wrap=True)
    for name, value in agreement.items():
        console.print(f"agreement with the truth: {name} {value:.3f}".removesuffix(".000"))
    return int(result.exit_code)


@app.command()
def models(as_json: AsJson = False) -> None:
    """Lists the weights that come with wsipipe, what they were made from and for what they may be used."""
    from wsipipe.models.zoo import list_models, read_card

    cards = [read_card(name) for name in list_models()]
    if as_json:
        console.print_json(json.dumps([card.model_dump(mode="json") for card in cards]))
        return
    table = Table("name", "um/px", "outputs", "licence", "use")
    for card in cards:
        table.add_row(
            card.name, f"{card.mpp:g}", " ".join(card.output_names), card.licence, card.intended_use
        )
    console.print(table)


@app.command()
def certify(
    model: Annotated[
        str,
        typer.Argument(
            metavar="WEIGHTS|MODEL",
            help="Name of shipped weights, a .safetensors file, or package.module:factory, a function that "
            "gives any torch model; that module is imported, so its code runs.",
        ),
    ],
    tiled: Annotated[bool, typer.Option("--tiled", help="Also compare patches with the whole.")] = False,
    dtype: Annotated[
        Literal["float32", "float64", "bfloat16"], typer.Option(help="In what it computes.")
    ] = "float32",
    lattice: Annotated[
        int | None,
        typer.Option(min=1, help="Extents are multiples of this, if the model does not say it."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Certificate to write.")] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG to write.")] = None,
) -> int:
    """Measures whether a network commutes with the eight orientations and can be tiled; fails if not."""
    from wsipipe.models.certificate import certify as measure
    from wsipipe.models.certificate_picture import draw_certificate, summary

    certificate = measure(model, dtype=dtype, tiled=tiled, lattice_px=lattice)
    if json_file is not None:
        json_file.write_text(certificate.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if picture is not None:
        draw_certificate(certificate, picture)
    for line in summary(certificate):
        console.print(line, soft_wrap=True)
    return int(ExitCode.OK if certificate.passed else ExitCode.FAILED)


@app.command()
def export(
    weights: Annotated[str, typer.Argument(help="Name of shipped weights, or a .safetensors file.")],
    to: Annotated[Path, typer.Option("--to", help="model.pt (TorchScript) or model.onnx.")],
    tile: Annotated[
        bool, typer.Option("--tile", help="A classifier's raw scores of one tile, as WSInfer wants them.")
    ] = False,
) -> None:
    """Writes a network as plain convolutions for other programs, and its card as JSON beside it."""
    from wsipipe.models.export import export_network

    for path in export_network(weights, to, tile=tile):
        console.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True)


@app.command()
def verify(result: Annotated[Path, typer.Argument(help="OUT/SLIDE.")]) -> int:
    """Hashes every file of a finished slide again and names the damaged ones."""
    from wsipipe.results import open_result

    damaged = open_result(result).damaged()
    for path in damaged:
        console.print(f"damaged or missing: {path}")
    console.print(f"{result}: {'damaged' if damaged else 'every file is as published'}")
    return int(ExitCode.FAILED if damaged else ExitCode.OK)


@app.command()
def version() -> None:
    """Prints the version."""
    console.print(__version__)


def main() -> None:
    """Entry point: exit codes of ``errors.ExitCode``; bad input gets one paragraph, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    warnings.simplefilter("default", UserWarning)
    try:
        code = app(standalone_mode=False)
    except WsipipeError as error:
        complaints.print(f"{error.code}: {error}", style="red", soft_wrap=True)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except typer.TyperException as error:
        complaints.print(error.format_message(), soft_wrap=True)
        code = ExitCode.USAGE
    if code == ExitCode.INTERRUPTED:
        complaints.print("interrupted; finished shards are kept, the same command goes on from there")
    sys.exit(int(code or 0))

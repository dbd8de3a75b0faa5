"""Commands about slides: info, synth."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wsipipe.cli.certify_slide import print_result
from wsipipe.cli.shared import AsJson, Mpp, app, console, print_json, print_rows, stderr
from wsipipe.errors import ExitCode
from wsipipe.store.manifest import MANIFEST


@app.command()
def info(
    slide: Annotated[Path, typer.Argument(help="Slide file or folder, or OUT/SLIDE.")],
    mpp: Mpp = None,
    as_json: AsJson = False,
) -> None:
    """Show a slide's vendor, levels, and um/px with its source.

    Of a finished slide, OUT/SLIDE, show the plan and the certificate.
    """
    if (slide / MANIFEST).is_file():
        print_result(slide, as_json)
        return
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
        print_json(facts)
        return
    console.print(
        f"{slide}: {facts['vendor']}, {facts['mpp']:.4f} um/px ({facts['mpp_source']})", soft_wrap=True
    )
    print_rows(
        ("level", "height", "width", "um/px", "downsample"),
        [
            (
                str(level["level"]),
                str(level["height"]),
                str(level["width"]),
                f"{level['mpp']:.4f}",
                f"{level['downsample']:.2f}",
            )
            for level in facts["levels"]
        ],
    )


@app.command()
def cores(
    slides: Annotated[list[str], typer.Argument(help="Files, folders, globs, or a manifest CSV.")],
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="Folder of the files NAME.geojson.")],
    diameter_um: Annotated[
        float | None, typer.Option(min=50, help="Diameter of a core in um (default: measured).")
    ] = None,
    mpp: Mpp = None,
) -> int:
    """Find the cores of tissue micro-arrays.

    Writes them as regions A1, A2 and so on, for run --regions.
    """
    from wsipipe.pipeline.planning.core_files import write_cores
    from wsipipe.tiling.collect import collect

    failed: list[str] = []
    for found in write_cores(collect(list(slides), mpp), to, diameter_um, failed.append):
        console.print(
            f"{found.path}: {len(found.names)} cores, {found.names[0]} to {found.names[-1]}", soft_wrap=True
        )
    for text in failed:
        stderr.print(text, style="red", soft_wrap=True)
    return int(ExitCode.SOME_SLIDES_FAILED if failed else ExitCode.OK)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(dir_okay=False, help="Slide to write, .svs or .tif.")],
    size: Annotated[int, typer.Option(min=256, help="Side of level 0 in px.")] = 4096,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    mpp: Annotated[float, typer.Option(help="um/px of level 0.")] = 0.25,
    faults: Annotated[
        str, typer.Option(help="Faults, separated by commas: pen, fold, blur, bubble, pale, dark.")
    ] = "",
) -> None:
    """Write a synthetic H&E-like slide with exact truth.

    The slide is pyramidal; the truth of nuclei, tissue and faults is written beside it.
    """
    from wsipipe.synth.writer import make_slide

    names = [name.strip() for name in faults.split(",") if name.strip()]
    truth = make_slide(out, size, seed, mpp, faults=names)
    console.print(f"{out}: {size} x {size} px, {truth.nuclei} nuclei, truth in {truth.path}", soft_wrap=True)

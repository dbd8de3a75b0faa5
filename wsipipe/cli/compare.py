"""Command ``compare``: the nuclei of a result against others of the slide."""

from pathlib import Path
from typing import Annotated

import typer

from wsipipe.cli.shared import AsJson, app, console, print_json, print_rows

_SHOWN = ("reference", "result", "matched", "missed", "extra", "dice", "aji", "pq", "f1")


@app.command()
def compare(
    slide: Annotated[Path, typer.Argument(metavar="OUT/SLIDE", help="Folder of one slide in the results.")],
    other: Annotated[
        Path,
        typer.Option(
            "--with",
            help="Reference: another result of the slide, a label file on the grid of the nuclei (TIFF, PNG, "
            ".npy, Zarr), or GeoJSON in level-0 px.",
        ),
    ],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to write (default: in OUT/SLIDE/comparisons).")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Part to compare: y,x,height,width in level-0 px.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier comparison.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score the nuclei of a result against a reference."""
    from wsipipe.cli.quantities import region_px
    from wsipipe.results.compare.compare import FIGURES, PICTURE, check_folder, write_comparison
    from wsipipe.results.compare.compare import compare as measure

    folder = check_folder(slide, other, to, overwrite=overwrite)
    found = measure(slide, other, region_px(region))
    path = write_comparison(found, folder)
    if as_json:
        scores = {"scores": found.scores, "by_class": found.by_class, "confusion": found.confusion}
        left_out = {"left_out": dict(found.other.left_out)}
        print_json({"path": str(path), "figures": FIGURES, "picture": PICTURE, **scores, **left_out})
        return
    for cause, count in found.other.left_out.items():
        console.print(f"left out of the reference: {count:,} {cause}", soft_wrap=True)
    rows = [("all", found.scores), *found.by_class.items()]
    print_rows(("nuclei", *_SHOWN), [(name, *(_text(one[key]) for key in _SHOWN)) for name, one in rows])
    console.print(f"{path}: {FIGURES}, {PICTURE}", soft_wrap=True)


def _text(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"

"""Command ``import``: nuclei of another program as a result."""

import math
from pathlib import Path
from typing import Annotated

import typer

from wsipipe.cli.run import print_runs, with_progress
from wsipipe.cli.shared import AsJson, Mpp, Out, Workers, app, stderr
from wsipipe.errors import ConfigError


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS|GEOJSON",
            help="Label map (TIFF, PNG, .npy, Zarr; one number per nucleus) or GeoJSON in level-0 px.",
        ),
    ],
    slide: Annotated[Path, typer.Option("--slide", help="Slide of the nuclei.")],
    out: Out,
    labels_mpp: Annotated[
        float | None,
        typer.Option(
            "--labels-mpp",
            min=0.05,
            max=20,
            help="um/px of the label map (default: level 0), or of the labels made of GeoJSON (default 0.5).",
        ),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(metavar="Y,X", help="First corner in level-0 px of a label map of a part of the slide."),
    ] = None,
    mpp: Mpp = None,
    image: Annotated[str, typer.Option(help="Stored image: lossless, jpeg:QUALITY or none.")] = "lossless",
    workers: Workers = None,
    as_json: AsJson = False,
) -> int:
    """Import nuclei of another program as a result.

    view, review, compare, export and verify open it as any other.
    """
    from wsipipe.pipeline.options import Resources
    from wsipipe.pipeline.run import run
    from wsipipe.results.importing.import_nuclei import ImportRequest, import_nuclei

    request = ImportRequest(source, slide, labels_mpp, offset_px0(offset), mpp, image)

    def report(text: str) -> None:
        stderr.print(f"WARNING {text}", soft_wrap=True)

    result = with_progress(
        lambda reporter: import_nuclei(
            request,
            out,
            Resources(workers),
            report,
            lambda *given, **options: run(*given, **options, reporter=reporter),
        ),
        as_json,
    )
    print_runs(out, [result], as_json)
    return int(result.exit_code)


def offset_px0(text: str | None) -> tuple[float, float] | None:
    """Return an offset (y, x) as typed; None without one.

    Raises:
        ConfigError: These are not two numbers.
    """
    if text is None:
        return None
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError:
        y = x = math.nan
    if not (math.isfinite(y) and math.isfinite(x)):
        raise ConfigError(f"Invalid --offset {text}. Give Y,X in level-0 px, for example 20000,31000.")
    return y, x

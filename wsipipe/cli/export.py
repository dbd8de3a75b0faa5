"""Command ``export``: a finished result in the format of another program."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsipipe.cli.shared import AsJson, app, console, print_json
from wsipipe.errors import ConfigError


@app.command()
def export(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help=(
                "Format: csv, geojson, ome-tiff, wsinfer, coco, ome-zarr, anndata, spatialdata, dicom-ann or "
                "dicom-seg."
            ),
        ),
    ],
    slide: Annotated[
        Path | None, typer.Argument(metavar="OUT/SLIDE", help="Folder of one slide in the results.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="File or folder to write (default: in OUT/SLIDE/exports).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export of that name.")
    ] = False,
    only_class: Annotated[
        list[str] | None,
        typer.Option("--class", help="Tissue class of the nuclei to write; repeat for more (default: all)."),
    ] = None,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, help="Least mean probability of a nucleus.")
    ] = 0.0,
    layer: Annotated[
        Literal["nuclei", "tissue", "tissue_class", "image", "overlay"],
        typer.Option(help="Picture of an OME-TIFF."),
    ] = "nuclei",
    dicom: Annotated[
        Path | None,
        typer.Option(help="DICOM slide that DICOM exports refer to (default: the one that was computed)."),
    ] = None,
    old_tile: Annotated[bool, typer.Option("--tile", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """Write a finished result in a format of other programs.

    For networks see models export.
    """
    from wsipipe.results.export.formats import export_result, find_format
    from wsipipe.results.export.source import ExportOptions

    find_format(format_name)
    if slide is None or old_tile:
        raise ConfigError(
            "No result was named. Name the folder of one slide, OUT/SLIDE, after the format; to export a "
            "network, run wsipipe models export WEIGHTS --to FILE."
        )
    options = ExportOptions(tuple(only_class or ()), min_probability, layer, dicom=dicom)
    written = export_result(format_name, slide, to, options, overwrite=overwrite)
    if as_json:
        found = {"path": str(written.path), "format": format_name, "size_bytes": written.size_bytes}
        print_json(found | {"count": written.count, "counts": written.counts})
        return
    size = f"{written.size_bytes / 1e6:.1f} MB"
    console.print(f"{written.path}: {written.count:,} {written.counts}, {size}", soft_wrap=True)

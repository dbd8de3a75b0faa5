"""The formats of exports, and the function that writes one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from wsipipe.common.distribution import install_command
from wsipipe.errors import ConfigError
from wsipipe.results.export.source import ExportOptions, ExportSource, open_source
from wsipipe.results.export.target import check_not_published, check_target, new_target

Writer = Callable[[ExportSource, Path], int]
FOLDER = "exports"
"""Folder in ``OUT/SLIDE`` of exports without ``--to``."""


@dataclass(frozen=True)
class ExportFormat:
    """One format of exports.

    Attributes:
        module: Module of this package with the function ``write``.
        file_name: Name of the file or folder without ``--to``; ``{layer}`` is the layer.
        counts: Objects that ``write`` counts.
        options: Fields of ``ExportOptions`` that the format knows.
        marker: Name that each folder of the format holds; empty for a file.
        needs: Package that is not always installed.
        extra: Extra of wsipipe that installs it.
    """

    module: str
    file_name: str
    counts: str
    options: frozenset[str] = frozenset()
    marker: str = ""
    needs: str = ""
    extra: str = ""


_SELECTION = frozenset({"classes", "min_probability"})
FORMATS = {
    "csv": ExportFormat("csv_table", "nuclei.csv", "nuclei", _SELECTION),
    "geojson": ExportFormat("geojson", "nuclei.geojson.gz", "nuclei", _SELECTION),
    "ome-tiff": ExportFormat("ome_tiff", "{layer}.ome.tif", "levels", frozenset({"layer"})),
    "wsinfer": ExportFormat("wsinfer", "wsinfer", "cells", marker="model-outputs-csv"),
    "coco": ExportFormat("coco", "nuclei.coco.json", "nuclei", _SELECTION),
    "ome-zarr": ExportFormat("ome_zarr04", "slide.ome.zarr", "arrays", marker=".zattrs"),
    "anndata": ExportFormat(
        "anndata_table", "nuclei.h5ad", "nuclei", _SELECTION, needs="anndata", extra="anndata"
    ),
    "spatialdata": ExportFormat(
        "spatialdata_store",
        "slide.spatialdata.zarr",
        "nuclei",
        _SELECTION,
        marker="shapes/nuclei",
        needs="spatialdata",
        extra="spatialdata",
    ),
    "dicom-ann": ExportFormat(
        "dicom_annotations",
        "nuclei.dcm",
        "nuclei",
        _SELECTION | {"dicom"},
        needs="highdicom",
        extra="dicom",
    ),
    "dicom-seg": ExportFormat(
        "dicom_segmentation",
        "tissue.dcm",
        "segments",
        frozenset({"dicom"}),
        needs="highdicom",
        extra="dicom",
    ),
}
_SPELT = {
    "classes": "--class",
    "min_probability": "--min-probability",
    "layer": "--layer",
    "dicom": "--dicom",
}


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: File or folder.
        count: Number of objects.
        counts: Name of the objects.
        size_bytes: Size of the file, or of all files in the folder.
    """

    path: Path
    count: int
    counts: str
    size_bytes: int


def export_result(
    name: str,
    slide: str | Path,
    to: Path | None = None,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
) -> Exported:
    """Write a finished result in a format of other programs.

    Args:
        name: Name of the format, a key of ``FORMATS``.
        slide: ``OUT/SLIDE`` or its ``slide.zarr``.
        to: File or folder to write; default in ``OUT/SLIDE/exports``.
        options: Selection of what is written.
        overwrite: Whether an earlier export may be replaced.

    Raises:
        ConfigError: The format, an option or the target cannot be used.
        NoResultError: The result is not finished, or lacks what the format holds.
        StorageError: The result is damaged, or writing failed.
    """
    found, options = find_format(name), options or ExportOptions()
    _check_options(name, found, options)
    source = open_source(slide, options)
    path = to or source.result.folder / FOLDER / found.file_name.format(layer=options.layer)
    source = replace(source, options=replace(options, compressed=path.suffix == ".gz"))
    check_not_published(path, source.result.folder, source.manifest)
    check_target(path, overwrite=overwrite, marker=found.marker)
    write = cast(Writer, import_module(f"{__package__}.{found.module}").write)
    with new_target(path) as partial:
        count = write(source, partial)
    return Exported(path, count, found.counts, _size_bytes(path))


def find_format(name: str) -> ExportFormat:
    """Return a format by name.

    Raises:
        ConfigError: There is none of that name, or its package is not installed.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"There is no export format {name!r}. Name one of {', '.join(FORMATS)} and then OUT/SLIDE. To "
            "export a network, run wsipipe models export WEIGHTS --to FILE."
        )
    found = FORMATS[name]
    if found.needs and find_spec(found.needs) is None:
        raise ConfigError(
            f"The format {name} needs the package {found.needs}, which is not installed. Run "
            f"{install_command(found.extra)}."
        )
    return found


def _check_options(name: str, found: ExportFormat, options: ExportOptions) -> None:
    default = ExportOptions()
    for field, option in _SPELT.items():
        if getattr(options, field) != getattr(default, field) and field not in found.options:
            raise ConfigError(f"The format {name} has no {option}. Leave it out.")


def _size_bytes(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)

"""Read a manifest CSV with one row per slide."""

import csv
import errno
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from wsipipe.errors import ConfigError

COLUMNS = ("sample_id", "image_path", "mask_path", "spacing_at_level_0", "regions_path")
_REQUIRED = ("sample_id", "image_path")
_SIMILAR = 0.8
"""Similarity from which a name counts as a misspelt column, which would silently be ignored."""


@dataclass(frozen=True)
class ManifestRow:
    """One slide of a manifest.

    Attributes:
        sample_id: Name of the slide.
        path: Existing file or folder.
        mask_path: Existing tissue mask, or None.
        mpp: Micrometres per px of level 0, > 0, or None.
        extra: Text of each further column by name.
        regions_path: Existing GeoJSON of regions of interest, or None.
    """

    sample_id: str
    path: Path
    mask_path: Path | None
    mpp: float | None
    extra: dict[str, str] = field(default_factory=dict, hash=False)
    regions_path: Path | None = None


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read the rows of a manifest CSV.

    Columns are sample_id, image_path, mask_path, spacing_at_level_0 and regions_path. All but the first two
    and their cells may be left out; relative paths count from the CSV. Further columns are kept as text;
    columns without a name are ignored.

    Raises:
        ConfigError: A column or cell is missing or invalid, or a file is absent; the message names the row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            reader.fieldnames = _columns(path, reader.fieldnames or ())
            rows = [_row(path, reader.line_num, cells) for cells in reader]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"the manifest {path} cannot be read: {error}; save it as CSV in UTF-8") from error
    if not rows:
        raise ConfigError(f"the manifest {path} has no rows; give one row per slide below the column names")
    return rows


def _columns(path: Path, found: Sequence[str]) -> list[str]:
    """Return the checked column names without surrounding blanks."""
    names = [name.strip() for name in found]
    where = f"the manifest {path}, row 1"
    if any(name not in names for name in _REQUIRED):
        raise ConfigError(
            f"{where}: the columns must be {','.join(COLUMNS)} (only the first two are needed, others may be "
            f"added), but are {','.join(names)}; rename them"
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"{where}: there are several columns {', '.join(twice)}; rename or delete all but one"
        )
    for name in (name for name in names if name not in COLUMNS):
        near = get_close_matches(
            name.lower(), [column for column in COLUMNS if column not in names], 1, _SIMILAR
        )
        if near:
            raise ConfigError(
                f"{where}: the column {name} looks like {near[0]}; rename it to this, or to another"
            )
    return names


def _row(manifest: Path, line: int, cells: Mapping[str | None, str | None]) -> ManifestRow:
    where = f"the manifest {manifest}, row {line}"
    if None in cells or None in cells.values():
        raise ConfigError(
            f"{where}: it has more or fewer cells than there are columns; quote cells with commas"
        )
    texts = {str(name): (text or "").strip() for name, text in cells.items() if name}
    for name in _REQUIRED:
        if not texts[name]:
            raise ConfigError(f"{where}: {name} is empty; fill it in, or delete the row")
    image = _existing(manifest, where, "image_path", texts["image_path"])
    mask_path, regions_path = (
        _existing(manifest, where, name, texts[name]) if texts.get(name) else None
        for name in ("mask_path", "regions_path")
    )
    mpp = _spacing(where, texts.get("spacing_at_level_0", ""))
    extra = {name: text for name, text in texts.items() if name not in COLUMNS}
    return ManifestRow(texts["sample_id"], image, mask_path, mpp, extra, regions_path)


def _existing(manifest: Path, where: str, column: str, text: str) -> Path:
    path = manifest.parent / text
    if not _exists(path):
        raise ConfigError(
            f"{where}: {column} names {path}, which does not exist; correct the path (it counts from the CSV)"
        )
    return path


def _exists(path: Path) -> bool:
    """Return whether a path exists or cannot be checked.

    The latter is reported when it is opened.
    """
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EIO)
    return True


def _spacing(where: str, text: str) -> float | None:
    if not text:
        return None
    try:
        mpp = float(text)
    except ValueError:
        mpp = math.nan
    if not (mpp > 0 and math.isfinite(mpp)):
        raise ConfigError(
            f"{where}: spacing_at_level_0 must be um per px above 0, but is {text!r}; "
            "correct it, or leave it empty"
        )
    return mpp

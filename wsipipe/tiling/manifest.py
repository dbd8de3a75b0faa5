"""Manifest CSV -> one row a slide, or an error that names the row."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsipipe.errors import ConfigError

COLUMNS = ("sample_id", "image_path", "mask_path", "spacing_at_level_0")
_NEEDED = ("sample_id", "image_path")


@dataclass(frozen=True)
class ManifestRow:
    """One slide of a manifest.

    Attributes:
        sample_id: What the manifest calls it.
        path: The slide's file or folder; exists.
        mask_path: Its tissue mask, if any; exists.
        mpp: Um per px of level 0, if given; > 0.
    """

    sample_id: str
    path: Path
    mask_path: Path | None
    mpp: float | None


def read_manifest(path: Path) -> list[ManifestRow]:
    """The rows of a CSV with the columns sample_id, image_path, mask_path, spacing_at_level_0.

    The last two columns and their cells may be left out; relative paths count from the CSV.

    Raises:
        ConfigError: A column or cell is missing or wrong, or a file is absent; names the row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or ())
            rows = [_row(path, reader.line_num, cells) for cells in reader]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"the manifest {path} cannot be read: {error}; save it as CSV in UTF-8") from error
    if not rows:
        raise ConfigError(f"the manifest {path} has no rows; give one row a slide below the column names")
    return rows


def _check_columns(path: Path, found: object) -> None:
    names = list(found) if isinstance(found, (list, tuple)) else []
    missing = [name for name in _NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) < len(names):
        raise ConfigError(
            f"the manifest {path}, row 1: the columns must be {','.join(COLUMNS)} (the last two may be left "
            f"out), but are {','.join(map(str, names))}; rename them"
        )


def _row(manifest: Path, line: int, cells: Mapping[str | None, str | None]) -> ManifestRow:
    where = f"the manifest {manifest}, row {line}"
    if None in cells or None in cells.values():
        raise ConfigError(
            f"{where}: it has more or fewer cells than there are columns; quote cells with commas"
        )
    texts = {str(name): (text or "").strip() for name, text in cells.items()}
    for name in _NEEDED:
        if not texts[name]:
            raise ConfigError(f"{where}: {name} is empty; fill it in, or delete the row")
    image = _existing(manifest, where, "image_path", texts["image_path"])
    mask = texts.get("mask_path", "")
    mask_path = _existing(manifest, where, "mask_path", mask) if mask else None
    return ManifestRow(
        texts["sample_id"], image, mask_path, _spacing(where, texts.get("spacing_at_level_0", ""))
    )


def _existing(manifest: Path, where: str, column: str, text: str) -> Path:
    path = manifest.parent / text
    if not path.exists():
        raise ConfigError(
            f"{where}: {column} names {path}, which does not exist; mend the path (it counts from the CSV)"
        )
    return path


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
            "mend it, or leave it empty"
        )
    return mpp

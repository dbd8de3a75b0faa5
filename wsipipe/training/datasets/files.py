"""Validated images, label maps and index tables from files."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.training.samples import Field, Labels, Rgb

IMAGES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp")
TYPICAL_AREA_UM2 = 29.0
FEWEST_NUCLEI = 8
MPP_LIMITS = (0.12, 0.55)


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder, by name.

    The result is empty if the folder does not exist.
    """
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def read_rgb(path: Path) -> Rgb:
    """Read an 8-bit image as RGB (H, W, 3) uint8.

    Grey becomes RGB, transparency white.

    Raises:
        ConfigError: The image has another pixel type.
    """
    image: Image.Image = Image.open(path)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    elif image.mode not in ("RGB", "L", "P", "CMYK", "YCbCr"):
        raise ConfigError(f"the image has mode {image.mode}, not 8-bit colour; convert it")
    return np.asarray(image.convert("RGB"))


def read_labels(path: Path) -> Labels:
    """Read a label map as instance ids (H, W) int32.

    Args:
        path: One-channel image or ``.npy`` file; gaps between ids are allowed.

    Raises:
        ConfigError: The map has more than one channel, or no whole numbers.
    """
    labels = np.load(path) if path.suffix == ".npy" else np.asarray(Image.open(path))
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise ConfigError(f"the label map is {labels.shape} {labels.dtype}; it must be (H, W) whole numbers")
    return compact(labels)


def compact(labels: np.ndarray) -> Labels:
    """Renumber ids to 0..n without gaps, int32, in the same order.

    Args:
        labels: Ids, 0 (background) and others.

    Raises:
        ConfigError: An id is below 0.
    """
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise ConfigError(f"the label map has id {labels.min()}; ids must be 0 (background) or above")
    ids = np.union1d([0], labels)
    return np.searchsorted(ids, labels).astype(np.int32)


def check_sizes(image: Rgb, labels: Labels) -> None:
    """Refuse labels whose size differs from the image.

    Raises:
        ConfigError: The sizes differ.
    """
    if image.shape[:2] != labels.shape:
        raise ConfigError(
            f"the image is {image.shape[0]} x {image.shape[1]} px, its labels {labels.shape[0]} x "
            f"{labels.shape[1]}; both need one size"
        )


def partner(folder: Path, stem: str) -> Path:
    """Return the label file for an image's stem.

    Raises:
        ConfigError: There is none.
    """
    for suffix in (".png", ".tif", ".tiff", ".npy", ".bmp"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise ConfigError(f"there are no labels {folder / stem}.png (.tif, .npy)")


def read_index(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Read a CSV file as rows by the column ``key``.

    The result is empty if there is no such file.

    Raises:
        ConfigError: The column is missing.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if key not in (reader.fieldnames or ()):
            raise ConfigError(f"{path} has no column {key!r}; it has {', '.join(reader.fieldnames or ())}.")
        return {row[key]: row for row in reader}


def stated_mpp(row: Mapping[str, str]) -> float | None:
    """Return µm/px from an index row, or None.

    The column is ``mpp_um`` or ``mpp``; 0 counts as missing.

    Raises:
        ConfigError: The value is not a number, or out of range.
    """
    text = row.get("mpp_um") or row.get("mpp") or "0"
    try:
        mpp = float(text)
    except ValueError as error:
        raise ConfigError(f"index.csv gives {text!r} as um/px, which is not a number") from error
    return known_scale(mpp) if mpp else None


def known_scale(mpp: float | None) -> float:
    """Return µm/px if it is known and in range.

    Raises:
        ConfigError: It is missing or out of range.
    """
    if mpp is None:
        raise ConfigError(
            f"um/px is unknown, and it takes at least {FEWEST_NUCLEI} nuclei to estimate it; add it to "
            "index.csv (columns id,mpp_um)"
        )
    if not 0.05 <= mpp <= 4:
        raise ConfigError(f"mpp_um {mpp} is out of range; give um/px from 0.05 to 4")
    return mpp


def stated_group(row: Mapping[str, str], source: str) -> str | None:
    """Return the group from an index row, or None.

    The column is ``group``, or ``patient`` of a source.
    """
    patient = row.get("patient")
    return row.get("group") or (f"{source}/{patient}" if patient else None)


def with_index(folder: Path, fields: list[Field]) -> list[Field]:
    """Apply scale and group of a folder's ``index.csv`` to its fields.

    Raises:
        ConfigError: A scale in it is not a number, or out of range.
    """
    path = folder / "index.csv"
    if not path.is_file():
        return fields
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = {row["id"]: row for row in csv.DictReader(file) if "id" in row}
    stated = [(one, rows.get(one.name, {})) for one in fields]
    return [
        replace(one, mpp=stated_mpp(row) or one.mpp, group=stated_group(row, one.source) or one.group)
        for one, row in stated
    ]


def guessed_mpp(*maps: Labels) -> float | None:
    """Estimate µm/px from the median nucleus area.

    It is set so that the median nucleus of all maps has 29 µm², a typical area. None for fewer than 8 nuclei.
    """
    counts = [np.bincount(labels.ravel(), minlength=1)[1:] for labels in maps]
    areas_px = np.concatenate([np.zeros(0, np.int64), *counts])
    areas_px = areas_px[areas_px > 0]
    if len(areas_px) < FEWEST_NUCLEI:
        return None
    return float(np.clip(np.sqrt(TYPICAL_AREA_UM2 / np.median(areas_px)), *MPP_LIMITS))

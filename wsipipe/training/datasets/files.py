"""Images, label maps and index tables from files, checked."""

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
    """Image files of a folder, by name; none if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def read_rgb(path: Path) -> Rgb:
    """RGB (H, W, 3) uint8 of an 8-bit picture; grey becomes RGB, transparency white."""
    picture: Image.Image = Image.open(path)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    elif picture.mode not in ("RGB", "L", "P", "CMYK", "YCbCr"):
        raise ConfigError(f"the image has mode {picture.mode}, not 8-bit colour; convert it")
    return np.asarray(picture.convert("RGB"))


def read_labels(path: Path) -> Labels:
    """Instance ids (H, W) int32 of a one-channel picture or ``.npy`` file; gaps between ids are fine."""
    labels = np.load(path) if path.suffix == ".npy" else np.asarray(Image.open(path))
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise ConfigError(f"the label map is {labels.shape} {labels.dtype}, not (H, W) whole numbers")
    return compact(labels)


def compact(labels: np.ndarray) -> Labels:
    """Ids 0 (background) and any others -> 0..n without gaps, int32, in the same order.

    Raises:
        ConfigError: An id is below 0.
    """
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise ConfigError(f"the label map holds {labels.min()}; ids must be 0 (background) or above")
    ids = np.union1d([0], labels)
    return np.searchsorted(ids, labels).astype(np.int32)


def check_sizes(image: Rgb, labels: Labels) -> None:
    """Refuse labels of another size than the image's.

    Raises:
        ConfigError: Says both sizes.
    """
    if image.shape[:2] != labels.shape:
        raise ConfigError(
            f"the image is {image.shape[0]} x {image.shape[1]} px, its labels {labels.shape[0]} x "
            f"{labels.shape[1]}; they must have one size"
        )


def partner(folder: Path, stem: str) -> Path:
    """The label file of an image's stem in ``folder``.

    Raises:
        ConfigError: There is none.
    """
    for suffix in (".png", ".tif", ".tiff", ".npy", ".bmp"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise ConfigError(f"there are no labels {folder / stem}.png (.tif, .npy)")


def read_index(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Rows of a CSV file by its column ``key``; none if there is no such file.

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
    """Um per px that a row of an index gives as ``mpp_um`` or ``mpp``; None for none or 0.

    Raises:
        ConfigError: It is no number, or absurd.
    """
    text = row.get("mpp_um") or row.get("mpp") or "0"
    try:
        mpp = float(text)
    except ValueError as error:
        raise ConfigError(f"index.csv gives {text!r} as um per px, which is no number") from error
    return known_scale(mpp) if mpp else None


def known_scale(mpp: float | None) -> float:
    """Um per px, checked.

    Raises:
        ConfigError: It is absent or absurd.
    """
    if mpp is None:
        raise ConfigError(
            f"um per px is not known, and fewer than {FEWEST_NUCLEI} nuclei are too few to guess it; write "
            "it into index.csv (columns id,mpp_um)"
        )
    if not 0.05 <= mpp <= 4:
        raise ConfigError(f"mpp_um {mpp} is absurd; it is um per px, 0.05 to 4")
    return mpp


def stated_group(row: Mapping[str, str], source: str) -> str | None:
    """Group that a row of an index gives as ``group``, or as ``patient`` of a source; None without either."""
    patient = row.get("patient")
    return row.get("group") or (f"{source}/{patient}" if patient else None)


def with_index(folder: Path, fields: list[Field]) -> list[Field]:
    """Fields with the scale and group that ``index.csv`` of their folder gives for them.

    Raises:
        ConfigError: A scale in it is no number, or absurd.
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
    """Um per px at which the median nucleus of all maps has 29 um2, as is usual; None for fewer than 8."""
    counts = [np.bincount(labels.ravel(), minlength=1)[1:] for labels in maps]
    areas_px = np.concatenate([np.zeros(0, np.int64), *counts])
    areas_px = areas_px[areas_px > 0]
    if len(areas_px) < FEWEST_NUCLEI:
        return None
    return float(np.clip(np.sqrt(TYPICAL_AREA_UM2 / np.median(areas_px)), *MPP_LIMITS))

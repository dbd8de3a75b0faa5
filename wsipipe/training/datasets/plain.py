"""Folders of images and label maps, with an optional ``index.csv``.

Images are in ``images/``, label maps in ``labels/`` or ``instances/``. The index may have the columns ``id``
(file stem), ``mpp_um`` or ``mpp``, and ``group`` (slide or organ) or ``patient``. A folder ``types/`` beside
the label maps holds the type of each nucleus as numbers.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import (
    check_sizes,
    guessed_mpp,
    images_in,
    known_scale,
    partner,
    read_index,
    read_labels,
    read_rgb,
    stated_group,
    stated_mpp,
)
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Field, Labels, Rgb

NUCLS_MPP = 0.25
NUCLS_TYPES = {1: "non_tumour", 2: "tumour"}
LABELS = ("labels", "instances")


def fits(folder: Path) -> bool:
    """Return whether a folder has ``images/`` and label maps.

    They are in ``labels/`` or ``instances/``.
    """
    return bool(images_in(folder / "images")) and any((folder / name).is_dir() for name in LABELS)


def named(folder: Path, pattern: str) -> bool:
    """Return whether :func:`fits` holds and all image stems match a pattern."""
    return fits(folder) and all(re.fullmatch(pattern, path.stem) for path in images_in(folder / "images"))


def is_dsb2018(folder: Path) -> bool:
    """Return whether a folder holds DSB 2018 with an index of stains."""
    index = folder / "index.csv"
    return fits(folder) and index.is_file() and "stain_group" in index.read_text(encoding="utf-8")[:200]


def is_nucls(folder: Path) -> bool:
    """Return whether a folder holds NuCLS with types."""
    return named(folder, r"train_\d+") and (folder / "types").is_dir()


def read(folder: Path, problems: Problems) -> list[Field]:
    """Read the fields of a user's folder.

    Where the index gives no mpp, it is estimated from the median of all nuclei.
    """
    return read_named(folder, problems, folder.name)


def read_dsb2018(folder: Path, problems: Problems) -> list[Field]:
    """Read stained fields of mixed scale.

    Fields with too few nuclei to estimate the scale are left out.
    """
    return read_named(folder, problems, "dsb2018", mixed=True)


def read_nucls(folder: Path, problems: Problems) -> list[Field]:
    """Read H&E fields at 0.25 µm/px with two types of nuclei."""
    return read_named(folder, problems, "nucls", mpp=NUCLS_MPP, types=NUCLS_TYPES)


def read_named(
    folder: Path,
    problems: Problems,
    source: str,
    mpp: float | None = None,
    mixed: bool = False,
    types: Mapping[int, str] | None = None,
) -> list[Field]:
    """Read the fields of one source.

    Each is its own group unless the index has a column ``group`` or ``patient``.

    Args:
        folder: Folder with ``images/`` and ``labels/`` or ``instances/``.
        problems: Collector of files that cannot be used.
        source: Name of the data set.
        mpp: Resolution in µm/px of fields without one in the index; None to estimate it from the nuclei.
        mixed: Whether each field may have its own scale; fields whose scale cannot be estimated are left out.
        types: Names of the numbers in ``types/``; None where there are none.
    """
    maps = next(folder / name for name in LABELS if (folder / name).is_dir())
    rows = read_index(folder / "index.csv", "id")
    read: list[tuple[Path, dict[str, str], Rgb, Labels, tuple[str, ...]]] = []
    for path in images_in(folder / "images"):
        with problems.at(path):
            image, labels = read_rgb(path), read_labels(partner(maps, path.stem))
            check_sizes(image, labels)
            named_types = _types(folder / "types", path.stem, labels, types) if types else ()
            read.append((path, rows.get(path.stem, rows.get(path.name, {})), image, labels, named_types))
    common = mpp or guessed_mpp(*[labels for _, row, _, labels, _ in read if stated_mpp(row) is None])
    fields = []
    for path, row, image, labels, named_types in read:
        with problems.at(path):
            scale = stated_mpp(row) or (guessed_mpp(labels) if mixed else common)
            if mixed and scale is None:
                continue
            fields.append(
                Field(
                    name=path.stem,
                    source=source,
                    group=stated_group(row, source) or f"{source}/{path.stem}",
                    image=image,
                    labels=labels,
                    has_instances=True,
                    mpp=known_scale(scale),
                    types=named_types,
                )
            )
    return fields


def _types(folder: Path, stem: str, labels: Labels, names: Mapping[int, str]) -> tuple[str, ...]:
    """Return the type of each nucleus, by majority of its pixels.

    Raises:
        ConfigError: The map has another size, or a number without a name.
    """
    codes = np.asarray(Image.open(partner(folder, stem)))
    if codes.shape != labels.shape:
        raise ConfigError(f"the type map is {codes.shape}, the label map {labels.shape}")
    count, nuclei = int(codes.max()) + 1, int(labels.max())
    votes = np.bincount(labels.ravel() * count + codes.ravel(), minlength=(nuclei + 1) * count)
    best = votes.reshape(nuclei + 1, count)[1:].argmax(1)
    return tuple(_name(int(code), names) for code in best)


def _name(code: int, names: Mapping[int, str]) -> str:
    if code not in names:
        raise ConfigError(f"the type map has number {code}; known are {', '.join(map(str, names))}")
    return names[code]

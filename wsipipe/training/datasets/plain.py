"""Folders of images and label maps: ``images/`` beside ``labels/`` or ``instances/``, and ``index.csv``.

The index may say ``id`` (file stem), ``mpp_um`` or ``mpp``, and ``group`` (slide or organ) or ``patient``.
A folder ``types/`` beside the label maps holds the type of each nucleus as numbers.
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
    """``images/`` and one of ``labels/``, ``instances/``."""
    return bool(images_in(folder / "images")) and any((folder / name).is_dir() for name in LABELS)


def named(folder: Path, pattern: str) -> bool:
    """Whether :func:`fits` holds and every image's stem matches a regular expression."""
    return fits(folder) and all(re.fullmatch(pattern, path.stem) for path in images_in(folder / "images"))


def is_dsb2018(folder: Path) -> bool:
    """Our folder of the Data Science Bowl's stained fields, whose index tells the stain."""
    index = folder / "index.csv"
    return fits(folder) and index.is_file() and "stain_group" in index.read_text(encoding="utf-8")[:200]


def is_nucls(folder: Path) -> bool:
    """Our folder of NuCLS fields ``train_N``, with a map of types beside the instances."""
    return named(folder, r"train_\d+") and (folder / "types").is_dir()


def read(folder: Path, problems: Problems) -> list[Field]:
    """Fields of a user's own folder; where the index gives no mpp, the median of all its nuclei tells it."""
    return read_named(folder, problems, folder.name)


def read_dsb2018(folder: Path, problems: Problems) -> list[Field]:
    """Stained fields of mixed scale; those with too few nuclei to tell it are left out."""
    return read_named(folder, problems, "dsb2018", mixed=True)


def read_nucls(folder: Path, problems: Problems) -> list[Field]:
    """H&E fields at 0.25 um/px with two types of nuclei."""
    return read_named(folder, problems, "nucls", mpp=NUCLS_MPP, types=NUCLS_TYPES)


def read_named(
    folder: Path,
    problems: Problems,
    source: str,
    mpp: float | None = None,
    mixed: bool = False,
    types: Mapping[int, str] | None = None,
) -> list[Field]:
    """Fields of one source, each its own group unless the index has a column ``group`` or ``patient``.

    Args:
        folder: With ``images/`` and ``labels/`` or ``instances/``.
        problems: Takes files that cannot be used.
        source: Name of the data set.
        mpp: Um per px of fields for which the index gives none; None where the nuclei tell it.
        mixed: Every field may have its own scale, and those whose nuclei do not tell it are left out.
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
    """Type of each nucleus: the one that most of its pixels have.

    Raises:
        ConfigError: The map is of another size, or holds a number that has no name.
    """
    codes = np.asarray(Image.open(partner(folder, stem)))
    if codes.shape != labels.shape:
        raise ConfigError(f"the map of types is {codes.shape}, the label map {labels.shape}")
    count, nuclei = int(codes.max()) + 1, int(labels.max())
    votes = np.bincount(labels.ravel() * count + codes.ravel(), minlength=(nuclei + 1) * count)
    best = votes.reshape(nuclei + 1, count)[1:].argmax(1)
    return tuple(_name(int(code), names) for code in best)


def _name(code: int, names: Mapping[int, str]) -> str:
    if code not in names:
        raise ConfigError(f"the map of types holds {code}; known are {', '.join(map(str, names))}")
    return names[code]

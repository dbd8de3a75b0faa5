"""Folders of images and label maps: ``images/`` beside ``labels/`` or ``instances/``, and ``index.csv``.

The index may say ``id`` (file stem), ``mpp_um`` and ``group`` (patient, slide or organ).
"""

from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import (
    FEWEST_NUCLEI,
    check_sizes,
    guessed_mpp,
    images_in,
    partner,
    read_index,
    read_labels,
    read_rgb,
)
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Field, Labels, Rgb

NUCLS_MPP = 0.25
LABELS = ("labels", "instances")


def fits(folder: Path) -> bool:
    """``images/`` and one of ``labels/``, ``instances/``."""
    return bool(images_in(folder / "images")) and any((folder / name).is_dir() for name in LABELS)


def is_dsb2018(folder: Path) -> bool:
    """Our folder of the Data Science Bowl's stained fields, whose index tells the stain."""
    index = folder / "index.csv"
    return fits(folder) and index.is_file() and "stain_group" in index.read_text(encoding="utf-8")[:200]


def is_nucls(folder: Path) -> bool:
    """Our folder of NuCLS fields, with a map of types beside the instances."""
    return fits(folder) and (folder / "types").is_dir()


def read(folder: Path, problems: Problems) -> list[Field]:
    """Fields of a user's own folder; where the index gives no mpp, the median of all its nuclei tells it."""
    return read_named(folder, problems, folder.name)


def read_dsb2018(folder: Path, problems: Problems) -> list[Field]:
    """Stained fields of mixed scale; those with too few nuclei to tell it are left out."""
    return read_named(folder, problems, "dsb2018", mixed=True)


def read_nucls(folder: Path, problems: Problems) -> list[Field]:
    """H&E fields at 0.25 um/px."""
    return read_named(folder, problems, "nucls", mpp=NUCLS_MPP)


def read_named(
    folder: Path, problems: Problems, source: str, mpp: float | None = None, mixed: bool = False
) -> list[Field]:
    """Fields of one source, each its own group unless the index has a column ``group``.

    Args:
        folder: With ``images/`` and ``labels/`` or ``instances/``.
        problems: Takes files that cannot be used.
        source: Name of the data set.
        mpp: Um per px of all; None where the index or the nuclei tell it.
        mixed: Every field may have its own scale, and those whose nuclei do not tell it are left out.
    """
    maps = next(folder / name for name in LABELS if (folder / name).is_dir())
    rows = read_index(folder / "index.csv", "id")
    read: list[tuple[Path, dict[str, str], Rgb, Labels]] = []
    for path in images_in(folder / "images"):
        with problems.at(path):
            image, labels = read_rgb(path), read_labels(partner(maps, path.stem))
            check_sizes(image, labels)
            read.append((path, rows.get(path.stem, rows.get(path.name, {})), image, labels))
    common = mpp or guessed_mpp(*[labels for _, row, _, labels in read if not row.get("mpp_um")])
    fields = []
    for path, row, image, labels in read:
        with problems.at(path):
            scale = float(row["mpp_um"]) if row.get("mpp_um") else guessed_mpp(labels) if mixed else common
            if mixed and scale is None:
                continue
            fields.append(
                Field(
                    name=path.stem,
                    source=source,
                    group=row.get("group") or f"{source}/{path.stem}",
                    image=image,
                    labels=labels,
                    has_instances=True,
                    mpp=known_scale(scale),
                )
            )
    return fields


def known_scale(mpp: float | None) -> float:
    """``mpp``, checked.

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

"""Tissue tiles with one folder per class.

``index.csv`` may have the columns ``file``, ``mpp_um``, ``patient`` or ``group``. NCT-CRC-HE-100K with
CRC-VAL-HE-7K and Kather 2016 have the same structure, and are recognised by their classes.
"""

from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import images_in, read_index, read_rgb
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Tile

NO_CLASSES = {"images", "labels", "instances", "masks", "mask", "rgb", "foreground", "types", "annotations"}
DEFAULT_MPP = 0.5
NCT_CLASSES = {"ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM"}
NCT_MPP = 0.5
KATHER_MPP = 0.495


def class_folders(folder: Path) -> list[Path]:
    """Return subfolders with images whose name may be a class."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.lower() not in NO_CLASSES and images_in(path)
    ]


def fits(folder: Path) -> bool:
    """Return whether a folder has at least two class folders.

    Folders of other layouts are excluded.
    """
    inner = {path.name.lower() for path in folder.iterdir() if path.is_dir()}
    return len(class_folders(folder)) >= 2 and not inner & NO_CLASSES


def is_nct(folder: Path) -> bool:
    """Return whether the class folders have the nine names of NCT-CRC-HE."""
    return fits(folder) and {path.name for path in class_folders(folder)} >= NCT_CLASSES


def is_kather(folder: Path) -> bool:
    """Return whether the class folders are ``01_TUMOR`` to ``08_EMPTY``."""
    return fits(folder) and {"01_TUMOR", "08_EMPTY"} <= {path.name for path in class_folders(folder)}


def read(folder: Path, problems: Problems) -> list[Tile]:
    """Read the tiles of a user's folder.

    They are at 0.5 µm/px unless the index gives a scale.
    """
    return read_named(folder, problems, folder.name, DEFAULT_MPP)


def read_nct(folder: Path, problems: Problems) -> list[Tile]:
    """Read tiles of 224 px at 0.5 µm/px.

    The data set does not give patients.
    """
    return read_named(folder, problems, "nct_crc", NCT_MPP)


def read_kather(folder: Path, problems: Problems) -> list[Tile]:
    """Read tiles of 150 px at 0.495 µm/px.

    The number before the class name is dropped.
    """
    return read_named(folder, problems, "kather2016", KATHER_MPP)


def read_named(folder: Path, problems: Problems, source: str, mpp: float) -> list[Tile]:
    """Read the tiles of one source.

    Each is its own group unless the index gives a patient or group.

    Args:
        folder: Folder with one subfolder per class.
        problems: Collector of files that cannot be used.
        source: Name of the data set.
        mpp: Resolution in µm/px of tiles for which the index gives none.
    """
    rows = read_index(folder / "index.csv", "file")
    tiles = []
    for place in class_folders(folder):
        class_name = place.name.split("_", 1)[1] if source == "kather2016" else place.name
        for path in images_in(place):
            with problems.at(path):
                name = f"{place.name}/{path.name}"
                row = rows.get(name, {})
                tiles.append(
                    Tile(
                        name=name,
                        source=source,
                        group=f"{source}/{row.get('group') or row.get('patient') or name}",
                        image=read_rgb(path),
                        class_name=class_name,
                        mpp=_scale(row, mpp),
                    )
                )
    return tiles


def _scale(row: dict[str, str], otherwise: float) -> float:
    scale = float(row["mpp_um"]) if row.get("mpp_um") else otherwise
    if not 0.05 <= scale <= 20:
        raise ConfigError(f"mpp_um {scale} is out of range; give um/px from 0.05 to 20")
    return scale

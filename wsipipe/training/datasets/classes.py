"""Tissue tiles in a folder a class; ``index.csv`` may say ``file``, ``mpp_um``, ``patient`` or ``group``.

NCT-CRC-HE-100K with CRC-VAL-HE-7K and Kather 2016 lie so as well, and are known by their classes.
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
    """Subfolders that hold images and whose name may be a class."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.lower() not in NO_CLASSES and images_in(path)
    ]


def fits(folder: Path) -> bool:
    """At least two subfolders with images, and none that other layouts have."""
    inner = {path.name.lower() for path in folder.iterdir() if path.is_dir()}
    return len(class_folders(folder)) >= 2 and not inner & NO_CLASSES


def is_nct(folder: Path) -> bool:
    """Class folders with the nine names of NCT-CRC-HE."""
    return fits(folder) and {path.name for path in class_folders(folder)} >= NCT_CLASSES


def is_kather(folder: Path) -> bool:
    """Class folders ``01_TUMOR`` to ``08_EMPTY``."""
    return fits(folder) and {"01_TUMOR", "08_EMPTY"} <= {path.name for path in class_folders(folder)}


def read(folder: Path, problems: Problems) -> list[Tile]:
    """Tiles of a user's own folder; 0.5 um/px where the index does not say it."""
    return read_named(folder, problems, folder.name, DEFAULT_MPP)


def read_nct(folder: Path, problems: Problems) -> list[Tile]:
    """224 px tiles at 0.5 um/px; patients are not told."""
    return read_named(folder, problems, "nct_crc", NCT_MPP)


def read_kather(folder: Path, problems: Problems) -> list[Tile]:
    """150 px tiles at 0.495 um/px; the number before a class is dropped."""
    return read_named(folder, problems, "kather2016", KATHER_MPP)


def read_named(folder: Path, problems: Problems, source: str, mpp: float) -> list[Tile]:
    """Tiles of one source; each is its own group where the index gives neither patient nor group."""
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
        raise ConfigError(f"mpp_um {scale} is absurd; it is um per px, 0.05 to 20")
    return scale

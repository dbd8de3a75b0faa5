"""GlaS as published.

The files are ``train_1.bmp`` with ``train_1_anno.bmp``, and ``Grade.csv`` with patient and grade.
"""

from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import check_sizes, images_in, read_index, read_labels, read_rgb
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Tile

MPP = 0.62
SIDE_PX = 128
INSIDE, OUTSIDE = 0.75, 0.02
GRADE = "grade (GlaS)"
PATIENT = "patient ID"


def fits(folder: Path) -> bool:
    """Return whether a folder has ``Grade.csv`` and annotated images."""
    return (folder / "Grade.csv").is_file() and any(folder.glob("*_anno.bmp"))


def read(folder: Path, problems: Problems) -> list[Tile]:
    """Read tiles of 128 px, grouped by patient.

    Each has at least three quarters of its area inside glands, or at most 2 %.
    """
    rows = {
        name.strip(): {key.strip(): value.strip() for key, value in row.items()}
        for name, row in read_index(folder / "Grade.csv", "name").items()
    }
    tiles: list[Tile] = []
    for path in images_in(folder):
        if not path.stem.endswith("_anno"):
            with problems.at(path):
                tiles += _tiles(path, rows.get(path.stem, {}))
    return tiles


def _tiles(path: Path, row: dict[str, str]) -> list[Tile]:
    if not row.get(GRADE) or not row.get(PATIENT):
        raise ConfigError(f"Grade.csv lacks its {GRADE!r} or {PATIENT!r}")
    image, labels = read_rgb(path), read_labels(path.with_name(f"{path.stem}_anno.bmp"))
    check_sizes(image, labels)
    glands = labels > 0
    tiles = []
    for y in range(0, image.shape[0] - SIDE_PX + 1, SIDE_PX):
        for x in range(0, image.shape[1] - SIDE_PX + 1, SIDE_PX):
            inside = float(glands[y : y + SIDE_PX, x : x + SIDE_PX].mean())
            if inside >= INSIDE or inside <= OUTSIDE:
                tiles.append(
                    Tile(
                        name=f"{path.stem}_y{y}_x{x}",
                        source="glas",
                        group=f"glas/{row[PATIENT]}",
                        image=image[y : y + SIDE_PX, x : x + SIDE_PX],
                        class_name=f"gland_{row[GRADE]}" if inside >= INSIDE else "stroma",
                        mpp=MPP,
                    )
                )
    return tiles

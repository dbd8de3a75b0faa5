"""PatchCamelyon: 96 px tiles at 0.972 µm/px in HDF5 files.

The classes are tumour in the middle of the tile, or none.
"""

from pathlib import Path

import numpy as np

from wsipipe.common.distribution import install_command
from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import read_index
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Tile

MPP = 0.972
CLASSES = ("normal", "tumor")


def parts(folder: Path) -> list[Path]:
    """Return the image files ``..._x.h5``."""
    return sorted(folder.glob("*_x.h5"))


def fits(folder: Path) -> bool:
    """Return whether a folder has ``..._x.h5`` beside ``..._y.h5``."""
    return any(path.with_name(path.name.replace("_x.h5", "_y.h5")).is_file() for path in parts(folder))


def read(folder: Path, problems: Problems) -> list[Tile]:
    """Read tiles, grouped by slide.

    Slides come from ``..._meta.csv``; without it, each tile is its own group.

    Raises:
        ConfigError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"PatchCamelyon needs h5py: {install_command('train')}.") from error
    tiles = []
    for path in parts(folder):
        with problems.at(path):
            stem = path.name.removesuffix("_x.h5")
            with h5py.File(path) as images, h5py.File(path.with_name(f"{stem}_y.h5")) as labels:
                pixels, truth = images["x"][:], labels["y"][:].ravel()
            if len(pixels) != len(truth) or not np.isin(truth, (0, 1)).all():
                raise ConfigError(f"{len(pixels)} images need as many labels of 0 and 1, not {len(truth)}")
            slides = _slides(path.with_name(f"{stem}_meta.csv"))
            tiles += [
                Tile(
                    name=f"{stem}_{index}",
                    source="pcam",
                    group=f"pcam/{slides.get(index, f'{stem}_{index}')}",
                    image=image,
                    class_name=CLASSES[int(label)],
                    mpp=MPP,
                )
                for index, (image, label) in enumerate(zip(pixels, truth, strict=True))
            ]
    return tiles


def _slides(path: Path) -> dict[int, str]:
    """Read the slide of each tile, by its number.

    The first column of the file has no name.
    """
    return {int(key): row["wsi"] for key, row in read_index(path, "").items() if row.get("wsi")}

"""PatchCamelyon: 96 px tiles at 0.972 um/px in HDF5 files, tumour in their middle or not."""

from pathlib import Path

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.training.datasets.files import read_index
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Tile

MPP = 0.972
CLASSES = ("normal", "tumor")


def parts(folder: Path) -> list[Path]:
    """Files ``..._x.h5`` (images)."""
    return sorted(folder.glob("*_x.h5"))


def fits(folder: Path) -> bool:
    """``..._x.h5`` beside ``..._y.h5``."""
    return any(path.with_name(path.name.replace("_x.h5", "_y.h5")).is_file() for path in parts(folder))


def read(folder: Path, problems: Problems) -> list[Tile]:
    """Tiles, grouped by slide where ``..._meta.csv`` tells it.

    Raises:
        ConfigError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError("PatchCamelyon needs h5py: pip install 'wsipipe[train]'.") from error
    tiles = []
    for path in parts(folder):
        with problems.at(path):
            stem = path.name.removesuffix("_x.h5")
            with h5py.File(path) as images, h5py.File(path.with_name(f"{stem}_y.h5")) as labels:
                pixels, truth = images["x"][:], labels["y"][:].ravel()
            if len(pixels) != len(truth) or not np.isin(truth, (0, 1)).all():
                raise ConfigError(f"{len(pixels)} images, {len(truth)} labels of 0 and 1 are needed alike")
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
    """Slide of each tile, by its number; the file's first column has no name."""
    return {int(key): row["wsi"] for key, row in read_index(path, "").items() if row.get("wsi")}

"""PanNuke: 256 px fields at 0.25 µm/px.

Each fold has a pair of ``images.npy`` and ``masks.npy``.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Field, Labels

MPP = 0.25
CLASSES = 5


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Return pairs of ``images.npy`` and ``masks.npy``.

    Images are up to four levels down; masks are beside them or in the parallel folder.
    """
    found = []
    for depth in range(5):
        for images in sorted(folder.glob("*/" * depth + "images.npy")):
            parts = ["masks" if part.lower() == "images" else part for part in images.parent.parts]
            twins = [images.with_name("masks.npy"), Path(*parts) / "masks.npy"]
            found += [(images, twin) for twin in twins if twin.is_file()][:1]
    return found


def fits(folder: Path) -> bool:
    """Return whether a folder has at least one pair of files."""
    return bool(pairs(folder))


def read(folder: Path, problems: Problems) -> list[Field]:
    """Read all fields, grouped by tissue.

    Without ``types.npy``, each field is its own group.
    """
    fields = []
    for path, twin in pairs(folder):
        with problems.at(path):
            images, masks = np.load(path, mmap_mode="r"), np.load(twin, mmap_mode="r")
            if images.shape[:3] != masks.shape[:3] or masks.shape[3:] != (CLASSES + 1,):
                raise ConfigError(
                    f"images are {images.shape}, masks {masks.shape}; their shapes do not match"
                )
            fold = path.relative_to(folder).parts[0].removesuffix(".npy")
            groups = _groups(path, len(images), fold)
            for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
                fields.append(
                    Field(
                        name=f"{fold}_{index:05d}",
                        source="pannuke",
                        group=groups[index],
                        image=np.asarray(image).astype(np.uint8),
                        labels=joined(np.asarray(mask)),
                        has_instances=True,
                        mpp=MPP,
                    )
                )
    return fields


def _groups(images: Path, count: int, fold: str) -> list[str]:
    types = images.with_name("types.npy")
    if types.is_file():
        return [f"pannuke/{name}" for name in np.load(types).astype(str)]
    return [f"pannuke/{fold}_{index}" for index in range(count)]


def joined(mask: npt.NDArray[np.generic]) -> Labels:
    """Merge instances by class (H, W, 6) into one label map (H, W).

    The last channel is background.
    """
    labels = np.zeros(mask.shape[:2], np.int32)
    for channel in range(CLASSES):
        own = mask[..., channel].astype(np.int32)
        ids, dense = np.unique(own, return_inverse=True)
        dense = dense.reshape(own.shape)
        labels = np.where(own > 0, dense + labels.max() + (ids[0] > 0), labels)
    return labels.astype(np.int32)

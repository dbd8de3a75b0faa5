"""Fields as published, with masks: DSB 2018, NuCLS, CryoNuSeg, CoNSeP, Lizard.

Each data set has its own kind of mask file.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.training.datasets import consep
from wsipipe.training.datasets.files import (
    check_sizes,
    compact,
    guessed_mpp,
    images_in,
    read_labels,
    read_rgb,
)
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Field, Labels

CRYONUSEG_MPP = 0.25
NUCLS_MPP = 0.2
LIZARD_MPP = 0.5
LIZARD_PARTS = ("consep_", "crag_", "dpath_", "glas_", "pannuke_")


def _field(source: str, group: str, path: Path, labels: Labels, mpp: float) -> Field:
    """Read the image of a field and check its labels.

    Raises:
        ConfigError: The sizes differ.
    """
    image = read_rgb(path)
    check_sizes(image, labels)
    return Field(
        name=path.stem,
        source=source,
        group=group,
        image=image,
        labels=labels,
        has_instances=True,
        mpp=mpp,
    )


def is_dsb(folder: Path) -> bool:
    """Return whether a folder has ``ID/images`` and ``ID/masks``."""
    return bool(_dsb_places(folder))


def _dsb_places(folder: Path) -> list[Path]:
    """Return folders ``ID`` with images in ``images/`` and ``masks/``."""
    places = sorted(path.parent for path in folder.glob("*/images"))
    return [place for place in places if images_in(place / "images") and images_in(place / "masks")]


def read_dsb(folder: Path, problems: Problems) -> list[Field]:
    """Read stained fields of DSB 2018.

    Fluorescence (grey), and fields with too few nuclei to estimate the scale, are left out.
    """
    fields = []
    for place in _dsb_places(folder):
        with problems.at(place):
            path = images_in(place / "images")[0]
            if not is_stained(path):
                continue
            labels = _read_single_masks(place / "masks")
            mpp = guessed_mpp(labels)
            if mpp is not None:
                fields.append(_field("dsb2018", f"dsb2018/{path.stem}", path, labels, mpp))
    return fields


def _read_single_masks(folder: Path) -> Labels:
    """Combine masks of one nucleus each into labels (H, W).

    Raises:
        ConfigError: There are no masks, or their sizes differ.
    """
    masks = [np.asarray(Image.open(path).convert("L")) > 0 for path in images_in(folder)]
    if not masks or len({mask.shape for mask in masks}) > 1:
        raise ConfigError(f"{folder} has {len(masks)} masks; give at least one, all of one size")
    labels = np.zeros(masks[0].shape, np.int32)
    for label, mask in enumerate(masks, start=1):
        labels[mask] = label
    return compact(labels)


def is_stained(path: Path) -> bool:
    """Return whether an image is bright field in colour.

    Grey and dark images are fluorescence.
    """
    image = read_rgb(path).astype(np.int16)
    return bool(np.median(image) > 100 and np.ptp(image, axis=2).mean() > 4)


def is_nucls(folder: Path) -> bool:
    """Return whether a folder has ``rgb/`` and ``mask/``."""
    return bool(images_in(folder / "rgb")) and (folder / "mask").is_dir()


def read_nucls(folder: Path, problems: Problems) -> list[Field]:
    """Read fields of NuCLS, grouped by slide.

    The second and third channel of a mask together identify the instance.
    """
    fields = []
    for path in images_in(folder / "rgb"):
        with problems.at(path):
            mask = np.asarray(Image.open(folder / "mask" / path.name).convert("RGB")).astype(np.int32)
            labels = compact(mask[..., 1] * mask[..., 2])
            slide = path.stem.split("_id-")[0]
            fields.append(_field("nucls", f"nucls/{slide}", path, labels, NUCLS_MPP))
    return fields


def is_cryonuseg(folder: Path) -> bool:
    """Return whether a folder has the layout of CryoNuSeg.

    It has ``tissue images/`` and, at any depth, ``label masks modify/`` or ``label masks/``.
    """
    return (folder / "tissue images").is_dir() and _cryonuseg_labels(folder) is not None


def _cryonuseg_labels(folder: Path) -> Path | None:
    """Return the folder with label maps of the first annotator."""
    for name in ("label masks modify", "label masks"):
        found = sorted(path for path in folder.rglob(name) if path.is_dir())
        if found:
            return found[0]
    return None


def read_cryonuseg(folder: Path, problems: Problems) -> list[Field]:
    """Read frozen sections at 0.25 µm/px, grouped by organ.

    File names are ``Human_ORGAN_01``.
    """
    maps = _cryonuseg_labels(folder) or folder
    fields = []
    for path in images_in(folder / "tissue images"):
        with problems.at(path):
            labels = read_labels(maps / path.name)
            organ = path.stem.removeprefix("Human_").rsplit("_", 1)[0]
            fields.append(_field("cryonuseg", f"cryonuseg/{organ}", path, labels, CRYONUSEG_MPP))
    return fields


def mat_files(folder: Path) -> list[Path]:
    """Return MATLAB files in folders called Labels, up to three levels down."""
    found = {path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}[Ll]abels/*.mat")}
    return sorted(found)


def has_mat(folder: Path) -> bool:
    """Return whether a folder has ``Labels/*.mat``.

    CoNSeP has them in ``Train/`` and ``Test/``.
    """
    return bool(mat_files(folder))


def read_mat(folder: Path, problems: Problems) -> list[Field]:
    """Read CoNSeP and Lizard fields.

    CoNSeP (0.275 µm/px) is grouped by image. Lizard (0.5 µm/px), recognised by its file names, is grouped by
    the data set an image comes from.
    """
    images = {
        path.stem: path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in (".png", ".tif", ".jpg")
    }
    fields = []
    for path in mat_files(folder):
        with problems.at(path):
            if path.stem not in images:
                raise ConfigError(f"there is no image {path.stem}.png below {folder}")
            part = next((part for part in LIZARD_PARTS if path.stem.startswith(part)), None)
            source, mpp = ("consep", consep.MPP) if part is None else ("lizard", LIZARD_MPP)
            group = f"{source}/{path.stem if part is None else part.rstrip('_')}"
            fields.append(_field(source, group, images[path.stem], _inst_map(path), mpp))
    return fields


def _inst_map(path: Path) -> Labels:
    """Read the instance map of a MATLAB file.

    Raises:
        ConfigError: The file has no ``inst_map``.
    """
    from scipy.io import loadmat

    content = loadmat(str(path))
    if "inst_map" not in content:
        keys = ", ".join(key for key in content if not key.startswith("__"))
        raise ConfigError(f"the file has no inst_map, only {keys or 'nothing'}")
    labels = content["inst_map"]
    return compact(labels.astype(np.int64))

"""Fields as published, each with its own kind of mask file: DSB 2018, NuCLS, CryoNuSeg, CoNSeP, Lizard."""

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
    """A field whose image is read, and whose labels are checked.

    Raises:
        ConfigError: Sizes differ, or there is no nucleus.
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
    """Folders ``ID/images`` and ``ID/masks``."""
    return bool(_dsb_places(folder))


def _dsb_places(folder: Path) -> list[Path]:
    """Folders ``ID`` with pictures in ``images/`` and in ``masks/``."""
    places = sorted(path.parent for path in folder.glob("*/images"))
    return [place for place in places if images_in(place / "images") and images_in(place / "masks")]


def read_dsb(folder: Path, problems: Problems) -> list[Field]:
    """Stained fields; fluorescence (grey), and fields with too few nuclei to tell the scale, are left out."""
    fields = []
    for place in _dsb_places(folder):
        with problems.at(place):
            path = images_in(place / "images")[0]
            if not is_stained(path):
                continue
            labels = _one_file_a_nucleus(place / "masks")
            mpp = guessed_mpp(labels)
            if mpp is not None:
                fields.append(_field("dsb2018", f"dsb2018/{path.stem}", path, labels, mpp))
    return fields


def _one_file_a_nucleus(folder: Path) -> Labels:
    """Labels (H, W) of masks of one nucleus each."""
    masks = [np.asarray(Image.open(path).convert("L")) > 0 for path in images_in(folder)]
    if not masks or len({mask.shape for mask in masks}) > 1:
        raise ConfigError(f"{folder} holds {len(masks)} masks; one or more of one size are needed")
    labels = np.zeros(masks[0].shape, np.int32)
    for label, mask in enumerate(masks, start=1):
        labels[mask] = label
    return compact(labels)


def is_stained(path: Path) -> bool:
    """True for bright field in colour: grey and dark pictures are fluorescence."""
    image = read_rgb(path).astype(np.int16)
    return bool(np.median(image) > 100 and np.ptp(image, axis=2).mean() > 4)


def is_nucls(folder: Path) -> bool:
    """``rgb/`` and ``mask/``."""
    return bool(images_in(folder / "rgb")) and (folder / "mask").is_dir()


def read_nucls(folder: Path, problems: Problems) -> list[Field]:
    """NuCLS: the second and third channel of a mask together tell the instance; grouped by slide."""
    fields = []
    for path in images_in(folder / "rgb"):
        with problems.at(path):
            mask = np.asarray(Image.open(folder / "mask" / path.name).convert("RGB")).astype(np.int32)
            labels = compact(mask[..., 1] * mask[..., 2])
            slide = path.stem.split("_id-")[0]
            fields.append(_field("nucls", f"nucls/{slide}", path, labels, NUCLS_MPP))
    return fields


def is_cryonuseg(folder: Path) -> bool:
    """``tissue images/`` and, at any depth, ``label masks modify/`` or ``label masks/``."""
    return (folder / "tissue images").is_dir() and _cryonuseg_labels(folder) is not None


def _cryonuseg_labels(folder: Path) -> Path | None:
    """Label maps of the first annotator."""
    for name in ("label masks modify", "label masks"):
        found = sorted(path for path in folder.rglob(name) if path.is_dir())
        if found:
            return found[0]
    return None


def read_cryonuseg(folder: Path, problems: Problems) -> list[Field]:
    """Frozen sections at 0.25 um/px, grouped by organ (``Human_ORGAN_01``)."""
    maps = _cryonuseg_labels(folder) or folder
    fields = []
    for path in images_in(folder / "tissue images"):
        with problems.at(path):
            labels = read_labels(maps / path.name)
            organ = path.stem.removeprefix("Human_").rsplit("_", 1)[0]
            fields.append(_field("cryonuseg", f"cryonuseg/{organ}", path, labels, CRYONUSEG_MPP))
    return fields


def mat_files(folder: Path) -> list[Path]:
    """MATLAB files in folders called Labels, at most three levels down."""
    found = {path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}[Ll]abels/*.mat")}
    return sorted(found)


def has_mat(folder: Path) -> bool:
    """``Labels/*.mat`` (CoNSeP: in ``Train/`` and ``Test/``)."""
    return bool(mat_files(folder))


def read_mat(folder: Path, problems: Problems) -> list[Field]:
    """CoNSeP (0.275 um/px) by image; Lizard (0.5), known by its files' names, by the sets it was made of."""
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
    from scipy.io import loadmat

    content = loadmat(str(path))
    if "inst_map" not in content:
        keys = ", ".join(key for key in content if not key.startswith("__"))
        raise ConfigError(f"it has no inst_map, but {keys or 'nothing'}")
    labels = content["inst_map"]
    return compact(labels.astype(np.int64))

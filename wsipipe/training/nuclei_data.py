"""Nuclei fields and the crops that are drawn from them: image, nucleus map, centre map at one mpp."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage

from wsipipe.models.zoo import Normalisation
from wsipipe.training import augment
from wsipipe.training.targets import centre_map

MPP = 0.5
FINE_MPP = 0.25
TYPICAL_AREA_UM2 = 29.0
SCALE_SPAN = 0.25
STAIN_STRENGTH = 0.7
COVER_CHANCE = 0.1

# Two organs (colon, prostate) are never seen while the validated network learns.
HELD_OUT = ("TCGA-NH-", "TCGA-AY-", "TCGA-G9-", "TCGA-CH-")


@dataclass(frozen=True, eq=False)
class Field:
    """One annotated image.

    Attributes:
        name: File stem.
        source: Folder of the data set.
        image: (H, W, 3) uint8.
        labels: (H, W) instance ids, or 0 and 1 where instances are not known.
        has_instances: False where touching nuclei are merged.
        mpp: Um per px, exact or guessed from the nuclei.
    """

    name: str
    source: str
    image: augment.Rgb
    labels: npt.NDArray[np.int32]
    has_instances: bool
    mpp: float

    @property
    def held_out(self) -> bool:
        """True for the fields that measure the network."""
        return self.source == "monuseg" and self.name.startswith(HELD_OUT)


def read_fields(data: Path) -> list[Field]:
    """Every field under ``data / "nuclei"``: MoNuSeg, NuCLS, DSB 2018."""
    folder = data / "nuclei"
    return [*_monuseg(folder / "monuseg"), *_nucls(folder / "nucls"), *_dsb(folder / "dsb2018")]


def _rgb(path: Path) -> augment.Rgb:
    return np.asarray(Image.open(path).convert("RGB"))


def _labels(path: Path) -> npt.NDArray[np.int32]:
    return np.asarray(Image.open(path)).astype(np.int32)


def _monuseg(folder: Path) -> list[Field]:
    fields = []
    for path in sorted((folder / "images").glob("*.webp")):
        instances = folder / "instances" / f"{path.stem}.png"
        known = instances.is_file()
        labels = _labels(instances if known else folder / "foreground" / f"{path.stem}.png")
        fields.append(Field(path.stem, "monuseg", _rgb(path), labels, known, FINE_MPP))
    return fields


def _nucls(folder: Path) -> list[Field]:
    paths = sorted((folder / "images").glob("*.png"))
    return [
        Field(p.stem, "nucls", _rgb(p), _labels(folder / "instances" / p.name), True, FINE_MPP) for p in paths
    ]


def _dsb(folder: Path) -> list[Field]:
    """Stained fields whose scale is told by their nuclei alone: mpp gives the median one the usual area."""
    fields = []
    with (folder / "index.csv").open(newline="") as file:
        names = [row["id"] for row in csv.DictReader(file)]
    for name in names:
        labels = _labels(folder / "instances" / f"{name}.png")
        areas_px = np.bincount(labels.ravel())[1:]
        areas_px = areas_px[areas_px > 0]
        if len(areas_px) < 8:
            continue
        mpp = float(np.clip(np.sqrt(TYPICAL_AREA_UM2 / np.median(areas_px)), 0.12, 0.5))
        fields.append(Field(name, "dsb2018", _rgb(folder / "images" / f"{name}.png"), labels, True, mpp))
    return fields


def resampled(
    field: Field, y: int, x: int, side_px: int, out_px: int
) -> tuple[augment.Rgb, npt.NDArray[np.int32]]:
    """Square of ``side_px`` at (y, x) as ``out_px``: image by area, labels by nearest; white outside."""
    image = np.full((side_px, side_px, 3), 255, np.uint8)
    labels = np.zeros((side_px, side_px), np.int32)
    cut = field.image[y : y + side_px, x : x + side_px]
    image[: cut.shape[0], : cut.shape[1]] = cut
    labels[: cut.shape[0], : cut.shape[1]] = field.labels[y : y + side_px, x : x + side_px]
    small = Image.fromarray(image).resize((out_px, out_px), Image.Resampling.BOX)
    nearest = ((np.arange(out_px) + 0.5) * side_px / out_px).astype(int)
    return np.asarray(small), labels[np.ix_(nearest, nearest)]


def covered(
    image: augment.Rgb, labels: npt.NDArray[np.int32], cover: augment.Rgb, rng: np.random.Generator
) -> tuple[augment.Rgb, npt.NDArray[np.int32]]:
    """A crop, a random smooth part of which is ``cover`` (glass or ink) and has no nuclei.

    The parts are as large as a torn edge, or as small as a nucleus.
    """
    side = len(image)
    grain = int(rng.choice((4, 8, 24)))
    height = ndimage.zoom(rng.normal(size=(grain, grain)), side / grain, order=1)
    gone = height > np.quantile(height, rng.uniform(0.5, 0.97))
    return np.where(gone[..., None], cover, image), np.where(gone, 0, labels)


Sample = tuple[augment.Rgb, npt.NDArray[np.int32], bool]


class NucleiCrops:
    """Endless random crops.

    Args:
        fields: From which to draw.
        side_px: Side of a crop at 0.5 um/px.
        shares: Chance of each source; ``monuseg_foreground`` are its fields without instances.
    """

    def __init__(self, fields: Sequence[Field], side_px: int, shares: dict[str, float]) -> None:
        self.side_px = side_px
        self.groups: dict[str, list[Field]] = {"glass": []}
        for field in fields:
            key = field.source if field.has_instances else f"{field.source}_foreground"
            self.groups.setdefault(key, []).append(field)
        self.names = [name for name in shares if name in self.groups]
        chances = np.array([shares[name] for name in self.names])
        self.chances = chances / chances.sum()

    def sample(self, rng: np.random.Generator) -> Sample:
        """One augmented crop (side, side, 3) uint8, its labels, and whether they tell nuclei apart."""
        group = str(rng.choice(self.names, p=self.chances))
        if group == "glass":
            empty = np.zeros((self.side_px, self.side_px), np.int32)
            image = augment.glass(self.side_px, rng)
            if rng.random() < 0.5:
                image, _ = covered(image, empty, augment.ink(self.side_px, rng), rng)
            return augment.optics(image, rng), empty, True
        field = self.groups[group][rng.integers(len(self.groups[group]))]
        factor = MPP / field.mpp * np.exp(rng.uniform(-SCALE_SPAN, SCALE_SPAN))
        cut_px = max(int(self.side_px * factor), 8)
        y, x = (int(rng.integers(0, max(extent - cut_px, 0) + 1)) for extent in field.labels.shape)
        image, labels = resampled(field, y, x, cut_px, self.side_px)
        image = augment.stain(image, rng, STAIN_STRENGTH)
        for cover in (augment.glass, augment.ink):
            if rng.random() < COVER_CHANCE:
                image, labels = covered(image, labels, cover(self.side_px, rng), rng)
        return augment.optics(image, rng), labels, field.has_instances

    def batch(self, size: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """``size`` crops: image (B, 3, H, W), nucleus, centre and centre_known (B, H, W), all float32."""
        samples = [self.sample(rng) for _ in range(size)]
        labels = np.stack([labels for _, labels, _ in samples])
        known = np.array([known for *_, known in samples])[:, None, None] | (labels == 0)
        return {
            "image": as_input(np.stack([image for image, *_ in samples])),
            "nucleus": torch.from_numpy((labels > 0).astype(np.float32)),
            "centre": torch.from_numpy(np.stack([centre_map(one) for one in labels])),
            "centre_known": torch.from_numpy(known.astype(np.float32)),
        }


def as_input(images: npt.NDArray[np.uint8], normalisation: Normalisation | None = None) -> torch.Tensor:
    """RGB (B, H, W, 3) uint8 -> what a network takes, (B, 3, H, W) float32 with channels last in memory."""
    how = normalisation or Normalisation()
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() - how.offset) / how.scale

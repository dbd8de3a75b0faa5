"""Random crops of nuclei fields at one mpp, with target maps."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.training.nucleus_types import type_codes
from wsipipe.training.recipe import Augment, Sampling
from wsipipe.training.samples import Field, Rgb
from wsipipe.training.sampling import augment
from wsipipe.training.sampling.prefetch import Arrays
from wsipipe.training.sampling.targets import target_maps

Maps = npt.NDArray[np.uint8]
MAPS = ("nucleus", "centre", "touching", "known")
TYPE = "type"
GLASS_MAPS = (0, 0, 0, 1, 0)
"""Values of glass in the maps, and in that of types where there is one."""
FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


class NucleiCrops:
    """Sampler of batches of crops.

    Args:
        fields: Fields to crop.
        mpp: Resolution of the crops in µm/px.
        samples: Batch, side, shares of the sources, and types.
        changes: Strength of the augmentation.

    Raises:
        ConfigError: All shares are 0.
    """

    def __init__(self, fields: Sequence[Field], mpp: float, samples: Sampling, changes: Augment) -> None:
        self.mpp, self.samples, self.changes = mpp, samples, changes
        self.maps = (*MAPS, TYPE) if samples.types else MAPS
        self.sources: dict[str, list[tuple[Field, Maps]]] = {}
        for field in fields:
            maps = target_maps(field.labels, field.has_instances, field.mpp)
            if samples.types:
                maps = np.dstack([maps, type_codes(field, samples.types)[field.labels]])
            self.sources.setdefault(source_key(field), []).append((field, maps))
        shares = np.array([samples.shares.get(name, 1.0) for name in self.sources])
        if not shares.sum() > 0:
            raise ConfigError(
                f"samples.shares {samples.shares} leaves none of the sources {', '.join(self.sources)}. "
                "Give one of them a share above 0."
            )
        self.chances = shares / shares.sum()

    def __call__(self, rng: np.random.Generator) -> Arrays:
        """Return a batch of crops.

        Returns:
            ``image`` (B, S, S, 3), ``nucleus``, ``centre``, ``touching``, ``known`` (B, S, S), with types
                ``type`` (0 unknown), all uint8; ``name`` (B,).
        """
        drawn = [self.sample(rng) for _ in range(self.samples.batch)]
        maps = np.stack([one for _, one, _ in drawn])
        return {
            "image": np.stack([image for image, *_ in drawn]),
            "name": np.array([name for *_, name in drawn]),
            **{name: np.ascontiguousarray(maps[..., index]) for index, name in enumerate(self.maps)},
        }

    def sample(self, rng: np.random.Generator) -> tuple[Rgb, Maps, str]:
        """Return an augmented crop (S, S, 3) uint8, its maps (S, S, C) and origin."""
        side, changes = self.samples.side_px, self.changes
        if rng.random() < changes.glass:
            empty = GLASS_MAPS[: len(self.maps)]
            image, maps = augment.glass(side, rng), np.full((side, side, len(empty)), empty, np.uint8)
            if rng.random() < 0.5:
                image, maps = covered(image, maps, augment.ink(side, rng), rng)
            return augment.optics(image, rng, changes), maps, "glass"
        image, maps, name = self.cut(rng)
        image = augment.stain(image, rng, changes.stain)
        for cover in (augment.glass, augment.ink):
            if rng.random() < changes.cover:
                image, maps = covered(image, maps, cover(side, rng), rng)
        return augment.optics(image, rng, changes), maps, name

    def cut(self, rng: np.random.Generator) -> tuple[Rgb, Maps, str]:
        """Cut a random square of a random field.

        It is at the crops' mpp, varied by the scale augmentation.
        """
        fields = list(self.sources.values())[rng.choice(len(self.chances), p=self.chances)]
        field, maps = fields[rng.integers(len(fields))]
        side = self.samples.side_px
        wide = augment.rotation_px(side) if self.changes.geometric else side
        factor = self.mpp / field.mpp * np.exp(rng.uniform(-self.changes.scale, self.changes.scale))
        cut_px = max(round(wide * factor), 8)
        y, x = (int(rng.integers(0, max(extent - cut_px, 0) + 1)) for extent in field.labels.shape)
        method = FILTERS[rng.integers(factor < 1, len(FILTERS))]
        image, maps = resampled(field.image, maps, (y, x), cut_px, wide, method)
        if self.changes.geometric:
            image, maps = augment.rotated(image, maps, side, rng)
        return image, maps, f"{field.source}/{field.name} at y {y}, x {x}, {cut_px} px"


def source_key(field: Field) -> str:
    """Return the key of a field's source in ``samples.shares``."""
    return field.source if field.has_instances else f"{field.source}_foreground"


def resampled(
    image: Rgb,
    maps: Maps,
    origin: tuple[int, int],
    side_px: int,
    out_px: int,
    method: Image.Resampling = Image.Resampling.BOX,
) -> tuple[Rgb, Maps]:
    """Resample a square of an image and its maps.

    Maps are resampled by the nearest pixel; outside the image is white without nuclei.

    Args:
        image: RGB (H, W, 3) uint8.
        maps: Maps (H, W, C).
        origin: Corner (y, x) of the square.
        side_px: Side of the square.
        out_px: Side of the result.
        method: Interpolation of the image.
    """
    y, x = origin
    square = np.full((side_px, side_px, 3), 255, np.uint8)
    labels = np.full((side_px, side_px, maps.shape[2]), GLASS_MAPS[: maps.shape[2]], maps.dtype)
    cut = image[y : y + side_px, x : x + side_px]
    square[: cut.shape[0], : cut.shape[1]] = cut
    labels[: cut.shape[0], : cut.shape[1]] = maps[y : y + side_px, x : x + side_px]
    nearest = ((np.arange(out_px) + 0.5) * side_px / out_px).astype(int)
    resized = Image.fromarray(square).resize((out_px, out_px), method)
    return np.asarray(resized), labels[np.ix_(nearest, nearest)]


def covered(image: Rgb, maps: Maps, cover: Rgb, rng: np.random.Generator) -> tuple[Rgb, Maps]:
    """Cover a random smooth part of a crop.

    The part shows ``cover`` (glass or ink) and has no nuclei. It is as large as a torn edge, or as small as a
    nucleus.
    """
    side = len(image)
    grain = int(rng.choice((4, 8, 24)))
    height = ndimage.zoom(rng.normal(size=(grain, grain)), side / grain, order=1)
    gone = (height > np.quantile(height, rng.uniform(0.5, 0.97)))[..., None]
    return np.where(gone, cover, image), np.where(gone, np.array(GLASS_MAPS[: maps.shape[2]], np.uint8), maps)

"""Random augmentation: stain, focus, compression, and optional geometry.

All functions take an RGB image (H, W, 3) uint8 and a seeded generator, and return an image of the same kind.
Optics and geometry use albumentations, seeded from the generator; stain, glass and ink are implemented here.
"""

import os
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.training.recipe import Augment

Rgb = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.uint8]

# Hematoxylin, eosin, residual: rows are the optical density of each in R, G, B (Ruifrok and Johnston, 2001).
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=np.float32)
UNMIX = np.linalg.inv(STAINS).astype(np.float32)
INKS = ((20, 110, 100), (40, 150, 160), (20, 90, 50), (20, 70, 200))
DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def stain(image: Rgb, rng: np.random.Generator, strength: float = 1.0) -> Rgb:
    """Vary amount and hue of the dyes, haze and exposure.

    Args:
        image: RGB (H, W, 3) uint8.
        rng: Seeded generator.
        strength: Strength of all changes; below 1 they are smaller.
    """
    amount = np.exp(strength * rng.normal(0, (0.25, 0.3, 0.2))).astype(np.float32)
    hue = np.eye(3, dtype=np.float32) + strength * rng.normal(0, 0.05, (3, 3)).astype(np.float32)
    mix = UNMIX @ np.diag(amount) @ STAINS @ hue
    gamma = np.float32(np.exp(strength * rng.normal(0, 0.15)))
    haze = strength * np.abs(rng.normal(0, 0.03, 3)).astype(np.float32)
    density = np.clip(DENSITY[image] @ mix, 0, None) * gamma + haze
    return np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8)


def optics(image: Rgb, rng: np.random.Generator, changes: Augment) -> Rgb:
    """Blur or sharpen, then compress, then add noise, each at random."""
    return _seeded(_optics(changes.blur, changes.jpeg, changes.noise), rng)(image=image)["image"]


def rotated(image: Rgb, maps: Maps, side_px: int, rng: np.random.Generator) -> tuple[Rgb, Maps]:
    """Rotate the middle of an image and its maps by a random angle.

    Half of the results are mirrored.

    Args:
        image: RGB (H, W, 3) uint8.
        maps: Maps (H, W, C) of the image.
        side_px: Side of the result.
        rng: Seeded generator.
    """
    found = _seeded(_geometry(side_px), rng)(image=image, mask=maps)
    return found["image"], found["mask"]


def rotation_px(side_px: int) -> int:
    """Return the side of a square that contains ``side_px`` at any angle."""
    return int(np.ceil(side_px * np.sqrt(2))) + 2


@cache
def _library() -> Any:
    """Import albumentations without its version check and threads.

    Raises:
        ConfigError: It is not installed.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    try:
        import albumentations
        import cv2
    except ImportError as error:
        raise ConfigError("Training needs albumentations: pip install 'wsipipe[train]'.") from error
    cv2.setNumThreads(0)
    return albumentations


@cache
def _optics(blur: float, jpeg: float, noise: float) -> Any:
    library = _library()
    focus = [
        library.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.0), p=0.75),
        library.UnsharpMask(blur_limit=(3, 5), sigma_limit=1.5, alpha=(0.3, 1.0), threshold=0, p=0.25),
    ]
    return library.Compose(
        [
            library.OneOf(focus, p=blur),
            library.ImageCompression(quality_range=(40, 95), p=jpeg),
            library.GaussNoise(std_range=(1 / 255, 6 / 255), p=noise),
        ]
    )


@cache
def _geometry(side_px: int) -> Any:
    library = _library()
    return library.Compose(
        [
            library.HorizontalFlip(p=0.5),
            library.Affine(rotate=(-180, 180), fill=255, p=1),
            library.CenterCrop(side_px, side_px),
        ]
    )


def _seeded(compose: Any, rng: np.random.Generator) -> Any:
    compose.set_random_seed(int(rng.integers(2**31)))
    return compose


def glass(side_px: int, rng: np.random.Generator) -> Rgb:
    """Make an image (side, side, 3) of empty glass.

    It is near white with uneven light, grain and a few specks of dust.
    """
    base = np.clip(rng.uniform(215, 255) + rng.normal(0, 4, 3), 200, 255)
    ramp = np.linspace(-1, 1, side_px)
    light = ramp[:, None, None] * rng.normal(0, 3) + ramp[None, :, None] * rng.normal(0, 3)
    image = base + light + rng.normal(0, rng.uniform(0.3, 3), (side_px, side_px, 3))
    for _ in range(rng.poisson(0.5)):
        y, x = rng.integers(0, side_px, 2)
        size = int(rng.integers(1, 5))
        image[y : y + size, x : x + size] -= rng.uniform(10, 80)
    return np.clip(image, 0, 255).astype(np.uint8)


def ink(side_px: int, rng: np.random.Generator) -> Rgb:
    """Make an image (side, side, 3) of pen or marking ink.

    It is green to blue and uneven; black would look like nuclei.
    """
    hue = np.array(INKS[rng.integers(len(INKS))]) + rng.normal(0, 15, 3)
    cloud = ndimage.zoom(rng.normal(size=(8, 8)), side_px / 8, order=1)[..., None] * rng.uniform(5, 35)
    return np.clip(hue + cloud + rng.normal(0, 6, (side_px, side_px, 3)), 0, 255).astype(np.uint8)

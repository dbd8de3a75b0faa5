"""Random augmentation: stain, focus, compression, and optional geometry.

All functions take an RGB image (H, W, 3) uint8 and a seeded generator, and return an image of the same kind.
Optics and geometry are those of Pillow, with parameters from the generator; stain, glass and ink are
implemented here.
"""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage

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
    picture = Image.fromarray(image)
    if rng.random() < changes.blur:
        picture = picture.filter(_focus(rng))
    if rng.random() < changes.jpeg:
        picture = _compressed(picture, int(rng.integers(40, 96)))
    changed = np.array(picture)
    if rng.random() < changes.noise:
        grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(1, 6))
        grain += changed
        changed = np.clip(np.rint(grain, out=grain), 0, 255, out=grain).astype(np.uint8)
    return changed


def _focus(rng: np.random.Generator) -> ImageFilter.Filter:
    """Return a filter that blurs, three times in four, or sharpens."""
    if rng.random() < 0.75:
        return ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0))
    radius, percent = rng.uniform(0.5, 1.5), rng.uniform(30, 100)
    return ImageFilter.UnsharpMask(radius, round(percent), threshold=0)


def _compressed(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture after JPEG compression of a quality in percent."""
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def rotated(image: Rgb, maps: Maps, side_px: int, rng: np.random.Generator) -> tuple[Rgb, Maps]:
    """Rotate the middle of an image and its maps by a random angle.

    Half of the results are mirrored. The image is interpolated, the maps take the nearest px.

    Args:
        image: RGB (H, W, 3) uint8.
        maps: Maps (H, W, C) of the image.
        side_px: Side of the result.
        rng: Seeded generator.
    """
    degrees, mirrors = rng.uniform(-180, 180), rng.random() < 0.5
    top, left = ((side - side_px) // 2 for side in image.shape[:2])
    middle = (left, top, left + side_px, top + side_px)

    def turn(layer: npt.NDArray[np.uint8], how: Image.Resampling) -> npt.NDArray[np.uint8]:
        picture = Image.fromarray(layer)
        picture = ImageOps.mirror(picture) if mirrors else picture
        return np.array(picture.rotate(degrees, how).crop(middle))

    layers = [turn(maps[..., c], Image.Resampling.NEAREST) for c in range(maps.shape[2])]
    return turn(image, Image.Resampling.BILINEAR), np.stack(layers, axis=-1)


def rotation_px(side_px: int) -> int:
    """Return the side of a square that contains ``side_px`` at any angle."""
    return int(np.ceil(side_px * np.sqrt(2))) + 2


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

"""Stain, focus and compression of other scanners, drawn at random; geometry is in the network.

All functions take an RGB image (H, W, 3) uint8 and a seeded generator, and return an image of the same kind.
"""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

Rgb = npt.NDArray[np.uint8]

# Hematoxylin, eosin, residual: rows are the optical density of each in R, G, B (Ruifrok and Johnston, 2001).
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=np.float32)
UNMIX = np.linalg.inv(STAINS).astype(np.float32)
INKS = ((20, 110, 100), (40, 150, 160), (20, 90, 50), (20, 70, 200))
DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def stain(image: Rgb, rng: np.random.Generator, strength: float = 1.0) -> Rgb:
    """More or less of each dye, dyes of another hue, other glass, other exposure; less of it all below 1."""
    amount = np.exp(strength * rng.normal(0, (0.25, 0.3, 0.2))).astype(np.float32)
    hue = np.eye(3, dtype=np.float32) + strength * rng.normal(0, 0.05, (3, 3)).astype(np.float32)
    mix = UNMIX @ np.diag(amount) @ STAINS @ hue
    gamma = np.float32(np.exp(strength * rng.normal(0, 0.15)))
    haze = strength * np.abs(rng.normal(0, 0.03, 3)).astype(np.float32)
    density = np.clip(DENSITY[image] @ mix, 0, None) * gamma + haze
    return np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8)


def optics(image: Rgb, rng: np.random.Generator) -> Rgb:
    """Out of focus or sharpened, then compressed, then noisy; each now and then."""
    picture = Image.fromarray(image)
    draw = rng.random()
    if draw < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.0))))
    elif draw < 0.4:
        picture = picture.filter(ImageFilter.UnsharpMask(1.5, int(rng.integers(30, 120)), 0))
    if rng.random() < 0.5:
        picture = recompressed(picture, int(rng.integers(40, 95)))
    pixels = np.asarray(picture)
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(1, 6), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return pixels


def recompressed(picture: Image.Image, quality: int) -> Image.Image:
    """The picture after one JPEG round trip."""
    buffer = BytesIO()
    picture.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def glass(side_px: int, rng: np.random.Generator) -> Rgb:
    """Empty glass (side, side, 3): near white, uneven light, grain and a few specks of dust."""
    base = np.clip(rng.uniform(215, 255) + rng.normal(0, 4, 3), 200, 255)
    slope = np.linspace(-1, 1, side_px)[:, None, None] * rng.normal(0, 3) + np.linspace(-1, 1, side_px)[
        None, :, None
    ] * (rng.normal(0, 3))
    image = base + slope + rng.normal(0, rng.uniform(0.3, 3), (side_px, side_px, 3))
    for _ in range(rng.poisson(0.5)):
        y, x = rng.integers(0, side_px, 2)
        size = int(rng.integers(1, 5))
        image[y : y + size, x : x + size] -= rng.uniform(10, 80)
    return np.clip(image, 0, 255).astype(np.uint8)


def ink(side_px: int, rng: np.random.Generator) -> Rgb:
    """Pen or marking ink (side, side, 3): green to blue, uneven; black would look as nuclei do."""
    hue = np.array(INKS[rng.integers(len(INKS))]) + rng.normal(0, 15, 3)
    cloud = ndimage.zoom(rng.normal(size=(8, 8)), side_px / 8, order=1)[..., None] * rng.uniform(5, 35)
    return np.clip(hue + cloud + rng.normal(0, 6, (side_px, side_px, 3)), 0, 255).astype(np.uint8)

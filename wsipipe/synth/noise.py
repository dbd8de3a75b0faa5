"""Random numbers as pure functions of position.

Hashes, smooth noise and periodic textures. A position has the same value in any order of calls and in any
process, so the blocks of a slide match.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates

Floats = npt.NDArray[np.float64]
Texture = npt.NDArray[np.float32]

TEXTURE_PX = 1024
_WORD = (1 << 64) - 1


def uniform(seed: int, salt: int, y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> Floats:
    """Return independent uniform numbers in [0, 1), float64.

    Args:
        seed: Seed of the slide.
        salt: Number of the random field.
        y: Integer rows, broadcast with ``x``.
        x: Integer columns.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), once per coordinate.
    """
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & _WORD)
    row = _mixed(y.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start)
    mixed = _mixed(row + x.astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(word: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def smooth_noise(seed: int, salt: int, y_um: Floats, x_um: Floats, scale_um: float) -> Floats:
    """Return smooth noise in [-1, 1], float64.

    Args:
        seed: Seed of the slide.
        salt: Number of the random field.
        y_um: Positions along y, broadcast with ``x_um``.
        x_um: Positions along x.
        scale_um: Size of the features.
    """
    # Each field has its own rotation, or the lattice would show as vertical and horizontal edges.
    sine, cosine = np.sin(1.1 * salt) / scale_um, np.cos(1.1 * salt) / scale_um
    row, down = _cell_and_fade(cosine * y_um + sine * x_um)
    column, across = _cell_and_fade(cosine * x_um - sine * y_um)
    corners = [[uniform(seed, salt, row + j, column + i) for i in (0, 1)] for j in (0, 1)]
    top, bottom = (left + across * (right - left) for left, right in corners)
    return 2 * (top + down * (bottom - top)) - 1


def _cell_and_fade(place: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    cell = np.floor(place)
    part = place - cell
    return cell.astype(np.int64), part * part * part * (part * (6 * part - 15) + 10)


@dataclass(frozen=True)
class Textures:
    """Periodic textures, float32.

    Their mean is 0 and their standard deviation 1. Their period is ``TEXTURE_PX``; they are padded for
    wrapped slices.

    Attributes:
        fibre: Wavy bands along x.
        fibre_angle: Direction of the bands in radians, from x towards y.
        grain: Fine granules of the cytoplasm.
        cloud: Patches of cytoplasm, some um wide.
        chromatin: Coarser clumps inside nuclei.
        sensor: White noise of the camera.
    """

    fibre: Texture
    fibre_angle: Texture
    grain: Texture
    cloud: Texture
    chromatin: Texture
    sensor: Texture


@lru_cache(maxsize=2)
def textures(mpp: float, block_px: int) -> Textures:
    """Return the textures of all slides of one resolution.

    Args:
        mpp: Micrometres per px.
        block_px: Padding, so that blocks of this side are plain slices.
    """
    generator = np.random.default_rng(3)
    fibre, angle = _fibres(generator, mpp)
    bands = [
        _band(generator, fine / mpp, coarse / mpp) for fine, coarse in ((0.4, 1.2), (1.3, 6.0), (0.42, 1.6))
    ]
    sensor = generator.standard_normal((TEXTURE_PX, TEXTURE_PX))
    pad = ((0, block_px), (0, block_px))
    return Textures(*(np.pad(t.astype(np.float32), pad, "wrap") for t in (fibre, angle, *bands, sensor)))


def _fibres(generator: np.random.Generator, mpp: float) -> tuple[Floats, Floats]:
    white = generator.standard_normal((3, TEXTURE_PX, TEXTURE_PX))
    fine = _unit(gaussian_filter(white[0], (0.6 / mpp, 8 / mpp), mode="wrap"))
    thick = _unit(gaussian_filter(white[1], (2.2 / mpp, 16 / mpp), mode="wrap"))
    shift = 9 / mpp * _unit(gaussian_filter(white[2], 12 / mpp, mode="wrap"))
    rows, columns = np.mgrid[:TEXTURE_PX, :TEXTURE_PX]
    warped = map_coordinates(fine + thick, [rows + shift, columns], order=1, mode="grid-wrap")
    slope_y, slope_x = np.gradient(shift)
    return _unit(warped), np.arctan2(-slope_x, 1 + slope_y)


def _band(generator: np.random.Generator, fine_px: float, coarse_px: float) -> Floats:
    white = generator.standard_normal((TEXTURE_PX, TEXTURE_PX))
    return _unit(
        gaussian_filter(white, fine_px, mode="wrap") - gaussian_filter(white, coarse_px, mode="wrap")
    )


def _unit(values: Floats) -> Floats:
    return (values - values.mean()) / values.std()

"""Nuclei and red cells of synthetic slides.

Positions come from a thinned, jittered grid, appearances from a library of stamps.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from wsipipe.geometry import Region
from wsipipe.synth.anatomy import Anatomy, Ground
from wsipipe.synth.noise import TEXTURE_PX, Floats, Texture, uniform

PITCH_UM = 6.8
REACH_UM = 8.5
EPITHELIAL, LYMPHOCYTE, FIBROBLAST, RED = range(4)
_VARIANTS = 96
_ANGLES = 12
_TOUCH = 0.92


@dataclass(frozen=True)
class Cells:
    """Cells in drawing order, one array entry per cell.

    Attributes:
        ids: Index of the grid position + 1, int64; stable and unique, with gaps.
        y_px: Row of the centre at level 0, int64.
        x_px: Column of the centre at level 0, int64.
        stamp: Index into :func:`stamps`, int64.
        kind: EPITHELIAL, LYMPHOCYTE, FIBROBLAST or RED, int64.
        stain: Haematoxylin (red cells: eosin) optical density, float64.
    """

    ids: npt.NDArray[np.int64]
    y_px: npt.NDArray[np.int64]
    x_px: npt.NDArray[np.int64]
    stamp: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    stain: Floats


@lru_cache(maxsize=2)
def stamps(mpp: float) -> tuple[Texture, Texture]:
    """Return coverage and tone of all stamps.

    Returns:
        Coverage in [0, 1] and tone (1 inside, more at the rim), both (4 * _VARIANTS, side, side) float32.
    """
    generator = np.random.default_rng(7)
    half = int(np.ceil(REACH_UM / mpp))
    y, x = np.mgrid[-half : half + 1, -half : half + 1] * mpp
    pairs = [_stamp(generator, y, x, kind, variant, mpp) for kind in range(4) for variant in range(_VARIANTS)]
    cover, tone = (np.stack(part).astype(np.float32) for part in zip(*pairs, strict=True))
    return cover, tone


def _stamp(
    generator: np.random.Generator, y_um: Floats, x_um: Floats, kind: int, variant: int, mpp: float
) -> tuple[Floats, Floats]:
    long_um, aspect = _size(generator, kind)
    turn = (variant % _ANGLES + generator.uniform(-0.3, 0.3)) * np.pi / _ANGLES
    along = (x_um * np.cos(turn) + y_um * np.sin(turn)) / long_um
    across = (y_um * np.cos(turn) - x_um * np.sin(turn)) / (long_um / aspect)
    angle, lobes = np.arctan2(across, along), 0.03 if kind == RED else 0.07
    outline = np.ones_like(angle)
    for k in (2, 3, 4, 5):
        outline += generator.normal(0, lobes / k) * np.cos(k * angle + generator.uniform(0, 7))
    rho = np.hypot(along, across) / outline
    cover = gaussian_filter((rho < 1).astype(np.float64), 0.35 / mpp)
    return cover, _tone(generator, rho, along, across, kind)


def _size(generator: np.random.Generator, kind: int) -> tuple[float, float]:
    """Return the long semi-axis in um and its ratio to the short one."""
    ranges = {
        EPITHELIAL: ((3.8, 5.4), (1.05, 1.6)),
        LYMPHOCYTE: ((2.9, 3.5), (1.0, 1.2)),
        FIBROBLAST: ((4.4, 6.6), (2.0, 3.2)),
        RED: ((2.6, 3.4), (1.0, 1.4)),
    }
    long_um, aspect = ranges[kind]
    return float(generator.uniform(*long_um)), float(generator.uniform(*aspect))


def _tone(generator: np.random.Generator, rho: Floats, along: Floats, across: Floats, kind: int) -> Floats:
    rim = np.exp(-(((rho - 0.92) / 0.14) ** 2))
    if kind == RED:
        return 0.92 + 0.12 * rim
    spot_y, spot_x = generator.uniform(-0.4, 0.4, 2)
    nucleolus = np.exp(-((along - spot_x) ** 2 + (across - spot_y) ** 2) / 0.03)
    return 0.94 + 0.30 * rim + (0.35 * nucleolus if kind == EPITHELIAL else 0.0)


class Crowd:
    """All cells of one slide, a pure function of seed and anatomy."""

    def __init__(
        self, seed: int, shape: tuple[int, int], mpp: float, anatomy: Anatomy, fibre_angle: Texture
    ) -> None:
        self._seed, self._shape, self._mpp, self._anatomy = seed, shape, mpp, anatomy
        self._fibre_angle = fibre_angle
        self.columns = int(shape[1] * mpp / PITCH_UM) + 2
        self.rows = int(shape[0] * mpp / PITCH_UM) + 2

    def near(self, region: Region) -> Cells:
        """Return the cells that may touch a region.

        The region is of level 0; cells are in drawing order.
        """
        reach = region.grown(int(np.ceil(REACH_UM / self._mpp)))
        pitch_px = PITCH_UM / self._mpp
        # Two positions more on each side: thinning compares a cell with all that could touch it.
        rows = np.arange(int(reach.y // pitch_px) - 2, int(reach.end_y // pitch_px) + 4)
        columns = np.arange(int(reach.x // pitch_px) - 2, int(reach.end_x // pitch_px) + 4)
        return self._standing(rows[:, None], columns[None])

    def _standing(self, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]) -> Cells:
        draw = [uniform(self._seed, salt, row, column) for salt in range(30, 37)]
        y_um, x_um = (
            (row + 0.5 + 0.8 * (draw[0] - 0.5)) * PITCH_UM,
            (column + 0.5 + 0.8 * (draw[1] - 0.5)) * PITCH_UM,
        )
        ground = self._anatomy.ground(y_um, x_um)
        kind = _kinds(ground, draw[2])
        radius_um = np.array([4.0, 3.0, 3.2, 2.9])[kind]
        alive = (draw[3] < _chance(ground, kind)) & self._inside(y_um, x_um)
        alive &= ~_crowded_out(y_um, x_um, radius_um, np.where(alive, draw[4], -1.0))
        y_px, x_px = (np.rint(place / self._mpp).astype(np.int64) for place in (y_um, x_um))
        stamp = self._stamp(kind, draw[5], ground, y_px, x_px)
        stain = np.array([0.40, 0.74, 0.62, 0.50])[kind] + np.array([0.36, 0.25, 0.30, 0.2])[kind] * draw[6]
        ids = row * self.columns + column + 1
        return Cells(ids[alive], y_px[alive], x_px[alive], stamp[alive], kind[alive], stain[alive])

    def _inside(self, y_um: Floats, x_um: Floats) -> npt.NDArray[np.bool_]:
        y, x = np.rint(y_um / self._mpp), np.rint(x_um / self._mpp)
        return (y >= 0) & (y < self._shape[0]) & (x >= 0) & (x < self._shape[1])

    def _stamp(
        self,
        kind: npt.NDArray[np.int64],
        draw: Floats,
        ground: Ground,
        y_px: npt.NDArray[np.int64],
        x_px: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Choose stamps of the kinds; spindle nuclei follow the fibres."""
        angle = self._fibre_angle[y_px % TEXTURE_PX, x_px % TEXTURE_PX]
        upright = np.pi / 2 - self._fibre_angle[x_px % TEXTURE_PX, y_px % TEXTURE_PX]
        turn = (
            np.rint(np.where(ground.upright > 0.5, upright, angle) * _ANGLES / np.pi).astype(np.int64)
            % _ANGLES
        )
        variant = (draw * _VARIANTS).astype(np.int64)
        along = variant // _ANGLES * _ANGLES + turn
        return kind * _VARIANTS + np.where(kind == FIBROBLAST, along, variant)


def _kinds(ground: Ground, draw: Floats) -> npt.NDArray[np.int64]:
    lymphocyte = draw < np.maximum(0.9 * ground.lymphoid, 0.12 * (1 - ground.epithelium))
    kind = np.where(lymphocyte, LYMPHOCYTE, np.where(ground.epithelium > draw, EPITHELIAL, FIBROBLAST))
    return np.where((ground.lumen_um > 1) & (ground.epithelium < 0.5), RED, kind).astype(np.int64)


def _chance(ground: Ground, kind: npt.NDArray[np.int64]) -> Floats:
    dense = 0.75 * ground.epithelium + 0.9 * ground.lymphoid
    chance = np.clip(0.30 + dense, 0, 0.95) * (1 - 0.6 * ground.fat)
    chance = np.where((ground.white_um < -2.5) & (ground.tissue_um > 4), chance, 0.0)
    return np.where((kind == RED) & (ground.tissue_um > 10), 0.8, chance)


def _crowded_out(y_um: Floats, x_um: Floats, radius_um: Floats, rank: Floats) -> npt.NDArray[np.bool_]:
    """Return which candidates overlap a higher-ranked one.

    Source: the second thinning of Matern.
    """
    crowded = np.zeros(rank.shape, dtype=np.bool_)
    rows, columns = rank.shape
    for j in range(-2, 3):
        for i in range(-2, 3):
            here = slice(max(j, 0), rows + min(j, 0)), slice(max(i, 0), columns + min(i, 0))
            there = slice(max(-j, 0), rows + min(-j, 0)), slice(max(-i, 0), columns + min(-i, 0))
            distance = np.hypot(y_um[here] - y_um[there], x_um[here] - x_um[there])
            close = distance < _TOUCH * (radius_um[here] + radius_um[there])
            crowded[here] |= close & (rank[there] > rank[here])
    return crowded

"""Tissue layout of synthetic slides.

Tissue has epithelium, stroma, lymphoid, fat and lumina.
"""

from dataclasses import dataclass

import numpy as np

from wsipipe.synth.noise import Floats, smooth_noise, uniform

_FAT_PITCH_UM = 55.0
_SAMPLES = 160


@dataclass(frozen=True)
class Ground:
    """Properties of positions, float64 arrays of one shape.

    Attributes:
        tissue_um: Rough distance inside the tissue; negative on glass.
        white_um: Rough distance inside something white (glass, lumen, fat); negative in stained matter.
        lumen_um: Rough distance inside lumina; negative elsewhere.
        epithelium: Share in [0, 1]; the rest is stroma.
        lymphoid: Share in [0, 1].
        fat: Share in [0, 1].
        upright: Share in [0, 1] of fibres that run along y instead of x.
    """

    tissue_um: Floats
    white_um: Floats
    lumen_um: Floats
    epithelium: Floats
    lymphoid: Floats
    fat: Floats
    upright: Floats


class Anatomy:
    """Layout of the tissue of one slide.

    It is a pure function of the seed and of the extent of the slide in um.
    """

    def __init__(self, seed: int, extent_um: tuple[float, float]) -> None:
        self._seed, self._extent_um = seed, extent_um
        self._island_um = float(np.clip(min(extent_um) / 2.6, 90, 5000))
        self._class_um = float(np.clip(min(extent_um) / 7, 50, 420))
        share = 0.40 + 0.12 * float(uniform(seed, 1, np.array([0]), np.array([0]))[0])
        y, x = (np.linspace(0, length, _SAMPLES) for length in extent_um)
        self._level = float(np.quantile(self._islands(y[:, None], x[None]), 1 - share))

    def tissue_um(self, y_um: Floats, x_um: Floats) -> Floats:
        """Return the rough distance inside tissue in um.

        It is negative on glass.
        """
        return (self._islands(y_um, x_um) - self._level) * self._island_um / 2

    def ground(self, y_um: Floats, x_um: Floats) -> Ground:
        """Return all properties of positions (broadcast y, x)."""
        tissue = self.tissue_um(y_um, x_um)
        kind = self._noise(10, y_um, x_um, self._class_um) + 0.4 * self._noise(
            11, y_um, x_um, self._class_um / 3
        )
        other = self._noise(12, y_um, x_um, 1.3 * self._class_um) + 0.1 * self._noise(13, y_um, x_um, 40)
        epithelium, fat = _step(9 * (kind - 0.10)), _step(9 * (other - 0.42)) * _step(9 * (0.05 - kind))
        lymphoid = _step(7 * (-other - 0.38)) * (1 - epithelium)
        lumen = self._lumen_um(y_um, x_um, epithelium) - 30 * fat
        white = np.maximum(-tissue, lumen)
        if fat.any():
            white = np.maximum(white, np.minimum(self._foam_um(y_um, x_um), 60 * (fat - 0.5)))
        upright = _step(6 * self._noise(16, y_um, x_um, 1.5 * self._class_um))
        return Ground(tissue, white, lumen, epithelium, lymphoid, fat, upright)

    def _noise(self, salt: int, y_um: Floats, x_um: Floats, scale_um: float) -> Floats:
        return smooth_noise(self._seed, salt, y_um, x_um, scale_um)

    def _islands(self, y_um: Floats, x_um: Floats) -> Floats:
        height = np.zeros(np.broadcast_shapes(y_um.shape, x_um.shape))
        for salt, share in ((2, 1.0), (3, 0.5), (4, 0.2), (5, 0.08)):
            height += share * self._noise(salt, y_um, x_um, self._island_um * share)
        return height - self._rim(y_um, self._extent_um[0]) - self._rim(x_um, self._extent_um[1])

    def _rim(self, place_um: Floats, extent_um: float) -> Floats:
        """Return a penalty near the edges of the slide.

        It keeps most tissue off them.
        """
        off_edge = np.minimum(place_um, extent_um - place_um) / (0.08 * extent_um)
        return 1.2 * np.clip(1 - off_edge, 0, 1) ** 2

    def _lumen_um(self, y_um: Floats, x_um: Floats, epithelium: Floats) -> Floats:
        hollow = self._noise(14, y_um, x_um, 48) + 0.25 * self._noise(15, y_um, x_um, 14)
        return (hollow - 0.86 + 0.20 * epithelium) * 24

    def _foam_um(self, y_um: Floats, x_um: Floats) -> Floats:
        """Return the distance from the nearest wall of fat cells in um.

        Fat cells are a jittered Voronoi pattern.
        """
        y, x = np.broadcast_arrays(y_um / _FAT_PITCH_UM, x_um / _FAT_PITCH_UM)
        row, column = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
        nearest = second = np.full(y.shape, np.inf)
        for j in (-1, 0, 1):
            for i in (-1, 0, 1):
                seed_y = row + j + 0.15 + 0.7 * uniform(self._seed, 17, row + j, column + i)
                seed_x = column + i + 0.15 + 0.7 * uniform(self._seed, 18, row + j, column + i)
                distance = np.hypot(y - seed_y, x - seed_x)
                second = np.minimum(second, np.maximum(nearest, distance))
                nearest = np.minimum(nearest, distance)
        return (second - nearest) * _FAT_PITCH_UM / 2 - 1.4


def _step(values: Floats) -> Floats:
    return np.clip(values + 0.5, 0, 1)

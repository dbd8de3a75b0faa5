"""Synthetic slides with faults whose areas are known exactly.

Ink, a fold and an area out of focus lie at fixed shares of the slide's extent; stains may be pale or dark. A
pixel is the same in any region.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.synth.noise import uniform
from wsipipe.synth.slide import GLASS, SyntheticSlide

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]
Shape = Callable[[Places, Places], Mask]

FAULTS = ("pen", "fold", "blur", "bubble", "pale", "dark")
VALUES = {"blue ink": 2, "green ink": 3, "red ink": 4, "black ink": 5, "fold": 6, "blur": 7, "bubble": 8}
"""Values of the truth, those of ``labels/quality``."""
BLUR_UM = 1.5
"""Standard deviation of the blur."""
_INKS = {
    "blue ink": ((0.12, 0.10), (0.22, 0.42), (30, 60, 150)),
    "green ink": ((0.22, 0.58), (0.12, 0.90), (20, 130, 70)),
    "red ink": ((0.80, 0.10), (0.88, 0.42), (215, 30, 45)),
    "black ink": ((0.80, 0.58), (0.88, 0.90), (25, 25, 30)),
}
_FOLD_ENDS, _FOLD_SHIFT_UM = ((0.35, 0.15), (0.65, 0.45)), (40, -60)
_BLUR_CENTRE, _BLUR_SHARE = (0.5, 0.7), 0.17
_BUBBLE_CENTRE, _BUBBLE_SHARE = (0.12, 0.5), 0.09
_BUBBLE_LINE_UM, _BUBBLE_LIGHT = 16.0, 0.35
_STRENGTHS = {"pale": 0.12, "dark": 2.2}
_NOISE_LEVELS = 3.0


@dataclass(frozen=True)
class _Area:
    """Area of one fault: its name, box and shape.

    Attributes:
        name: Key of ``VALUES``.
        box: Level-0 px that contain it.
        shape: Function that returns which positions, (y, x) in um, are inside.
    """

    name: str
    box: Region
    shape: Shape


def check_faults(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of faults.

    Raises:
        ConfigError: One is unknown.
    """
    asked = tuple(names)
    for name in asked:
        if name not in FAULTS:
            raise ConfigError(f"Unknown fault {name!r}. Choose of {', '.join(FAULTS)}, separated by commas.")
    return asked


class FaultySlide(SyntheticSlide):
    """Synthetic slide with faults.

    Args:
        seed: Random seed.
        size_px: Side, or (height, width), at level 0.
        mpp: Micrometres per px of level 0.
        faults: Names out of ``FAULTS``.
    """

    def __init__(
        self, seed: int, size_px: int | tuple[int, int], mpp: float = 0.25, faults: Iterable[str] = FAULTS[:4]
    ) -> None:
        asked = check_faults(faults)
        super().__init__(seed, size_px, mpp)
        self._strength = float(np.prod([_STRENGTHS.get(name, 1.0) for name in asked]))
        self._areas = [area for area in self._all_areas() if _kind(area.name) in asked]

    def rgb(self, region: Region) -> Pixels:
        """Return the RGB pixels of a level-0 region, faults included."""
        pixels = self._folded(region)
        for part, inside, _ in self._meeting(region, "blur"):
            _put(pixels, region, part, inside, self._blurred(part))
        for part, inside, _ in self._meeting(region, "bubble"):
            _put(pixels, region, part, inside, self._under_air(part))
        for part, inside, area in self._meeting(region, *_INKS):
            light = (np.array(_INKS[area.name][2]) + 1) / 246
            here = pixels[part.relative_to(region).slices]
            _put(pixels, region, part, inside, (here * light).astype(np.uint8))
        return pixels

    def faults(self, region: Region, downsample: int = 1) -> Pixels:
        """Return the value of the fault at each pixel centre; 0 where there is none.

        Folds and blur are those of tissue alone.

        Args:
            region: Region of a grid ``downsample`` times coarser than level 0.
            downsample: Level-0 px per px of the grid.
        """
        found = np.zeros(region.shape, np.uint8)
        tissue = self.tissue(region, downsample)
        y, x = _centres(region, self.mpp * downsample)
        for area in self._areas:
            inside = area.shape(y, x)
            if area.name == "blur":
                inside &= tissue
            if area.name == "fold":
                inside &= tissue & self._second_sheet(y, x)
            found[inside] = VALUES[area.name]
        return found

    def _all_areas(self) -> Iterator[_Area]:
        """Yield all faults; a later one hides an earlier one."""
        extent = np.array(self.shape) * self.mpp
        least = float(extent.min())
        centre, radius = extent * _BLUR_CENTRE, _BLUR_SHARE * least
        yield self._area(
            "blur", lambda y, x: np.hypot(y - centre[0], x - centre[1]) < radius, centre, centre, radius
        )
        yield self._area("bubble", self._bubble(0), *self._bubble_box())
        wide = float(np.clip(0.03 * least, 25, 90))
        yield self._stroke("fold", extent * _FOLD_ENDS[0], extent * _FOLD_ENDS[1], wide)
        for name, (start, end, _) in _INKS.items():
            yield self._stroke(name, extent * start, extent * end, float(np.clip(0.03 * least, 30, 250)))

    def _bubble(self, inset_um: float) -> Shape:
        """Return the shape of the bubble, or of what lies within its outline."""
        centre, _, radius = self._bubble_box()

        def shape(y: Places, x: Places) -> Mask:
            return np.hypot(y - centre[0], x - centre[1]) < radius - inset_um

        return shape

    def _bubble_box(self) -> tuple[Places, Places, float]:
        extent = np.array(self.shape) * self.mpp
        centre = extent * _BUBBLE_CENTRE
        return centre, centre, _BUBBLE_SHARE * float(extent.min())

    def _under_air(self, part: Region) -> Pixels:
        """Return the pixels of a bubble: out of focus, with a dark outline."""
        pixels = self._blurred(part)
        line = ~self._bubble(_BUBBLE_LINE_UM)(*_centres(part, self.mpp))
        pixels[line] = (pixels[line] * _BUBBLE_LIGHT).astype(np.uint8)
        return pixels

    def _stroke(self, name: str, start: Places, end: Places, half_um: float) -> _Area:
        along = end - start
        length2 = float(along @ along)

        def shape(y: Places, x: Places) -> Mask:
            share = np.clip(((y - start[0]) * along[0] + (x - start[1]) * along[1]) / length2, 0, 1)
            return np.hypot(y - start[0] - share * along[0], x - start[1] - share * along[1]) < half_um

        return self._area(name, shape, np.minimum(start, end), np.maximum(start, end), half_um)

    def _area(self, name: str, shape: Shape, low: Places, high: Places, reach_um: float) -> _Area:
        y, x = ((low - reach_um) // self.mpp).astype(int).tolist()
        end_y, end_x = ((high + reach_um) // self.mpp + 1).astype(int).tolist()
        return _Area(name, Region(y, x, end_y - y, end_x - x), shape)

    def _meeting(self, region: Region, *names: str) -> Iterator[tuple[Region, Mask, _Area]]:
        """Yield the part of a region and the mask of each area of these names."""
        for area in self._areas:
            if area.name in names and area.box.meets(region):
                part = area.box.intersection(region)
                yield part, area.shape(*_centres(part, self.mpp)), area

    def _stained(self, region: Region) -> Pixels:
        pixels = super().rgb(region)
        if self._strength == 1:
            return pixels
        levels = np.arange(256)[:, None] / GLASS
        table = np.clip(np.rint(GLASS * levels**self._strength), 0, 255).astype(np.uint8)
        return np.stack([table[:, channel][pixels[..., channel]] for channel in range(3)], axis=2)

    def _folded(self, region: Region) -> Pixels:
        pixels = self._stained(region)
        for part, inside, _ in self._meeting(region, "fold"):
            here = pixels[part.relative_to(region).slices]
            other = self._stained(Region(part.y + self._shift[0], part.x + self._shift[1], *part.shape))
            _put(pixels, region, part, inside, np.minimum(here * (other / GLASS), 255).astype(np.uint8))
        return pixels

    @property
    def _shift(self) -> tuple[int, int]:
        """Distance of the second sheet of a fold, level-0 px."""
        return round(_FOLD_SHIFT_UM[0] / self.mpp), round(_FOLD_SHIFT_UM[1] / self.mpp)

    def _second_sheet(self, y_um: Places, x_um: Places) -> Mask:
        y, x = (place + shift * self.mpp for place, shift in zip((y_um, x_um), self._shift, strict=True))
        return self._anatomy.tissue_um(y, x) >= 0

    def _blurred(self, part: Region) -> Pixels:
        """Return blurred pixels with new noise: that of the sensor is not blurred."""
        sigma_px = BLUR_UM / self.mpp
        halo = int(4 * sigma_px + 1)
        wide = self._folded(part.grown(halo)).astype(np.float64)
        smooth = gaussian_filter(wide, (sigma_px, sigma_px, 0))[halo:-halo, halo:-halo]
        y, x = np.ogrid[part.y : part.end_y, part.x : part.end_x]
        for channel in range(3):
            smooth[..., channel] += _NOISE_LEVELS * (uniform(self.seed, 90 + channel, y, x) - 0.5)
        return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


def _kind(name: str) -> str:
    return "pen" if name in _INKS else name


def _centres(region: Region, mpp: float) -> tuple[Places, Places]:
    """Return y (h, 1) and x (1, w) of pixel centres, um."""
    y, x = np.ogrid[region.y : region.end_y, region.x : region.end_x]
    return (y + 0.5) * mpp, (x + 0.5) * mpp


def _put(pixels: Pixels, region: Region, part: Region, inside: Mask, changed: Pixels) -> None:
    """Copy the changed pixels of a part of a region into its pixels."""
    target = pixels[part.relative_to(region).slices]
    target[inside] = changed[inside]

"""Pixels, nuclei and tissue of a synthetic slide by region.

No array of a whole slide is held in memory.
"""

import numpy as np
import numpy.typing as npt

from wsipipe.geometry import Region
from wsipipe.synth.anatomy import Anatomy
from wsipipe.synth.cells import RED, Cells, Crowd, stamps
from wsipipe.synth.noise import TEXTURE_PX, Texture, textures

BLOCK_PX = 512
_NODE_PX = 8
GLASS = np.array([244.5, 243.5, 245.0], np.float32)
# Absorbances of (R, G, B). Source: the reference vectors of Macenko et al., ISBI 2009, close to Ruifrok's.
_HAEMATOXYLIN = np.array([0.5626, 0.7201, 0.4062], np.float32)
_EOSIN = np.array([0.2159, 0.8012, 0.5581], np.float32)
_FAR_UM = 6.0


class SyntheticSlide:
    """A synthetic H&E-like slide.

    It is a pure function of its arguments: a pixel is the same in any region and any order of reads.

    Args:
        seed: Random seed.
        size_px: Side, or (height, width), at level 0.
        mpp: Micrometres per px of level 0.
    """

    def __init__(self, seed: int, size_px: int | tuple[int, int], mpp: float = 0.25) -> None:
        self.shape = (size_px, size_px) if isinstance(size_px, int) else size_px
        self.seed, self.mpp = seed, mpp
        self._anatomy = Anatomy(seed, (self.shape[0] * mpp, self.shape[1] * mpp))
        self._textures = textures(mpp, BLOCK_PX)
        self.crowd = Crowd(seed, self.shape, mpp, self._anatomy, self._textures.fibre_angle)
        nodes = np.arange(0, BLOCK_PX + 1, _NODE_PX)
        places = (np.arange(BLOCK_PX) + 0.5)[:, None]
        # Rows of linear interpolation: nodes -> pixel centres.
        self._spread = np.clip(1 - np.abs(places - nodes) / _NODE_PX, 0, 1).astype(np.float32)

    @property
    def most_ids(self) -> int:
        """Upper bound of the ids of nuclei."""
        return self.crowd.rows * self.crowd.columns

    def rgb(self, region: Region) -> npt.NDArray[np.uint8]:
        """Return the RGB pixels of a level-0 region.

        Pixels are (height, width, 3) uint8.
        """
        out = np.empty((*region.shape, 3), np.uint8)
        for block in region.aligned(BLOCK_PX).blocks(BLOCK_PX):
            part = block.intersection(region)
            out[part.relative_to(region).slices] = self._block(block)[part.relative_to(block).slices]
        return out

    def nuclei(self, region: Region) -> npt.NDArray[np.uint32]:
        """Return the nucleus ids of a level-0 region.

        Ids are (height, width) uint32. Pixels that a nucleus covers by less than half are 0. Ids are unique
        in the slide, the same in all regions, and have gaps.
        """
        labels = np.zeros(region.shape, np.uint32)
        cover, _ = stamps(self.mpp)
        cells = self.crowd.near(region)
        for i in np.flatnonzero(cells.kind != RED).tolist():
            target, source = _overlap(region, cells, i, cover.shape[1])
            labels[target][cover[cells.stamp[i]][source] >= 0.5] = cells.ids[i]
        return labels

    def tissue(self, region: Region, downsample: int = 1) -> npt.NDArray[np.bool_]:
        """Return which pixel centres lie in tissue.

        The mask is (height, width) bool.

        Args:
            region: Region of a grid ``downsample`` times coarser than level 0.
            downsample: Level-0 px per px of the grid.
        """
        y = (np.arange(region.y, region.end_y, dtype=np.float64) + 0.5) * (downsample * self.mpp)
        x = (np.arange(region.x, region.end_x, dtype=np.float64) + 0.5) * (downsample * self.mpp)
        return self._anatomy.tissue_um(y[:, None], x[None]) >= 0

    def _block(self, block: Region) -> npt.NDArray[np.uint8]:
        nodes = np.arange(0, BLOCK_PX + 1, _NODE_PX, dtype=np.float64)
        y, x = (block.y + nodes[:, None]) * self.mpp, (block.x + nodes[None]) * self.mpp
        stains = np.zeros((2, BLOCK_PX, BLOCK_PX), np.float32)
        if self._anatomy.tissue_um(y, x).max() > -_FAR_UM:
            self._stain_matter(stains, block, y, x)
            self._stain_cells(stains, block)
        return self._light(stains, block)

    def _stain_matter(
        self, stains: Texture, block: Region, y_um: npt.NDArray[np.float64], x_um: npt.NDArray[np.float64]
    ) -> None:
        """Add the densities of cytoplasm, fibres and white areas.

        Densities are (haematoxylin, eosin).
        """
        ground = self._anatomy.ground(y_um, x_um)
        epithelium = ground.epithelium * (1 - ground.fat)
        haematoxylin = 0.035 + 0.13 * epithelium + 0.12 * ground.lymphoid
        eosin = 0.36 - 0.10 * epithelium - 0.10 * ground.lymphoid
        fibrous = (1 - 0.9 * epithelium) * (1 - 0.5 * ground.lymphoid) * (1 - 0.85 * ground.fat)
        fields = np.stack([haematoxylin, eosin, fibrous, ground.white_um, ground.upright]).astype(np.float32)
        haematoxylin, eosin, fibrous, white_um, upright = self._spread @ fields @ self._spread.T
        grain = self._texture(self._textures.grain, block)
        cloud = self._texture(self._textures.cloud, block)
        fibre = self._texture(self._textures.fibre, block)
        fibre = fibre + upright * (self._texture(self._textures.fibre, block, upright=True) - fibre)
        fibre *= fibrous
        matter = np.clip(0.5 - 0.9 * (white_um - 1.1 * fibre - 0.4 * cloud), 0, 1)
        matter *= np.clip(2.3 + 1.2 * fibre, 0, 1)
        matter *= np.clip(1.45 + (0.55 - 0.45 * fibrous) * cloud, 0.15, 1)
        stains[0] = matter * haematoxylin * (1 + 0.16 * grain + 0.25 * cloud + 0.2 * fibre)
        stains[1] = matter * eosin * (1 + 0.06 * grain + 0.12 * cloud + 0.26 * fibre)

    def _stain_cells(self, stains: Texture, block: Region) -> None:
        cover, tone = stamps(self.mpp)
        cells = self.crowd.near(block)
        chromatin = self._texture(self._textures.chromatin, block)
        for i in np.argsort(cells.kind != RED, kind="stable").tolist():
            target, source = _overlap(block, cells, i, cover.shape[1])
            share, shade = cover[cells.stamp[i]][source], tone[cells.stamp[i]][source]
            inked = float(cells.stain[i]) * shade
            if cells.kind[i] == RED:
                densities = (np.float32(0.02), inked)
            else:
                densities = (inked * (1 + 0.26 * chromatin[target]), np.float32(0.14))
            for stain, density in zip(stains, densities, strict=True):
                stain[target] += share * (density - stain[target])

    def _light(self, stains: Texture, block: Region) -> npt.NDArray[np.uint8]:
        """Convert densities to RGB by the Beer-Lambert law.

        Args:
            stains: Densities (2, side, side).
            block: Position of the block, for the noise of the sensor.

        Returns:
            (side, side, 3) uint8.
        """
        rgb = np.empty((BLOCK_PX, BLOCK_PX, 3), np.uint8)
        for channel in range(3):
            density = _HAEMATOXYLIN[channel] * stains[0] + _EOSIN[channel] * stains[1]
            light = GLASS[channel] * np.exp(np.float32(-np.log(10)) * density)
            light += 0.9 * self._texture(self._textures.sensor, block, offset=331 * channel)
            rgb[..., channel] = np.clip(light + 0.5, 0, 255)
        return rgb

    def _texture(self, texture: Texture, block: Region, upright: bool = False, offset: int = 0) -> Texture:
        y, x = (block.x, block.y) if upright else (block.y, block.x)
        y, x = (y + offset) % TEXTURE_PX, x % TEXTURE_PX
        part = texture[y : y + BLOCK_PX, x : x + BLOCK_PX]
        return part.T if upright else part


def _overlap(
    region: Region, cells: Cells, i: int, side: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the overlap of the stamp of cell ``i`` with a region.

    Returns:
        Index into the region and index into the stamp.
    """
    y, x = int(cells.y_px[i]) - side // 2 - region.y, int(cells.x_px[i]) - side // 2 - region.x
    part = Region(y, x, side, side).clipped(region.shape)
    return part.slices, part.relative_to(Region(y, x, side, side)).slices

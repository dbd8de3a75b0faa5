"""Write a part of a canvas as a small slide of its own."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

_UM_PER_CM = 1e4
_TILE_PX = 256


def write_cut_out(path: Path, pixels: npt.NDArray[np.uint8], mpp: float) -> None:
    """Write pixels as a tiled JPEG TIFF that opens as a slide.

    Args:
        path: File to write, ``.tif``.
        pixels: RGB (H, W, 3) uint8.
        mpp: µm per px.
    """
    per_cm = _UM_PER_CM / mpp
    tifffile.imwrite(
        path,
        pixels,
        tile=(_TILE_PX, _TILE_PX),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": 90},
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        metadata=None,
    )

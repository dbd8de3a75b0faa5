"""Write a tiny file of each kind, and read it back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import tifffile

from wsipipe.geometry import Region
from wsipipe.tiling.slide import open_slide

_SIDE_PX = 64
_UM_PER_CM = 10_000
_LOSSY_LEVELS = 12
"""Largest mean difference of a lossy codec on the smooth picture, in grey levels."""
KINDS: Mapping[str, dict[str, Any]] = {
    "JPEG": {"compression": "jpeg", "compressionargs": {"level": 90}},
    "JPEG 2000": {"compression": "jpeg2000", "compressionargs": {"level": 60}},
    "LZW": {"compression": "lzw"},
    "deflate": {"compression": "deflate"},
    "Zstandard": {"compression": "zstd"},
    "WebP": {"compression": "webp"},
}
"""Compressions of TIFF tiles that slides use, with the arguments of tifffile."""


def native_versions() -> str:
    """Return the versions of the native libraries that read slides."""
    codecs = [getattr(imagecodecs, f"{name}_version")() for name in ("jpeg8", "jpeg2k")]
    return ", ".join((f"openslide {openslide.__library_version__}", *codecs))


def self_test(kind: str, folder: Path) -> str:
    """Write a slide of one kind of compression and read it.

    Args:
        kind: Key of ``KINDS``.
        folder: Existing folder for the file.

    Returns:
        What was read, as text.

    Raises:
        ValueError: The pixels are not those that were written.
    """
    y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX]
    pixels = np.stack([2 * y + 60, 2 * x + 60, y + x + 60], axis=-1).astype(np.uint8)
    path = folder / f"{kind.replace(' ', '_')}.tif"
    per_cm = _UM_PER_CM / 0.5
    tile = (_SIDE_PX, _SIDE_PX)
    options = {"photometric": "rgb", "resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, tile=tile, metadata=None, **options, **KINDS[kind])
    with open_slide(path) as slide:
        read, vendor = slide.read(Region(0, 0, _SIDE_PX, _SIDE_PX), 0.5), slide.vendor
    difference = float(np.abs(read.astype(int) - pixels).mean())
    allowed = 0 if kind in {"LZW", "deflate", "Zstandard"} else _LOSSY_LEVELS
    if not difference <= allowed:
        raise ValueError(f"pixels differ by {difference:.1f} grey levels from those written")
    return f"read as {vendor}"

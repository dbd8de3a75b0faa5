"""Read PNG, JPEG and WebP slides with Pillow.

They have one level.
"""

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.geometry import Region
from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import Facts, Pixels, open_error, tile_error, whole

_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_ORIENTATION = 0x0112
_REMEDY = "save it again as an 8-bit RGB image, or as a tiled pyramidal TIFF if it is large"


def is_image(head: bytes) -> bool:
    """Recognise PNG, JPEG and WebP by 16 bytes."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or is_webp


class ImageReader:
    """Reader that decodes an image at the first read.

    The pixels are kept. These formats cannot be read in parts, so the limit of Pillow applies: 179 million
    px, 0.5 GB.

    Raises:
        SlideError: The file cannot be opened, is too large, or does not have 8 bits.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pixels: Pixels | None = None
        try:
            with _opened(path) as image:
                mode, shape = image.mode, (image.height, image.width)
                kind, oriented = (image.format or "image").lower(), _orientation(path, image)
        except (OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise open_error(path, error, _REMEDY) from error
        if mode not in _EIGHT_BIT_MODES:
            raise open_error(path, f"RGB of 8 bits is needed, but its mode is {mode}", _REMEDY)
        bounds = whole(shape)
        self.facts = Facts(
            vendor=kind, shapes=(shape,), bounds=bounds, clues=MppClues(), orientation=oriented
        )

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        if self._pixels is None:
            try:
                self._pixels = _decoded(self._path)
            except (OSError, SyntaxError, ValueError) as error:
                raise tile_error(self._path, level, region, error) from error
        part = self._pixels[region.slices]
        return part[..., :3], part[..., 3] if part.shape[-1] == 4 else None

    def close(self) -> None:
        """Release the pixels."""
        self._pixels = None


def _opened(path: Path) -> Image.Image:
    with warnings.catch_warnings():  # Pillow warns from half of its size limit
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def _decoded(path: Path) -> Pixels:
    with _opened(path) as image:
        mode = "RGBA" if image.has_transparency_data else "RGB"
        return np.asarray(image if image.mode == mode else image.convert(mode))


def _orientation(path: Path, image: Image.Image) -> int:
    """Return the Exif orientation, 1 to 8; 1 if not stated.

    Pillow decodes the pixels of a PNG to find Exif after them. This is done only for files with chunks there.
    """
    if image.format == "PNG" and _has_late_chunks(path):
        image.load()
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):  # Exif that does not parse
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_late_chunks(path: Path) -> bool:
    """Return whether a PNG has chunks after its pixels."""
    pixels_seen = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                break
            if pixels_seen and kind != b"IDAT":
                return True
            pixels_seen = pixels_seen or kind == b"IDAT"
            file.seek(length + 4, 1)
    return False

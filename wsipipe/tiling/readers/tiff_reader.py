"""Read OME-TIFF and plain TIFF with tifffile.

Images are tiled or in strips, with or without a pyramid.
"""

from pathlib import Path

import numpy as np
import tifffile

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Facts, Pixels, open_error, tile_error, whole
from wsipipe.tiling.readers.ome_files import ome_slide
from wsipipe.tiling.readers.ome_image import ome_image
from wsipipe.tiling.readers.tiff_colours import UnfitError, to_rgb
from wsipipe.tiling.readers.tiff_image import TiffImage, plain_image
from wsipipe.tiling.readers.tiff_resolution import own_scale
from wsipipe.tiling.readers.tiff_segments import SegmentedPage

_REMEDY = "save it again as a tiled TIFF of one RGB image of 8 bits"
_DAMAGED = "copy it again from its source, or leave it out"


class TiffReader:
    """Reader that decodes TIFF segments on demand.

    Raises:
        SlideError: The file cannot be opened, or is not RGB or grey of 8 bits.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[Path, tifffile.TiffFile] = {}
        try:
            self._files[path] = tifffile.TiffFile(path)
            image = self._image(self._files[path])
            self._levels = [[SegmentedPage(page) for page in level] for level in image.levels]
        except SlideError:
            self.close()
            raise
        except UnfitError as error:
            self.close()
            raise open_error(path, f"RGB of 8 bits is needed, but it holds {error}", _REMEDY) from error
        except Exception as error:  # damaged files raise anything
            self.close()
            raise open_error(path, error, _DAMAGED) from error
        shapes = tuple((page.imagelength, page.imagewidth) for page, *_ in image.levels)
        self.facts = Facts(
            vendor=image.vendor,
            shapes=shapes,
            bounds=whole(shapes[0]),
            clues=image.clues,
            scales=tuple(own_scale(image.levels[0][0], page) for page, *_ in image.levels),
            orientation=image.orientation,
        )

    def read_level(self, level: int, region: Region) -> tuple[Pixels, Pixels | None]:
        """Read RGB and alpha of a region; see :class:`base.Reader`."""
        try:
            parts = [segments.read(region) for segments in self._levels[level]]
        except Exception as error:  # decoders raise anything
            raise tile_error(self._path, level, region, error) from error
        pixels = np.concatenate([samples for samples, _ in parts], axis=2)
        present = np.minimum.reduce([there for _, there in parts])
        rgb, alpha = to_rgb(pixels, self._levels[level][0].page)
        if alpha is not None:
            present = np.minimum(present, alpha)
        return rgb, None if present.min(initial=255) == 255 else present

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()

    def _image(self, tiff: tifffile.TiffFile) -> TiffImage:
        text = tiff.ome_metadata if tiff.is_ome else None
        slide = ome_slide(self._path, text) if text else None
        return plain_image(tiff) if slide is None else ome_image(self._path, self._files, slide)

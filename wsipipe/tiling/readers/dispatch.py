"""Path -> the reader that fits its content."""

from pathlib import Path

import openslide

from wsipipe.tiling.readers.base import Reader, open_error
from wsipipe.tiling.readers.files import dicom_files, is_zarr
from wsipipe.tiling.readers.image_reader import ImageReader, is_image
from wsipipe.tiling.readers.openslide_reader import OpenSlideReader
from wsipipe.tiling.readers.oriented import OrientedReader
from wsipipe.tiling.readers.tiff_head import is_tiff
from wsipipe.tiling.readers.tiff_reader import TiffReader
from wsipipe.tiling.readers.zarr_reader import ZarrReader

_SEE_FORMATS = "docs/formats.md lists what can be read; convert it, or copy it again if it was cut short"


def open_reader(path: Path) -> Reader:
    """Open the reader that fits what is in the file, whatever its name.

    Raises:
        SlideError: The path is absent, of no known format, or damaged.
    """
    reader = _fitting(path)
    if reader.facts.bounds.area_px == 0:
        reader.close()
        raise open_error(path, "it holds no pixels", _SEE_FORMATS)
    return reader if reader.facts.orientation == 1 else OrientedReader(reader)


def _fitting(path: Path) -> Reader:
    if not path.exists():
        raise open_error(path, "there is no such file or folder", "check the path")
    if path.is_dir():
        return _open_folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise open_error(path, error.strerror or error, "check its permissions and its disk") from error
    if is_image(head):
        return ImageReader(path)
    vendor = openslide.OpenSlide.detect_format(str(path))
    # OpenSlide takes any tiled TIFF, whatever its samples, its planes and its orientation are
    if vendor not in (None, "generic-tiff"):
        return OpenSlideReader(path)
    if is_tiff(head):
        return TiffReader(path)
    raise open_error(path, "its content is of no known slide format", _SEE_FORMATS)


def _open_folder(path: Path) -> Reader:
    if is_zarr(path):
        return ZarrReader(path)
    members = dicom_files(path)
    if not members:
        raise open_error(path, "the folder is neither an OME-Zarr nor a folder of .dcm files", _SEE_FORMATS)
    known = [member for member in members if openslide.OpenSlide.detect_format(str(member)) is not None]
    return OpenSlideReader(path, (known or members)[0])

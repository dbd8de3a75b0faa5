"""Choose the reader that fits the content of a file."""

import os
import stat
from pathlib import Path

import openslide

from wsipipe.tiling.readers.base import Reader, open_error
from wsipipe.tiling.readers.dicom import grouped
from wsipipe.tiling.readers.direct_opening import open_vendor_slide
from wsipipe.tiling.readers.files import dicom_files, is_zarr
from wsipipe.tiling.readers.image_reader import ImageReader, is_image
from wsipipe.tiling.readers.openslide_reader import OpenSlideReader
from wsipipe.tiling.readers.oriented import OrientedReader
from wsipipe.tiling.readers.plugins import added_format
from wsipipe.tiling.readers.tiff_head import is_tiff
from wsipipe.tiling.readers.tiff_reader import TiffReader

_SEE_FORMATS = "docs/formats.md lists what can be read; convert it, or copy it again if it was cut short"


def open_reader(path: Path) -> Reader:
    """Open a slide with the reader that fits its content.

    The name of the file is ignored.

    Raises:
        SlideError: The path is absent, of no known format, or damaged.
    """
    reader = _fitting(path)
    if reader.facts.bounds.area_px == 0:
        reader.close()
        raise open_error(path, "it holds no pixels", _SEE_FORMATS)
    return reader if reader.facts.orientation == 1 else OrientedReader(reader)


def _fitting(path: Path) -> Reader:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, ValueError) as error:
        absent = "there is no such file or folder"
        cause = "it is a link to what does not exist" if os.path.islink(path) else absent
        raise open_error(path, cause, "check the path") from error
    except OSError as error:
        raise open_error(path, error.strerror or error, "check its permissions and its disk") from error
    if added := added_format(path):
        return added.open(path)
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if not stat.S_ISREG(mode):
        raise open_error(path, "it is neither a file nor a folder", "leave it out")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise open_error(path, error.strerror or error, "check its permissions and its disk") from error
    if is_image(head):
        return ImageReader(path)
    vendor = openslide.OpenSlide.detect_format(str(path))
    # OpenSlide opens any tiled TIFF, whatever its samples, planes and orientation.
    if vendor not in (None, "generic-tiff"):
        return open_vendor_slide(path)
    if is_tiff(head):
        return TiffReader(path)
    raise open_error(path, "its content is of no known slide format", _SEE_FORMATS)


def _open_folder(path: Path) -> Reader:
    try:
        os.listdir(path)
        if is_zarr(path):
            # zarr takes longer to import than all other readers together.
            from wsipipe.tiling.readers.zarr_reader import ZarrReader

            return ZarrReader(path)
        members = dicom_files(path)
    except PermissionError as error:
        cause = f"the folder cannot be listed ({error.strerror})"
        raise open_error(path, cause, "give read permission, or leave it out") from error
    if path.suffix.lower() == ".zarr":
        cause = "it holds neither zarr.json nor .zgroup, without which it is no OME-Zarr"
        raise open_error(path, cause, "copy it again from its source, or leave it out")
    if not members:
        cause = "the folder is neither an OME-Zarr nor a folder of .dcm files"
        raise open_error(path, cause, "name slide files, or give the folder to run, which searches it")
    series = grouped(members).slides
    if len(series) > 1:
        firsts = " and ".join(files[0].name for files in series[:2])
        raise open_error(path, f"it holds {len(series)} DICOM slides", f"name one file of each: {firsts}")
    return OpenSlideReader(path, (series or [members])[0][0])

"""Find the DICOM image that a result refers to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsipipe.common.about import __version__
from wsipipe.errors import ConfigError
from wsipipe.pipeline.reporting.run_json import read_file
from wsipipe.results.export.source import ExportSource

RECORD = "run.json"
_WHOLE_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
_TOLERANCE_PX = 1.0
PRODUCER = {
    "manufacturer": "wsipipe",
    "manufacturer_model_name": "wsipipe",
    "software_versions": __version__,
    "device_serial_number": "none",
    "instance_number": 1,
}


def finest_image(source: ExportSource) -> Any:
    """Return the header of the finest level of the slide, a pydicom data set without pixels.

    Raises:
        ConfigError: The slide is no DICOM series, is not there, or is another one.
    """
    path = source.options.dicom or _recorded(source)
    folder = path if path.is_dir() else path.parent
    headers = list(_headers(sorted(folder.iterdir()) if folder.is_dir() else []))
    if not path.is_dir():
        series = [each.SeriesInstanceUID for name, each in headers if name == path]
        headers = [(name, each) for name, each in headers if each.SeriesInstanceUID in series]
    if not headers:
        raise ConfigError(
            f"{path} is no DICOM slide: annotations and segmentations of DICOM refer to one. Name the DICOM "
            "slide that was computed with --dicom, or run the workflow on a DICOM copy of the slide."
        )
    if len({each.SeriesInstanceUID for _, each in headers}) > 1:
        raise ConfigError(f"{path} holds several DICOM series. Name a file of one with --dicom.")
    image = max((each for _, each in headers), key=lambda each: int(each.TotalPixelMatrixColumns))
    _check_same(source, image, path)
    return image


def new_uid(source: ExportSource, *kind: str) -> str:
    """Return the unique id of an object; the same result gives the same.

    Args:
        source: The result.
        kind: What the object is, in words.
    """
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[source.slide.plan, *kind]))


def algorithm() -> Any:
    """Return the identification of wsipipe, a highdicom sequence."""
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    return AlgorithmIdentificationSequence("wsipipe", codes.DCM.ArtificialIntelligence, __version__)


def _recorded(source: ExportSource) -> Path:
    """Return the path of the slide in the record of the run."""
    folder = source.result.folder.resolve()
    for slide in read_file(folder.parent / RECORD)["slides"]:
        if slide["slide_id"] == source.slide.slide_id:
            return Path(slide["path"])
    raise ConfigError(f"{folder.parent / RECORD} does not name {folder.name}. Name its slide with --dicom.")


def _headers(paths: Sequence[Path]) -> Any:
    """Yield path and header of each level of a slide."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    for path in paths:
        try:
            found = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError):
            continue
        is_slide = found.get("SOPClassUID") == _WHOLE_SLIDE_CLASS
        if is_slide and "VOLUME" in found.get("ImageType", ()):
            yield path, found


def _check_same(source: ExportSource, image: Any, path: Path) -> None:
    offset_y, offset_x, step = source.slide.affine
    height, width = source.slide.shape
    expected = height * step + 2 * offset_y, width * step + 2 * offset_x
    found = image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns
    if not np.allclose(expected, [float(side) for side in found], rtol=0, atol=_TOLERANCE_PX):
        raise ConfigError(
            f"{path} is another slide: it has {found[0]} x {found[1]} px (height x width), but the result is "
            f"of {expected[0]:.0f} x {expected[1]:.0f} px. Name the slide that was computed with --dicom."
        )

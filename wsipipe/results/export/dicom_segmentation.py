"""Write tissue classes, or the tissue, as a DICOM segmentation.

Source: DICOM PS3.3, A.51 (Segmentation IOD), tiled, with one binary segment for each class.
"""

from pathlib import Path
from typing import Any

import numpy as np

from wsipipe.geometry import Array
from wsipipe.results.export.dicom_source import PRODUCER, algorithm, finest_image, new_uid
from wsipipe.results.export.source import ExportSource

TILE_PX = 256


def write(source: ExportSource, path: Path) -> int:
    """Write the class map, or the tissue where no classes were computed, in its own resolution.

    Args:
        source: Result to write.
        path: File to write.

    Returns:
        Number of segments.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues

    image = finest_image(source)
    name = "tissue_class" if source.slide.classes else "tissue"
    names = [item.name for item in source.slide.classes] or ["tissue"]
    found = Segmentation(
        source_images=[image],
        pixel_array=_segments(source, name)[None],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(source, i, each) for i, each in enumerate(names, start=1)],
        series_instance_uid=new_uid(source, "segmentation series"),
        series_number=2,
        sop_instance_uid=new_uid(source, "segmentation"),
        content_label=name.upper(),
        content_description="Research use only",
        tile_pixel_array=True,
        tile_size=(TILE_PX, TILE_PX),
        **_geometry(source, image, name),
        **PRODUCER,
    )
    found.save_as(path)
    return len(names)


def _segments(source: ExportSource, name: str) -> Array:
    """Return the number of the segment of each px, (h, w) uint8; 0 for none."""
    labels = np.asarray(source.result.labels[name][0][...])
    values = [item.value for item in source.slide.classes] or [1]
    numbers = np.zeros(256, np.uint8)
    numbers[values] = np.arange(1, len(values) + 1)
    return numbers[labels]


def _described(source: ExportSource, number: int, name: str) -> Any:
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=Code(f"class-{number}", "99WSIPIPE", name),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
        tracking_uid=new_uid(source, "segment", name),
        tracking_id=name,
    )


def _geometry(source: ExportSource, image: Any, name: str) -> dict[str, Any]:
    """Return spacing, orientation and position of the map on the glass."""
    from highdicom import (
        CoordinateSystemNames,
        PixelMeasuresSequence,
        PlaneOrientationSequence,
        PlanePositionSequence,
    )
    from highdicom.spatial import ImageToReferenceTransformer

    spacing = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    offset_y, offset_x, step = source.slide.affine
    cell = step * round(source.result.scale_um(f"labels/{name}")[0] / source.slide.mpp)
    origin = image.TotalPixelMatrixOriginSequence[0]
    place = float(origin.XOffsetInSlideCoordinateSystem), float(origin.YOffsetInSlideCoordinateSystem), 0.0
    to_glass = ImageToReferenceTransformer(
        image_position=place,
        image_orientation=[float(each) for each in image.ImageOrientationSlide],
        pixel_spacing=[float(each) for each in spacing.PixelSpacing],
    )
    first = to_glass(np.array([[offset_x + cell / 2, offset_y + cell / 2]]))[0]
    slide = CoordinateSystemNames.SLIDE
    return {
        "pixel_measures": PixelMeasuresSequence(
            [float(each) * cell for each in spacing.PixelSpacing], float(spacing.SliceThickness)
        ),
        "plane_orientation": PlaneOrientationSequence(slide, image.ImageOrientationSlide),
        "plane_positions": [PlanePositionSequence(slide, first.tolist(), (1, 1))],
    }

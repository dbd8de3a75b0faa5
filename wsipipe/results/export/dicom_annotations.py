"""Write nuclei as DICOM Microscopy Bulk Simple Annotations.

Outlines are collected in temporary files, so that memory holds a few numbers per nucleus and, while the file
is encoded, one copy of the coordinates.

Source: DICOM PS3.3, C.37.1.2 (Microscopy Bulk Simple Annotations Module). Points are in px of the total pixel
matrix, whose top left corner is (0, 0), as level-0 px are.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.errors import ConfigError, NoResultError
from wsipipe.geometry import Array
from wsipipe.results.export.dicom_source import PRODUCER, algorithm, finest_image, new_uid
from wsipipe.results.export.source import ExportSource

NO_CLASS = "nucleus"
"""Group of nuclei without a tissue class."""
_COLUMNS = ["area_um2", "probability", "tissue_class", "polygon"]
_MOST_VALUES = 2**31 - 1
"""Most coordinates of a group: their places are numbers of 32 bits."""
_TRIANGLE = np.array([[0, 0], [0, 1], [1, 0]], np.float32)


@dataclass
class _Outlines:
    """Nuclei of one group.

    Attributes:
        points: File of the corners (x, y) float32 in level-0 px.
        counts: Number of corners of each nucleus, int64.
        areas: Areas in um2, float32.
        probabilities: Probabilities, float32.
    """

    points: IO[bytes]
    counts: list[Array] = field(default_factory=list)
    areas: list[Array] = field(default_factory=list)
    probabilities: list[Array] = field(default_factory=list)


def write(source: ExportSource, path: Path) -> int:
    """Write a group of outlines for each tissue class.

    Each nucleus has its area and its probability.

    Args:
        source: Result to write.
        path: File to write.

    Returns:
        Number of nuclei.
    """
    from highdicom.ann import AnnotationCoordinateTypeValues, MicroscopyBulkSimpleAnnotations

    image = finest_image(source)
    with ExitStack() as files:
        found = _collected(source, path.parent, files)
        if not found:
            raise NoResultError(
                f"{source.result.folder} has no nuclei to write, and DICOM has no empty annotations. Widen "
                "--class or --min-probability."
            )
        groups = [_group(source, i, name, found[name]) for i, name in enumerate(sorted(found), start=1)]
        MicroscopyBulkSimpleAnnotations(
            source_images=[image],
            annotation_coordinate_type=AnnotationCoordinateTypeValues.SCOORD,
            annotation_groups=groups,
            series_instance_uid=new_uid(source, "annotation series"),
            series_number=1,
            sop_instance_uid=new_uid(source, "annotations"),
            content_description="Nuclei. Research use only",
            content_label="NUCLEI",
            **PRODUCER,
        ).save_as(path)
    return sum(group.NumberOfAnnotations for group in groups)


def outer_rings(polygons: pa.ChunkedArray) -> tuple[Array, Array]:
    """Return the outer rings of polygons, not closed.

    Args:
        polygons: Polygons (m,) as WKB.

    Returns:
        Corners (n, 2) float32 (x, y) of all rings, and the number of corners (m,) int64 of each.
    """
    rings = shapely.get_exterior_ring(shapely.from_wkb(polygons.to_numpy(zero_copy_only=False)))
    counts = shapely.get_num_coordinates(rings).astype(np.int64)
    points = shapely.get_coordinates(rings).astype(np.float32)
    # The last corner of each ring is its first one again.
    return np.delete(points, np.cumsum(counts) - 1, axis=0), counts - 1


def _collected(source: ExportSource, folder: Path, files: ExitStack) -> dict[str, _Outlines]:
    """Return the nuclei by the name of their group."""
    found: dict[str, _Outlines] = {}
    for table in source.nuclei(_COLUMNS):
        points, counts = outer_rings(table["polygon"])
        names, group = np.unique(
            np.array([name or NO_CLASS for name in table["tissue_class"].to_pylist()]), return_inverse=True
        )
        areas, probabilities = (table[name].to_numpy() for name in _COLUMNS[:2])
        for number, name in enumerate(names.tolist()):
            if name not in found:
                file = files.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (the stack closes it)
                # Windows wraps the file, and pydicom takes no wrapper.
                found[name] = _Outlines(getattr(file, "file", file))
            here, outlines = group == number, found[name]
            outlines.points.write(np.ascontiguousarray(points[np.repeat(here, counts)]).data)
            for kept, values in (
                (outlines.counts, counts),
                (outlines.areas, areas),
                (outlines.probabilities, probabilities),
            ):
                kept.append(values[here])
    return found


def _group(source: ExportSource, number: int, name: str, outlines: _Outlines) -> Any:
    from highdicom.ann import (
        AnnotationGroup,
        AnnotationGroupGenerationTypeValues,
        GraphicTypeValues,
        Measurements,
    )
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    counts = np.concatenate(outlines.counts)
    if 2 * int(counts.sum()) >= _MOST_VALUES:
        raise ConfigError(
            f"The nuclei of {name!r} have {int(counts.sum()):,} corners, more than DICOM counts. Export "
            "fewer with --class or --min-probability."
        )
    group = AnnotationGroup(
        number=number,
        uid=new_uid(source, "group", name),
        label=name,
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=Code("84640000", "SCT", "Nucleus"),
        graphic_type=GraphicTypeValues.POLYGON,
        graphic_data=[_TRIANGLE],
        algorithm_type=AnnotationGroupGenerationTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
    )
    # highdicom takes one array per nucleus, of which a million would fill memory: the triangle is replaced.
    outlines.points.seek(0)
    group.NumberOfAnnotations = counts.size
    group.PointCoordinatesData = outlines.points
    starts = 2 * (np.cumsum(counts) - counts) + 1
    group.LongPrimitivePointIndexList = starts.astype(np.int32).tobytes()
    area = np.concatenate(outlines.areas)
    probability, named = np.concatenate(outlines.probabilities), "Probability of nucleus"
    group.MeasurementsSequence = [
        Measurements(codes.SCT.Area, area, codes.UCUM.SquareMicrometer),
        Measurements(Code("probability", "99WSIPIPE", named), probability, codes.UCUM.NoUnits),
    ]
    return group

"""Write nuclei as DICOM Microscopy Bulk Simple Annotations.

Source: DICOM PS3.3, C.37.1.2 (Microscopy Bulk Simple Annotations Module). Points are in px of the total pixel
matrix, whose top left corner is (0, 0), as level-0 px are.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from wsipipe.errors import NoResultError
from wsipipe.geometry import Array
from wsipipe.results.export.dicom_source import PRODUCER, algorithm, finest_image, new_uid
from wsipipe.results.export.source import ExportSource

NO_CLASS = "nucleus"
"""Group of nuclei without a tissue class."""
_COLUMNS = ["area_um2", "probability", "tissue_class", "polygon"]


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
    tables = list(source.nuclei(_COLUMNS))
    if not tables:
        raise NoResultError(
            f"{source.result.folder} has no nuclei to write, and DICOM has no empty annotations. Widen "
            "--class or --min-probability."
        )
    table = pa.concat_tables(tables)
    classes = np.array([name or NO_CLASS for name in table["tissue_class"].to_pylist()])
    groups = [
        _group(source, number, name, table.filter(pa.array(classes == name)))
        for number, name in enumerate(sorted(set(classes.tolist())), start=1)
    ]
    found = MicroscopyBulkSimpleAnnotations(
        source_images=[image],
        annotation_coordinate_type=AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=groups,
        series_instance_uid=new_uid(source, "annotation series"),
        series_number=1,
        sop_instance_uid=new_uid(source, "annotations"),
        content_description="Nuclei. Research use only",
        content_label="NUCLEI",
        **PRODUCER,
    )
    found.save_as(path)
    return int(table.num_rows)


def outer_rings(polygons: pa.ChunkedArray) -> list[Array]:
    """Return the outer ring of each polygon, not closed.

    Corners are (n, 2) float32 (x, y) in level-0 px.
    """
    rings = shapely.get_exterior_ring(shapely.from_wkb(polygons.to_numpy(zero_copy_only=False)))
    points = shapely.get_coordinates(rings).astype(np.float32)
    ends = np.cumsum(shapely.get_num_coordinates(rings))
    return [each[:-1] for each in np.split(points, ends[:-1])]


def _group(source: ExportSource, number: int, name: str, table: pa.Table) -> Any:
    from highdicom.ann import (
        AnnotationGroup,
        AnnotationGroupGenerationTypeValues,
        GraphicTypeValues,
        Measurements,
    )
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    area = Measurements(codes.SCT.Area, table["area_um2"].to_numpy(), codes.UCUM.SquareMicrometer)
    named = Code("probability", "99WSIPIPE", "Probability of nucleus")
    probability = Measurements(named, table["probability"].to_numpy(), codes.UCUM.NoUnits)
    return AnnotationGroup(
        number=number,
        uid=new_uid(source, "group", name),
        label=name,
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=Code("84640000", "SCT", "Nucleus"),
        graphic_type=GraphicTypeValues.POLYGON,
        graphic_data=outer_rings(table["polygon"]),
        algorithm_type=AnnotationGroupGenerationTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
        measurements=[area, probability],
    )

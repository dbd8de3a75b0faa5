"""DICOM exports lie where the nuclei and classes are, as pydicom alone reads them."""

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from wsipipe.errors import ConfigError, NoResultError
from wsipipe.results.export import dicom_annotations, dicom_segmentation
from wsipipe.results.export.source import ExportOptions, ExportSource
from wsipipe.store.result import Result

pytest.importorskip(
    "highdicom", reason="LOUD SKIP: the extra dicom is not installed, so its exports are NOT tested"
)
pydicom = pytest.importorskip("pydicom")
pytestmark = pytest.mark.filterwarnings("ignore")
HEADER = runpy.run_path(str(Path(__file__).resolve().parents[4] / "benchmarks" / "dicom_header.py"))
SERIES = "1.2.3.4"
ORIGIN_MM, SPACING_MM = (20.0, 30.0), 0.00025


def level(height: int, width: int) -> Any:
    """Header of a level of a DICOM slide."""
    image = HEADER["slide_header"](height, width)
    image.PatientID, image.ContainerIdentifier = "somebody", "glass"
    image.Rows = image.Columns = 256
    image.NumberOfFrames = -(-height // 256) * -(-width // 256)
    image.DimensionOrganizationType = "TILED_FULL"
    image.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    place, shared, measures = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    place.XOffsetInSlideCoordinateSystem, place.YOffsetInSlideCoordinateSystem = ORIGIN_MM
    measures.PixelSpacing, measures.SliceThickness = [SPACING_MM, SPACING_MM], 0.001
    shared.PixelMeasuresSequence = [measures]
    image.TotalPixelMatrixOriginSequence, image.SharedFunctionalGroupsSequence = [place], [shared]
    return image


@pytest.fixture
def opened(pristine: Result, tmp_path: Path) -> ExportSource:
    """The result with a DICOM slide of its size."""
    source = ExportSource(pristine)
    (offset_y, offset_x, step), (height, width) = source.slide.affine, source.slide.shape
    folder = tmp_path / "dicom"
    folder.mkdir()
    for number, share in enumerate((4, 1)):
        header = level(
            *(round((side * step + 2 * o) / share) for side, o in ((height, offset_y), (width, offset_x)))
        )
        header.SeriesInstanceUID = SERIES
        header.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("no DICOM")
    return replace(source, options=ExportOptions(dicom=folder))


def test_annotations_are_the_outlines_of_the_nuclei(opened: ExportSource, tmp_path: Path) -> None:
    nuclei = opened.result.nuclei
    assert dicom_annotations.write(opened, tmp_path / "n.dcm") == len(nuclei)
    found = pydicom.dcmread(tmp_path / "n.dcm")
    assert found.PatientID == "somebody"
    finest = pydicom.dcmread(opened.options.dicom / "1.dcm")
    assert found.ReferencedImageSequence[0].ReferencedSOPInstanceUID == finest.SOPInstanceUID
    assert found.AnnotationCoordinateType == "2D"
    named = nuclei.tissue_class.fillna(dicom_annotations.NO_CLASS)
    assert [group.AnnotationGroupLabel for group in found.AnnotationGroupSequence] == sorted(set(named))
    for group in found.AnnotationGroupSequence:
        here = nuclei[named == group.AnnotationGroupLabel]
        points = np.frombuffer(group.PointCoordinatesData, np.float32).reshape(-1, 2)
        starts = (np.frombuffer(group.LongPrimitivePointIndexList, np.int32) - 1) // 2
        rings = np.split(points, starts[1:])
        assert len(rings) == group.NumberOfAnnotations == len(here)
        for ring, polygon in zip(rings, here.geometry if "geometry" in here else here.polygon, strict=True):
            outer = shapely.Polygon(polygon.exterior)
            assert shapely.Polygon(ring).symmetric_difference(outer).area < 1e-3 * outer.area
        areas = group.MeasurementsSequence[0].MeasurementValuesSequence[0].FloatingPointValues
        np.testing.assert_array_equal(np.frombuffer(areas, np.float32), here.area_um2.to_numpy(np.float32))


def test_a_segmentation_is_the_class_map_on_the_glass(opened: ExportSource, tmp_path: Path) -> None:
    classes = opened.slide.classes
    assert dicom_segmentation.write(opened, tmp_path / "s.dcm") == len(classes)
    found = pydicom.dcmread(tmp_path / "s.dcm")
    labels = opened.result.arrays.labels["tissue_class"][0][...]
    assert (found.TotalPixelMatrixRows, found.TotalPixelMatrixColumns) == labels.shape
    drawn = np.full((labels.shape[0] + 256, labels.shape[1] + 256), 255, np.uint8)
    frames = found.pixel_array.reshape(-1, found.Rows, found.Columns)
    for frame, about in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        place = about.PlanePositionSlideSequence[0]
        y, x = (place.RowPositionInTotalImagePixelMatrix - 1, place.ColumnPositionInTotalImagePixelMatrix - 1)
        segment = about.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        drawn[y : y + found.Rows, x : x + found.Columns][frame == 1] = classes[segment - 1].value
    known = np.isin(labels, [item.value for item in classes])
    np.testing.assert_array_equal(drawn[: labels.shape[0], : labels.shape[1]], np.where(known, labels, 255))
    assert [each.SegmentLabel for each in found.SegmentSequence] == [item.name for item in classes]
    check_place(opened, found)


def check_place(opened: ExportSource, found: Any) -> None:
    """The first px lies where that of the class map does."""
    offset_y, offset_x, step = opened.slide.affine
    cell = step * opened.slide.class_downsample
    origin = found.TotalPixelMatrixOriginSequence[0]
    # Columns run against y and rows against x; positions are those of centres of px.
    shift_mm = [SPACING_MM * (offset + cell / 2 - 0.5) for offset in (offset_y, offset_x)]
    place = origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem
    expected = ORIGIN_MM[0] - shift_mm[0], ORIGIN_MM[1] - shift_mm[1]
    assert [float(each) for each in place] == pytest.approx(expected, abs=1e-6)
    spacing = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    assert [float(each) for each in spacing] == pytest.approx([SPACING_MM * cell] * 2)


def test_another_slide_or_none_is_refused(opened: ExportSource, tmp_path: Path) -> None:
    level(100, 100).save_as(tmp_path / "other.dcm", enforce_file_format=True)
    for path, why in (
        (tmp_path / "other.dcm", "is another slide"),
        (tmp_path / "a.svs", "is no DICOM slide"),
    ):
        with pytest.raises(ConfigError, match=why):
            dicom_segmentation.write(replace(opened, options=ExportOptions(dicom=path)), tmp_path / "s.dcm")
    level(100, 100).save_as(opened.options.dicom / "2.dcm", enforce_file_format=True)
    with pytest.raises(ConfigError, match="several DICOM series"):
        dicom_annotations.write(opened, tmp_path / "n.dcm")


def test_an_empty_selection_is_refused(opened: ExportSource, tmp_path: Path) -> None:
    none = replace(opened, options=replace(opened.options, min_probability=1.1))
    with pytest.raises(NoResultError, match="no nuclei to write"):
        dicom_annotations.write(none, tmp_path / "n.dcm")

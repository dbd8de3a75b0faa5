"""Um per px of TIFF tags: units that are no length, types of tags, ImageJ's unit, absurd values by name."""

import struct

import numpy as np
import openslide
import pytest
import tifffile

from wsipipe.errors import MppError
from wsipipe.tiling.slide import open_slide

PIXELS = np.random.default_rng(2).integers(0, 256, (40, 60, 3), np.uint8)
LAYOUTS = ({}, {"tile": (32, 32)}, {"tile": (32, 32), "compression": "zlib"})
RATIONAL, LONG, FLOAT, DOUBLE = 5, 4, 11, 12


def write(path, resolution, unit, **options):
    options = {"photometric": "rgb", "metadata": None, **options}
    tifffile.imwrite(path, PIXELS, resolution=(resolution, resolution), resolutionunit=unit, **options)


def mpp_of(path):
    with open_slide(path) as slide:
        return slide.mpp, slide.mpp_source


def retype(path, kind, value):
    """Make X- and YResolution tags of another type; the 8 bytes of the fraction hold the value."""
    code = {LONG: "<I", FLOAT: "<f", DOUBLE: "<d", RATIONAL: "<II"}[kind]
    packed = struct.pack(code, *value) if kind == RATIONAL else struct.pack(code, value)
    with tifffile.TiffFile(path) as tiff:
        tags = [tiff.pages[0].tags[number] for number in (282, 283)]
        places = [(tag.offset, tag.valueoffset) for tag in tags]
    with path.open("r+b") as file:
        for offset, valueoffset in places:
            file.seek(offset + 2)
            file.write(struct.pack("<H", kind))
            file.seek(offset + 8 if len(packed) <= 4 else valueoffset)
            file.write(packed)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [2.0, 2000.0, 20000.0, 2e6, 50800.0])
def test_a_resolution_without_a_unit_is_no_length(tmp_path, layout, value):
    write(tmp_path / "a.tif", value, "NONE", **layout)
    with pytest.raises(
        MppError, match=rf"states none .*a TIFF resolution of {value:.9g} px without a unit.*--mpp"
    ):
        open_slide(tmp_path / "a.tif")
    with open_slide(tmp_path / "a.tif", 0.3) as slide:
        assert slide.mpp == 0.3


def test_the_same_in_ome_tiff(tmp_path):
    write(tmp_path / "a.ome.tif", 20000.0, "NONE", ome=True, tile=(32, 32))
    with pytest.raises(MppError, match="without a unit"):
        open_slide(tmp_path / "a.ome.tif")


def test_sister_a_unit_makes_it_a_length(tmp_path):
    write(tmp_path / "a.tif", 20000.0, "CENTIMETER")
    assert mpp_of(tmp_path / "a.tif") == (0.5, "tiff")
    write(tmp_path / "b.tif", 50800.0, "INCH")
    assert mpp_of(tmp_path / "b.tif") == (0.5, "tiff")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("kind", "value"), [(LONG, 20000), (FLOAT, 20000.0), (DOUBLE, 20000.0), (RATIONAL, (40000, 2))]
)
def test_every_type_of_tag(tmp_path, layout, kind, value):
    write(tmp_path / "a.tif", 10000.0, "CENTIMETER", **layout)
    retype(tmp_path / "a.tif", kind, value)
    assert mpp_of(tmp_path / "a.tif") == (0.5, "tiff")


@pytest.mark.parametrize(
    ("kind", "value", "cause"),
    [
        (FLOAT, 7.5, r"between 0\.05 and 20, but the TIFF resolution of 7\.5 px per cm says 1333"),
        (LONG, 400_000_000, r"the TIFF resolution of 400000000 px per cm says 2\.5e-05"),
        (FLOAT, float("inf"), r"the TIFF resolution of inf px per cm says 0"),
        (FLOAT, float("nan"), r"states none .*a TIFF resolution of nan px per cm, which is no measurement"),
        (FLOAT, -20000.0, r"a TIFF resolution of -20000 px per cm, which is no measurement"),
        (RATIONAL, (1, 0), r"a TIFF resolution of 0 px per cm, which is no measurement"),
        (LONG, 0, r"a TIFF resolution of 0 px per cm, which is no measurement"),
    ],
)
def test_absurd_values_are_named(tmp_path, kind, value, cause):
    write(tmp_path / "a.tif", 10000.0, "CENTIMETER")
    retype(tmp_path / "a.tif", kind, value)
    with pytest.raises(MppError, match=cause):
        open_slide(tmp_path / "a.tif")


def test_an_unknown_unit_is_named(tmp_path):
    write(tmp_path / "a.tif", 20000.0, "CENTIMETER")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags["ResolutionUnit"].overwrite(7)
    with pytest.raises(MppError, match="a TIFF resolution of 20000 px in the unknown unit 7"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("unit", "per_unit"),
    [
        ("micron", 2),
        ("um", 2),
        ("\\u00B5m", 2),
        ("nm", 0.002),
        ("mm", 2000),
        ("cm", 20000),
        ("inch", 50800),
    ],
)
@pytest.mark.parametrize("tag", [1, 2])
def test_the_unit_of_imagej(tmp_path, unit, per_unit, tag):
    options = {"imagej": True, "metadata": {"unit": unit}}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(per_unit, per_unit), **options)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags["ResolutionUnit"].overwrite(tag)
    mpp, source = mpp_of(tmp_path / "a.tif")
    assert (mpp, source) == (pytest.approx(0.5, rel=1e-4), "tiff")


@pytest.mark.parametrize("unit", ["pixel", "", "fathom"])
def test_units_of_imagej_that_are_no_length(tmp_path, unit):
    options = {"imagej": True, "metadata": {"unit": unit} if unit else {}}
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, resolution=(2, 2), **options)
    with pytest.raises(MppError, match="2 px without a unit"):
        open_slide(tmp_path / "a.tif")


def write_aperio(path, **options):
    head = "Aperio Image Library v11\r\n60x40 [0,0 60x40] (32x32) Q=90|AppMag = 20"
    options = {"photometric": "rgb", "tile": (32, 32), "metadata": None, **options}
    tifffile.imwrite(path, PIXELS, description=head, **options)
    assert openslide.OpenSlide.detect_format(str(path)) == "aperio"


def test_resolution_tags_of_a_vendor_come_before_the_guess_from_its_objective(tmp_path):
    write_aperio(tmp_path / "a.svs", resolution=(40000, 40000), resolutionunit="CENTIMETER")
    assert mpp_of(tmp_path / "a.svs") == (0.25, "tiff")
    write_aperio(tmp_path / "b.svs", resolution=(72, 72), resolutionunit="INCH")
    with pytest.warns(UserWarning, match="objective power 20"):
        assert mpp_of(tmp_path / "b.svs") == (0.5, "objective")

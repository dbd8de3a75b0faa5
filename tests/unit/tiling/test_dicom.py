"""DICOM files: heads are parsed and not searched for, each whole-slide series is one slide."""

import struct

import numpy as np
import pytest

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.collect import collect
from wsipipe.tiling.readers.dicom import (
    DicomHeader,
    dicom_files,
    grouped,
    header_of,
    may_be_dicom,
    series_files,
)
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.files import fingerprint, slide_files


def noise(seed, height=64, width=96):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def paths(slides):
    return [slide.path for slide in slides]


def level_0(path):
    reader = open_reader(path)
    try:
        return reader.read_level(0, Region(0, 0, *reader.facts.shapes[0]))[0]
    finally:
        reader.close()


def test_two_series_in_one_folder_are_two_slides(write_dicom, tmp_path):
    a, b = noise(1), noise(2)
    for name, pixels, series in (("x", a, "1.2.3"), ("y", b, "1.2.4")):
        write_dicom(tmp_path / f"a-{name}.dcm", pixels[:8, :8].copy(), series, 2, "LABEL")
        write_dicom(tmp_path / f"m-{name}.dcm", pixels, series)
        write_dicom(tmp_path / f"z-{name}.dcm", pixels[::4, ::4].copy(), series, 3, "THUMBNAIL")
    slides = collect([tmp_path])
    assert paths(slides) == [tmp_path / "m-x.dcm", tmp_path / "m-y.dcm"]
    assert len({fingerprint(slide.path) for slide in slides}) == 2
    np.testing.assert_array_equal(level_0(slides[0].path), a)
    np.testing.assert_array_equal(level_0(slides[1].path), b)
    assert [path.name for path in slide_files(slides[0].path)] == ["m-x.dcm", "a-x.dcm", "z-x.dcm"]
    with pytest.raises(SlideError, match=r"holds 2 DICOM slides; name one file of each: m-x.dcm and m-y.dcm"):
        open_reader(tmp_path)


def test_the_remedy_for_two_series_helps(write_dicom, tmp_path):
    write_dicom(tmp_path / "a.dcm", noise(1), "1.2.3")
    write_dicom(tmp_path / "b.dcm", noise(2), "1.2.4")
    assert paths(collect([tmp_path / "b.dcm"])) == [tmp_path / "b.dcm"]
    np.testing.assert_array_equal(level_0(tmp_path / "b.dcm"), noise(2))


def test_a_folder_of_one_series_is_the_slide_itself(write_dicom, tmp_path):
    case = tmp_path / "case"
    write_dicom(case / "2.dcm", noise(1), "1.2.3")
    write_dicom(case / "1.dcm", noise(2, 8, 8), "1.2.3", 2, "OVERVIEW")
    (case / "thumbnail.jpg").write_bytes(b"")
    (case / "readme.txt").write_text("")
    assert paths(collect([tmp_path])) == paths(collect([case])) == [case]
    assert paths(collect([f"{tmp_path}/**/*.dcm"])) == [case]
    assert [path.name for path in slide_files(case)] == ["1.dcm", "2.dcm"]
    np.testing.assert_array_equal(level_0(case), noise(1))


def test_files_without_suffix_are_found_by_content(write_dicom, tmp_path):
    for name in ("IM000", "1.2.826.0.77", "b/IM001"):
        write_dicom(tmp_path / name, noise(1), f"1.2.{len(name)}")
    (tmp_path / "README").write_text("no slide")
    (tmp_path / "notes.12").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    assert paths(collect([tmp_path])) == [tmp_path / "1.2.826.0.77", tmp_path / "IM000", tmp_path / "b"]
    np.testing.assert_array_equal(level_0(tmp_path / "b"), noise(1))


def test_series_of_pictures_of_the_glass_are_no_slides(write_dicom, tmp_path):
    write_dicom(tmp_path / "case" / "slide.dcm", noise(1), "1.2.3")
    for number, flavour in enumerate(("LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER")):
        write_dicom(tmp_path / "case" / f"{flavour}.dcm", noise(2), f"1.2.4.{number}", 1, flavour)
    assert paths(collect([tmp_path])) == [tmp_path / "case"]
    np.testing.assert_array_equal(level_0(tmp_path / "case"), noise(1))


def test_files_of_one_series_named_one_by_one_are_one_slide(write_dicom, tmp_path):
    label = write_dicom(tmp_path / "a.dcm", noise(2, 8, 8), "1.2.3", 2, "LABEL")
    level = write_dicom(tmp_path / "b.dcm", noise(1), "1.2.3")
    assert paths(collect([label, level])) == [level]
    assert paths(collect([level, tmp_path])) == [tmp_path]
    assert paths(collect([label])) == [label]


def test_a_damaged_file_beside_a_series_fails_by_itself(write_dicom, tmp_path):
    write_dicom(tmp_path / "a.dcm", noise(1), "1.2.3")
    (tmp_path / "b.dcm").write_bytes(b"junk")
    (tmp_path / "c.dcm").symlink_to("c.dcm")
    assert [path.name for path in paths(collect([tmp_path]))] == ["a.dcm", "b.dcm", "c.dcm"]
    np.testing.assert_array_equal(level_0(tmp_path / "a.dcm"), noise(1))
    for name in ("b.dcm", "c.dcm"):
        with pytest.raises(SlideError, match=name):
            open_reader(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("a.dcm", True),
        ("A.DCM", True),
        ("IM0001", True),
        ("1.2.840.5", True),
        ("a.txt", False),
        ("a.svs", False),
    ],
)
def test_names_that_dicom_files_have(name, may):
    assert may_be_dicom(name) == may


# ---- heads

UID = b"1.2.3.44"


def explicit(tag, vr, value):
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long_element(tag, vr, value, undefined=False):
    length = 0xFFFFFFFF if undefined else len(value)
    return struct.pack("<HH2sxxI", tag >> 16, tag & 0xFFFF, vr, length) + value


def item(value, undefined=False):
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) if undefined else b""
    return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF if undefined else len(value)) + value + end


def written(path, *elements, syntax=b"1.2.840.10008.1.2.1\0"):
    meta = explicit(0x00020002, b"UI", b"1.2.840.10008.5.1.4.1.1.77.1.6") + explicit(
        0x00020010, b"UI", syntax
    )
    path.write_bytes(bytes(128) + b"DICM" + meta + b"".join(elements))
    return path


OF_ANOTHER = explicit(0x0020000E, b"UI", b"9.9.9.99")
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize(
    "before",
    [
        long_element(0x00081115, b"SQ", item(OF_ANOTHER)),
        long_element(0x00081115, b"SQ", item(OF_ANOTHER) + SEQUENCE_END, undefined=True),
        long_element(0x00081115, b"SQ", item(OF_ANOTHER, undefined=True) + SEQUENCE_END, undefined=True),
        long_element(0x00091010, b"OB", OF_ANOTHER * 9000),
    ],
)
def test_series_named_inside_sequences_and_private_data_are_passed_over(tmp_path, before):
    path = written(tmp_path / "a.dcm", before, explicit(0x0020000E, b"UI", UID))
    assert header_of(path).series == UID.decode()
    assert b"\x20\x00\x0e\x00UI" in before  # a sister: a search of bytes finds the other series


def test_implicit_value_representation(tmp_path):
    plain = lambda tag, value: struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value  # noqa: E731
    kind = plain(0x00080008, b"DERIVED\\PRIMARY\\label\\NONE ")
    path = written(tmp_path / "a", kind, plain(0x0020000E, UID), syntax=b"1.2.840.10008.1.2\0")
    assert header_of(path) == DicomHeader("1.2.840.10008.5.1.4.1.1.77.1.6", UID.decode(), "LABEL")


@pytest.mark.parametrize(
    "content", [b"", b"DICM", bytes(200), bytes(128) + b"DICM", bytes(128) + b"DICM" + b"\xff" * 99]
)
def test_heads_that_make_no_sense(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    head = header_of(tmp_path / "a.dcm")
    assert head is None or not head.is_whole_slide
    assert grouped([tmp_path / "a.dcm"]).others == (tmp_path / "a.dcm",)
    assert series_files(tmp_path / "a.dcm") == dicom_files(tmp_path) == [tmp_path / "a.dcm"]


def test_other_kinds_of_objects_fail_by_name_or_are_left_alone(write_dicom, tmp_path):
    for name in ("ct.dcm", "CT0001"):
        path = write_dicom(tmp_path / name, noise(1), "1.2.3")
        path.write_bytes(path.read_bytes().replace(b"1.1.77.1.6", b"1.1.2\0\0\0\0\0"))
    write_dicom(tmp_path / "slide.dcm", noise(1), "1.2.4")
    assert [path.name for path in paths(collect([tmp_path]))] == ["ct.dcm", "slide.dcm"]


def test_a_real_series(data_dir):
    folder = data_dir / "slides/dicom/CMU-1-Small-Region"
    flavours = sorted(header_of(path).flavour for path in dicom_files(folder))
    assert flavours == ["LABEL", "OVERVIEW", "THUMBNAIL", "VOLUME"]
    assert len(grouped(dicom_files(folder)).slides) == 1
    assert header_of(data_dir / "slides/broken/boxes_0.dcm").is_level
    assert not header_of(data_dir / "slides/broken/boxes_1.dcm").is_level

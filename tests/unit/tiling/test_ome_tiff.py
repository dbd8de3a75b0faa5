"""OME-TIFF: sets of several files, channels and their colours, scale and objective of the slide."""

from contextlib import closing

import numpy as np
import pytest
import tifffile

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import SlideChangedError, SlideError
from wsipipe.geometry import Region
from wsipipe.pipeline.planning.checksums import check_slide, read_sums, write_sums
from wsipipe.tiling.collect import collect
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.files import fingerprint, slide_files

SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
NAMES = ("r.ome.tif", "g.ome.tif", "b.ome.tif")
PIXELS = np.random.default_rng(3).integers(0, 256, (70, 90, 3), np.uint8)
MICRON = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}


def uuid(name):
    return f"urn:uuid:{name}"


def channels(names=("", "", ""), colours=(None, None, None)):
    about = zip(names, colours, strict=True)
    named = [(f'Name="{n}" ' if n else "") + (f'Color="{c}"' if c is not None else "") for n, c in about]
    return "".join(f'<Channel ID="Channel:0:{i}" SamplesPerPixel="1" {a}/>' for i, a in enumerate(named))


def planes(names, uuids=True):
    text = '<TiffData FirstC="{}" IFD="0" PlaneCount="1"><UUID FileName="{}">{}</UUID></TiffData>'
    return "".join(text.format(i, name, uuid(name) if uuids else "") for i, name in enumerate(names))


def image(inside, shape=(70, 90), sizes=(3, 1, 1), attributes="", before=""):
    c, z, t = sizes
    return (
        f'<Image ID="Image:0">{before}<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{shape[1]}" SizeY="{shape[0]}" SizeC="{c}" SizeZ="{z}" SizeT="{t}" {attributes}>{inside}'
        "</Pixels></Image>"
    )


def ome(inside, own=None):
    identity = f' UUID="{uuid(own)}"' if own else ""
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{SPACE}"{identity}>{inside}</OME>'


def write_plane(path, pixels, xml, **options):
    options = {"photometric": "minisblack", "tile": (32, 32), "compression": "zlib", **options}
    tifffile.imwrite(path, pixels, description=xml, metadata=None, **options)


def write_set(folder, names=NAMES, attributes='PhysicalSizeX="0.25" PhysicalSizeY="0.25"', **options):
    inside = image(channels() + planes(names), attributes=attributes)
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        write_plane(folder / name, PIXELS[..., index], ome(inside, own=name), **options)
    return [folder / name for name in names]


def pixels_of(path):
    with closing(open_reader(path)) as reader:
        return reader.read_level(0, Region(0, 0, *reader.facts.shapes[0]))[0]


def clues_of(path):
    with closing(open_reader(path)) as reader:
        return reader.facts.clues


def refusal(path):
    with pytest.raises(SlideError) as caught:
        open_reader(path)
    return str(caught.value)


# ---- Sets of several files


@pytest.mark.parametrize(
    "options", [{}, {"tile": None, "compression": None}, {"rowsperstrip": 9, "tile": None}]
)
@pytest.mark.parametrize("opened", range(3))
def test_each_plane_is_read_from_its_own_file(tmp_path, opened, options):
    files = write_set(tmp_path, **options)
    np.testing.assert_array_equal(pixels_of(files[opened]), PIXELS)


def test_planes_in_folders_and_pyramids(tmp_path):
    names = ("first.ome.tif", "more/second.ome.tif", "more/third.ome.tif")
    xml = ome(image(channels() + planes(names)), own=names[0])
    (tmp_path / "more").mkdir()
    for index, name in enumerate(names):
        with tifffile.TiffWriter(tmp_path / name, ome=False) as tiff:
            options = {"tile": (32, 32), "photometric": "minisblack", "metadata": None}
            own = xml if index == 0 else None
            tiff.write(PIXELS[..., index], subifds=1, description=own, **options)
            tiff.write(block_mean(PIXELS)[..., index], subfiletype=1, **options)
    with closing(open_reader(tmp_path / names[0])) as reader:
        assert reader.facts.shapes == ((70, 90), (35, 45))
        np.testing.assert_array_equal(reader.read_level(1, Region(0, 0, 35, 45))[0], block_mean(PIXELS))
    assert slide_files(tmp_path / names[0]) == [tmp_path / name for name in names]


def test_a_missing_file_is_named_and_putting_it_back_helps(tmp_path):
    files = write_set(tmp_path)
    files[1].rename(tmp_path / "elsewhere")
    assert "g.ome.tif is missing, where one of its channels lies; put every file" in refusal(files[0])
    (tmp_path / "elsewhere").rename(files[1])
    np.testing.assert_array_equal(pixels_of(files[0]), PIXELS)


def test_a_file_of_another_set_is_not_taken(tmp_path):
    files = write_set(tmp_path)
    write_plane(files[2], PIXELS[..., 2], ome(image(channels() + planes(NAMES)), own="other"))
    assert "b.ome.tif is a file of another set" in refusal(files[0])


def test_files_that_differ_in_size_are_refused(tmp_path):
    files = write_set(tmp_path)
    write_plane(files[2], PIXELS[:40, :, 2], "")
    assert "a plane of 40 x 90 px" in refusal(files[0])


@pytest.mark.parametrize("name", ["../b.ome.tif", "/b.ome.tif"])
def test_files_outside_the_folder_are_not_read(tmp_path, name):
    path = tmp_path / "r.ome.tif"
    write_plane(path, PIXELS[..., 0], ome(image(channels() + planes(("r.ome.tif", "r.ome.tif", name)))))
    assert "outside its own folder" in refusal(path)


def test_a_renamed_file_is_still_itself(tmp_path):
    options = {"photometric": "rgb"}
    inside = '<Channel SamplesPerPixel="3"/>'
    for uuids in (True, False):
        xml = ome(image(inside + planes(("old.ome.tif",), uuids)), own="old.ome.tif" if uuids else None)
        write_plane(tmp_path / "new.ome.tif", PIXELS, xml, **options)
        np.testing.assert_array_equal(pixels_of(tmp_path / "new.ome.tif"), PIXELS)
        assert slide_files(tmp_path / "new.ome.tif") == [tmp_path / "new.ome.tif"]


def write_referring_set(folder):
    only = '<BinaryOnly MetadataFile="all.companion.ome" UUID="{}"/>'
    for index, name in enumerate(NAMES):
        write_plane(folder / name, PIXELS[..., index], ome(only.format(uuid(name))))
    (folder / "all.companion.ome").write_text(ome(image(channels() + planes(NAMES))))


def test_metadata_in_a_file_of_their_own(tmp_path):
    write_referring_set(tmp_path)
    np.testing.assert_array_equal(pixels_of(tmp_path / "g.ome.tif"), PIXELS)
    assert [file.name for file in slide_files(tmp_path / "g.ome.tif")] == [
        "g.ome.tif",
        "all.companion.ome",
        "b.ome.tif",
        "r.ome.tif",
    ]
    (tmp_path / "all.companion.ome").unlink()
    assert "its OME-XML lies in all.companion.ome, which cannot be read" in refusal(tmp_path / "g.ome.tif")


def test_images_of_one_xml_in_files_of_their_own_are_slides_of_their_own(tmp_path):
    single = '<Channel SamplesPerPixel="3"/>'
    both = "".join(image(single + planes((name,))) for name in ("a.ome.tif", "b.ome.tif"))
    for name, pixels in (("a.ome.tif", PIXELS), ("b.ome.tif", 255 - PIXELS)):
        write_plane(tmp_path / name, pixels, ome(both, own=name), photometric="rgb")
        np.testing.assert_array_equal(pixels_of(tmp_path / name), pixels)
        assert slide_files(tmp_path / name) == [tmp_path / name]
    assert [slide.path.name for slide in collect([tmp_path])] == ["a.ome.tif", "b.ome.tif"]


# ---- Companions


@pytest.mark.parametrize("write", [write_set, write_referring_set])
def test_a_set_in_a_folder_is_one_slide(tmp_path, write):
    write(tmp_path)
    tifffile.imwrite(tmp_path / "a-other.tif", PIXELS, photometric="rgb")
    assert [slide.path.name for slide in collect([tmp_path])] == ["a-other.tif", "b.ome.tif"]


def test_plain_files_that_a_set_names_are_no_slides_of_their_own(tmp_path):
    names = ("z.ome.tif", "a.tif", "b.tif")
    write_set(tmp_path, names)
    for index, name in ((1, "a.tif"), (2, "b.tif")):
        write_plane(tmp_path / name, PIXELS[..., index], None)
    assert [slide.path.name for slide in collect([tmp_path])] == ["z.ome.tif"]
    np.testing.assert_array_equal(pixels_of(tmp_path / "z.ome.tif"), PIXELS)


def test_companions_count_for_fingerprint_and_checksums(tmp_path):
    files = write_set(tmp_path)
    slide = collect([tmp_path])
    before = fingerprint(files[2])
    assert write_sums(tmp_path / "SHA256SUMS", slide) == 3
    check_slide(files[2], read_sums(tmp_path / "SHA256SUMS"))
    content = bytearray(files[1].read_bytes())
    content[-20] ^= 1
    files[1].write_bytes(content)
    assert fingerprint(files[2]) != before
    with pytest.raises(SlideChangedError, match=r"g\.ome\.tif has SHA-256"):
        check_slide(files[2], read_sums(tmp_path / "SHA256SUMS"))


def test_other_files_have_no_companions(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb")
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    (tmp_path / "c.png").write_bytes(b"")
    for name in ("a.tif", "b.tif", "c.png", "absent.tif"):
        assert slide_files(tmp_path / name) == [tmp_path / name]


# ---- Channels

RED, GREEN, BLUE = -16776961, 16711935, 65535  # 0xRRGGBBAA with a sign


@pytest.mark.parametrize(
    ("names", "colours", "order"),
    [
        (("Blue", "Green", "Red"), (None,) * 3, (2, 1, 0)),
        (("G", "B", "R"), (None,) * 3, (2, 0, 1)),
        (("", "", ""), (None,) * 3, (0, 1, 2)),
        (("Channel 0", "Channel 1", "Channel 2"), (None,) * 3, (0, 1, 2)),
        (("Channel:0:0", "Channel:0:1", "Channel:0:2"), (BLUE, GREEN, RED), (2, 1, 0)),
        (("", "", ""), (-1, -1, -1), (0, 1, 2)),
        (("red", "green", "blue"), (BLUE, GREEN, RED), (0, 1, 2)),
    ],
)
def test_channels_are_the_colours_they_are_named(tmp_path, names, colours, order):
    xml = ome(image(channels(names, colours) + '<TiffData PlaneCount="3"/>'))
    write_plane(tmp_path / "a.ome.tif", PIXELS.transpose(2, 0, 1), xml)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.ome.tif"), PIXELS[..., list(order)])


@pytest.mark.parametrize(
    ("data", "axes", "names", "found"),
    [
        ((3, 70, 90), "CYX", ["DAPI", "FITC", "CY5"], "3 channels (DAPI, FITC, CY5) that are not red, green"),
        ((3, 70, 90), "CYX", ["Red", "Green", "DAPI"], "3 channels (Red, Green, DAPI)"),
        ((2, 70, 90), "CYX", None, "2 channels that are not red, green and blue"),
        ((4, 70, 90), "CYX", None, "4 channels that are not red, green and blue"),
        ((3, 70, 90), "ZYX", None, "a z stack of 3 planes"),
        ((3, 70, 90), "TYX", None, "a time series of 3 images"),
        ((2, 3, 70, 90), "ZCYX", ["Red", "Green", "Blue"], "a z stack of 2 planes"),
        ((2, 70, 90, 3), "ZYXS", None, "a z stack of 2 planes"),
    ],
)
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_what_is_no_colour_is_refused_by_name(tmp_path, data, axes, names, found, tile):
    metadata = {"axes": axes, **MICRON} | ({"Channel": {"Name": names}} if names else {})
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    options = {"photometric": photometric, "metadata": metadata, "tile": tile}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros(data, np.uint8), **options)
    assert found in refusal(tmp_path / "a.ome.tif")


def test_16_bits_are_refused(tmp_path):
    metadata = {"axes": "CYX", **MICRON}
    options = {"photometric": "minisblack", "metadata": metadata}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 70, 90), np.uint16), **options)
    assert "16 bits a sample" in refusal(tmp_path / "a.ome.tif")


# ---- Scale


@pytest.mark.parametrize(
    ("size", "unit", "um"),
    [
        ("0.25", "µm", 0.25),
        ("2500", "Å", 0.25),
        ("2500", "\u212b", 0.25),
        ("250", "nm", 0.25),
        ("250000", "pm", 0.25),
        ("0.01", "mil", 0.254),
        ("0.02", "thou", 0.508),
        ("0.001", "pt", 25.4 / 72),
        ("1e-5", "in", 0.254),
        ("1e-6", "ft", 0.3048),
    ],
)
def test_units_of_length(tmp_path, size, unit, um):
    size = (
        f'PhysicalSizeX="{size}" PhysicalSizeXUnit="{unit}" PhysicalSizeY="{size}" PhysicalSizeYUnit="{unit}"'
    )
    text = ome(image('<Channel SamplesPerPixel="3"/><TiffData/>', attributes=size)).encode()
    write_plane(tmp_path / "a.ome.tif", PIXELS, text, photometric="rgb")
    assert clues_of(tmp_path / "a.ome.tif").vendor == pytest.approx((um, um))


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "furlong"])
def test_what_is_no_length_says_nothing(tmp_path, unit):
    size = f'PhysicalSizeX="2" PhysicalSizeXUnit="{unit}" PhysicalSizeY="2" PhysicalSizeYUnit="{unit}"'
    xml = ome(image('<Channel SamplesPerPixel="3"/><TiffData/>', attributes=size))
    write_plane(tmp_path / "a.ome.tif", PIXELS, xml, photometric="rgb")
    assert clues_of(tmp_path / "a.ome.tif").vendor is None


LENSES = (
    '<Instrument ID="I:0"><Objective ID="O:0" NominalMagnification="0.8"/>'
    '<Objective ID="O:1" NominalMagnification="40"/></Instrument>'
)
ONE_LENS = '<Instrument ID="I:0"><Objective ID="O:0" NominalMagnification="0.8"/></Instrument>'
RGB = '<Channel SamplesPerPixel="3"/><TiffData IFD="{}"/>'


def uses(lens):
    return f'<ObjectiveSettings ID="{lens}"/>' if lens else ""


@pytest.mark.parametrize(
    ("lenses", "of_macro", "of_slide", "objective"),
    [
        (LENSES, "O:0", "O:1", 40.0),
        (LENSES, "O:0", "", None),
        (LENSES, "", "", None),
        (ONE_LENS, "O:0", "", None),
        (ONE_LENS, "", "", 0.8),
    ],
)
def test_the_objective_and_the_scale_are_those_of_the_slides_image(
    tmp_path, lenses, of_macro, of_slide, objective
):
    macro = image(
        RGB.format(0), (20, 30), attributes='PhysicalSizeX="9" PhysicalSizeY="9"', before=uses(of_macro)
    )
    slide = image(RGB.format(1), attributes='PhysicalSizeX="0.25" PhysicalSizeY="0.5"', before=uses(of_slide))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        options = {"photometric": "rgb", "metadata": None, "tile": (32, 32)}
        tiff.write(PIXELS[:20, :30], description=ome(lenses + macro + slide), **options)
        tiff.write(PIXELS, **options)
    clues = clues_of(tmp_path / "a.ome.tif")
    assert (clues.vendor, clues.objective) == ((0.5, 0.25), objective)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.ome.tif"), PIXELS)


def test_xml_that_does_not_parse_leaves_a_plain_tiff(tmp_path):
    write_plane(tmp_path / "a.ome.tif", PIXELS, "<OME><Image></OME>", photometric="rgb")
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.ome.tif"), PIXELS)
    assert slide_files(tmp_path / "a.ome.tif") == [tmp_path / "a.ome.tif"]

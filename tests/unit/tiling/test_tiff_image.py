"""Which image of a TIFF is the slide, and what is refused by name; tiles and strips alike."""

from contextlib import closing

import numpy as np
import pytest
import tifffile

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.slide import open_slide

SCALE = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER", "metadata": None}
STORAGES = {
    "tiles": {"tile": (32, 48)},
    "strips": {"rowsperstrip": 11},
    "packed tiles": {"tile": (32, 48), "compression": "zlib"},
    "packed strips": {"rowsperstrip": 11, "compression": "zlib"},
}


def noise(*shape):
    return np.random.default_rng(8).integers(0, 256, shape, np.uint8)


def write(path, *images, storage="tiles", **options):
    """Images (pixels, options), or pixels alone, one after another."""
    with tifffile.TiffWriter(path) as tiff:
        for image in images:
            pixels, own = image if isinstance(image, tuple) else (image, {})
            tiff.write(pixels, **{"photometric": "rgb"} | SCALE | STORAGES[storage] | options | own)


def pixels_of(path):
    with closing(open_reader(path)) as reader:
        return reader.read_level(0, Region(0, 0, *reader.facts.shapes[0]))


def refusal(path):
    with pytest.raises(
        SlideError, match=r"RGB of 8 bits is needed, but it holds .*; save it again"
    ) as caught:
        open_reader(path)
    return str(caught.value)


ODD_SAMPLES = {
    "16 bits": (noise(70, 90, 3).astype(np.uint16), {}, "16 bits a sample"),
    "12 of 16 bits, grey": (
        noise(70, 90).astype(np.uint16),
        {"photometric": "minisblack"},
        "16 bits a sample",
    ),
    "int8": (
        noise(70, 90).astype(np.int8),
        {"photometric": "minisblack"},
        "whole numbers with a sign (8 bits",
    ),
    "int16": (noise(70, 90, 3).astype(np.int16), {}, "whole numbers with a sign (16 bits"),
    "float": (noise(70, 90, 3).astype(np.float32), {}, "floating-point numbers (32 bits"),
    "half": (
        noise(70, 90).astype(np.float16),
        {"photometric": "minisblack"},
        "floating-point numbers (16 bits",
    ),
    "bilevel": (noise(70, 96) > 99, {"photometric": "minisblack"}, "1 bit a sample"),
    "grey and alpha": (
        noise(70, 90, 2),
        {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]},
        "2 samples a pixel, grey and 1 more (alpha)",
    ),
    "unspecified fourth": (
        noise(70, 90, 4),
        {"extrasamples": ["unspecified"]},
        "RGB and 1 more (unspecified)",
    ),
    "five": (
        noise(70, 90, 5),
        {"extrasamples": ["unassalpha", "unspecified"]},
        "5 samples a pixel, RGB and 2 more (alpha, unspecified)",
    ),
    "CIELAB": (noise(70, 90, 3), {"photometric": "cielab"}, "colours of the kind CIELAB"),
}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", ODD_SAMPLES)
def test_odd_samples_are_refused_by_name(tmp_path, kind, storage):
    pixels, options, found = ODD_SAMPLES[kind]
    write(tmp_path / "a.tif", (pixels, options), storage=storage)
    assert found in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("storage", STORAGES)
def test_the_largest_image_is_the_slide_wherever_it_stands(tmp_path, storage):
    slide, macro, thumbnail = noise(96, 128, 3), noise(60, 70, 3), noise(48, 64, 3)
    expected = np.array(slide)
    for order in ((macro, slide), ((thumbnail, {"subfiletype": 1}), slide, macro), (slide, macro)):
        write(tmp_path / "a.tif", *order, storage=storage)
        np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif")[0], expected)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_half_size_macro_that_is_not_flagged_is_no_level(tmp_path, storage):
    slide = noise(96, 128, 3)
    for flag, levels in ((0, 1), (9, 1), (1, 2)):  # nothing; reduced and macro; reduced
        write(tmp_path / "a.tif", slide, (255 - slide[::2, ::2], {"subfiletype": flag}), storage=storage)
        with closing(open_reader(tmp_path / "a.tif")) as reader:
            assert len(reader.facts.shapes) == levels


def test_a_level_of_another_kind_is_left_out(tmp_path):
    slide = noise(96, 128, 3)
    grey = (slide[::2, ::2, 0], {"subfiletype": 1, "photometric": "minisblack"})
    deep = (slide[::4, ::4].astype(np.uint16), {"subfiletype": 1})
    write(tmp_path / "a.tif", slide, grey, deep)
    with closing(open_reader(tmp_path / "a.tif")) as reader:
        assert reader.facts.shapes == ((96, 128),)


def test_a_larger_image_that_cannot_be_read_is_not_replaced_by_a_smaller_one(tmp_path):
    write(tmp_path / "a.tif", noise(40, 50, 3), noise(96, 128, 3).astype(np.uint16))
    assert "16 bits a sample" in refusal(tmp_path / "a.tif")


STACKS = {
    "z stack of RGB": ([noise(64, 80, 3)] * 5, {}, "5 images of one size"),
    "two scenes": ([noise(64, 80, 3), noise(64, 80, 3)], {}, "2 images of one size"),
    "three grey pages": ([noise(64, 80)] * 3, {"photometric": "minisblack"}, "3 images of one size"),
    "a scene on its side": ([noise(64, 80, 3), noise(80, 64, 3)], {}, "2 images of one size"),
}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", STACKS)
def test_several_images_of_one_size_are_refused(tmp_path, kind, storage):
    pages, options, found = STACKS[kind]
    write(tmp_path / "a.tif", *pages, storage=storage, **options)
    assert found in refusal(tmp_path / "a.tif")


def test_scenes_of_one_size_but_other_compressions_are_refused(tmp_path):
    write(tmp_path / "a.tif", noise(64, 80, 3), (noise(64, 80, 3), {"compression": "lzw"}))
    assert "2 images of one size" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    ("axes", "found"), [("ZYX", "a z stack of 3 planes"), ("TYX", "a time series of 3 images")]
)
def test_planes_that_say_they_are_no_colours_are_refused(tmp_path, axes, found, storage):
    options = {"photometric": "minisblack", "metadata": {"axes": axes}}
    write(tmp_path / "a.tif", noise(3, 64, 80), storage=storage, **options)
    assert found in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("storage", STORAGES)
def test_planes_that_say_they_are_channels_are_colours(tmp_path, storage):
    planes = noise(3, 64, 80)
    write(tmp_path / "a.tif", planes, storage=storage, photometric="minisblack", metadata={"axes": "CYX"})
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif")[0], planes.transpose(1, 2, 0))
    write(tmp_path / "b.tif", noise(4, 64, 80), photometric="minisblack", metadata={"axes": "CYX"})
    assert "4 channels" in refusal(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("axes", "shape", "found"),
    [
        ("CYX", (3, 64, 80), "an ImageJ stack: 3 channels"),
        ("ZYX", (3, 64, 80), "an ImageJ stack: a z stack of 3 planes"),
        ("TZCYX", (2, 3, 2, 64, 80), "a time series of 2 images, a z stack of 3 planes, 2 channels"),
    ],
)
def test_imagej_stacks_are_refused(tmp_path, axes, shape, found):
    metadata = {"axes": axes, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", noise(*shape), imagej=True, metadata=metadata, resolution=(2, 2))
    assert found in refusal(tmp_path / "a.tif")


def test_imagej_stacks_with_one_directory_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(3, 64, 80), imagej=True, metadata={"axes": "CYX"})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages[0]
        at = page.offset + 2 + 12 * len(page.tags)
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(at)
        file.write(bytes(4))
    assert "an ImageJ stack: 3 channels" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("pixels", [noise(64, 80, 3), noise(64, 80)])
def test_single_images_of_imagej_are_read(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"unit": "um"}, resolution=(4, 4))
    np.testing.assert_array_equal(
        pixels_of(tmp_path / "a.tif")[0], pixels.reshape(64, 80, -1) + np.zeros(3, "u1")
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == 0.25


@pytest.mark.parametrize("storage", STORAGES)
def test_premultiplied_alpha_is_divided_out_once(tmp_path, storage):
    rgb, alpha = noise(64, 80, 3), noise(64, 80, 1)
    premultiplied = ((rgb.astype(int) * alpha + 127) // 255).astype(np.uint8)
    stored = np.dstack([premultiplied, alpha])
    write(tmp_path / "a.tif", stored, storage=storage, extrasamples=["assocalpha"])
    with open_slide(tmp_path / "a.tif") as slide:
        shown = slide.read(Region(0, 0, 64, 80), slide.mpp).astype(int)
    np.testing.assert_allclose(shown, premultiplied.astype(int) + 255 - alpha, atol=1)


@pytest.mark.parametrize("storage", STORAGES)
def test_palettes_and_cmyk_become_rgb(tmp_path, storage):
    index, ink = noise(64, 80), noise(64, 80, 4)
    table = np.random.default_rng(1).integers(0, 65536, (3, 256)).astype(np.uint16)
    write(tmp_path / "a.tif", index, storage=storage, photometric="palette", colormap=table)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif")[0], (table >> 8).T[index])
    write(tmp_path / "b.tif", ink, storage=storage, photometric="separated")
    light = 255 - ink.astype(int)
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.tif")[0], light[..., :3] * light[..., 3:] // 255)


LOSSLESS = {"webp": {"lossless": True}, "jpegxl": {"lossless": True}}


@pytest.mark.parametrize("codec", ["webp", "jpeg2000", "jpegxl", "lzma", "lerc", "zstd", "lzw", "packbits"])
def test_tiles_of_every_codec(tmp_path, codec):
    pixels = noise(70, 100, 3)
    write(tmp_path / "a.tif", pixels, compression=codec, compressionargs=LOSSLESS.get(codec))
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif")[0], pixels)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 100), (100, 5), (33, 17)])
def test_uncompressed_tiles_of_few_bytes(tmp_path, shape):
    pixels = noise(*shape, 3)
    write(tmp_path / "a.tif", pixels, tile=(16, 16))
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif")[0], pixels)


def test_a_compression_without_a_decoder_is_named(tmp_path):
    write(tmp_path / "a.tif", noise(64, 80, 3), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(52479)
    assert "pixels compressed by 52479, for which there is no decoder" in refusal(tmp_path / "a.tif")


def test_opening_decodes_no_pixels(tmp_path, monkeypatch):
    write(
        tmp_path / "a.tif", noise(96, 128, 3), (noise(48, 64, 3), {"subfiletype": 1}), storage="packed tiles"
    )
    monkeypatch.setattr(tifffile.TiffPage, "decode", property(lambda page: pytest.fail("decoded")))
    open_reader(tmp_path / "a.tif").close()

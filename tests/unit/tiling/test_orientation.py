"""The Orientation tag turns the whole picture, whatever stores it, and all its levels alike."""

from contextlib import closing

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, ImageOps

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.slide import open_slide

VALUES = range(1, 9)
APERIO = "Aperio Image Library v11\r\n96x80 [0,0 96x80] (64x64) Q=90|AppMag = 20|MPP = 0.5"


def noise(*shape):
    return np.random.default_rng(6).integers(0, 256, shape, np.uint8)


def smooth(height, width):
    y, x = np.mgrid[0:height, 0:width]
    waves = 127 + 100 * np.sin(x / 40.0) * np.cos(y / 55.0)
    return np.dstack([x * 250.0 / width, y * 250.0 / height, waves]).round().astype(np.uint8)


def upright(pixels, value):
    """The picture as Pillow turns it."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = value
    return np.asarray(ImageOps.exif_transpose(image))


def write_tiff(path, levels, value, on_levels=True, **options):
    with tifffile.TiffWriter(path) as tiff:
        for index, level in enumerate(levels):
            tag = [(274, "H", 1, value, True)] if on_levels or index == 0 else []
            size = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
            options = {"photometric": "rgb", "metadata": None, **size, **options}
            tiff.write(level, subfiletype=int(index > 0), extratags=tag, **options)


def write_image(path, pixels, value, **options):
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(pixels).save(path, exif=exif, **options)


def check_upright(path, stored, value):
    expected = upright(stored, value)
    with closing(open_reader(path)) as reader:
        assert reader.facts.shapes[0] == expected.shape[:2]
        for region in (Region(0, 0, *expected.shape[:2]), Region(7, 13, 40, 29)):
            np.testing.assert_array_equal(reader.read_level(0, region)[0], expected[region.slices])


STORAGES = {
    "tiled": {"tile": (64, 64), "compression": "zlib"},
    "uncompressed tiles": {"tile": (64, 64)},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "one piece": {},
    "webp": {"tile": (64, 64), "compression": "webp", "compressionargs": {"lossless": True}},
    "jpeg2000": {"tile": (64, 64), "compression": "jpeg2000"},
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("storage", STORAGES)
def test_tiffs_are_read_upright(tmp_path, storage, value):
    stored = noise(80, 96, 3)
    write_tiff(tmp_path / "a.tif", [stored], value, **STORAGES[storage])
    check_upright(tmp_path / "a.tif", stored, value)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_images_are_read_upright(tmp_path, suffix, value):
    path = tmp_path / f"a.{suffix}"
    write_image(path, noise(80, 96, 3), value, **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))
    check_upright(path, stored, value)


@pytest.mark.parametrize("value", VALUES)
def test_jpeg_tiles_are_read_upright(tmp_path, value):
    write_tiff(tmp_path / "a.tif", [smooth(80, 96)], value, tile=(64, 64), compression="jpeg")
    check_upright(tmp_path / "a.tif", tifffile.imread(tmp_path / "a.tif"), value)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("on_levels", [True, False])
def test_pyramids_are_read_upright_at_every_level(tmp_path, value, on_levels):
    fine = noise(128, 192, 3)
    levels = [fine, block_mean(fine), block_mean(block_mean(fine))]
    write_tiff(tmp_path / "a.tif", levels, value, on_levels, tile=(64, 64), compression="zlib")
    check_upright(tmp_path / "a.tif", fine, value)
    with open_slide(tmp_path / "a.tif") as slide:
        assert len(slide.levels) == 3
        for level, stored in zip(slide.levels, levels, strict=True):
            expected = upright(stored, value)
            whole = Region(0, 0, *expected.shape[:2])
            np.testing.assert_array_equal(slide.read(whole, 0.5 * level.downsample), expected)


@pytest.mark.parametrize("value", VALUES)
def test_levels_of_odd_sides_agree_with_level_0(tmp_path, value):
    fine = smooth(717, 523)
    levels = [fine]
    for _ in range(4):
        height, width = (side // 2 * 2 for side in levels[-1].shape[:2])
        levels.append(block_mean(levels[-1][:height, :width]))
    write_tiff(tmp_path / "a.tif", levels, value, tile=(64, 64), compression="zlib")
    write_tiff(tmp_path / "b.tif", [upright(fine, value)], 1, tile=(64, 64), compression="zlib")
    with open_slide(tmp_path / "a.tif") as slide, open_slide(tmp_path / "b.tif") as plain:
        assert len(slide.levels) == 5
        for level in slide.levels:
            region = Region(2, 2, level.height - 4, level.width - 4)
            mpp = 0.5 * level.downsample
            difference = slide.read(region, mpp).astype(int) - plain.read(region, mpp)
            assert np.abs(difference).max() <= 4, level  # a shift of px of 16 blends them


def test_sister_levels_taken_from_the_first_edge_disagree(tmp_path, monkeypatch):
    monkeypatch.setattr("wsipipe.tiling.readers.pyramid._origin", lambda *_: (0.0, 0.0))
    with pytest.raises(AssertionError):
        test_levels_of_odd_sides_agree_with_level_0(tmp_path, 3)


def test_a_level_that_says_it_lies_another_way_is_left_out(tmp_path):
    fine = noise(128, 128, 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for value, level in ((3, fine), (1, block_mean(fine))):
            tag = [(274, "H", 1, value, True)]
            tiff.write(level, tile=(64, 64), photometric="rgb", subfiletype=int(value == 1), extratags=tag)
    with closing(open_reader(tmp_path / "a.tif")) as reader:
        assert reader.facts.shapes == ((128, 128),)
    check_upright(tmp_path / "a.tif", fine, 3)


def test_um_per_px_turn_with_the_picture(tmp_path):
    size = {"resolution": (20000, 10000), "resolutionunit": "CENTIMETER"}  # x, y
    write_tiff(tmp_path / "a.tif", [noise(40, 60, 3)], 6, **size)
    with closing(open_reader(tmp_path / "a.tif")) as reader:
        assert reader.facts.clues.tiff == (0.5, 1.0)


def test_alpha_turns_with_the_picture(tmp_path):
    rgba = noise(40, 60, 4)
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"], "extratags": [(274, "H", 1, 5, True)]}
    tifffile.imwrite(tmp_path / "a.tif", rgba, tile=(32, 32), **options)
    with closing(open_reader(tmp_path / "a.tif")) as reader:
        alpha = reader.read_level(0, Region(0, 0, 60, 40))[1]
    np.testing.assert_array_equal(alpha, rgba[..., 3].T)


@pytest.mark.parametrize("value", [0, 9])
def test_a_value_that_does_not_exist_counts_as_upright(tmp_path, value):
    write_tiff(tmp_path / "a.tif", [noise(40, 60, 3)], value)
    check_upright(tmp_path / "a.tif", noise(40, 60, 3), 1)


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path):
    stored = noise(80, 96, 3)
    write_image(tmp_path / "a.png", stored, 8)
    content = (tmp_path / "a.png").read_bytes()
    at = content.index(b"eXIf") - 4
    size = 12 + int.from_bytes(content[at : at + 4])
    end = content.index(b"IEND") - 4
    moved = content[:at] + content[at + size : end] + content[at : at + size] + content[end:]
    (tmp_path / "a.png").write_bytes(moved)
    check_upright(tmp_path / "a.png", stored, 8)


def test_opening_a_png_decodes_no_pixels(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", noise(80, 96, 3), 6)
    Image.fromarray(noise(80, 96, 3)).save(tmp_path / "b.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for name in ("a.png", "b.png"):
        open_reader(tmp_path / name).close()


# ---- Files that OpenSlide knows


def write_aperio(path, pixels, value, **options):
    tag = [(274, "H", 1, value, True)]
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None, **options}
    tifffile.imwrite(path, pixels, description=APERIO, extratags=tag, **options)
    assert openslide.OpenSlide.detect_format(str(path)) == "aperio"


@pytest.mark.parametrize("value", VALUES)
def test_jpeg_of_a_vendor_is_read_upright(tmp_path, value):
    colours = {"compressionargs": {"outcolorspace": "rgb"}}
    write_aperio(tmp_path / "a.svs", smooth(80, 96), value, compression="jpeg", **colours)
    check_upright(tmp_path / "a.svs", tifffile.imread(tmp_path / "a.svs"), value)


def test_tiles_that_openslide_would_mirror_one_by_one_are_refused(tmp_path):
    write_aperio(tmp_path / "a.svs", noise(80, 96, 3), 3, compression="lzw")
    with pytest.raises(SlideError, match=r"Orientation tag is 3.*export it"):
        open_reader(tmp_path / "a.svs")
    write_aperio(tmp_path / "b.svs", noise(80, 96, 3), 1, compression="lzw")
    check_upright(tmp_path / "b.svs", noise(80, 96, 3), 1)


@pytest.mark.parametrize(("kind", "found"), [(np.uint16, "16 bits"), (np.float32, "floating-point")])
def test_samples_that_openslide_would_show_as_other_colours_are_refused(tmp_path, kind, found):
    write_aperio(tmp_path / "a.svs", noise(80, 96, 3).astype(kind), 1)
    with pytest.raises(SlideError, match=f"RGB of 8 bits is needed, but it holds {found}"):
        open_reader(tmp_path / "a.svs")

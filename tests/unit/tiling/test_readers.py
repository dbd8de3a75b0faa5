import struct
from contextlib import ExitStack, closing

import numpy as np
import openslide
import pytest
import tifffile
import zarr
from PIL import Image

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers import files, tiff_segments
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.image_reader import ImageReader
from wsipipe.tiling.readers.openslide_reader import OpenSlideReader
from wsipipe.tiling.readers.tiff_reader import TiffReader
from wsipipe.tiling.readers.zarr_reader import ZarrReader

RNG_SEED = 11


@pytest.fixture
def opened():
    """Readers that are closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda reader: stack.enter_context(closing(reader))


def noise(*shape):
    return np.random.default_rng(RNG_SEED).integers(0, 256, shape, np.uint8)


def planar(pixels):
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def check_reads(reader, pixels, level=0):
    """Whole level and an odd part of it."""
    height, width = pixels.shape[:2]
    for region in (Region(0, 0, height, width), Region(height // 3, width // 5, height // 2, width // 2)):
        rgb, _ = reader.read_level(level, region)
        np.testing.assert_array_equal(rgb, pixels[region.slices])


# ---- TIFF

LAYOUTS = {
    "contiguous": {},
    "strips": {"rowsperstrip": 17, "compression": "lzw"},
    "one strip": {"compression": "zlib", "rowsperstrip": 150},
    "tiles": {"tile": (64, 48), "compression": "zlib", "predictor": True},
    "bigtiff": {"tile": (64, 64), "bigtiff": True},
    "big-endian": {"rowsperstrip": 20, "compression": "zlib", "byteorder": ">"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiff_layouts(opened, tmp_path, layout):
    pixels, options = noise(150, 130, 3), dict(LAYOUTS[layout])
    file_options = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    with tifffile.TiffWriter(tmp_path / "a.tif", **file_options) as tiff:
        tiff.write(pixels, photometric="rgb", **options)
    check_reads(opened(TiffReader(tmp_path / "a.tif")), pixels)


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64), "compression": "zlib"}])
@pytest.mark.parametrize("kind", ["planar", "pages", "grey", "inverted"])
def test_tiff_colours(opened, tmp_path, kind, options):
    pixels = noise(90, 70, 3)
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    data, photometric, expected = {
        "planar": (planar(pixels), "rgb", pixels),
        "pages": (planar(pixels), "minisblack", pixels),
        "grey": (pixels[..., 0], "minisblack", grey),
        "inverted": (pixels[..., 0], "miniswhite", 255 - grey),
    }[kind]
    more = {"planar": {"planarconfig": "separate"}, "pages": {"metadata": {"axes": "CYX"}}}.get(kind, {})
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=photometric, **more, **options)
    check_reads(opened(TiffReader(tmp_path / "a.tif")), expected)


def test_tiff_alpha_is_kept_apart(opened, tmp_path):
    rgba = noise(80, 90, 4)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], tile=(32, 32))
    rgb, alpha = opened(TiffReader(tmp_path / "a.tif")).read_level(0, Region(5, 6, 40, 50))
    np.testing.assert_array_equal(np.dstack([rgb, alpha]), rgba[5:45, 6:56])


def test_tiff_jpeg_with_subsampled_colour(opened, tmp_path):
    pixels = np.full((128, 128, 3), (200, 60, 120), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(64, 64), compression="jpeg")
    rgb, _ = opened(TiffReader(tmp_path / "a.tif")).read_level(0, Region(0, 0, 128, 128))
    assert np.abs(rgb.astype(int) - pixels).max() <= 3


def write_ome_pyramid(path, pixels):
    with tifffile.TiffWriter(path, ome=True) as tiff:
        size = {"axes": "YXS", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
        options = {"photometric": "rgb", "tile": (64, 64)}
        tiff.write(pixels, subifds=1, metadata=size, **options)
        tiff.write(block_mean(pixels), subfiletype=1, **options)


def test_ome_tiff_pyramid_in_subifds_and_its_units(opened, tmp_path):
    pixels = noise(200, 160, 3)
    write_ome_pyramid(tmp_path / "a.ome.tif", pixels)
    assert openslide.OpenSlide.detect_format(str(tmp_path / "a.ome.tif")) == "generic-tiff"
    reader = opened(open_reader(tmp_path / "a.ome.tif"))
    assert isinstance(reader, TiffReader)
    assert reader.facts.shapes == ((200, 160), (100, 80))
    assert reader.facts.clues.vendor == (0.25, 0.25)
    check_reads(reader, pixels)
    check_reads(reader, block_mean(pixels), level=1)


def test_tiff_resolution_tags_are_a_clue(opened, tmp_path):
    options = {"resolution": (20000, 10000), "resolutionunit": "centimeter"}
    tifffile.imwrite(tmp_path / "a.tif", noise(30, 40, 3), photometric="rgb", **options)
    assert opened(TiffReader(tmp_path / "a.tif")).facts.clues.tiff == (1.0, 0.5)


def test_tiff_segments_left_out_are_not_scanned(opened, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", noise(64, 128, 3), photometric="rgb", tile=(64, 64), compression="zlib"
    )
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        counts = tiff.pages[0].tags["TileByteCounts"]
        counts.overwrite((counts.value[0], 0))
    alpha = opened(TiffReader(tmp_path / "a.tif")).read_level(0, Region(0, 32, 64, 64))[1]
    assert alpha[:, :32].min() == 255
    assert alpha[:, 32:].max() == 0


@pytest.mark.parametrize(
    ("data", "photometric"),
    [
        (np.zeros((40, 40, 3), np.uint16), "rgb"),
        (np.zeros((5, 40, 40), np.uint8), "minisblack"),
        (np.zeros((2, 40, 40, 3), np.uint8), "rgb"),
        (np.zeros((40, 40), np.float32), "minisblack"),
    ],
)
def test_what_is_no_rgb_of_8_bits_is_refused(tmp_path, data, photometric):
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=photometric)
    with pytest.raises(SlideError, match=r"RGB of 8 bits is needed, but it holds .*save it again"):
        TiffReader(tmp_path / "a.tif")


def test_a_strip_too_large_to_decode_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("wsipipe.tiling.readers.tiff_image.LARGEST_SEGMENT_PX", 1000)
    tifffile.imwrite(
        tmp_path / "a.tif", noise(90, 90, 3), photometric="rgb", compression="zlib", rowsperstrip=90
    )
    with pytest.raises(SlideError, match="one compressed strip of it holds 90 x 90 px"):
        TiffReader(tmp_path / "a.tif")


def test_segments_are_forgotten_in_time(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_segments, "_KEPT_BYTES", 3 * 64 * 64 * 3)
    pixels = noise(256, 256, 3)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(64, 64), compression="zlib")
    reader = opened(TiffReader(tmp_path / "a.tif"))
    check_reads(reader, pixels)
    assert len(reader._levels[0][0]._kept) == 3


def test_a_bad_tiff_tile_is_named_and_the_others_read_on(opened, tmp_path):
    pixels = noise(64, 192, 3)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(64, 64), compression="zlib")
    damage(tmp_path / "a.tif", 1)
    reader = opened(TiffReader(tmp_path / "a.tif"))
    with pytest.raises(SlideError, match=r"a\.tif at level 0, y 3, x 70 "):
        reader.read_level(0, Region(3, 70, 8, 8))
    np.testing.assert_array_equal(reader.read_level(0, Region(0, 128, 64, 64))[0], pixels[:, 128:])


def test_a_tiff_cut_short_says_so(opened, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", noise(64, 64, 3), photometric="rgb", compression="zlib", rowsperstrip=16
    )
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(SlideError, match=r"the file ends inside segment 3.*copy it again"):
        opened(TiffReader(tmp_path / "a.tif")).read_level(0, Region(48, 0, 16, 16))


@pytest.mark.filterwarnings("ignore")
def test_a_tiff_cut_before_its_directory_is_told_to_name_no_image(tmp_path):
    path = tmp_path / "cut.tif"
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 5000) + bytes(100))
    with pytest.raises(SlideError, match="names no image; it was probably cut short; copy it again"):
        TiffReader(path)


def damage(path, tile):
    """Overwrite one tile with noise."""
    with tifffile.TiffFile(path) as tiff:
        offset, size = tiff.pages[0].dataoffsets[tile], tiff.pages[0].databytecounts[tile]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x13" * size)


# ---- OpenSlide


def write_tiled(path, pixels, *levels):
    with tifffile.TiffWriter(path) as tiff:
        for index, level in enumerate((pixels, *levels)):
            kind = 1 if index else 0
            tiff.write(level, photometric="rgb", tile=(64, 64), compression="zlib", subfiletype=kind)


@pytest.mark.parametrize("kind", [OpenSlideReader, open_reader])
def test_levels_of_a_tiled_tiff(opened, tmp_path, kind):
    pixels = noise(256, 192, 3)
    write_tiled(tmp_path / "a.tif", pixels, block_mean(pixels))
    reader = opened(kind(tmp_path / "a.tif"))
    assert isinstance(reader, OpenSlideReader if kind is OpenSlideReader else TiffReader)
    assert reader.facts.shapes == ((256, 192), (128, 96))
    check_reads(reader, pixels)
    check_reads(reader, block_mean(pixels), level=1)


@pytest.mark.parametrize("kind", [OpenSlideReader, open_reader])
def test_one_bad_tile_does_not_poison_later_reads(opened, tmp_path, kind):
    pixels = noise(64, 192, 3)
    write_tiled(tmp_path / "a.tif", pixels)
    damage(tmp_path / "a.tif", 1)
    reader = opened(kind(tmp_path / "a.tif"))
    for _ in range(2):
        with pytest.raises(SlideError, match=r"a\.tif at level 0, y 3, x 70 .*copy it again"):
            reader.read_level(0, Region(3, 70, 8, 8))
        np.testing.assert_array_equal(reader.read_level(0, Region(0, 128, 64, 64))[0], pixels[:, 128:])


def test_sister_a_bare_handle_is_poisoned(tmp_path):
    write_tiled(tmp_path / "a.tif", noise(64, 192, 3))
    damage(tmp_path / "a.tif", 1)
    with openslide.OpenSlide(tmp_path / "a.tif") as handle:
        with pytest.raises(openslide.OpenSlideError):
            handle.read_region((70, 3), 0, (8, 8))
        with pytest.raises(openslide.OpenSlideError):
            handle.read_region((128, 0), 0, (64, 64))


@pytest.mark.parametrize(
    "region", [Region(37, 51, 480, 520), Region(500, 505, 30, 20), Region(0, 0, 600, 700)]
)
def test_blended_levels_do_not_hang_on_the_region(opened, tmp_path, region):
    pixels = noise(1301, 1503, 3)
    write_tiled(tmp_path / "a.tif", pixels, pixels[:650, :751])
    reader = opened(OpenSlideReader(tmp_path / "a.tif"))
    whole, _ = reader.read_level(1, Region(0, 0, 650, 751))
    np.testing.assert_array_equal(reader.read_level(1, region.clipped((650, 751)))[0], whole[region.slices])


# ---- OME-Zarr


def write_zarr(path, pixels, version, axes="cyx", **array):
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    named = [{"name": a, "type": "channel" if a == "c" else "space"} for a in axes]
    for axis in named:
        if axis["name"] in "yx":
            axis["unit"] = "micrometer"
    datasets = []
    for index, level in enumerate((pixels, block_mean(pixels))):
        data = level.transpose(["yxc".index(a) for a in axes if a in "yxc"])
        data = data.reshape(
            [data.shape[[b for b in axes if b in "yxc"].index(a)] if a in "yxc" else 1 for a in axes]
        )
        chunks = tuple(32 if a in "yx" else 1 for a in axes)
        group.create_array(str(index), data=data, chunks=chunks, **array)
        scale = [0.5 * 2**index if a in "yx" else 1.0 for a in axes]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(index), "coordinateTransformations": transforms})
    meta = {"multiscales": [{"version": version, "axes": named, "datasets": datasets}]}
    group.attrs.update(meta if version == "0.4" else {"ome": {"version": version, **meta}})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx"])
def test_ome_zarr(opened, tmp_path, version, axes):
    pixels = noise(100, 80, 3)
    write_zarr(tmp_path / "a.zarr", pixels, version, axes)
    reader = opened(open_reader(tmp_path / "a.zarr"))
    assert isinstance(reader, ZarrReader)
    assert reader.facts.shapes == ((100, 80), (50, 40))
    assert reader.facts.clues.vendor == (0.5, 0.5)
    check_reads(reader, pixels)
    check_reads(reader, block_mean(pixels), level=1)


def test_a_zarr_that_is_no_rgb_image_is_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(SlideError, match="no OME-Zarr image"):
        open_reader(tmp_path / "a.zarr")
    write_zarr(tmp_path / "b.zarr", noise(40, 40, 2), "0.5")
    with pytest.raises(SlideError, match=r"RGB of 8 bits in one plane.*'c': 2"):
        open_reader(tmp_path / "b.zarr")


# ---- images


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_images(opened, tmp_path, suffix, channels):
    pixels = noise(60, 70, channels)
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", **options)
    reader = opened(open_reader(tmp_path / f"a.{suffix}"))
    assert isinstance(reader, ImageReader)
    assert reader.facts.vendor == suffix
    check_reads(reader, pixels[..., :3])
    alpha = reader.read_level(0, Region(0, 0, 60, 70))[1]
    assert alpha is None if channels == 3 else (alpha == pixels[..., 3]).all()


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_other_8_bit_images_become_rgb(opened, tmp_path, mode):
    image = Image.fromarray(noise(30, 40, 3)).convert(mode)
    image.save(tmp_path / "a.png")
    check_reads(opened(ImageReader(tmp_path / "a.png")), np.asarray(image.convert("RGB")))


def test_images_of_16_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(SlideError, match=r"RGB of 8 bits is needed, but its mode is I;16"):
        open_reader(tmp_path / "a.png")


def test_images_of_absurd_size_are_refused(tmp_path):
    Image.new("1", (20000, 10000)).save(tmp_path / "a.png")
    with pytest.raises(SlideError, match=r"200000000 pixels.*tiled pyramidal TIFF"):
        open_reader(tmp_path / "a.png")


def test_an_image_cut_short_fails_at_reading(opened, tmp_path):
    Image.fromarray(noise(90, 90, 3)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(SlideError, match="level 0"):
        opened(ImageReader(tmp_path / "a.png")).read_level(0, Region(0, 0, 90, 90))


# ---- dispatch and files


def test_the_content_decides_and_not_the_name(opened, tmp_path):
    Image.fromarray(noise(30, 40, 3)).save(tmp_path / "a.svs", format="png")
    assert isinstance(opened(open_reader(tmp_path / "a.svs")), ImageReader)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"II*\0", struct.pack("<2sHI", b"II", 42, 8)])
def test_what_is_no_slide_says_what_to_do(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(SlideError, match=r"cannot open .*a\.tif as a slide: .*; .*(convert|copy) it"):
        open_reader(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("kept", [20, 30, 60, 200])
def test_images_cut_short_anywhere_are_slide_errors(tmp_path, suffix, kept):
    Image.fromarray(noise(40, 40, 3)).save(tmp_path / f"a.{suffix}")
    content = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[:kept])
    with pytest.raises(SlideError):
        open_reader(tmp_path / f"a.{suffix}").read_level(0, Region(0, 0, 40, 40))


def test_a_slide_without_pixels_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(30, 40, 3), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(0)
    with pytest.raises(SlideError, match=r"cannot open .*a\.tif"):
        open_reader(tmp_path / "a.tif")


def test_a_folder_that_is_no_slide_says_so(tmp_path):
    with pytest.raises(SlideError, match=r"neither an OME-Zarr nor a folder of \.dcm"):
        open_reader(tmp_path)


def test_companions_are_found(tmp_path):
    for name in ("a.mrxs", "a/Slidedat.ini", "a/Data0001.dat", "b.mrxs", "c.vms", "c(0,0).jpg", "c(0,1).jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "c.vms").write_text("[Virtual Microscope Specimen]\nImageFile=c(0,0).jpg\nNoFile=\n")
    names = lambda path: [p.name for p in files.slide_files(path)]  # noqa: E731
    assert names(tmp_path / "a.mrxs") == ["a.mrxs", "Data0001.dat", "Slidedat.ini"]
    assert names(tmp_path / "b.mrxs") == ["b.mrxs"]
    assert names(tmp_path / "c.vms") == ["c.vms", "c(0,0).jpg"]


def test_dicom_series_are_kept_apart(data_dir):
    folder = data_dir / "slides/dicom/CMU-1-Small-Region"
    first = files.dicom_files(folder)[0]
    assert len(files.slide_files(first)) == len(files.dicom_files(folder)) == 4


def test_the_fingerprint_follows_content_and_not_place_or_time(tmp_path):
    content = noise(5 << 20).tobytes()
    for name in ("a/slide.svs", "b/slide.svs"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    first = files.fingerprint(tmp_path / "a/slide.svs")
    assert first == files.fingerprint(tmp_path / "b/slide.svs")
    for at in (0, len(content) - 1, len(content) // 2):
        changed = bytearray(content)
        changed[at] ^= 1
        (tmp_path / "b/slide.svs").write_bytes(changed)
        assert files.fingerprint(tmp_path / "b/slide.svs") != first


def test_the_fingerprint_sees_every_file_of_a_folder(tmp_path):
    write_zarr(tmp_path / "a.zarr", noise(100, 80, 3), "0.5")
    first = files.fingerprint(tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr/0/c/1/1/1"
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert files.fingerprint(tmp_path / "a.zarr") != first

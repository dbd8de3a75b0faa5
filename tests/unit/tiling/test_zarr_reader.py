"""OME-Zarr: scales multiply, datasets come in any order, chunks left out hold the fill value."""

import shutil

import numcodecs
import numpy as np
import pytest
import zarr

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers.axes import clues_of_axes, scale_of
from wsipipe.tiling.readers.zarr_reader import ZarrReader
from wsipipe.tiling.slide import open_slide

SHAPE = (96, 64)


def picture():
    return np.random.default_rng(0).integers(1, 255, (*SHAPE, 3), dtype=np.uint8)


def scale(*factors):
    return {"type": "scale", "scale": list(factors)}


def made(path, version="0.5", pixels=None, own=None, whole=None, order=(0, 1, 2), unit="micrometer", **array):
    """Three levels, each halved by leaving out px; ``own`` and ``whole`` are coordinateTransformations."""
    pixels = picture() if pixels is None else pixels
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    for level in range(3):
        data = pixels[:: 2**level, :: 2**level].transpose(2, 0, 1)
        options = {"chunks": (1, 16, 16)} | array
        made = group.create_array(str(level), shape=data.shape, dtype="u1", **options)
        made[:] = data
    axes = [{"name": name, "type": "space", "unit": unit} for name in "yx"]
    own = own or (lambda level: [scale(1, 0.5 * 2**level, 0.5 * 2**level)])
    datasets = [{"path": str(level), "coordinateTransformations": own(level)} for level in order]
    multiscale = {"axes": [{"name": "c", "type": "channel"}, *axes], "datasets": datasets}
    multiscale |= {"coordinateTransformations": whole} if whole is not None else {}
    group.attrs.update(
        {"multiscales": [multiscale]} if version == "0.4" else {"ome": {"multiscales": [multiscale]}}
    )
    return path


def named(path, channels):
    group = zarr.open_group(path, mode="r+")
    group.attrs["ome"] = group.attrs["ome"] | {"omero": {"channels": channels}}
    return path


def level_0(path):
    return ZarrReader(path).read_level(0, Region(0, 0, *SHAPE))[0]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("whole", "mpp"),
    [
        (None, 0.5),
        ([scale(1, 0.5, 0.5)], 0.25),
        ([scale(1, 4, 4)], 2.0),
        ([scale(1, 3, 3), scale(1, 0.5, 0.5)], 0.75),
        ([scale(1, 0.5, 0.5), {"type": "translation", "translation": [0, 7, 9]}], 0.25),
        ([{"type": "identity"}], 0.5),
    ],
)
def test_scales_of_dataset_and_multiscale_multiply(tmp_path, version, whole, mpp):
    with open_slide(made(tmp_path / "a.zarr", version, whole=whole)) as slide:
        assert (slide.mpp, slide.mpp_source) == (mpp, "vendor")
        assert [level.downsample for level in slide.levels] == [1, 2, 4]


def test_each_axis_has_its_own_scale(tmp_path):
    own = lambda level: [scale(1, 0.4 * 2**level, 0.25 * 2**level)]  # noqa: E731
    path = made(tmp_path / "a.zarr", own=own, whole=[scale(1, 0.5, 0.8)])
    assert ZarrReader(path).facts.clues.vendor == pytest.approx((0.2, 0.2))


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_datasets_in_any_order(tmp_path, order):
    path = made(tmp_path / "a.zarr", order=order, whole=[scale(1, 0.5, 0.5)])
    with open_slide(path) as slide:
        assert [level.shape for level in slide.levels] == [(96, 64), (48, 32), (24, 16)]
        assert slide.mpp == 0.25
        np.testing.assert_array_equal(slide.read(Region(0, 0, *SHAPE), slide.mpp), picture())
        np.testing.assert_array_equal(slide.read(Region(0, 0, 24, 16), 1.0), picture()[::4, ::4])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("fill", [0, 255, 7])
def test_chunks_left_out_hold_the_fill_value(tmp_path, version, fill):
    pixels = picture()
    pixels[:32, 16:48] = fill
    pixels[64:, :, 1] = fill  # of one channel alone
    path = made(tmp_path / "a.zarr", version, pixels, fill_value=fill)
    assert not (path / "0" / ("c/0/0/1" if version == "0.5" else "0.0.1")).exists()
    assert not (path / "0" / ("c/1/4/0" if version == "0.5" else "1.4.0")).exists()
    np.testing.assert_array_equal(level_0(path), pixels)


def test_chunks_left_out_of_shards_and_whole_arrays(tmp_path):
    pixels = picture()
    pixels[:32] = 0
    path = made(tmp_path / "a.zarr", pixels=pixels, shards=(3, 32, 32), chunks=(3, 16, 16))
    np.testing.assert_array_equal(level_0(path), pixels)
    shutil.rmtree(path / "0/c")
    assert not level_0(path).any()


V2 = [
    numcodecs.Blosc(),
    numcodecs.Blosc(cname="zstd"),
    numcodecs.Zstd(),
    numcodecs.Zlib(),
    numcodecs.GZip(),
    None,
]
V3 = [zarr.codecs.BloscCodec(), zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec(), None]


@pytest.mark.parametrize(
    ("version", "compressor"), [*(("0.4", codec) for codec in V2), *(("0.5", codec) for codec in V3)]
)
def test_a_chunk_that_was_cut_short_is_an_error(tmp_path, version, compressor):
    path = made(tmp_path / "a.zarr", version, compressors=compressor)
    np.testing.assert_array_equal(level_0(path), picture())
    chunk = path / "0" / ("c/1/2/2" if version == "0.5" else "1.2.2")
    for kept in (-1, 200, 20, 5, 0):
        chunk.write_bytes(chunk.read_bytes()[:kept])
        with pytest.raises(SlideError, match=r"level 0, y 40, x 40.*damaged"):
            ZarrReader(path).read_level(0, Region(40, 40, 8, 8))


def test_a_shard_that_was_cut_short_is_an_error(tmp_path):
    codec = zarr.codecs.BloscCodec()
    path = made(tmp_path / "a.zarr", shards=(3, 32, 32), chunks=(3, 16, 16), compressors=codec)
    np.testing.assert_array_equal(level_0(path), picture())
    for kept in (-1, 100, 0):
        chunk = path / "0/c/0/1/1"
        chunk.write_bytes(chunk.read_bytes()[:kept])
        with pytest.raises(SlideError, match=r"level 0, y 40, x 40.*damaged"):
            ZarrReader(path).read_level(0, Region(40, 40, 8, 8))


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        ("micrometer", 0.5),
        ("nanometer", 5e-4),
        ("inch", 12700.0),
        ("angstrom", 5e-5),
        ("um", 0.5),
        ("Micrometre", 0.5),
    ],
)
def test_units(unit, um):
    axes = [{"name": name, "unit": unit} for name in "yx"]
    assert clues_of_axes(axes, [0.5, 0.5]).vendor == pytest.approx((um, um))


@pytest.mark.parametrize("unit", ["pixel", "second", "", None])
def test_what_is_no_length_says_nothing(unit):
    axes = [{"name": name} | ({} if unit is None else {"unit": unit}) for name in "yx"]
    assert clues_of_axes(axes, [0.5, 0.5]).vendor is None


def test_a_scale_that_is_missing_or_makes_no_sense(tmp_path):
    assert scale_of(2, None, [scale(1, 2)]) is None
    assert scale_of(2, [scale(float("nan"), 2)]) is None
    path = made(tmp_path / "a.zarr", own=lambda level: None)
    assert ZarrReader(path).facts.clues.vendor is None
    for wrong in ({"type": "scale", "path": "scales"}, scale(1.0, 0.5)):
        with pytest.raises(SlideError, match="no list of 3 numbers"):
            ZarrReader(made(tmp_path / "b.zarr", whole=[wrong]))


def labels(*texts):
    return [{"label": text} for text in texts]


@pytest.mark.parametrize(
    ("channels", "order"),
    [
        (labels("Blue", "Green", "Red"), [2, 1, 0]),
        (labels("g", "r", "b"), [1, 0, 2]),
        (
            [{"label": f"Channel {i}", "color": c} for i, c in enumerate(("00FF00", "FF0000", "0000ff"))],
            [1, 0, 2],
        ),
        ([{"label": "red", "color": "0000FF"}, {"label": "green"}, {"label": "blue"}], [0, 1, 2]),
        (labels("Channel:0:0", "C1", ""), [0, 1, 2]),
        ([{"color": "FFFFFF"}] * 3, [0, 1, 2]),
        ([], [0, 1, 2]),
    ],
)
def test_channels_go_by_their_names(tmp_path, channels, order):
    path = named(made(tmp_path / "a.zarr"), channels)
    np.testing.assert_array_equal(level_0(path), picture()[..., order])


def test_channels_that_are_stains_are_refused(tmp_path):
    path = named(made(tmp_path / "a.zarr"), labels("DAPI", "FITC", "TRITC"))
    with pytest.raises(SlideError, match="channels are called DAPI, FITC, TRITC, not red, green and blue"):
        ZarrReader(path)

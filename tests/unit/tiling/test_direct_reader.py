"""Tiles decoded directly are those of OpenSlide, bit for bit."""

from contextlib import ExitStack, closing

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile

from wsipipe.common import compiled
from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers import jpeg_stream, tile_grid
from wsipipe.tiling.readers.direct_reader import DirectReader
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.openslide_reader import OpenSlideReader
from wsipipe.tiling.slide import open_slide

SHAPE = (300, 420)


@pytest.fixture
def opened():
    """Readers that are closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda reader: stack.enter_context(closing(reader))


def regions(shape, count=8):
    """The whole, one pixel in the last corner, and random ones."""
    height, width = shape
    yield from (Region(0, 0, height, width), Region(height - 1, width - 1, 1, 1))
    random = np.random.default_rng(3)
    for _ in range(count):
        y, x = int(random.integers(height)), int(random.integers(width))
        yield Region(y, x, int(random.integers(1, height - y + 1)), int(random.integers(1, width - x + 1)))


def differences(path, opened):
    """Regions in which the two ways of reading differ; the direct one must be in use."""
    direct, reference = opened(open_reader(path)), opened(OpenSlideReader(path))
    assert isinstance(direct, DirectReader)
    found = []
    for level, shape in enumerate(reference.facts.shapes):
        for region in regions(shape):
            (rgb, alpha), (expected, scanned) = (
                direct.read_level(level, region),
                reference.read_level(level, region),
            )
            same = np.array_equal(rgb, expected) and (alpha is None) == (scanned is None)
            if not same or (alpha is not None and not np.array_equal(alpha, scanned)):
                found.append((level, region))
    return found


JPEGS = [("YCBCR", sampling, "ycbcr") for sampling in ("444", "422", "420", "411")]
JPEGS += [("YCBCR", "420", "rgb"), ("RGB", "444", "rgb"), ("RGB", "444", "ycbcr")]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize(("colours", "sampling", "photometric"), JPEGS)
def test_jpeg_is_openslides(made, opened, tmp_path, colours, sampling, photometric, tables):
    options = {"colours": colours, "sampling": sampling, "photometric": photometric, "tables": tables}
    path = made.write_aperio(tmp_path / "a.svs", made.picture(*SHAPE), made.picture(150, 210), **options)
    assert differences(path, opened) == []


@pytest.mark.usefixtures("compiled")
def test_sister_plain_upsampling_would_be_noticed(made, opened, tmp_path, monkeypatch):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(*SHAPE))
    fancy = imagecodecs.jpeg8_decode
    plain = lambda *data, **options: fancy(*data, fancyupsampling=False, **options)  # noqa: E731
    monkeypatch.setattr(tile_grid.imagecodecs, "jpeg8_decode", plain)
    assert differences(path, opened)


def test_jpeg_2000_is_openslides(made, opened, tmp_path):
    assert differences(made.write_jpeg_2000(tmp_path / "a.svs", made.picture(*SHAPE)), opened) == []


@pytest.mark.usefixtures("compiled")
def test_missing_tiles_of_philips_are_not_scanned(made, opened, tmp_path):
    levels = made.picture(*SHAPE), made.picture(150, 210)
    path = made.write_philips(tmp_path / "a.tiff", *levels, missing=(3, 8))
    assert openslide.OpenSlide.detect_format(str(path)) == "philips"
    assert differences(path, opened) == []
    alpha = opened(open_reader(path)).read_level(0, Region(0, 0, *SHAPE))[1]
    assert alpha[:64, 192:256].max() == 0
    assert alpha[:64, :192].min() == 255


@pytest.mark.usefixtures("compiled")
def test_levels_between_whole_downsamples_are_as_stored(made, opened, tmp_path):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(1301, 1503), made.picture(650, 751))
    with openslide.OpenSlide(path) as handle:  # from the corner, OpenSlide has nothing to blend
        stored = np.asarray(handle.read_region((0, 0), 1, (751, 650)))[..., :3]
    reader = opened(open_reader(path))
    for region in regions((650, 751)):
        assert np.array_equal(reader.read_level(1, region)[0], stored[region.slices])
    part = Region(520, 530, 100, 200)
    blended = opened(OpenSlideReader(path)).read_level(1, part)[0]
    assert not np.array_equal(blended, stored[part.slices])


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", ["missing tile", "33003", "lzw"])
def test_openslide_reads_the_rest(made, opened, tmp_path, kind):
    path, pixels = tmp_path / "a.svs", made.picture(*SHAPE)
    if kind == "33003":
        made.write_jpeg_2000(path, pixels, compression=33003)
    elif kind == "lzw":
        options = {"tile": (64, 64), "photometric": "rgb", "compression": "lzw", "metadata": None}
        tifffile.imwrite(path, pixels, description=made.APERIO.format(300), **options)
    else:
        made.write_aperio(path, pixels)
        made.change_sizes(path, {2: 0})
    assert isinstance(opened(open_reader(path)), OpenSlideReader)


@pytest.mark.usefixtures("compiled")
def test_a_tile_of_another_kind_is_read_by_openslide(made, opened, tmp_path, monkeypatch):
    path, pixels = tmp_path / "a.svs", made.picture(*SHAPE)
    encode = made.jpeg
    progressive = made.progressive(next(iter(made.cut(pixels))))
    assert jpeg_stream.verdict_on(progressive) == jpeg_stream.Verdict.NOT_COVERED
    first = iter([progressive])
    monkeypatch.setattr(made, "jpeg", lambda tile, *more: next(first, None) or encode(tile, *more))
    made.write_aperio(path, pixels, tables=False)
    assert differences(path, opened) == []


def test_without_a_compiler_openslide_reads_and_a_warning_says_so(made, opened, tmp_path, monkeypatch):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(*SHAPE))
    monkeypatch.setenv("CXX", "no-such-compiler")
    jpeg_stream.library.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"no-such-compiler.*slower.*Install g\+\+"):
        reader = opened(open_reader(path))
    jpeg_stream.library.cache_clear()
    assert isinstance(reader, OpenSlideReader)


@pytest.mark.usefixtures("compiled")
def test_real_slide_is_openslides(data_dir, opened):
    assert differences(data_dir / "slides" / "CMU-1-Small-Region.svs", opened) == []


@pytest.mark.usefixtures("compiled")
def test_neighbours_decode_each_tile_once(made, tmp_path, monkeypatch):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(*SHAPE))
    seen, decode = [], imagecodecs.jpeg8_decode
    counted = lambda data, **options: (seen.append(data), decode(data, **options))[1]  # noqa: E731
    monkeypatch.setattr(tile_grid.imagecodecs, "jpeg8_decode", counted)
    with open_slide(path) as slide:
        for region in Region(0, 0, *SHAPE).blocks(100):
            slide.read(region, 0.25)
        assert len(seen) == len(set(seen)) == 5 * 7
        assert len(slide._reader._cache) == 0


@pytest.mark.usefixtures("compiled")
def test_a_file_that_vanished_is_a_slide_error(made, opened, tmp_path):
    reader = opened(open_reader(made.write_aperio(tmp_path / "a.svs", made.picture(*SHAPE))))
    (tmp_path / "a.svs").unlink()
    with pytest.raises(SlideError, match=r"cannot open .*a\.svs"):
        reader.read_level(0, Region(0, 0, 10, 10))


def test_the_builder_knows_no_stranger(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-compiler"):
        compiled.compiler("NO_SUCH_VARIABLE", "no-such-compiler")

"""A damaged tile fails where OpenSlide fails, and is the same pixels where it does not."""

from contextlib import closing

import numpy as np
import pytest
import tifffile

from wsipipe.errors import SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.readers import tile_grid
from wsipipe.tiling.readers.direct_reader import DirectReader
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.jpeg_stream import Verdict, verdict_on
from wsipipe.tiling.readers.openslide_reader import OpenSlideReader
from wsipipe.tiling.readers.tiff_reader import TiffReader

pytestmark = pytest.mark.usefixtures("compiled")
TILE = Region(64, 128, 64, 64)
NUMBER = 4 + 2


def mutated(data, kind, random):
    """The bytes of a tile, damaged from a random place on."""
    at = int(random.integers(len(data)))
    length = min(512, len(data) - at)
    new = {
        "bit": bytes([data[at] ^ 1 << int(random.integers(8))]),
        "zeros": bytes(length),
        "ones": b"\xff" * length,
        "noise": random.bytes(length),
        "no tail": bytes(len(data) - at),
        "no tail but the end": bytes(max(0, len(data) - at - 2)),
    }[kind]
    return data[:at] + new + data[at + len(new) :]


def outcome(reader):
    """The pixels of the tile, or None where they cannot be read."""
    with closing(reader):
        try:
            return reader.read_level(0, TILE)[0]
        except SlideError:
            return None


def outcomes(made, path, kind, count=25):
    """Pairs of what the direct reader and OpenSlide make of a damaged tile."""
    offset, size = made.place_of(path, NUMBER)
    whole = path.read_bytes()
    random = np.random.default_rng(len(kind))
    for _ in range(count):
        damaged = mutated(whole[offset : offset + size], kind, random)
        path.write_bytes(whole[:offset] + damaged + whole[offset + size :])
        reader = open_reader(path)
        assert isinstance(reader, DirectReader)
        yield outcome(reader), outcome(OpenSlideReader(path))


KINDS = ["bit", "zeros", "ones", "noise", "no tail", "no tail but the end"]
SLIDES = {
    "faint": ({"noise": 1}, {}),
    "noisy": ({"noise": 30}, {"tables": False}),
    "RGB": ({"noise": 2}, {"colours": "RGB", "sampling": "444", "photometric": "rgb"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SLIDES)
def test_damage_is_found_as_by_openslide(made, tmp_path, name, kind):
    grain, options = SLIDES[name]
    path = made.write_aperio(tmp_path / "a.svs", made.picture(256, 256, **grain), **options)
    for found, expected in outcomes(made, path, kind):
        assert (found is None) == (expected is None)
        assert found is None or np.array_equal(found, expected)


def test_sister_without_the_check_damage_passes(made, tmp_path, monkeypatch):
    monkeypatch.setattr(tile_grid, "verdict_on", lambda *data: Verdict.SOUND)
    path = made.write_aperio(tmp_path / "a.svs", made.picture(256, 256, noise=1))
    pairs = [pair for kind in KINDS for pair in outcomes(made, path, kind)]
    assert sum(found is not None and expected is None for found, expected in pairs) > 10


def test_jpeg_2000_is_damaged_as_for_openslide(made, tmp_path):
    path = made.write_jpeg_2000(tmp_path / "a.svs", made.picture(256, 256))
    for kind in KINDS:
        for found, expected in outcomes(made, path, kind, count=6):
            assert (found is None) == (expected is None)
            assert found is None or np.array_equal(found, expected)


def test_the_place_is_named_and_other_tiles_read_on(made, tmp_path):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(256, 256))
    offset, size = made.place_of(path, NUMBER)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(size))
    with closing(open_reader(path)) as reader:
        with pytest.raises(SlideError, match=r"a\.svs at level 0, y 64, x 128 .*copy it again"):
            reader.read_level(0, Region(50, 100, 100, 100))
        reader.read_level(0, Region(0, 0, 64, 256))


def test_a_file_cut_short_is_a_slide_error(made, tmp_path):
    path = made.write_aperio(tmp_path / "a.svs", made.picture(256, 256))
    with closing(open_reader(path)) as reader:
        offset, _ = made.place_of(path, NUMBER)
        with path.open("r+b") as file:
            file.truncate(offset + 10)
        with pytest.raises(SlideError, match="copy it again"):
            reader.read_level(0, TILE)


@pytest.mark.parametrize("sampling", ["444", "422", "420", "411"])
def test_verdicts(made, sampling):
    data = made.jpeg(next(made.cut(made.picture(64, 64))), sampling=sampling)
    tables, rest = made.without_tables(data)
    assert verdict_on(data) == verdict_on(rest, tables) == Verdict.SOUND
    assert verdict_on(data + bytes(7)) == Verdict.SOUND
    assert verdict_on(rest) == Verdict.NOT_COVERED
    assert verdict_on(b"") == verdict_on(data[:30]) == Verdict.NOT_COVERED
    assert verdict_on(data[:-2]) == Verdict.NO_END
    start = data.index(b"\xff\xda") + 14
    for kept in (start + 1, (start + len(data)) // 2, len(data) - 6):
        assert verdict_on(data[:kept] + b"\xff\xd9") == Verdict.TOO_SHORT


def test_a_plain_tiff_of_short_jpegs_is_refused(made, tmp_path):
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "jpeg"}
    tifffile.imwrite(tmp_path / "a.tif", made.picture(128, 128), **options)
    offset, size = made.place_of(tmp_path / "a.tif", 3)
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(offset + size // 2)
        file.write(b"\xff\xd9" + bytes(size - size // 2 - 2))
    with closing(TiffReader(tmp_path / "a.tif")) as reader:
        reader.read_level(0, Region(0, 0, 64, 128))
        with pytest.raises(SlideError, match="the JPEG data of segment 3 are damaged or end too early"):
            reader.read_level(0, Region(64, 64, 64, 64))

import pickle
from pathlib import Path

import numpy as np
import pytest

from wsipipe.common.block_mean import block_mean
from wsipipe.errors import ConfigError, InternalError, MppError, SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.mpp import MppClues
from wsipipe.tiling.readers.base import Facts
from wsipipe.tiling.resample import blocks
from wsipipe.tiling.slide import Slide, open_slide


class PyramidReader:
    """A slide of several arrays that notes which level is read."""

    def __init__(self, *levels, bounds=None, clues=None):
        self.arrays, self.used, self.closed, self.largest_px = levels, [], False, 0
        shapes = tuple(level.shape[:2] for level in levels)
        bounds = bounds or Region(0, 0, *shapes[0])
        self.facts = Facts(
            vendor="fake", shapes=shapes, bounds=bounds, clues=clues or MppClues(vendor=(0.25, 0.25))
        )

    def read_level(self, level, region):
        assert region.clipped(self.arrays[level].shape[:2]) == region
        self.used.append(level)
        self.largest_px = max(self.largest_px, region.area_px)
        return self.arrays[level][region.slices], None

    def close(self):
        self.closed = True


def noise(*shape):
    return np.random.default_rng(4).integers(0, 256, shape, np.uint8)


def pyramid():
    fine = noise(64, 96, 3)
    return fine, block_mean(fine), block_mean(block_mean(fine))


def test_reading_at_the_slides_own_mpp_is_a_copy():
    fine = noise(20, 30, 3)
    slide = Slide(Path("fake"), PyramidReader(fine))
    np.testing.assert_array_equal(slide.read(Region(3, 4, 10, 12), 0.25), fine[3:13, 4:16])


@pytest.mark.parametrize(
    ("mpp", "level"), [(0.125, 0), (0.25, 0), (0.49, 0), (0.5, 1), (0.9, 1), (1.0, 2), (9.0, 2)]
)
def test_the_next_finer_level_is_read(mpp, level):
    reader = PyramidReader(*pyramid())
    Slide(Path("fake"), reader).read(Region(0, 0, 2, 2), mpp)
    assert set(reader.used) == {level}


def test_levels_carry_their_mpp_and_whole_downsamples():
    slide = Slide(Path("fake"), PyramidReader(noise(101, 203, 3), noise(50, 101, 3), noise(12, 25, 3)))
    assert [level.downsample for level in slide.levels] == [1.0, 2.0, 8.0]
    assert [level.mpp for level in slide.levels] == [0.25, 0.5, 2.0]


def test_a_level_of_another_shape_is_left_out():
    slide = Slide(Path("fake"), PyramidReader(noise(100, 200, 3), noise(50, 50, 3), noise(25, 50, 3)))
    assert [level.index for level in slide.levels] == [0, 2]


def test_outside_is_white_and_not_scanned():
    slide = Slide(Path("fake"), PyramidReader(np.zeros((8, 8, 3), np.uint8)))
    rgb, scanned = slide.read(Region(-2, 5, 5, 6), 0.25), slide.scanned(Region(-2, 5, 5, 6), 0.25)
    expected = np.zeros((5, 6), bool)
    expected[2:, :3] = True
    np.testing.assert_array_equal(scanned, expected)
    np.testing.assert_array_equal(rgb[..., 1], np.where(expected, 0, 255))
    assert slide.read(Region(100, 100, 3, 3), 0.25).min() == 255
    assert slide.read(Region(0, 0, 0, 4), 0.25).shape == (0, 4, 3)


def test_coordinates_count_from_the_scanned_bounds_at_every_level():
    fine, half, quarter = pyramid()
    slide = Slide(Path("fake"), PyramidReader(fine, half, quarter, bounds=Region(8, 16, 40, 48)))
    np.testing.assert_array_equal(slide.read(Region(0, 0, 4, 4), 0.25), fine[8:12, 16:20])
    np.testing.assert_array_equal(slide.read(Region(0, 0, 4, 4), 0.5), half[4:8, 8:12])
    np.testing.assert_array_equal(slide.read(Region(0, 0, 4, 4), 1.0), quarter[2:6, 4:8])
    assert not slide.scanned(Region(20, 0, 1, 1), 0.5).any()
    assert slide.scanned(Region(19, 0, 1, 24), 0.5).all()


def test_a_coarse_read_of_a_large_one_level_slide_decodes_little_at_once(monkeypatch):
    monkeypatch.setattr("wsipipe.tiling.canvas.COARSE_AT_ONCE_PX", 20_000)
    reader = PyramidReader(noise(900, 1100, 3))
    Canvas(Slide(Path("fake"), reader), 0.5, 16).read_coarse(16)
    assert reader.largest_px <= 2 * 20_000


@pytest.mark.parametrize("step", [0.5, 1.0, 3.7, 40.0])
def test_blocks_cover_the_region_once(step):
    count = np.zeros((70, 90), int)
    for block in blocks(Region(0, 0, 70, 90), step, 2000):
        count[block.slices] += 1
        assert block.height * block.width * max(step, 1) ** 2 <= 2000 * 2
    assert (count == 1).all()


def test_properties_hold_three_harmless_facts():
    clues = MppClues(vendor=(0.25, 0.25), objective=40)
    assert Slide(Path("fake"), PyramidReader(noise(8, 8, 3), clues=clues)).properties == {
        "vendor": "fake",
        "objective_power": 40,
        "mpp_source": "vendor",
    }


def test_a_slide_is_never_pickled():
    with pytest.raises(InternalError, match="path"):
        pickle.dumps(Slide(Path("fake"), PyramidReader(noise(8, 8, 3))))


def test_a_slide_is_never_used_in_another_process(monkeypatch):
    slide = Slide(Path("fake"), PyramidReader(noise(8, 8, 3)))
    monkeypatch.setattr("wsipipe.tiling.slide.os.getpid", lambda: -1)
    with pytest.raises(InternalError, match="spawn"):
        slide.read(Region(0, 0, 1, 1), 0.25)


def test_a_closed_slide_is_not_read():
    reader = PyramidReader(noise(8, 8, 3))
    with Slide(Path("fake"), reader) as slide:
        pass
    assert reader.closed
    with pytest.raises(InternalError, match="closed"):
        slide.read(Region(0, 0, 1, 1), 0.25)


def test_an_mpp_of_zero_is_refused():
    with pytest.raises(ConfigError, match="above 0"):
        Slide(Path("fake"), PyramidReader(noise(8, 8, 3))).read(Region(0, 0, 1, 1), 0.0)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(SlideError, match=r"no-such\.svs.*check the path"):
        open_slide(tmp_path / "no-such.svs")


# ---- real files


def test_the_aperio_slide_and_its_dicom_copy_agree(data_dir):
    region = Region(700, 500, 300, 300)
    with open_slide(data_dir / "slides/CMU-1-Small-Region.svs") as slide:
        assert (slide.vendor, slide.mpp, slide.mpp_source) == ("aperio", 0.499, "vendor")
        assert slide.levels[0].shape == (2967, 2220)
        aperio = slide.read(region, 0.499)
    with open_slide(data_dir / "slides/dicom/CMU-1-Small-Region") as slide:
        assert (slide.vendor, slide.mpp) == ("dicom", 0.499)
        dicom = slide.read(region, 0.499)
        folder_fingerprint = slide.fingerprint()
    assert np.abs(aperio.astype(int) - dicom).mean() < 4
    member = next((data_dir / "slides/dicom/CMU-1-Small-Region").glob("*.dcm"))
    with open_slide(member) as slide:
        np.testing.assert_array_equal(slide.read(region, 0.499), dicom)
        assert len(folder_fingerprint) == len(slide.fingerprint()) == 64


@pytest.mark.parametrize(
    ("name", "mpp", "levels"),
    [
        ("OS-2-ndpi.ome.tif", 0.2271, 1),
        ("OS-2-vsi.ome.tif", 0.3461, 1),
        ("fluorescence-dapi.ndpi", 0.2282, 7),
    ],
)
def test_other_real_slides_open_and_read(data_dir, name, mpp, levels):
    with open_slide(data_dir / "slides" / name) as slide:
        assert slide.mpp == pytest.approx(mpp, abs=1e-4)
        assert slide.mpp_source == "vendor"
        assert len(slide.levels) == levels
        coarse, scanned = Canvas(slide, 0.5).read_coarse(16)
        assert coarse[scanned].std() > 5
        assert scanned.mean() > 0.9


@pytest.mark.parametrize("name", ["not-a-tiff.svs", "unopenable.tiff", "unreadable.svs"])
def test_broken_files_say_so_in_one_paragraph(data_dir, name):
    with (
        pytest.raises(SlideError, match=name) as caught,
        open_slide(data_dir / "slides/broken" / name) as slide,
    ):
        slide.read(Region(0, 0, 16, 16), slide.mpp)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["small.svs", "boxes_0.dcm", "boxes_1.dcm", "boxes.tiff"])
def test_tiny_valid_slides_read(data_dir, name):
    with open_slide(data_dir / "slides/broken" / name, mpp=0.5) as slide:
        assert slide.scanned(Region(0, 0, 16, 16), 0.5).all()


@pytest.mark.parametrize("name", ["broken/boxes.tiff", "overviews/slide.jpeg"])
def test_slides_without_mpp_ask_for_it(data_dir, name):
    with pytest.raises(MppError, match="--mpp"):
        open_slide(data_dir / "slides" / name)


def test_an_overview_opens_with_an_mpp(data_dir):
    with open_slide(data_dir / "slides/overviews/tma_spots.jpeg", mpp=8.0) as slide:
        assert (slide.vendor, slide.mpp_source) == ("jpeg", "option")
        assert slide.read(Region(0, 0, 100, 100), 16.0).shape == (100, 100, 3)

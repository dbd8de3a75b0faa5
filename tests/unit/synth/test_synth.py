"""Synthetic slides: any region gives the same pixels, OpenSlide reads the pyramid, the truth is exact."""

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.synth import SyntheticSlide, Truth, make_slide

SHAPE = (1100, 1300)
WHOLE = Region(0, 0, *SHAPE)


@pytest.fixture(scope="module")
def slide() -> SyntheticSlide:
    return SyntheticSlide(5, SHAPE)


@pytest.fixture(scope="module")
def rgb(slide: SyntheticSlide) -> np.ndarray:
    return slide.rgb(WHOLE)


@pytest.fixture(scope="module")
def nuclei(slide: SyntheticSlide) -> np.ndarray:
    return slide.nuclei(WHOLE)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("synth") / "made.svs"
    return path, make_slide(path, SHAPE, seed=5)


regions = st.builds(
    Region, st.integers(0, 900), st.integers(0, 1000), st.integers(1, 200), st.integers(1, 300)
)


@settings(deadline=None, max_examples=12)
@given(region=regions)
def test_any_region_is_a_crop_of_the_whole(slide, rgb, nuclei, region) -> None:
    assert np.array_equal(slide.rgb(region), rgb[region.slices])
    assert np.array_equal(slide.nuclei(region), nuclei[region.slices])


def test_cells_of_the_region_alone_would_cut_nuclei(slide, nuclei) -> None:
    """The sister of the law above: without the cells whose centres lie outside, a region is no crop."""
    crop = Region(512, 600, 128, 128)
    inside = np.zeros_like(nuclei[crop.slices])
    cells = slide.crowd.near(crop)
    for i in range(len(cells.ids)):
        if crop.y <= cells.y_px[i] < crop.end_y and crop.x <= cells.x_px[i] < crop.end_x:
            inside[nuclei[crop.slices] == cells.ids[i]] = cells.ids[i]
    assert not np.array_equal(inside, nuclei[crop.slices])


def test_seeds_differ_and_repeat(rgb) -> None:
    assert np.array_equal(SyntheticSlide(5, SHAPE).rgb(WHOLE), rgb)
    assert not np.array_equal(SyntheticSlide(6, SHAPE).rgb(WHOLE), rgb)


def test_nuclei_are_dark_and_purple_and_glass_is_near_white(slide, rgb, nuclei) -> None:
    stained = rgb[nuclei > 0].mean(0)
    matter = rgb[(nuclei == 0) & slide.tissue(WHOLE)].mean(0)
    glass = rgb[slide.tissue(WHOLE.grown(0)) == 0]
    assert stained[1] < stained[0] < stained[2] < 150
    assert (stained + 40 < matter).all()
    assert 238 < np.median(glass) < 250


def test_nuclei_have_the_sizes_of_nuclei_and_lie_in_tissue(slide, nuclei) -> None:
    ids, areas_px = np.unique(nuclei[nuclei > 0], return_counts=True)
    diameters_um = 2 * np.sqrt(areas_px / np.pi) * slide.mpp
    assert len(ids) > 100
    assert 5.5 < np.median(diameters_um) < 10
    assert diameters_um.max() < 14
    assert slide.tissue(WHOLE)[nuclei > 0].mean() > 0.97


@pytest.mark.parametrize("seed", range(4))
def test_tissue_covers_a_plausible_share(seed) -> None:
    share = SyntheticSlide(seed, (20_000, 30_000)).tissue(Region(0, 0, 156, 234), 128).mean()
    assert 0.3 < share < 0.6


def test_openslide_reads_the_pyramid_as_aperio(written, rgb) -> None:
    path, _ = written
    with openslide.OpenSlide(path) as opened:
        assert opened.properties["openslide.vendor"] == "aperio"
        assert float(opened.properties["openslide.mpp-x"]) == 0.25
        assert opened.properties["openslide.objective-power"] == "40"
        assert opened.level_dimensions == ((1300, 1100), (325, 275))
        read = np.asarray(opened.read_region((0, 0), 0, opened.dimensions))[..., :3]
        coarse = np.asarray(opened.read_region((0, 0), 1, opened.level_dimensions[1]))[..., :3]
    assert np.abs(read.astype(int) - rgb).mean() < 3
    means = rgb[:1100, :1300].reshape(275, 4, 325, 4, 3).mean((1, 3))
    assert np.abs(coarse - means).mean() < 3


def test_truth_on_disk_is_the_truth_of_the_functions(written, slide, nuclei) -> None:
    path, truth = written
    assert truth.path == path.with_name("made.svs.truth.zarr")
    group = zarr.open_group(truth.path, mode="r")
    assert np.array_equal(group["nuclei"][:], nuclei)
    assert np.array_equal(group["tissue"][:].astype(bool), slide.tissue(Region(0, 0, 35, 41), 32))
    assert truth.nuclei == group.attrs["nuclei"] == len(np.unique(nuclei)) - 1
    assert truth.tissue_share == pytest.approx(group["tissue"][:].mean())


def test_plain_tiff_without_truth(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    truth = make_slide(path, 300, mpp=0.5, truth=False)
    assert truth.path is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["plain.tif"]
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].shape == (300, 300, 3)
        assert tiff.pages[0].resolution == (20_000, 20_000)
        assert "Aperio" not in tiff.pages[0].description


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("a.png", {"size_px": 512}), ("a.svs", {"size_px": 8}), ("a.svs", {"size_px": 512, "mpp": 0})],
)
def test_refusals_say_what_to_do(tmp_path: Path, name, arguments) -> None:
    with pytest.raises(ConfigError, match=r"Use|needs"):
        make_slide(tmp_path / name, **arguments)

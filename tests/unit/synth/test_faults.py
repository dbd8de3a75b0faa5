"""Faulty slides: any region is a crop of the whole, and the truth is exact."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.stages.quality.stages import CLASSES
from wsipipe.synth import SyntheticSlide, make_slide
from wsipipe.synth.faults import FAULTS, VALUES, FaultySlide

SHAPE = (768, 1024)
WHOLE = Region(0, 0, *SHAPE)


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return SyntheticSlide(1, SHAPE, 0.5).rgb(WHOLE)


@pytest.fixture(scope="module")
def slide() -> FaultySlide:
    return FaultySlide(1, SHAPE, 0.5)


@pytest.fixture(scope="module")
def faulty(slide: FaultySlide) -> np.ndarray:
    return slide.rgb(WHOLE)


@pytest.fixture(scope="module")
def truth(slide: FaultySlide) -> np.ndarray:
    return slide.faults(WHOLE)


def test_pixels_differ_where_the_truth_says_so(plain, faulty, truth) -> None:
    changed = (plain != faulty).any(axis=2)
    assert set(np.unique(truth)) == {0, *VALUES.values()}
    for name, value in VALUES.items():
        assert changed[truth == value].mean() > 0.9, name
    # Blur and folds of glass are no faults, but change its noise.
    assert not changed[(truth == 0) & (plain.min(axis=2) < 220)].mean() > 0.02


@pytest.mark.parametrize(
    "box", [(80, 60, 90, 200), (300, 560, 64, 300), (250, 200, 200, 130), (500, 511, 3, 2)]
)
def test_any_region_is_a_crop_of_the_whole(slide, faulty, truth, box: tuple[int, int, int, int]) -> None:
    region = Region(*box)
    assert np.array_equal(slide.rgb(region), faulty[region.slices])
    assert np.array_equal(slide.faults(region), truth[region.slices])


def test_ink_multiplies_light_and_a_fold_has_two_sheets(plain, faulty, truth) -> None:
    blue = truth == VALUES["blue ink"]
    blue[:, 430:] = False  # There it lies over the bubble.
    assert np.array_equal(faulty[blue], (plain[blue] * (np.array((31, 61, 151)) / 246)).astype(np.uint8))
    fold = truth == VALUES["fold"]
    density = [-np.log((pixels[fold].astype(float) + 1) / 246).mean() for pixels in (plain, faulty)]
    assert 1.7 < density[1] / density[0] < 2.3


def test_blur_removes_fine_details_and_not_the_mean(plain, faulty, truth) -> None:
    blurred = truth == VALUES["blur"]
    steps = [
        np.abs(np.diff(each[..., 1].astype(int), axis=1))[blurred[:, 1:]].mean() for each in (plain, faulty)
    ]
    assert steps[1] < 0.4 * steps[0]
    assert abs(plain[blurred].mean() - faulty[blurred].mean()) < 2


def test_only_what_was_asked_is_there(plain) -> None:
    folded = FaultySlide(1, SHAPE, 0.5, ["fold"])
    assert set(np.unique(folded.faults(WHOLE))) == {0, VALUES["fold"]}
    assert np.array_equal(FaultySlide(1, SHAPE, 0.5, []).rgb(WHOLE), plain)


@pytest.mark.parametrize(("fault", "factor"), [("pale", 0.12), ("dark", 2.2)])
def test_stains_are_pale_or_dark(plain, fault: str, factor: float) -> None:
    part = Region(256, 256, 256, 512)
    changed = FaultySlide(1, SHAPE, 0.5, [fault]).rgb(part)
    grey = [
        -np.log(np.clip((pixels[..., 1].astype(float) + 1) / 243, 0, 1)).mean()
        for pixels in (plain[part.slices], changed)
    ]
    assert grey[1] / grey[0] == pytest.approx(factor, rel=0.15)


def test_values_are_those_of_the_stage_quality() -> None:
    assert {each.name: each.value for each in CLASSES.values() if each.value > 1} == VALUES


def test_the_truth_is_written_beside_the_slide(tmp_path: Path) -> None:
    made = make_slide(tmp_path / "made.tif", 384, 1, 1.0, faults=("pen", "blur"))
    group = zarr.open_group(made.path, mode="r")
    expected = FaultySlide(1, 384, 1.0, ("pen", "blur")).faults(Region(0, 0, 12, 12), 32)
    assert {2, 3, 4, 5} < set(np.unique(expected))
    assert np.array_equal(np.asarray(group["faults"][...]), expected)
    assert group.attrs["faults"] == ["pen", "blur"]
    assert group.attrs["fault_values"] == VALUES


def test_an_unknown_fault_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"'dust'. Choose of {', '.join(FAULTS)}"):
        make_slide(tmp_path / "new" / "made.tif", 256, faults=["dust"])
    assert not (tmp_path / "new").exists()


def test_the_command_refuses_unknown_faults(typed, tmp_path: Path) -> None:
    code, _, stderr = typed("synth", tmp_path / "made.svs", "--size", "256", "--faults", "pen,dust")
    assert code == 64
    assert "Unknown fault 'dust'" in stderr
    assert list(tmp_path.iterdir()) == []

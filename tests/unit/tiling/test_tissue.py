"""Tissue: whole on real and made slides, none on glass or in ink, the same whichever way it lies."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

from wsipipe.errors import ConfigError
from wsipipe.geometry import Orientation, Region
from wsipipe.synth import SyntheticSlide
from wsipipe.tiling import glass as glass_module
from wsipipe.tiling import morphology, tissue
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.slide import open_slide
from wsipipe.tiling.tissue import TissueParams, find_tissue

MPP = 8.0
SIDE_PX = 256
PARAMS = TissueParams()
INKS = {
    "blue": (30, 60, 150),
    "green": (20, 130, 70),
    "black": (25, 25, 30),
    "red": (215, 30, 45),
    "thin blue": (150, 170, 215),
    "thin red": (235, 120, 130),
}


def found(rgb: np.ndarray, mpp: float = MPP) -> np.ndarray:
    return find_tissue(rgb, np.ones(rgb.shape[:2], bool), mpp, PARAMS)


def glass(height: int, width: int, colour=(244, 243, 245)) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 1.2, (height, width, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def inked(overview: np.ndarray, ink: str) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    stroke = np.abs(y - 0.4 * x - 60) < 25
    light = np.where(stroke[..., None], (np.array(INKS[ink]) + 1) / 246, 1.0)
    return stroke, np.clip(overview * light, 0, 255).astype(np.uint8)


def shrunk(rgb: np.ndarray, factor: int) -> np.ndarray:
    height, width = (side // factor * factor for side in rgb.shape[:2])
    cut = rgb[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    return np.rint(cut.mean((1, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def slide() -> SyntheticSlide:
    return SyntheticSlide(1, 8 * SIDE_PX, mpp=1.0)


@pytest.fixture(scope="module")
def overview(slide: SyntheticSlide) -> np.ndarray:
    return shrunk(slide.rgb(Region(0, 0, *slide.shape)), 8)


@pytest.fixture(scope="module")
def truth(slide: SyntheticSlide) -> np.ndarray:
    return slide.tissue(Region(0, 0, SIDE_PX, SIDE_PX), 8)


def test_a_made_slide_is_found_whole_with_a_small_margin(overview, truth) -> None:
    mask = found(overview)
    assert mask[truth].mean() > 0.995
    assert not mask[~morphology.dilated(truth, 6)].any()


@pytest.mark.parametrize("colour", [(244, 243, 245), (228, 224, 212), (250, 250, 250)])
def test_glass_dust_and_bubbles_are_no_tissue(colour) -> None:
    rgb = glass(300, 400, colour).astype(float)
    y, x = np.mgrid[:300, :400]
    rgb *= 1 - 0.6 * np.exp(-(((np.hypot(y - 90, x - 90) - 60) / 2) ** 2))[..., None]  # rim of a bubble
    rgb *= 1 - 0.7 * np.exp(-(((x - 300 - 0.1 * y) / 1.5) ** 2))[..., None]  # edge of a coverslip
    rgb[::37, ::41] = 20
    rgb[100:200, 200:] *= 0.985  # a tile of the scanner's mosaic
    assert not found(rgb.astype(np.uint8)).any()


def test_all_tissue_without_glass(overview, truth) -> None:
    inner = morphology.eroded(truth, 10)
    side = 64
    sums = ndimage.uniform_filter(inner.astype(float), side)
    y, x = np.unravel_index(np.argmax(sums), sums.shape)
    crop = overview[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2]
    assert found(crop).mean() > 0.97


PALE = {"eosin": (218, 211, 216), "saffron": (217, 205, 207), "purple": (205, 195, 215)}
GLASS = {
    "white": (255, 255, 255),
    "grey": (240, 240, 240),
    "dark grey": (205, 206, 207),
    "yellowish": (228, 224, 212),
    "bluish": (225, 228, 232),
    "purplish": (226, 224, 235),
}
EXTENTS = ((4, 4), (4, 8), (5, 7), (8, 8), (16, 16), (17, 33), (63, 64))
"""From 128 px at 0.25 um/px up."""


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("colour", PALE)
def test_pale_tissue_end_to_end_is_tissue_at_every_extent(extent, colour) -> None:
    assert found(glass(*extent, PALE[colour])).all()


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("colour", GLASS)
def test_glass_end_to_end_is_glass_at_every_extent(extent, colour) -> None:
    assert not found(glass(*extent, GLASS[colour])).any()


def test_glass_that_darkens_towards_a_corner_or_holds_dust_is_glass_in_a_field_too() -> None:
    y, x = np.mgrid[:24, :24]
    shade = 1 - 0.2 * (y**2 + x**2) / (2 * 23**2)
    rgb = np.clip(glass(24, 24, GLASS["yellowish"]) * shade[..., None], 0, 255)
    rgb[5::9, 3::7] *= 0.5
    assert not found(rgb.astype(np.uint8)).any()


@pytest.mark.parametrize("side", [14, 16, 25])
def test_a_field_half_of_tissue_keeps_that_half(side) -> None:
    rgb = glass(side, side, GLASS["bluish"])
    rgb[:, : side // 2] = glass(side, side // 2, (200, 150, 190))
    mask = found(rgb)
    assert mask[:, : side // 2].all()
    assert not mask[:, side // 2 + 3 :].any()


def test_sister_a_fixed_smallest_piece_deletes_fields(monkeypatch) -> None:
    field = glass(8, 8, PALE["purple"])
    assert found(field).all()
    monkeypatch.setattr(tissue, "_PIECE_SHARE", 1e9)
    assert not found(field).any()


def test_a_speck_on_a_slide_is_still_dropped() -> None:
    rgb = glass(200, 300)
    rgb[90:100, 90:100] = (200, 150, 190)
    assert not found(rgb).any()
    rgb[90:120, 90:120] = (200, 150, 190)
    assert found(rgb)[95:115, 95:115].all()


@pytest.mark.parametrize("extent", [(4, 4), (5, 8), (9, 6)])
def test_a_white_margin_that_was_not_scanned_takes_nothing_from_a_field(extent) -> None:
    scanned = np.zeros((extent[0] + 4, extent[1] + 5), bool)
    scanned[2:-2, 3:-2] = True
    rgb = np.full((*scanned.shape, 3), 255, np.uint8)
    rgb[scanned] = glass(*extent, PALE["eosin"]).reshape(-1, 3)
    # The rim is half white where a field ends within a px.
    rgb[2] = rgb[2] // 2 + 127
    assert np.array_equal(find_tissue(rgb, scanned, MPP, PARAMS), scanned)


@pytest.mark.parametrize("turned", Orientation)
@pytest.mark.parametrize("extent", [(4, 5), (7, 12), (31, 17)])
def test_fields_commute_with_the_eight_orientations(extent, turned) -> None:
    generator = np.random.default_rng(extent[0])
    rgb = np.where(generator.random((*extent, 1)) < 0.5, glass(*extent, PALE["eosin"]), glass(*extent))
    rgb[: extent[0] // 2, : extent[1] // 3] = (190, 140, 180)
    scanned = np.ones(extent, bool)
    scanned[-1] = False
    turned_mask = find_tissue(turned.apply(rgb), turned.apply(scanned), MPP, PARAMS)
    assert np.array_equal(turned.apply(find_tissue(rgb, scanned, MPP, PARAMS)), turned_mask)


@pytest.mark.parametrize("ink", INKS)
def test_ink_on_glass_is_no_tissue_and_leaves_its_neighbours(overview, truth, ink) -> None:
    stroke, rgb = inked(overview, ink)
    mask = found(rgb)
    far = stroke & ~morphology.dilated(truth, 6)
    assert far.sum() > 1000
    assert mask[far].mean() < 0.02
    assert mask[truth & ~morphology.dilated(stroke, 6)].mean() > 0.99


def test_unscanned_parts_are_never_tissue(overview) -> None:
    scanned = np.ones(overview.shape[:2], bool)
    scanned[:, :190] = False
    rgb = np.where(scanned[..., None], overview, 0).astype(np.uint8)
    mask = find_tissue(rgb, scanned, MPP, PARAMS)
    assert not mask[~scanned].any()
    assert mask.any()
    assert not find_tissue(rgb, np.zeros_like(scanned), MPP, PARAMS).any()


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 99),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    turned=st.sampled_from(Orientation),
)
def test_random_pictures_commute_with_the_eight_orientations(seed, height, width, turned) -> None:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 250, (12, 12, 3)).astype(float)
    rgb = ndimage.zoom(coarse, (8, 8, 1), order=1)[:height, :width]
    rgb = np.clip(rgb + generator.normal(0, 9, rgb.shape), 0, 255).astype(np.uint8)
    scanned = generator.random((height, width)) > 0.02
    mask = find_tissue(rgb, scanned, MPP, PARAMS)
    assert np.array_equal(
        turned.apply(mask), find_tissue(turned.apply(rgb), turned.apply(scanned), MPP, PARAMS)
    )


def test_a_real_overview_commutes(data_dir: Path) -> None:
    with Image.open(data_dir / "slides/overviews/slide_with_ink.jpeg") as image:
        rgb = shrunk(np.asarray(image.convert("RGB"))[:, 3200:4200], 2)
    mask = found(rgb)
    assert 0.1 < mask.mean() < 0.6
    for turned in Orientation:
        assert np.array_equal(turned.apply(mask), found(turned.apply(rgb)))


@pytest.mark.parametrize("short_px", [0, 5])
def test_bands_change_nothing_and_sister_with_a_short_margin_they_do(monkeypatch, short_px: int) -> None:
    generator = np.random.default_rng(0)
    rgb = 200 + generator.integers(0, 256, (256, 512, 3), np.uint8) // 8
    scanned = generator.random(rgb.shape[:2]) > 0.02
    whole = tissue._stained_and_flat(rgb, scanned, PARAMS)
    monkeypatch.setattr(tissue, "_BAND_PX", 1)
    monkeypatch.setattr(tissue, "_BAND_MARGIN_PX", tissue._BAND_MARGIN_PX - short_px)
    banded = tissue._stained_and_flat(rgb, scanned, PARAMS)
    assert all(map(np.array_equal, whole, banded)) == (not short_px)


@pytest.mark.parametrize("short_px", [0, 2])
def test_the_colour_of_glass_is_the_same_in_bands_and_sister_with_a_short_margin_not(
    monkeypatch, short_px
) -> None:
    generator = np.random.default_rng(0)
    rgb = 215 + generator.integers(0, 16, (200, 60, 3), np.uint8)
    rgb[::2, ..., 1] -= 6
    scanned = generator.random(rgb.shape[:2]) > 0.02
    whole = glass_module.glass_colour(rgb, scanned)
    monkeypatch.setattr(glass_module, "_BAND_PX", 1)
    monkeypatch.setattr(glass_module, "SMOOTHING_PX", 2 - short_px)
    assert (glass_module.glass_colour(rgb, scanned) == whole) == (not short_px)


def test_bands_of_morphology_change_nothing(monkeypatch) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(0).random((90, 70)), 2) > 0.5
    acts = (
        lambda: morphology.dilated(mask, 3.5),
        lambda: morphology.without_specks(mask, 30),
        lambda: morphology.without_holes(mask, 30),
    )
    whole = [act() for act in acts]
    monkeypatch.setattr(morphology, "_BAND_PX", 4)
    for act, wanted in zip(acts, whole, strict=True):
        np.testing.assert_array_equal(act(), wanted)


def test_an_asymmetric_filter_would_not_commute(overview, monkeypatch) -> None:
    """The sister of the laws above: a window that reaches further to one side is noticed."""

    def lopsided(values: np.ndarray, half_px: int) -> np.ndarray:
        return ndimage.uniform_filter(values, 2 * half_px + 2, mode="reflect") * (2 * half_px + 1) ** 2

    monkeypatch.setattr("wsipipe.tiling.optical_density._window_sum", lopsided)
    _, rgb = inked(overview, "blue")
    masks = [turned.undo(found(turned.apply(rgb))) for turned in Orientation]
    assert any(not np.array_equal(masks[0], mask) for mask in masks)


def test_real_tissue_is_found(data_dir: Path) -> None:
    with Image.open(data_dir / "slides/overviews/tma_spots.jpeg") as image:
        rgb = np.asarray(image.convert("RGB"))[1100:2700]
    pieces = ndimage.label(found(rgb, mpp=10))[1]
    assert 85 <= pieces <= 115


@pytest.mark.parametrize(
    ("name", "part", "least", "most"),
    [
        ("tnbc/images/tnbc_03_4.webp", slice(None), 0.99, 1),  # hardly stained, no glass
        ("tnbc/images/tnbc_03_4.webp", slice(0, 128), 0.99, 1),
        ("tnbc/images/tnbc_01_5.webp", slice(256, 384), 0.99, 1),  # saffron
        ("nucls/images/train_1.png", slice(None), 0.99, 1),
        ("dsb2018/images/4cbd6c37f3a55a53.png", slice(None), 0.99, 1),
        ("tnbc/images/tnbc_07_2.webp", slice(None), 0.8, 0.95),  # a third is glass
        ("tnbc/images/tnbc_07_2.webp", slice(0, 128), 0, 0),  # all glass
    ],
)
def test_real_fields(
    data_dir: Path, tmp_path: Path, name: str, part: slice, least: float, most: float
) -> None:
    path = data_dir / "nuclei" / name
    if not path.is_file():
        pytest.skip(f"real data absent: no file {path}; set WSIPIPE_DATA to where it is")
    with Image.open(path) as image:
        Image.fromarray(np.asarray(image.convert("RGB"))[part, part]).save(tmp_path / "field.png")
    with open_slide(tmp_path / "field.png", mpp=0.25) as field:
        rgb, scanned = Canvas(field, 0.5).read_coarse(16)
    share = find_tissue(rgb, scanned, MPP, PARAMS)[scanned].mean()
    assert least <= share <= most


def test_morphology_agrees_with_its_definition() -> None:
    mask = np.random.default_rng(2).random((40, 53)) > 0.97
    y, x = np.mgrid[-5:6, -5:6]
    for radius in (0, 1, 2.5, 4.2, 5):
        disc = np.hypot(y, x) <= radius
        assert np.array_equal(morphology.dilated(mask, radius), ndimage.binary_dilation(mask, disc))
        assert np.array_equal(
            morphology.eroded(~mask, radius), ndimage.binary_erosion(~mask, disc, border_value=1)
        )
    assert not morphology.closed(np.zeros((3, 9), bool), 20).any()


def test_specks_and_holes() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:10, 2:10] = True
    mask[4:6, 4:6] = False
    mask[15, 15] = True
    assert morphology.without_specks(mask, 2).sum() == 60
    assert morphology.without_holes(mask, 5).sum() == 65
    assert morphology.without_holes(mask, 4).sum() == 61
    assert not morphology.without_holes(np.zeros((4, 4), bool), 100).any()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="one extent"):
        find_tissue(glass(8, 8), np.ones((8, 9), bool), MPP, PARAMS)
    with pytest.raises(ValidationError):
        TissueParams(margin=3)  # type: ignore[call-arg]

"""Ink, folds and blur on made overviews: found where they are, the same in all orientations."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from wsipipe.geometry import Array, Orientation
from wsipipe.stages.quality import folds
from wsipipe.stages.quality.faults import find_faults
from wsipipe.stages.quality.folds import box_sum
from wsipipe.stages.quality.ink import INKS
from wsipipe.stages.quality.params import QualityParams
from wsipipe.stages.quality.stages import CLASSES, classes_of, without_faults

PARAMS = QualityParams()
SHAPE = (120, 160)
GLASS = (243, 243, 244)
COLOURS = {"blue": (30, 60, 150), "green": (20, 130, 70), "red": (215, 30, 45), "black": (25, 25, 30)}
STROKE = np.s_[20:30, 10:150]
SHARP = (150, 175)


def overview(seed: int = 0) -> tuple[Array, Array]:
    """Pink and purple tissue in the middle of glass, and its labels."""
    rng = np.random.default_rng(seed)
    kind = gaussian_filter(rng.normal(0, 1, SHAPE), 6)
    density = 0.5 + 0.08 * gaussian_filter(rng.normal(0, 1, SHAPE), 1)
    red = np.where(kind > 0, 0.35, 0.25)
    channels = density[..., None] * np.stack([red, np.full(SHAPE, 0.8), np.full(SHAPE, 0.5)], axis=2)
    labels = np.zeros(SHAPE, np.uint8)
    labels[15:105, 15:145] = 1
    light = np.array(GLASS) * np.where(labels[..., None] == 1, 10**-channels, 1)
    return np.clip(np.rint(light + rng.normal(0, 1, light.shape)), 0, 255).astype(np.uint8), labels


def scores_of(fine: int = SHARP[0], coarse: int = SHARP[1]) -> Array:
    return np.stack([np.full(SHAPE, fine, np.uint8), np.full(SHAPE, coarse, np.uint8)])


def found(rgb: Array, labels: Array, scores: Array | None = None) -> dict[str, Array]:
    return find_faults(rgb, labels, scores_of() if scores is None else scores, 8.0, PARAMS)[0]


def inked(rgb: Array, colour: str) -> tuple[Array, Array]:
    """Draw an opaque stroke over tissue and glass; return it and the picture."""
    stroke = np.zeros(SHAPE, bool)
    stroke[STROKE] = True
    drawn = rgb.copy()
    drawn[stroke] = COLOURS[colour]
    return stroke, drawn


def test_a_clean_slide_has_no_fault() -> None:
    masks = found(*overview())
    assert not any(masks[name].any() for name in (*INKS, "pen", "fold", "blur", "bubble"))
    assert (masks["good"] == (overview()[1] == 1)).all()


@pytest.mark.parametrize("colour", COLOURS)
def test_each_ink_is_found_under_its_own_name(colour: str) -> None:
    rgb, labels = overview()
    stroke, drawn = inked(rgb, colour)
    masks = found(drawn, labels)
    assert masks[colour][stroke].mean() > 0.97
    assert (masks[colour] & ~stroke).sum() < 0.45 * stroke.sum()
    assert not any(masks[name].any() for name in INKS if name != colour)


def test_paler_ink_belongs_to_its_core_and_alone_it_is_none() -> None:
    rgb, labels = overview()
    faded = rgb.copy()
    faded[5:12, 10:60] = (185, 205, 233)
    assert not found(faded, labels)["blue"].any()
    faded[5:12, 30:50] = COLOURS["blue"]
    assert found(faded, labels)["blue"][5:12, 12:58].all()


def test_two_sheets_of_tissue_are_a_fold_and_dark_epithelium_is_none() -> None:
    rgb, labels = overview()
    folded = rgb.copy()
    part = np.s_[30:90, 60:72]
    folded[part] = np.rint(rgb[part] * (rgb[33:93, 40:52] / np.array(GLASS)))
    masks = found(folded, labels)
    truth = np.zeros(SHAPE, bool)
    truth[part] = True
    assert masks["fold"][truth].mean() > 0.95
    assert (masks["fold"] & ~truth).sum() < 0.3 * truth.sum()
    purple = rgb.copy()
    # As dense, but more of its density in red: haematoxylin alone.
    purple[part] = (80, 75, 130)
    assert not found(purple, labels)["fold"].any()


def two_sheets(rgb: Array, *rows: slice) -> Array:
    """The picture with a second sheet in columns 60 to 71 of some rows."""
    folded = rgb.copy()
    for part in rows:
        folded[part, 60:72] = np.rint(rgb[part, 60:72] * (rgb[part, 40:52] / np.array(GLASS)))
    return folded


def test_a_hole_in_a_fold_is_bridged(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, labels = overview()
    rgb[55:65, 60:72] = GLASS
    folded = two_sheets(rgb, np.s_[30:55], np.s_[65:90])
    assert found(folded, labels)["fold"][32:88, 62:70].all()
    monkeypatch.setattr(folds, "bridged", lambda mask, reach_px: mask)
    assert not found(folded, labels)["fold"][57:63, 62:70].any()


def test_tissue_that_is_dense_beside_a_dark_band_too_makes_it_no_fold() -> None:
    """As keratin beside epithelium; without it the band would be a fold."""
    rgb, labels = overview()
    banded = two_sheets(rgb, np.s_[30:90])
    assert found(banded, labels)["fold"].any()
    beside = np.s_[20:100, 76:90]
    banded[beside] = np.rint(banded[beside] * (banded[beside] / np.array(GLASS)) ** 0.45)
    assert not found(banded, labels)["fold"].any()


def test_a_bubble_is_no_ink() -> None:
    rgb, labels = overview()
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(y - 60, x - 70)
    ring = (distance < 22) & (distance >= 20)
    drawn = rgb.copy()
    drawn[ring] = (drawn[ring] * 0.3).astype(np.uint8)
    masks, numbers = find_faults(drawn, labels, scores_of(), 8.0, PARAMS)
    assert masks["bubble"][distance < 22].mean() > 0.97
    assert (masks["bubble"] & (distance > 24)).sum() == masks["pen"].sum() == 0
    assert not (masks["good"] & masks["bubble"]).any()
    assert numbers["bubble_mm2"] == masks["bubble"].sum() * 6.4e-5
    assert numbers["bubble_share"] == masks["bubble"].sum() / (90 * 130)


def test_blur_is_where_fine_details_are_missing() -> None:
    scores = scores_of()
    scores[0, 40:80, 50:110] = 70
    masks = found(*overview(), scores)
    assert masks["blur"][42:78, 52:108].all()
    assert not masks["blur"][:38].any()
    # So much blur that coarse details are missing too.
    assert found(*overview(), scores_of(90, 130))["blur"][20:100, 20:140].all()
    # A straight edge: few details, and the fine ones are there.
    assert not found(*overview(), scores_of(115, 130))["blur"].any()
    # Where nothing was measured, nothing is known.
    assert not found(*overview(), scores_of(0, 0))["blur"].any()


@pytest.mark.parametrize("turned", Orientation)
def test_masks_and_numbers_commute_with_the_eight_orientations(turned: Orientation) -> None:
    rgb, labels = overview(4)
    rgb = inked(inked(rgb, "blue")[1], "red")[1]
    rgb[50:70, 40:52] = np.rint(rgb[50:70, 40:52] * (rgb[50:70, 60:72] / np.array(GLASS)))
    labels[100:] = 255
    scores = np.random.default_rng(0).integers(60, 180, (2, *SHAPE)).astype(np.uint8)
    masks, numbers = find_faults(rgb, labels, scores, 8.0, PARAMS)
    assert masks["red"].any()
    assert masks["fold"].any()
    assert masks["blur"].any()
    around = find_faults(turned.apply(rgb), turned.apply(labels), turned.apply(scores, (1, 2)), 8.0, PARAMS)
    assert all((turned.apply(masks[name]) == around[0][name]).all() for name in masks)
    assert around[1] == numbers


def test_numbers_are_counts_of_pixels() -> None:
    rgb, labels = overview()
    stroke, drawn = inked(rgb, "green")
    masks, numbers = find_faults(drawn, labels, scores_of(), 8.0, PARAMS)
    assert numbers["tissue_mm2"] == 90 * 130 * 6.4e-5
    assert numbers["ink_green_mm2"] == masks["green"].sum() * 6.4e-5
    assert numbers["pen_share"] == (masks["green"] & (labels == 1)).sum() / (90 * 130)
    assert (numbers["glass_red"], numbers["glass_blue"]) == (243, 244)
    assert 0.7 < numbers["od_p50"] < 0.9
    assert stroke.any()


def test_nothing_computed_gives_no_masks_and_no_numbers() -> None:
    rgb, labels = overview()
    masks, numbers = find_faults(rgb, np.full_like(labels, 255), scores_of(), 8.0, PARAMS)
    assert not any(mask.any() for mask in masks.values())
    assert numbers == {}


def test_a_slide_without_tissue_has_numbers_of_its_glass() -> None:
    masks, numbers = find_faults(
        np.full((*SHAPE, 3), GLASS, np.uint8), np.zeros(SHAPE, np.uint8), scores_of(), 8.0, PARAMS
    )
    assert not masks["good"].any()
    assert (numbers["tissue_mm2"], numbers["glass_green"]) == (0, 243)
    assert "pen_share" not in numbers


def test_classes_hide_each_other_in_a_fixed_order() -> None:
    labels = np.array([[1, 1, 1, 1, 0, 255]], np.uint8)
    masks = {name: np.zeros((1, 6), bool) for name in (*INKS, "bubble", "fold", "blur")}
    masks["blur"][0, :4] = True
    masks["fold"][0, :3] = True
    masks["bubble"][0, :2] = True
    masks["blue"][0, [0, 4, 5]] = True
    values = [CLASSES[name].value for name in ("blue", "bubble", "fold", "blur", "blue")]
    assert classes_of(masks, labels).tolist() == [[*values, 255]]


def test_only_what_was_asked_is_left_out_of_the_tissue() -> None:
    labels = np.array([[1, 1, 1, 0, 255]], np.uint8)
    masks = {
        "pen": np.array([[True, False, False, True, True]]),
        "fold": np.array([[False, True, False, False, False]]),
        "blur": np.array([[False, False, True, False, False]]),
    }
    for chosen, expected in (((), [1, 1, 1]), (("pen",), [0, 1, 1]), (("fold", "blur"), [1, 0, 0])):
        kept = without_faults(labels, masks, QualityParams(leave_out=chosen))
        assert kept.tolist() == [[*expected, 0, 255]]


def test_box_sums_are_those_of_a_loop() -> None:
    values = np.random.default_rng(0).integers(0, 9, (7, 11))
    wide = np.pad(values, 2)
    expected = [[wide[y : y + 5, x : x + 5].sum() for x in range(11)] for y in range(7)]
    assert box_sum(values, 2).tolist() == expected


@pytest.mark.parametrize(
    "wrong", [{"leave_out": ("dust",)}, {"ink_od": 0}, {"fold_ratio": 1}, {"blurr": 1}, {"min_area_um2": -1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QualityParams(**wrong)

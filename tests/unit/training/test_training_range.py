"""Ranges of the training data in a card are measured as on a slide."""

import numpy as np
import pytest

from wsipipe.stages.stain import REFERENCE
from wsipipe.training.samples import Field, Tile
from wsipipe.training.training_range import training_range

PINK, BROWN = (0.25, 0.9, 0.4), (0.3, 0.55, 0.8)


def image(od: tuple[float, float, float], side_px: int = 256, seed: int = 0) -> np.ndarray:
    density = np.random.default_rng(seed).uniform(0.5, 1.2, (side_px, side_px, 1)) * np.array(od)
    density[:16] = 0
    return np.rint(np.clip(256 * np.exp(-density) - 1, 0, 255)).astype(np.uint8)


def field(od: tuple[float, float, float], mpp: float, seed: int = 0) -> Field:
    labels = np.zeros((256, 256), np.int32)
    for index in range(16):
        y, x = 8 + 60 * (index // 4), 8 + 60 * (index % 4)
        labels[y : y + 20, x : x + 20] = index + 1
    common = {"name": f"f{seed}", "source": "own", "group": "g", "has_instances": True}
    return Field(image=image(od, seed=seed), labels=labels, mpp=mpp, **common)


def test_nuclei_are_counted_in_mm_and_um() -> None:
    found = training_range([field(PINK, 0.25), field(PINK, 0.25, 1)], 0.5)
    assert found is not None
    assert found.nuclei_per_mm2 == (round(16 / 0.064**2), round(16 / 0.064**2))
    assert found.nucleus_area_um2 == (25, 25)
    assert 100 < found.least_brightness < 220


@pytest.mark.parametrize(("od", "low", "high"), [(PINK, 100, 170), (BROWN, 180, 260)])
def test_hues_are_those_of_the_data(od: tuple[float, float, float], low: float, high: float) -> None:
    tile = Tile(name="t", source="own", group="g", image=image(od), class_name="TUM", mpp=1.0)
    found = training_range([tile], 1.0)
    assert found is not None
    assert low <= found.hue_degrees[0] < found.hue_degrees[1] <= high
    assert found.nuclei_per_mm2 is found.nucleus_area_um2 is None


def test_restained_data_have_the_hues_of_the_reference() -> None:
    plain, restained = (training_range([field(BROWN, 0.5)], 0.5, stain) for stain in (None, REFERENCE))
    assert plain is not None
    assert restained is not None
    assert restained.hue_degrees[1] < 185 < plain.hue_degrees[1]
    assert restained.least_brightness == plain.least_brightness


def test_without_data_nothing_is_said() -> None:
    assert training_range([], 0.5) is None

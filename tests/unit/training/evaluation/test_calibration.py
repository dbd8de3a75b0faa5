"""Calibration: finds a known temperature, and parameters that suit the maps."""

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.training.evaluation.calibration import (
    FieldMaps,
    choose,
    class_temperature,
    mean_scores,
    pixel_temperature,
)
from wsipipe.training.sampling.targets import centre_map


def field(seed: int, nucleus: float, centre: float) -> FieldMaps:
    """Touching squares at 0.5 um/px; the maps need a nucleus threshold below ``nucleus`` etc."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((96, 96), np.int32)
    for label, place in enumerate(np.ndindex(4, 4), start=1):
        y, x = np.array(place) * 22 + rng.integers(0, 3, 2)
        truth[y : y + 10, x : x + 20] = 2 * label
        truth[y + 10 : y + 20, x : x + 20] = 2 * label + 1
    outside = np.where(truth == 0, rng.uniform(0, nucleus - 0.1, truth.shape), 0)
    maps = np.where(truth > 0, nucleus, outside), centre_map(truth) * centre
    return FieldMaps(truth, *(np.rint(250 * one).astype(np.uint8) for one in maps), 0.5)


def test_thresholds_that_suit_the_maps_are_chosen() -> None:
    fields = [field(seed, nucleus=0.45, centre=0.5) for seed in range(2)]
    choice = choose(fields)
    assert 0.35 <= choice.params.nucleus_threshold <= 0.45
    assert choice.params.centre_threshold < 0.5
    assert choice.scores == mean_scores(fields, choice.params)
    assert choice.scores["pq"] > 0.95
    assert mean_scores(fields, InstanceParams())["pq"] < 0.1


def test_the_choice_goes_into_a_card_and_comes_back() -> None:
    choice = choose([field(0, 0.45, 0.5)])
    own = {f"{name}_threshold": value for name, value in choice.thresholds.items()} | choice.instance_params
    assert InstanceParams(**own) == choice.params


def test_specks_raise_the_smallest_area() -> None:
    fields = [field(seed, 0.9, 1.0) for seed in range(2)]
    for one in fields:
        for y, x in np.ndindex(12, 12):
            spot = (slice(8 * y, 8 * y + 5), slice(8 * x, 8 * x + 5))
            if not one.truth[spot].any():
                one.nucleus[spot] = one.centre[spot] = 250
    assert choose(fields).params.min_area_um2 > 6.25
    start = InstanceParams(max_area_um2=4, min_area_um2=1)
    assert choose(fields, start).params.max_area_um2 == 4


def test_fields_without_nuclei_are_refused() -> None:
    empty = np.zeros((8, 8), np.uint8)
    with pytest.raises(ConfigError, match="1 validation fields have no nucleus"):
        choose([FieldMaps(empty.astype(np.int32), empty, empty, 0.5)])


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_class_temperature_is_found(true_temperature: float) -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 3, (20_000, 5))
    right = np.exp(scores / true_temperature)
    right /= right.sum(axis=1, keepdims=True)
    truth = (right.cumsum(axis=1) < rng.random((len(scores), 1))).sum(axis=1)
    said = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert class_temperature(said, truth) == pytest.approx(true_temperature, rel=0.05)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_pixel_temperature_is_found(true_temperature: float) -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 3, (200, 200))
    truth = rng.random(scores.shape) < 1 / (1 + np.exp(-scores / true_temperature))
    said = 1 / (1 + np.exp(-scores))
    assert pixel_temperature(said, truth) == pytest.approx(true_temperature, rel=0.06)

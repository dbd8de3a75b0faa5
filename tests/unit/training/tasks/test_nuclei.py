"""Nuclei task: calibration suits the held-out fields, and the temperature alone changes no decision."""

import numpy as np
import pytest

from wsipipe.training.card import blank_card
from wsipipe.training.evaluation.calibration import FieldMaps
from wsipipe.training.recipe import read_recipe
from wsipipe.training.samples import Field
from wsipipe.training.sampling.targets import centre_map
from wsipipe.training.tasks.nuclei import NucleiTask, tempered


def nuclei() -> NucleiTask:
    """The task without any data."""
    task = object.__new__(NucleiTask)
    task.recipe, task.samples = read_recipe("nuclei_own"), []
    return task


def predictions(sure: float = 0.8) -> list[FieldMaps]:
    """Four squares of 8 px, two of which touch; the network is right, and as sure as said."""
    labels = np.zeros((40, 40), np.int32)
    for label, (y, x) in enumerate([(2, 2), (2, 10), (20, 4), (28, 28)], start=1):
        labels[y : y + 8, x : x + 8] = label
    nucleus = np.where(labels > 0, 250 * sure, 250 * (1 - sure)).astype(np.uint8)
    centre = np.rint(250 * centre_map(labels)).astype(np.uint8)
    return [FieldMaps(labels, nucleus, centre, 0.5)]


def test_what_is_chosen_finds_them_all() -> None:
    task = nuclei()
    card = task.calibrate(blank_card(task.recipe, task, []), predictions())
    assert task.score(card, predictions())["pq"] == pytest.approx(1)


def test_a_network_that_is_right_and_unsure_is_made_surer() -> None:
    task = nuclei()
    card = task.calibrate(blank_card(task.recipe, task, []), predictions(sure=0.6))
    assert card.temperature < 0.5
    assert tempered(predictions(0.6), card.temperature)[0].nucleus.max() > 200


def test_a_temperature_keeps_the_order_and_one_half() -> None:
    values = np.arange(251, dtype=np.uint8)[None]
    maps = FieldMaps(np.zeros((1, 251), np.int32), values, values, 0.5)
    for temperature in (0.3, 1.0, 3.0):
        (found,) = tempered([maps], temperature)
        assert (np.diff(found.nucleus[0].astype(int)) >= 0).all()
        assert found.nucleus[0, 125] == 125
    assert np.abs(tempered([maps], 1.0)[0].nucleus.astype(int) - values).max() <= 1


def test_a_card_tells_fields_and_scale() -> None:
    field = Field(
        name="a",
        source="own",
        group="g",
        image=np.zeros((4, 4, 3), np.uint8),
        labels=np.zeros((4, 4), np.int32),
        has_instances=False,
        mpp=0.25,
    )
    assert nuclei().describe([field]) == {"own": "1 fields, 0 with instances, 0.25 um/px"}

"""A caution where the start weights know held-out samples."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wsipipe.models.cards.weights import find_weights, read_card
from wsipipe.training.recipe import Recipe, read_recipe
from wsipipe.training.samples import Field
from wsipipe.training.start_overlap import start_caution

START = "nuclei_gmr_unet_0.5_cc0"


def field(source: str, name: str) -> Field:
    blank = np.zeros((4, 4), np.int32)
    image = np.zeros((4, 4, 3), np.uint8)
    return Field(name=name, source=source, group=name, image=image, labels=blank, has_instances=True, mpp=0.5)


def starting_from(start: object) -> Recipe:
    return read_recipe("nuclei_own", [f"network.start={json.dumps(str(start))}"])


def test_known_samples_are_counted_by_source() -> None:
    samples = [field("nucls", "a"), field("dsb2018", "b"), field("nucls", "c"), field("mine", "d")]
    assert start_caution(starting_from(START), samples) == (
        f"Caution: the start weights {START} were trained on 3 of the 4 held-out samples (1 of dsb2018, 2 of "
        "nucls), so the scores are too high for new slides. Hold out other data, or train from scratch with "
        """--set 'network.start=""'."""
    )


@pytest.mark.parametrize(
    ("start", "source"), [("", "nucls"), (START, "monuseg"), (START, "mine")], ids=["scratch", "new", "own"]
)
def test_no_caution_without_overlap(start: str, source: str) -> None:
    assert start_caution(starting_from(start), [field(source, "a")]) == ""
    assert start_caution(starting_from(START), []) == ""


def test_samples_that_the_start_held_out_are_new_to_it(tmp_path: Path) -> None:
    found = find_weights(START)
    for path in found.parent.glob(f"{START}.*"):
        shutil.copy(path, tmp_path)
    recipe = starting_from(tmp_path / found.name)
    assert read_card(tmp_path / found.name).name == START
    assert "1 of the 1" in start_caution(recipe, [field("nucls", "a")])
    (tmp_path / "run.json").write_text('{"held_out": ["nucls/a"]}')
    assert start_caution(recipe, [field("nucls", "a")]) == ""
    assert "1 of the 2" in start_caution(recipe, [field("nucls", "a"), field("nucls", "b")])

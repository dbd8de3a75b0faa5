"""Folds: each is evaluated on its held-out samples, with the others' thresholds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.models.cards.weights import find_weights, read_card, write_card
from wsipipe.training.evaluation.models import EvaluatedModel, evaluated_models, samples_for
from wsipipe.training.samples import Field

NUCLEI = "nuclei_gmr_unet_0.5"
BLANK = np.zeros((4, 4), np.int32)


def field(name: str) -> Field:
    image = np.zeros((4, 4, 3), np.uint8)
    return Field(name=name, source="made", group=name, image=image, labels=BLANK, has_instances=True, mpp=0.5)


@pytest.fixture
def validated(tmp_path: Path) -> Path:
    """What a cross-validation of three folds leaves."""
    for fold, (nucleus, grow) in enumerate(((0.3, 2.0), (0.4, 4.0), (0.6, 8.0))):
        folder = tmp_path / f"fold{fold}"
        folder.mkdir()
        shutil.copyfile(find_weights(NUCLEI), folder / f"{NUCLEI}.safetensors")
        changes = {"thresholds": {"nucleus": nucleus, "centre": 0.5}, "instance_params": {"grow_um": grow}}
        write_card(read_card(NUCLEI).model_copy(update=changes), folder)
        (folder / "run.json").write_text(json.dumps({"held_out": [f"made/{fold}"]}))
    return tmp_path


def test_single_weights_are_evaluated_on_all_samples() -> None:
    (source,) = evaluated_models(NUCLEI)
    assert source.held_out is None
    assert source.card == read_card(NUCLEI)
    assert len(samples_for(source, [field("0"), field("1")])) == 2


def test_a_fold_is_evaluated_on_its_held_out_samples(validated: Path) -> None:
    samples = [field(name) for name in ("2", "0", "1", "other")]
    asked = [[one.name for one in samples_for(source, samples)] for source in evaluated_models(validated)]
    assert asked == [["0"], ["1"], ["2"]]


def test_a_fold_uses_the_thresholds_of_the_others(validated: Path) -> None:
    cards = [source.card for source in evaluated_models(validated)]
    assert [card.thresholds["nucleus"] for card in cards] == pytest.approx([0.5, 0.45, 0.35])
    assert [card.instance_params["grow_um"] for card in cards] == [6, 5, 3]


def test_missing_samples_are_reported(validated: Path) -> None:
    with pytest.raises(ConfigError, match=r"lack 1 of 1 samples .* example made/1"):
        samples_for(evaluated_models(validated)[1], [field("0")])
    assert samples_for(EvaluatedModel("x", read_card(NUCLEI), frozenset()), [field("0")]) == []


def test_a_folder_without_finished_folds_is_reported(validated: Path, tmp_path: Path) -> None:
    (validated / "fold2" / f"{NUCLEI}.safetensors").unlink()
    with pytest.raises(ConfigError, match="Finish its training"):
        evaluated_models(validated)
    with pytest.raises(ConfigError, match="has 0 folds"):
        evaluated_models(tmp_path / "fold0")

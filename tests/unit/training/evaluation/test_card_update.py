"""Scores in a card: those measured, with a description, and nothing else is changed."""

import shutil
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError
from wsipipe.models.cards.weights import find_weights, read_card, verified_card
from wsipipe.training.evaluation.card_update import put_into_card
from wsipipe.training.evaluation.record import Estimate, Evaluation, EvaluationSetup, summarise_angles

NUCLEI = "nuclei_gmr_unet_0.5"


def measured(folds: int) -> Evaluation:
    return Evaluation(
        task="nuclei",
        setting=EvaluationSetup(
            weights=NUCLEI,
            weights_sha256=["0" * 64] * folds,
            mpp=0.5,
            device="cpu",
            precision="float32",
            samples=5,
            groups={"breast": 3, "colon": 2},
        ),
        original={
            "dice": Estimate(value=0.81234, low=0.79, high=0.83, samples=5),
            "aji": Estimate(value=0.6, samples=1),
        },
        degrees=[0.0, 180.0],
        turned={"dice": summarise_angles([0.8, 0.79], [0.0, 180.0])},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training's folder with weights of all data."""
    for suffix in (".safetensors", ".json"):
        shutil.copyfile(find_weights(NUCLEI).with_suffix(suffix), tmp_path / f"{NUCLEI}{suffix}")
    return tmp_path


def test_scores_of_folds_go_into_the_card_of_the_final_weights(folder: Path) -> None:
    before = read_card(folder / f"{NUCLEI}.safetensors")
    put_into_card(measured(3), folder)
    put_into_card(measured(3), folder)
    card = verified_card(folder / f"{NUCLEI}.safetensors")
    assert card.metrics == {
        "dice": 0.8123,
        "aji": 0.6,
        "dice_turned": 0.795,
        "dice_worst_angle": 0.79,
        "dice_sd_over_angles": 0.005,
    }
    assert card.intervals == {"dice": (0.79, 0.83)}
    assert card.notes.count("Scores by wsipipe evaluate: 5 fields (breast, colon)") == 1
    assert "one of 3 networks that was not trained on it" in card.notes
    assert card.notes.startswith(before.notes)
    same = {"metrics": before.metrics, "intervals": before.intervals, "notes": before.notes}
    assert card.model_copy(update=same) == before


def test_scores_of_given_data_say_so(folder: Path) -> None:
    put_into_card(measured(1), folder / f"{NUCLEI}.safetensors")
    assert "of the evaluated data" in read_card(folder / f"{NUCLEI}.safetensors").notes
    assert "| dice | 0.8123 | 0.79 to 0.83 |" in (folder / f"{NUCLEI}.md").read_text()


def test_a_folder_without_final_weights_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Finish its training"):
        put_into_card(measured(3), tmp_path)

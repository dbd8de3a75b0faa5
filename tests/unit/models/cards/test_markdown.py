"""The card's text says what binds its user and what was measured; certificates stay with their weights."""

import json
from pathlib import Path

import pytest

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.markdown import card_text
from wsipipe.models.cards.weights import (
    certificate_path,
    find_weights,
    read_card,
    verified_card,
    write_card,
    write_certificate,
)

CERTIFICATE = {
    "passed": True,
    "dtype": "float32",
    "budget": 1e-5,
    "sizes": [{"errors": {"R90": 2e-7, "M0": 1e-7}}, {"errors": {}}],
    "rings": {"sizes": [{"errors": {"R90": 0.0}}]},
    "reasons": [],
}


def card() -> ModelCard:
    return read_card("nuclei_gmr_unet_0.5")


def copy_of_shipped(folder: Path) -> Path:
    """Weights and card, where they may be changed."""
    shipped = find_weights("nuclei_gmr_unet_0.5")
    path = folder / shipped.name
    path.write_bytes(shipped.read_bytes())
    path.with_suffix(".json").write_bytes(shipped.with_suffix(".json").read_bytes())
    return path


def certificate_json(sha256: str) -> str:
    return json.dumps(CERTIFICATE | {"weights_sha256": sha256})


def test_the_text_says_what_the_card_says() -> None:
    changes = {
        "metrics": {"dice": 0.8312},
        "intervals": {"dice": (0.8, 0.86)},
        "instance_params": {"grow_um": 4.0},
    }
    text = card_text(card().model_copy(update=changes))
    for part in (
        "Research use only. Not a medical device.",
        "Non-commercial",
        card().licence,
        card().sha256,
        *card().data,
        "| dice | 0.8312 | 0.8 to 0.86 |",
        "nucleus threshold: 0.",
        "grow_um: 4",
        "| stain | H&E |",
        "| um/px | 0.5 |",
        "Not certified yet",
    ):
        assert part in text
    free = card().model_copy(update={"non_commercial": False, "metrics": {}})
    assert "Non-commercial" not in card_text(free)
    assert "None yet" in card_text(free)


def test_the_certificate_is_summed_up() -> None:
    text = card_text(card(), CERTIFICATE)
    assert "Passed in float32, budget 1e-05; largest error of the eight orientations 2e-07." in text
    assert "bitwise identical" in text
    failed = card_text(card(), CERTIFICATE | {"passed": False, "reasons": ["It is plain."], "rings": None})
    assert "**Failed**" in failed
    assert "- It is plain." in failed


def test_a_certificate_goes_beside_its_weights(tmp_path: Path) -> None:
    path = copy_of_shipped(tmp_path)
    write_certificate(path, certificate_json(card().sha256))
    assert "Passed in float32" in path.with_suffix(".md").read_text()
    assert verified_card(path) == card()


@pytest.mark.parametrize("text", [certificate_json("0" * 64), "{}", "not JSON", "[]"])
def test_a_certificate_of_other_weights_is_refused(tmp_path: Path, text: str) -> None:
    path = copy_of_shipped(tmp_path)
    certificate_path(path).write_text(text)
    with pytest.raises(ModelError, match="of other weights"):
        verified_card(path)


def test_new_weights_lose_the_old_certificate(tmp_path: Path) -> None:
    path = copy_of_shipped(tmp_path)
    write_certificate(path, certificate_json(card().sha256))
    write_card(card(), tmp_path)
    assert certificate_path(path).is_file()
    write_card(card().model_copy(update={"sha256": "1" * 64}), tmp_path)
    assert not certificate_path(path).is_file()
    assert "Not certified yet" in path.with_suffix(".md").read_text()

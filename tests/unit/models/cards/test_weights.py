"""Cards: read without torch, found by name, refused with the field that is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ModelError
from wsipipe.models.cards.weights import WEIGHTS_DIR, find_weights, list_models, read_card

SHIPPED = sorted(path.stem for path in WEIGHTS_DIR.glob("*.safetensors"))
CLASSES = ("ADI", "BACK", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_have_a_true_card(name: str) -> None:
    assert name in list_models()
    card = read_card(name)
    assert card.name == name
    assert card.sha256 == sha256_of(find_weights(name))
    assert "Research use only" in card.intended_use


def test_the_nuclei_card_says_what_binds_its_user() -> None:
    card = read_card("nuclei_gmr_unet_0.5")
    assert card.non_commercial
    assert card.output_names == ("nucleus", "centre")
    assert set(card.thresholds) == {"nucleus", "centre"}
    assert read_card("tissue_gmr_resnet18_1.0").output_names == CLASSES


def test_shipped_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS_DIR.iterdir()) <= 14e6


def test_cards_are_read_without_torch() -> None:
    lines = [
        "import sys",
        "from wsipipe.models.cards.weights import read_card",
        "read_card(sys.argv[1])",
        "print('torch' in sys.modules)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "; ".join(lines), "nuclei_gmr_unet_0.5"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ModelError, match="tissue_gmr_resnet18"):
        find_weights("nuclei_v9")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match="can run code"):
        find_weights(path)


def test_weights_without_a_card_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match="no card"):
        find_weights(path)


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    card = json.loads((WEIGHTS_DIR / "nuclei_gmr_unet_0.5.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "model.json").write_text(json.dumps(card | {"mpp": -1}))
    with pytest.raises(ModelError, match="wrong at mpp"):
        read_card(tmp_path / "model.safetensors")


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    card = json.loads((WEIGHTS_DIR / "nuclei_gmr_unet_0.5.json").read_text())
    card["learnt"] = card.pop("training_range")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="wrong at learnt: Extra inputs are not permitted"):
        read_card(tmp_path / "model.safetensors")

"""The verbs of models, typed: the list, fetching into it, and certificates beside their weights."""

import json
import shutil
from pathlib import Path

import pytest

from wsipipe.errors import ExitCode
from wsipipe.models.cards.weights import find_weights, read_card
from wsipipe.models.certificate import certify
from wsipipe.models.networks.registry import build

NUCLEI = "nuclei_gmr_unet_0.5"


@pytest.fixture(autouse=True)
def own_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model that a user fetched is seen or touched."""
    monkeypatch.setenv("WSIPIPE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Shipped weights under another name."""
    path = tmp_path / "there" / "mine.safetensors"
    path.parent.mkdir()
    shutil.copyfile(find_weights(NUCLEI), path)
    card = read_card(NUCLEI).model_copy(update={"name": "mine"})
    path.with_suffix(".json").write_text(card.model_dump_json())
    return path


def test_fetched_models_are_listed(typed: object, copied: Path) -> None:
    code, printed, _ = typed("models", "fetch", copied)
    assert code == ExitCode.OK
    assert "segment.weights=mine" in printed
    code, printed, _ = typed("models", "--json")
    assert code == ExitCode.OK
    names = [card["name"] for card in json.loads(printed)]
    assert NUCLEI in names
    assert names[-1] == "mine"
    listed = typed("models")[1].splitlines()
    assert listed[0].split() == ["name", "um/px", "outputs", "licence", "use"]
    # Off a terminal every row is one line of whole words.
    assert len(listed) == 1 + len(names)
    assert all(line.endswith("Research use only. Not a medical device.") for line in listed[1:])
    code, printed, _ = typed("models", "fetch", copied, "--json")
    assert json.loads(printed)["name"] == "mine"


def test_pickles_are_refused(typed: object) -> None:
    code, _, stderr = typed("models", "fetch", "https://example.org/model.pt")
    assert code == ExitCode.USAGE
    assert "can run code" in stderr


def test_a_certificate_is_written_beside(
    typed: object, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring is that of a tiny network, as the shipped one takes long; the writing is the verb's."""
    tiny = build(
        "gmr_unet", {"in_channels": 3, "out_channels": 1, "widths": [2], "kernel_sizes": [3]}, "radial"
    )
    measured = certify.certify(tiny.eval(), degrees=())
    measured = measured.model_copy(update={"weights_sha256": read_card(copied).sha256})
    monkeypatch.setattr(certify, "certify", lambda model, **_: measured)
    code, printed, _ = typed("certify", copied, "--write")
    assert code == ExitCode.OK
    assert "passes" in printed
    written = json.loads(copied.with_name("mine.certificate.json").read_text())
    assert written == json.loads(measured.model_dump_json())
    assert "Passed in float32" in copied.with_suffix(".md").read_text()


def test_a_certificate_cannot_be_written_beside_a_module(typed: object) -> None:
    code, _, stderr = typed("certify", "wsipipe.models.networks.unet:gmr_unet", "--write")
    assert code == ExitCode.USAGE
    assert "not found" in stderr

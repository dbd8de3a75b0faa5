"""Fetched weights: found by name afterwards; anything doubtful leaves nothing behind."""

import io
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ModelError
from wsipipe.models.cards import fetch as fetching
from wsipipe.models.cards.fetch import fetch
from wsipipe.models.cards.training_range import Known
from wsipipe.models.cards.weights import (
    check_known,
    find_weights,
    known_models,
    known_path,
    read_card,
    verified_card,
    write_card,
)
from wsipipe.models.known_features import write_known


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models."""
    monkeypatch.setenv("WSIPIPE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def model(folder: Path, name: str = "mine", sha256: str | None = None) -> Path:
    """Weights and card of another name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "download.safetensors"
    save_file({"weight": np.arange(6, dtype=np.float32)}, path)
    card = read_card("nuclei_gmr_unet_0.5")
    card = card.model_copy(update={"name": name, "sha256": sha256 or sha256_of(path)})
    (folder / "download.json").write_text(card.model_dump_json())
    return path


def left(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir()) if home.is_dir() else []


def test_a_path_is_fetched_and_then_found_by_name(home: Path, tmp_path: Path) -> None:
    source = model(tmp_path / "there")
    path = fetch(str(source), sha256_of(source).upper())
    assert path == home / "mine.safetensors" == find_weights("mine")
    assert "mine" in known_models()
    assert verified_card("mine").name == "mine"
    assert left(home) == ["mine.json", "mine.md", "mine.safetensors"]


def test_an_address_is_fetched(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, asked = model(tmp_path / "there"), []

    def opened(self: object, address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        return io.BytesIO((source.parent / address.split("/")[-1].split("?")[0]).read_bytes())

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)
    fetch("https://example.org/a/download.safetensors?v=1")
    assert asked == [f"https://example.org/a/download.{kind}?v=1" for kind in ("json", "safetensors")]
    assert left(home)[-1] == "mine.safetensors"


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "https://example.org/a.bin", "a.ckpt", "a.pkl", "a"])
def test_other_kinds_are_refused_with_the_remedy(home: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"can run code.*save_file"):
        fetch(name)
    assert not left(home)


def test_plain_http_is_refused_also_behind_a_redirect(home: Path) -> None:
    with pytest.raises(ModelError, match="Use https"):
        fetch("http://example.org/a.safetensors")
    request = urllib.request.Request("https://example.org/a.safetensors")
    redirect = fetching._OnlyHttps().redirect_request
    with pytest.raises(urllib.error.URLError, match="not https"):
        redirect(request, io.BytesIO(), 302, "", HTTPMessage(), "http://example.org/a.safetensors")
    assert redirect(request, io.BytesIO(), 302, "", HTTPMessage(), "https://other.org/b.safetensors")


def test_a_wrong_hash_keeps_nothing(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="its card says 0000"):
        fetch(str(model(tmp_path / "there", sha256="0" * 64)))
    with pytest.raises(ModelError, match="--sha256 says abc"):
        fetch(str(model(tmp_path / "there")), "abc")
    assert not left(home)


def test_what_is_no_safetensors_file_keeps_nothing(home: Path, tmp_path: Path) -> None:
    source = model(tmp_path)
    source.write_bytes(b"\x80\x04 a pickle, renamed")
    card = read_card("nuclei_gmr_unet_0.5").model_copy(update={"name": "x", "sha256": sha256_of(source)})
    source.with_suffix(".json").write_text(card.model_dump_json())
    with pytest.raises(ModelError, match="not a safetensors file"):
        fetch(str(source))
    assert not left(home)


def test_too_large_a_file_keeps_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_WEIGHTS_BYTES", 20)
    with pytest.raises(ModelError, match="larger than 20 bytes"):
        fetch(str(model(tmp_path / "there")))
    assert not left(home)


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden"])
def test_a_name_cannot_leave_the_folder(home: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="names itself"):
        fetch(str(model(tmp_path / "there", name)))
    assert not left(home)


def test_a_shipped_name_is_not_hidden(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="comes with wsipipe"):
        fetch(str(model(tmp_path / "there", "nuclei_gmr_unet_0.5")))


def test_what_is_not_there_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="could not be read"):
        fetch(str(tmp_path / "nothing.safetensors"))
    alone = model(tmp_path / "there")
    alone.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"download\.json could not be read"):
        fetch(str(alone))


def test_a_card_is_written_with_its_text(tmp_path: Path) -> None:
    write_card(read_card("nuclei_gmr_unet_0.5"), tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".md"]


def test_known_features_come_with_a_classifier_or_nothing_is_kept(home: Path, tmp_path: Path) -> None:
    source = model(tmp_path / "there")
    sha256 = write_known(np.eye(3), source)
    known = Known(sha256=sha256, limit=0.1, false_share=0.05)
    card = read_card(source).model_copy(update={"known": known})
    source.with_suffix(".json").write_text(card.model_dump_json())
    fetch(str(source))
    assert left(home) == ["mine.json", "mine.known.npy", "mine.md", "mine.safetensors"]
    check_known("mine", read_card("mine"))
    for path in home.iterdir():
        path.unlink()
    known_path(source).write_bytes(b"damaged")
    with pytest.raises(ModelError, match="not the file that the card"):
        fetch(str(source))
    assert left(home) == []

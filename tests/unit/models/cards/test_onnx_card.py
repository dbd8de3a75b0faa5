"""The card of another tool's network states what tiling needs, and no more than wsipipe can do."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wsipipe.errors import ModelError
from wsipipe.models.cards.markdown import card_text
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.cards.weights import read_card, write_card
from wsipipe.models.networks.registry import load

MakeCard = Callable[..., OnnxCard]


def written(folder: Path, card: OnnxCard, **changes: object) -> Path:
    content = json.loads(card.model_dump_json(exclude_unset=True)) | changes
    content = {name: value for name, value in content.items() if value is not ...}
    (folder / "peer.onnx").write_bytes(b"network")
    (folder / "peer.json").write_text(json.dumps(content, default=str))
    return folder / "peer.onnx"


def test_a_card_is_read_and_written_alike(onnx_card: MakeCard, tmp_path: Path) -> None:
    card = read_card(written(tmp_path, onnx_card(symmetrise=True)))
    assert card == onnx_card(symmetrise=True)
    write_card(card, tmp_path)
    assert read_card(tmp_path / "peer.onnx") == card
    assert "`onnx`, mean of the eight orientations" in (tmp_path / "peer.md").read_text()
    assert "mode" not in card_text(onnx_card())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"halo_px": ...}, "wrong at halo_px: Field required"),
        ({"outputs": ...}, "wrong at outputs: Field required"),
        ({"outputs": []}, "wrong at outputs"),
        ({"normalisation": ...}, "wrong at normalisation: Field required"),
        ({"mpp": ...}, "wrong at mpp: Field required"),
        ({"sha256": ...}, "wrong at sha256: Field required"),
        ({"halo_px": -1}, "wrong at halo_px"),
        ({"normalisation": {"sd": [0.2, 0, 0.2]}}, "wrong at normalisation: .*each sd must be above 0"),
        ({"normalisation": {"mean": [0.5]}}, "wrong at normalisation.mean"),
        ({"mode": "index"}, "mode is not for ONNX networks"),
        ({"arguments": {"width": 4}}, "wrong at arguments"),
        ({"outputs": [{"name": "np"}, {"name": "hv"}]}, "np is one of HoVer-Net, whose nuclei need its own"),
        ({"values": "probabilities", "temperature": 2.0}, "temperature divides scores"),
        ({"stride": 3}, "stride 3 must be a power of two"),
        ({"stride": 8}, r"halo_px 4 must be a multiple of 8 \(of lattice_px and stride\); set 8"),
        ({"halo_px": 5}, "halo_px 5 must be a multiple of 4 .*set 8"),
        ({"window_px": 42}, "window_px 42 must be a multiple of 4"),
        ({"window_px": 4}, "window_px 4 must be .* larger than twice the halo of 4 px"),
        ({"symmetrize": True}, "wrong at symmetrize"),
        ({"name": "other"}, "wrong at name: it is 'other', not 'peer'"),
    ],
)
def test_a_wrong_field_is_named(onnx_card: MakeCard, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_card(written(tmp_path, onnx_card(), **changes))


@pytest.mark.parametrize(
    ("halo_px", "lattice_px", "stride", "side_px"),
    [(0, 1, 1, 256), (96, 32, 1, 448), (192, 32, 1, 768), (112, 14, 4, 504)],
)
def test_windows_are_as_large_as_needed(
    onnx_card: MakeCard, halo_px: int, lattice_px: int, stride: int, side_px: int
) -> None:
    card = onnx_card(halo_px=halo_px, lattice_px=lattice_px, stride=stride, window_px=None)
    assert card.side_px == side_px
    assert card.core_px >= max(256, 2 * halo_px)
    assert card.side_px % lattice_px == 0
    assert card.core_px % stride == 0


def test_it_can_not_be_loaded_as_a_torch_network(onnx_card: MakeCard, tmp_path: Path) -> None:
    path = written(tmp_path, onnx_card(sha256=hashlib.sha256(b"network").hexdigest()))
    with pytest.raises(ModelError, match="is an ONNX network: it can run on slides"):
        load(path)

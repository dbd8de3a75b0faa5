"""ExportedNetwork networks give what the predictor gives; the card is one that WSInfer reads."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from wsipipe.cli import app
from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.models.conversion.deployment import ExportedNetwork, export_network
from wsipipe.models.networks.registry import build, load, save
from wsipipe.models.predictor import load_predictor

ARGUMENTS = {
    "gmr_unet": {"in_channels": 3, "out_channels": 2, "widths": [4, 6, 8], "kernel_sizes": [5, 3, 3]},
    "gmr_resnet18": {"num_classes": 2, "width": 4, "kernel_sizes": [3, 3, 3, 3], "window": 3},
}


@pytest.fixture(params=ARGUMENTS)
def weights(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = ModelCard(
        name="small",
        architecture=request.param,
        arguments=ARGUMENTS[request.param],
        mpp=0.5,
        outputs=(Output(name="a"), Output(name="b")),
        activation="sigmoid" if request.param == "gmr_unet" else "softmax",
        temperature=1.5,
        sha256="0" * 64,
        data=("made",),
        licence="CC0-1.0",
        non_commercial=False,
    )
    save(build(card.architecture, card.arguments, card.mode), card, tmp_path)
    return tmp_path / "small.safetensors"


def patches(lattice_px: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(4, 4), (5, 3), (9, 2)]
    return [rng.integers(0, 256, (h * lattice_px, w * lattice_px, 3), dtype=np.uint8) for h, w in sizes]


def as_image(patch: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(patch).permute(2, 0, 1)[None].float() / 255


def loaded(path: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(path)


def test_torchscript_is_the_predictor(weights: Path, tmp_path: Path) -> None:
    predictor = load_predictor(weights, "cpu", "float32")
    written, card = export_network(weights, tmp_path / "out" / "model.pt")
    graph = loaded(written)
    for patch in patches(predictor.lattice_px):
        np.testing.assert_allclose(graph(as_image(patch))[0].numpy(), predictor(patch), rtol=0, atol=1e-5)
    assert json.loads(card.read_text())["output"] == "map of probabilities"


def test_only_plain_convolutions_are_left(weights: Path) -> None:
    kinds = {type(module).__name__ for module in ExportedNetwork(*load(weights), tile=False).modules()}
    assert not kinds & {"GMRConv2d", "BatchNorm2d", "ConvNorm"}


def test_onnx_is_the_predictor(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="ONNX absent: pip install 'wsipipe-gmr[export]'")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX absent: pip install 'wsipipe-gmr[export]'")
    predictor = load_predictor(weights, "cpu", "float32")
    written, _ = export_network(weights, tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.glob("model.*")) == ["model.json", "model.onnx"]
    session = runtime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    for patch in patches(predictor.lattice_px):
        (found,) = session.run(["probabilities"], {"image": as_image(patch).numpy()})
        np.testing.assert_allclose(found[0], predictor(patch), rtol=0, atol=1e-5)


def test_onnx_that_is_absent_is_told(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsipipe.models.conversion.deployment.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'wsipipe-gmr\[export\]'"):
        export_network(weights, tmp_path / "model.onnx")


def test_another_suffix_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\.pt or \.onnx"):
        export_network(weights, tmp_path / "model.bin")


def test_a_tile_for_wsinfer(weights: Path, tmp_path: Path) -> None:
    """The keys of its config 1.0, and scores of which its softmax is the predictor's probability."""
    words = ["models", "export", str(weights), "--to", str(tmp_path / "torchscript_model.pt"), "--tile"]
    if load(weights)[1].architecture == "gmr_unet":
        with pytest.raises(ModelError, match="gives maps"):
            app(words, standalone_mode=False)
        return
    app(words, standalone_mode=False)
    card = json.loads((tmp_path / "torchscript_model.json").read_text())
    assert (card["spec_version"], card["architecture"]) == ("1.0", "gmr_resnet18")
    assert (card["num_classes"], card["class_names"]) == (2, ["a", "b"])
    assert (card["patch_size_pixels"], card["spacing_um_px"]) == (48, 0.5)
    assert [step["name"] for step in card["transform"]] == ["Resize", "ToTensor"]
    patch = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    scores = loaded(tmp_path / "torchscript_model.pt")(as_image(patch))
    centre = load_predictor(weights, "cpu", "float32")(patch)[:, 1, 1]
    np.testing.assert_allclose(scores.softmax(1)[0].numpy(), centre, rtol=0, atol=1e-5)

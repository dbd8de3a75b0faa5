"""Inputs and outputs of an ONNX file are checked against its card; the file itself by its hash."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from wsipipe.errors import ModelError
from wsipipe.models.cards import onnx_card as card_module
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.foreign.session import check_session, open_session
from wsipipe.models.predictor import load_predictor

MakeCard = Callable[..., OnnxCard]


@pytest.fixture(scope="session")
def runtime() -> ModuleType:
    pytest.importorskip("onnx", reason="LOUD SKIP: no onnx here, so ONNX files are NOT tested")
    return pytest.importorskip(
        "onnxruntime", reason="LOUD SKIP: no onnxruntime, so ONNX files are NOT tested"
    )


def saved_network(path: Path, free: bool = True, gain: float = 1.0) -> str:
    """Write a 3 x 3 convolution of random weights as ONNX, and return its SHA-256."""
    from onnx import TensorProto, helper, numpy_helper

    sides = ["h", "w"] if free else [16, 16]
    weights = gain * np.random.default_rng(3).normal(size=(2, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["maps"], pads=[1, 1, 1, 1])],
        "made",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, *sides])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 2, *sides])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_card(path: Path, card: OnnxCard) -> Path:
    path.with_suffix(".json").write_text(card.model_dump_json())
    return path


def test_a_file_runs_and_equals_its_formula(runtime: ModuleType, onnx_card: MakeCard, tmp_path: Path) -> None:
    path = tmp_path / "peer.onnx"
    card = onnx_card(sha256=saved_network(path), normalisation={}, lattice_px=1)
    predict = load_predictor(with_card(path, card), precision="bfloat16")
    assert (predict.precision, predict.device, predict.outputs) == ("float32", "cpu", ("nucleus", "centre"))
    assert predict.in_words().startswith("float32, onnxruntime, ")
    image = np.random.default_rng(0).integers(0, 256, (3, 3, 3), np.uint8)
    weights = np.random.default_rng(3).normal(size=(2, 3, 3, 3)).astype(np.float32)
    score = np.einsum("ocyx,yxc->o", weights.astype(float), image / 255)
    np.testing.assert_allclose(predict(image)[:, 1, 1], 1 / (1 + np.exp(-score)), atol=1e-6)


def test_another_file_than_the_cards_is_refused(onnx_card: MakeCard, tmp_path: Path) -> None:
    path = with_card(tmp_path / "peer.onnx", onnx_card())
    path.write_bytes(b"other")
    with pytest.raises(ModelError, match=r"its card says 0{12}\.\.\.: the file is damaged or belongs"):
        load_predictor(path)


def test_a_file_that_is_no_network_is_refused(
    runtime: ModuleType, onnx_card: MakeCard, tmp_path: Path
) -> None:
    path = tmp_path / "peer.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"cannot be opened by onnxruntime: .* without external data"):
        open_session(path, onnx_card(sha256=hashlib.sha256(b"no network").hexdigest()))


def test_weights_in_another_file_are_refused(
    runtime: ModuleType, onnx_card: MakeCard, tmp_path: Path
) -> None:
    """The card's hash would not cover them."""
    import onnx

    path = tmp_path / "peer.onnx"
    saved_network(path)
    outside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(onnx.load(path), path, **outside)
    assert (tmp_path / "weights.bin").is_file()
    card = onnx_card(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="cannot be opened by onnxruntime"):
        open_session(path, card)


def test_fixed_extents_are_refused(runtime: ModuleType, onnx_card: MakeCard, tmp_path: Path) -> None:
    path = tmp_path / "peer.onnx"
    card = onnx_card(sha256=saved_network(path, free=False))
    with pytest.raises(ModelError, match=r"takes images of 16 x 16 px only.*Export it with dynamic axes"):
        load_predictor(with_card(path, card))


def test_weights_that_overflow_are_refused(runtime: ModuleType, onnx_card: MakeCard, tmp_path: Path) -> None:
    path = tmp_path / "peer.onnx"
    predict = load_predictor(with_card(path, onnx_card(sha256=saved_network(path, gain=1e38))))
    with pytest.raises(ModelError, match="holds NaN or infinity"):
        predict(np.full((8, 8, 3), 255, np.uint8))


def test_without_onnxruntime_the_remedy_is_named(
    onnx_card: MakeCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "peer.onnx"
    path.write_bytes(b"anything")
    monkeypatch.setattr(card_module, "find_spec", lambda _: None)
    card = onnx_card(sha256=hashlib.sha256(b"anything").hexdigest())
    with pytest.raises(
        ModelError, match=r"onnxruntime, which is not installed. Run pip install 'wsipipe-gmr\[onnx\]'"
    ):
        open_session(path, card)


def test_one_input_and_one_output_need_no_names(fake_session: Any, onnx_card: MakeCard) -> None:
    assert check_session(fake_session(), onnx_card()) == ("image", "maps")


@pytest.mark.parametrize(
    ("which", "tensors", "card", "message"),
    [
        ("inputs", [("a", ["n", 3, "h", "w"]), ("b", ["n"])], {}, "2 inputs.*the image alone"),
        ("inputs", [("a", ["n", 4, "h", "w"])], {}, "input a of peer has 4 channels, not 3 for RGB"),
        ("inputs", [("a", ["n", 3, 256, "w"])], {}, "images of 256 x any px only.*dynamic axes"),
        ("inputs", [("a", [8, 3, "h", "w"])], {}, "batches of 8 only"),
        ("inputs", [("a", ["n", "h", "w"])], {}, "has 3 axes, not 4"),
        ("inputs", [("a", ["n", 3, "h", "w"], "tensor(float16)")], {}, r"is tensor\(float16\)"),
        ("inputs", [("a", ["n", 3, "h", "w"])], {"input_tensor": "b"}, "no input 'b'.*It has a"),
        (
            "outputs",
            [("np", ["n", 2, "h", "w"]), ("hv", ["n", 2, "h", "w"])],
            {},
            "2 outputs: np, hv.*output_tensor",
        ),
        ("outputs", [("o", ["n", 3, "h", "w"])], {}, r"has 3 channels, not 2.*\(nucleus, centre\)"),
        ("outputs", [("o", ["n", 2])], {}, "has 2 axes, not 4"),
    ],
)
def test_other_inputs_and_outputs_are_refused(
    fake_session: Any, onnx_card: MakeCard, which: str, tensors: list[tuple], card: dict, message: str
) -> None:
    network = fake_session()
    kind = type(network.inputs[0])
    setattr(network, which, [kind(*tensor) for tensor in tensors])
    with pytest.raises(ModelError, match=message):
        check_session(network, onnx_card(**card))


def test_an_output_is_chosen_by_name(fake_session: Any, onnx_card: MakeCard) -> None:
    network = fake_session()
    network.outputs = [type(network.outputs[0])(name, ["n", 2, "h", "w"]) for name in ("features", "maps")]
    assert check_session(network, onnx_card(output_tensor="maps")).output == "maps"

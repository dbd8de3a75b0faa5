"""An ordinary U-Net, trained for some steps and exported to ONNX: invariant and tiled like the whole."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from wsipipe.geometry import Orientation, Region
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.certificate.foreign import certify_predictor
from wsipipe.models.foreign.predictor import OnnxPredictor, load_onnx
from wsipipe.stages.windows import Windows

HALO_PX, CORE_PX = 64, 64


def trained_unet() -> torch.nn.Module:
    torch.manual_seed(0)
    network = smp.Unet(
        "mobilenet_v2", encoder_weights=None, encoder_depth=2, decoder_channels=(8, 4), classes=2
    )
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(3):
        images = torch.rand(2, 3, 32, 32)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(images), images[:, :2].round())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="LOUD SKIP: no onnx here, so exported networks are NOT tested")
    pytest.importorskip("onnxruntime", reason="LOUD SKIP: no onnxruntime, so ONNX files are NOT tested")
    path = tmp_path_factory.mktemp("onnx") / "peer.onnx"
    free = {0: "batch", 2: "height", 3: "width"}
    names = {
        "input_names": ["image"],
        "output_names": ["maps"],
        "dynamic_axes": {"image": free, "maps": free},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(trained_unet(), (torch.rand(1, 3, 32, 32),), path, dynamo=False, **names)
    return path


def predictor(path: Path, onnx_card: Callable[..., OnnxCard], **changes: object) -> OnnxPredictor:
    sizes = {"halo_px": HALO_PX, "lattice_px": 4, "window_px": CORE_PX + 2 * HALO_PX}
    card = onnx_card(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), **(sizes | changes))
    path.with_suffix(".json").write_text(card.model_dump_json())
    return load_onnx(path)


def canvas_maps(predict: OnnxPredictor, canvas: np.ndarray) -> np.ndarray:
    """All windows of a canvas, put together."""
    windows = Windows(CORE_PX, HALO_PX, (canvas.shape[0] // 2, canvas.shape[1] // 2), 1)
    core, margin = Region(0, 0, *canvas.shape[:2]), windows.context_px
    pixels = np.pad(canvas, ((margin,) * 2, (margin,) * 2, (0, 0)), constant_values=255)
    maps = np.zeros((2, *core.shape), np.float32)
    for found in windows.passes(predict, pixels, np.ones(core.shape, bool), 1, core):
        maps[:, *found.region.slices] = found.probabilities
    return maps


def test_symmetrised_it_turns_with_the_canvas_bit_for_bit(
    exported: Path, onnx_card: Callable[..., OnnxCard]
) -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    predict = predictor(exported, onnx_card, symmetrise=True)
    upright = canvas_maps(predict, canvas)
    assert upright.std() > 1e-3
    for orientation in (Orientation.R90, Orientation.M0):
        turned = canvas_maps(predict, orientation.apply(canvas))
        np.testing.assert_array_equal(orientation.undo(turned, axes=(1, 2)), upright)
    plain = predict.of_one_orientation()
    sister = Orientation.R90.undo(canvas_maps(plain, Orientation.R90.apply(canvas)), axes=(1, 2))
    assert not np.array_equal(sister, canvas_maps(plain, canvas))


def test_its_certificate_passes_and_a_small_halo_fails(
    exported: Path, onnx_card: Callable[..., OnnxCard]
) -> None:
    found = certify_predictor(predictor(exported, onnx_card, symmetrise=True), True, ())
    assert found.passed, found.reasons
    assert 4 < found.reach.gradient_px <= HALO_PX
    assert found.tiling.error <= 1e-6 < found.tiling.error_without_halo
    small = certify_predictor(predictor(exported, onnx_card, halo_px=4, window_px=72), True, ())
    assert [reason.split()[1] for reason in small.reasons] == ["network", "network", "with"]
    assert "declares a halo of 4 px" in small.reasons[1]

"""The certificate of an ONNX network tells what it measures: orientations, reach, windows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsipipe.errors import ExitCode, ModelError
from wsipipe.geometry import Array
from wsipipe.models.cards.onnx_card import OnnxCard
from wsipipe.models.certificate import foreign
from wsipipe.models.certificate.certify import certify
from wsipipe.models.certificate.figure import draw_certificate, summary
from wsipipe.models.certificate.foreign import as_subject, certify_predictor
from wsipipe.models.certificate.measurements import noise
from wsipipe.models.certificate.perturbation import reach_by_perturbation
from wsipipe.models.certificate.record import Certificate
from wsipipe.models.foreign.predictor import OnnxPredictor

MakeCard = Callable[..., OnnxCard]
ONE_ANGLE = (0,)


def test_a_symmetrised_network_with_a_true_halo_passes(
    fake_session: Any, onnx_card: MakeCard, tmp_path: Path
) -> None:
    predict = OnnxPredictor(fake_session(), onnx_card(symmetrise=True))
    found = certify_predictor(predict, True, (0, 45))
    assert found.passed, found.reasons
    assert found.worst_orientation_error == 0
    assert (found.reach.gradient_px, found.reach.formula_px) == (3, 4)
    assert (found.tiling.halo_px, found.tiling.core_px) == (4, 36)
    assert found.tiling.error == 0 < 1e-3 < found.tiling.error_without_halo
    assert [size.refused is None for size in found.sizes] == [True] * 3 + [False] * 3
    assert found.angles[0].error < 1e-12 < found.angles[1].error
    assert found.angles[0].agreement_drop == 0
    assert Certificate.model_validate_json(found.model_dump_json()) == found
    assert summary(found)[1] == "ONNX, parameters not counted, lattice 4 px"
    assert "receptive field by changed px: 3 px; declared halo: 4 px" in summary(found)
    draw_certificate(found, tmp_path / "certificate.png")
    assert (tmp_path / "certificate.png").stat().st_size > 10_000


def test_sister_each_fault_has_its_reason(fake_session: Any, onnx_card: MakeCard) -> None:
    found = certify_predictor(OnnxPredictor(fake_session(), onnx_card(halo_px=0)), True, ONE_ANGLE)
    assert not found.passed
    skew, reach, tiles = found.reasons
    assert skew.startswith("The network is not equivariant. In orientation ")
    assert skew.endswith("Set symmetrise to true in its card.")
    assert reach == "The network declares a halo of 0 px, but its receptive field extends 3 px."
    assert tiles.startswith("Patches with a halo of 0 px differ from the whole image by ")


def minus_mean(maps: Array) -> Array:
    return maps - maps.mean(axis=(2, 3), keepdims=True)


def test_a_norm_over_the_whole_image_can_not_be_tiled(
    fake_session: Any, onnx_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsipipe.models.certificate.receptive_field.LENGTHS_PX", (64,))
    card = onnx_card(symmetrise=True)
    found = certify_predictor(OnnxPredictor(fake_session(change=minus_mean), card), True, ONE_ANGLE)
    assert [reason.partition(":")[0] for reason in found.reasons] == [
        "The network cannot be tiled",
        found.reasons[1].partition(":")[0],
    ]
    assert found.reasons[1].startswith("Patches with a halo of 4 px differ")
    assert found.reach.gradient_px is None


@pytest.mark.parametrize(("reach_px", "stride"), [(0, 1), (1, 1), (13, 1), (40, 1), (13, 4)])
def test_reach_is_found_to_the_px(reach_px: int, stride: int, onnx_card: MakeCard) -> None:
    """A network that sees its own pixel and ``reach_px`` to its left."""

    def scores(images: torch.Tensor) -> torch.Tensor:
        seen = [
            torch.nn.functional.pad(images, (px, 0))[..., : images.shape[3]] for px in range(reach_px + 1)
        ]
        return torch.stack(seen).sum(0)[:, :1, ::stride, ::stride]

    card = onnx_card(lattice_px=4, halo_px=12)
    subject = foreign.NetworkUnderTest(
        name="made",
        network=torch.nn.Identity(),
        scores=scores,
        parameters=0,
        lattice_px=4,
        halo_px=card.halo_px,
    )
    assert reach_by_perturbation(subject).gradient_px == reach_px


def test_pixels_reach_the_network_as_they_are(fake_session: Any, onnx_card: MakeCard) -> None:
    network = fake_session()
    card = onnx_card(normalisation={"scale": 1.0})
    subject = as_subject(OnnxPredictor(network, card))
    image = noise(subject, 8, 12, torch.float32)
    subject.output(image)
    np.testing.assert_array_equal(network.seen[0], np.rint(image[0].numpy()))


def test_onnx_runs_in_float32_on_its_own_lattice(tmp_path: Path) -> None:
    for wrong in ({"dtype": "float64"}, {"lattice_px": 8}):
        with pytest.raises(ModelError, match="Certify it without dtype and lattice"):
            certify(tmp_path / "peer.onnx", **wrong)


def test_the_command_certifies_onnx(
    fake_session: Any, onnx_card: MakeCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Callable
) -> None:
    (tmp_path / "peer.onnx").write_bytes(b"network")
    (tmp_path / "peer.json").write_text(onnx_card().model_dump_json())
    monkeypatch.setattr(foreign, "load_onnx", lambda _: OnnxPredictor(fake_session(), onnx_card()))
    monkeypatch.setattr(foreign, "angle_errors", lambda *_: [])
    code, output, _ = typed("certify", tmp_path / "peer.onnx", "--write")
    assert code == ExitCode.FAILED
    assert "peer: FAILS in float32" in output
    assert json.loads((tmp_path / "peer.certificate.json").read_text())["path"] == "onnx"
    assert "**Failed** in float32" in (tmp_path / "peer.md").read_text()

"""The certificate: what keeps the promises passes, what breaks them fails with its reason."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wsipipe.cli import app
from wsipipe.errors import ExitCode, ModelError
from wsipipe.geometry import Orientation
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.models.certificate.certify import certify
from wsipipe.models.certificate.figure import draw_certificate, summary
from wsipipe.models.certificate.layers import gflop_per_mpx
from wsipipe.models.certificate.measurements import angle_errors, oriented, oriented_back
from wsipipe.models.certificate.record import Certificate, Dtype
from wsipipe.models.certificate.subject import load_network_under_test, synthetic_tissue, wrap_network
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.networks.baselines import plain_unet as plain_twin
from wsipipe.models.networks.blocks import ConvNorm, plain_conv
from wsipipe.models.networks.registry import save
from wsipipe.models.networks.unet import GMRUNet

FEW = (0, 45, 90)
WIDTHS, KERNELS = (4, 6, 8), (3, 3, 3)
ARGUMENTS = {"widths": WIDTHS, "kernel_sizes": KERNELS}


def gmr_unet() -> nn.Module:
    torch.manual_seed(0)
    return GMRUNet(widths=WIDTHS, kernel_sizes=KERNELS)


def plain_unet() -> nn.Module:
    torch.manual_seed(0)
    return GMRUNet(widths=WIDTHS, kernel_sizes=KERNELS, conv=plain_conv)


def instance_norm_unet() -> nn.Module:
    network = gmr_unet()
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.norm = nn.InstanceNorm2d(module.norm.num_features)
    return network


def calibrated(network: nn.Module) -> nn.Module:
    """Norms set from noise, so that no feature vanishes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 64, 64))
    return network.eval()


class Strided(nn.Module):
    """Ring convolutions whose only fault is a stride."""

    lattice_px = 2

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rings = GMRConv2d(3, 8, 5)
        self.strided = nn.Conv2d(8, 8, 1, stride=2)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.strided(self.rings(x).relu()).relu())


class Classifier(nn.Module):
    """Rings, then the mean of all places: a vector."""

    lattice_px = 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rings, self.head = GMRConv2d(3, 8, 5), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rings(x).relu().mean(dim=(2, 3)))


def test_a_ring_network_passes() -> None:
    certificate = certify(gmr_unet(), tiled=True, degrees=FEW)
    assert certificate.passed, certificate.reasons
    assert certificate.worst_orientation_error <= certificate.budget
    assert certificate.first_broken_layer is None
    assert certificate.parameters == sum(p.numel() for p in gmr_unet().parameters())
    assert [size.refused is None for size in certificate.sizes] == [True] * 3 + [False] * 3
    assert certificate.tiling is not None
    assert certificate.tiling.error <= certificate.budget < 1e-2 < certificate.tiling.error_without_halo


@pytest.mark.parametrize(("dtype", "budget"), [("float64", 1e-12), ("bfloat16", 0.05)])
def test_it_passes_the_budget_of_other_dtypes(dtype: Dtype, budget: float) -> None:
    certificate = certify(gmr_unet(), dtype=dtype, degrees=FEW)
    assert certificate.passed, certificate.reasons
    assert certificate.budget == budget


def test_a_classifier_passes_and_has_no_reach() -> None:
    certificate = certify(Classifier(), tiled=True, degrees=FEW)
    assert certificate.passed, certificate.reasons
    assert (certificate.answer, certificate.reach, certificate.tiling) == ("vector", None, None)


def test_a_plain_unet_fails_at_its_first_convolution() -> None:
    certificate = certify(plain_unet(), degrees=FEW)
    assert not certificate.passed
    assert certificate.first_broken_layer is not None
    assert certificate.first_broken_layer.name == "down.0.first.conv"
    assert "down.0.first.conv (Conv2d)" in certificate.reasons[0]


def test_a_strided_network_fails_at_its_stride_and_off_its_lattice() -> None:
    certificate = certify(Strided(), degrees=FEW)
    assert certificate.first_broken_layer is not None
    assert certificate.first_broken_layer.name == "strided"
    assert len(certificate.reasons) == 2
    assert "off its lattice" in certificate.reasons[1]


def test_instance_norm_turns_but_cannot_be_tiled() -> None:
    certificate = certify(instance_norm_unet(), tiled=True, degrees=FEW)
    assert certificate.worst_orientation_error <= certificate.budget
    assert certificate.reach is not None
    assert certificate.reach.gradient_px is None
    assert ["cannot be tiled" in reason for reason in certificate.reasons] == [True, False]
    assert "Patches with a halo" in certificate.reasons[1]


def test_a_halo_that_is_too_small_is_told() -> None:
    class Boasting(GMRUNet):
        halo_px = 8

    torch.manual_seed(0)
    certificate = certify(Boasting(widths=WIDTHS, kernel_sizes=KERNELS), tiled=True, degrees=FEW)
    assert [reason.split()[0] for reason in certificate.reasons] == ["The", "Patches"]


@pytest.mark.parametrize("name", ["nuclei_gmr_unet_0.5", "tissue_gmr_resnet18_1.0"])
def test_the_shipped_weights_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orientations and layers; the rest is proven on small networks of the same classes."""
    monkeypatch.setattr("wsipipe.models.certificate.certify.measure_receptive_field", lambda subject: None)
    monkeypatch.setattr(
        "wsipipe.models.certificate.certify.sizes_to_try", lambda lattice_px: [(48, 64), (49, 64)]
    )
    certificate = certify(name, degrees=())
    assert certificate.passed, certificate.reasons
    assert certificate.weights_sha256 is not None
    assert certificate.path == "folded"
    assert certificate.rings is not None, "no ring kernel: a compiler is needed for this test"
    assert [(size.height_px, size.width_px) for size in certificate.rings.sizes] == [(48, 64)]
    assert certificate.rings.worst == 0


def saved(network: nn.Module, folder: Path, **card: object) -> str:
    """Path of weights and card of a small network with two maps."""
    facts = {"mpp": 0.5, "outputs": (Output(name="a"), Output(name="b")), "activation": "sigmoid"}
    facts |= {"sha256": "0" * 64, "data": (), "licence": "CC0-1.0", "non_commercial": False}
    save(network, ModelCard(name="small", **{**facts, **card}), folder)  # type: ignore[arg-type]
    return str(folder / "small.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_runs_on_slides_keeps_every_bit(dtype: Dtype, tmp_path: Path) -> None:
    """The narrow mode, from file to probabilities, by ring kernels and, to a rounding, folded."""
    torch.manual_seed(0)
    arguments = {"out_channels": 2, "widths": WIDTHS, "kernel_sizes": (9, 5, 3)}
    network = calibrated(GMRUNet(**arguments, mode="narrow"))
    path = saved(network, tmp_path, architecture="gmr_unet", arguments=arguments, mode="narrow")
    certificate = certify(path, dtype=dtype, tiled=True, degrees=())
    assert certificate.passed, certificate.reasons
    assert certificate.rings is not None
    assert certificate.rings.tiling is not None
    assert certificate.rings.worst == 0 < certificate.rings.tiling.error_without_halo


def test_a_twin_that_changes_bits_on_slides_fails(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = plain_twin(widths=WIDTHS, kernel_sizes=KERNELS)
    path = saved(network, tmp_path, architecture="plain_unet", arguments=ARGUMENTS)
    certificate = certify(path, degrees=())
    assert certificate.rings is not None
    assert certificate.rings.worst > 1e-3
    assert certificate.reasons[-1].startswith("With the ring kernels, probabilities differ")


def test_float64_and_modules_are_not_run_by_rings(tmp_path: Path) -> None:
    assert certify(gmr_unet(), degrees=()).rings is None
    network = calibrated(gmr_unet())
    path = saved(network, tmp_path, architecture="gmr_unet", arguments=ARGUMENTS)
    certificate = certify(path, dtype="float64", degrees=())
    assert certificate.passed, certificate.reasons
    assert (certificate.rings, certificate.path) == (None, "folded")


def test_nan_weights_are_refused() -> None:
    network = gmr_unet()
    with torch.no_grad():
        network.head.weight[0, 0] = math.nan
    with pytest.raises(ModelError, match="NaN or infinity"):
        certify(network, degrees=FEW)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ModelError, match="dtype 'int8' is unknown"):
        certify(gmr_unet(), dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="takes none of the sizes"):
        certify(gmr_unet(), lattice_px=3)
    with pytest.raises(ModelError, match="could not be imported"):
        certify("no.such.module:network")
    with pytest.raises(ModelError, match="must return a torch"):
        certify("builtins:dict")


def test_the_module_that_is_given_is_left_as_it_was() -> None:
    network = gmr_unet().train()
    certify(network, dtype="float64", degrees=FEW)
    assert network.training
    assert all(p.dtype == torch.float32 and p.requires_grad for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize("orientation", list(Orientation))
def test_turns_are_those_of_the_pipeline(orientation: Orientation) -> None:
    x = torch.rand(1, 3, 4, 6)
    np.testing.assert_array_equal(oriented(x, orientation).numpy(), orientation.apply(x.numpy(), (2, 3)))
    assert torch.equal(oriented_back(oriented(x, orientation), orientation), x)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_made_tissue_turns_exactly_by_quarters(turns: int) -> None:
    np.testing.assert_allclose(
        synthetic_tissue(40, 40, 90 * turns), np.rot90(synthetic_tissue(40, 40), turns), rtol=0, atol=1e-12
    )


def test_angles_turn_the_right_way_back() -> None:
    """A network that does nothing but blur has only the error of the splines; mirrored turns are far off."""
    blur = GMRConv2d(3, 3, 5, bias=False)
    subject = wrap_network(blur, "blur", torch.float32)
    found = angle_errors(subject, [0, 30, 90, 135], torch.float32)
    assert [angle.error < 1e-5 for angle in found] == [True, False, True, False]
    assert max(angle.error for angle in found) < 0.1
    plain = wrap_network(nn.Conv2d(3, 3, 5, padding=2, bias=False), "plain", torch.float32)
    assert angle_errors(plain, [90], torch.float32)[0].error > 0.1


def test_operations_are_counted() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 5, padding=2, groups=8), GMRConv2d(8, 2, 3)
    )
    subject = wrap_network(network, "three", torch.float32)
    assert gflop_per_mpx(subject, torch.float32) == pytest.approx(2 * (27 * 8 + 25 * 8 + 9 * 16) * 1e6 / 1e9)


def test_the_file_is_strict_and_complete(tmp_path: Path) -> None:
    certificate = certify(plain_unet(), degrees=FEW)
    text = certificate.model_dump_json()
    content = json.loads(text)
    assert content["passed"] is False
    assert Certificate.model_validate_json(text) == certificate
    with pytest.raises(ValueError, match="if, and only if"):
        Certificate.model_validate({**content, "passed": True})
    with pytest.raises(ValueError, match="extra"):
        Certificate.model_validate({**content, "another": 1})


@pytest.mark.parametrize("network", [plain_unet, instance_norm_unet, Classifier])
def test_the_picture_shows_every_kind(network: object, tmp_path: Path) -> None:
    certificate = certify(network(), tiled=True, degrees=FEW)  # type: ignore[operator]
    draw_certificate(certificate, tmp_path / "certificate.png")
    assert (tmp_path / "certificate.png").stat().st_size > 20_000
    assert len(summary(certificate)) >= 3 + len(certificate.reasons)


@pytest.mark.parametrize(("name", "code"), [("gmr", ExitCode.OK), ("plain", ExitCode.FAILED)])
def test_the_command_line(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = "" if name == "gmr" else ", conv=plain_conv"
    (tmp_path / f"my_{name}.py").write_text(
        "from wsipipe.models.networks.unet import GMRUNet\n"
        "from wsipipe.models.networks.blocks import plain_conv\n"
        f"def network():\n    return GMRUNet(widths=(4, 4), kernel_sizes=(3, 3){kind})\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["certify", f"my_{name}:network", "--json", "a.json", "--picture", "a.png"]
    assert app(words, standalone_mode=False) == code
    text = json.loads((tmp_path / "a.json").read_text())
    assert text["passed"] is (code == ExitCode.OK)
    assert ("passes" if text["passed"] else "FAILS") in capsys.readouterr().out
    assert (tmp_path / "a.png").is_file()


def test_a_factory_is_imported() -> None:
    assert load_network_under_test("torch.nn:Identity", torch.float32).name == "torch.nn:Identity"

"""The predictor: shapes, ranges, symmetry and seams of the shipped networks, and what it refuses."""

import numpy as np
import pytest
import torch

from wsipipe.errors import ModelError
from wsipipe.geometry import Orientation
from wsipipe.models import prepare
from wsipipe.models.predictor import Precision, Predictor, choose_device, choose_precision, load_predictor
from wsipipe.store.encoding import quantise

NUCLEI, TISSUE = "nuclei_gmr_unet_0.5", "tissue_gmr_resnet18_1.0"


@pytest.fixture(scope="module")
def nuclei() -> Predictor:
    return load_predictor(NUCLEI, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def tissue() -> Predictor:
    return load_predictor(TISSUE, device="cpu", precision="float32")


def patch(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of purple on pink."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 8, width // 8)) > 0.7
    blobs = np.kron(coarse, np.ones((8, 8), bool))[..., None]
    noise = rng.integers(-12, 12, (height, width, 3))
    return np.clip(np.where(blobs, (90, 60, 140), (230, 170, 200)) + noise, 0, 255).astype(np.uint8)


def test_the_interface_the_stages_rely_on(nuclei: Predictor, tissue: Predictor) -> None:
    assert (nuclei.halo_px, nuclei.lattice_px, nuclei.stride) == (120, 8, 1)
    assert (tissue.halo_px, tissue.lattice_px, tissue.stride) == (304, 16, 16)
    assert nuclei.outputs == ("nucleus", "centre")
    assert len(tissue.outputs) == 8


def test_probabilities_have_the_promised_shape_and_range(nuclei: Predictor, tissue: Predictor) -> None:
    maps = nuclei(patch(64, 96))
    assert maps.shape == (2, 64, 96)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() <= 1
    classes = tissue(patch(64, 96))
    assert classes.shape == (8, 4, 6)
    np.testing.assert_allclose(classes.sum(0), 1, atol=1e-5)


def test_glass_has_no_nuclei_and_is_glass(nuclei: Predictor, tissue: Predictor) -> None:
    white = np.full((128, 128, 3), 245, np.uint8)
    assert nuclei(white)[0].max() < 0.2
    assert tissue.outputs[tissue(white)[:, 4, 4].argmax()] == "BACK"


@pytest.mark.parametrize("orientation", list(Orientation))
def test_a_turned_patch_gives_the_turned_maps(nuclei: Predictor, orientation: Orientation) -> None:
    straight = nuclei(patch(64, 104))
    turned = nuclei(orientation.apply(patch(64, 104)))
    np.testing.assert_allclose(orientation.undo(turned, axes=(1, 2)), straight, rtol=0, atol=1e-5)


def test_a_turned_patch_gives_the_turned_class_map(tissue: Predictor) -> None:
    straight = tissue(patch(96, 144))
    for orientation in (Orientation.R90, Orientation.M0):
        turned = tissue(orientation.apply(patch(96, 144)))
        np.testing.assert_allclose(orientation.undo(turned, axes=(1, 2)), straight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_by_rings_a_turned_patch_of_any_number_of_cells_gives_the_same_bits(precision: Precision) -> None:
    tissue = load_predictor(TISSUE, device="cpu", precision=precision)
    assert tissue.by_rings, "no ring kernel: a compiler is needed for this test"
    for height, width in ((48, 80), (64, 112), (80, 80)):
        straight = tissue(patch(height, width))
        for orientation in Orientation:
            turned = tissue(np.ascontiguousarray(orientation.apply(patch(height, width))))
            np.testing.assert_array_equal(orientation.undo(turned, axes=(1, 2)), straight)


@pytest.mark.parametrize(("halo_px", "seamless"), [(120, True), (0, False)])
def test_the_halo_hides_the_seam(nuclei: Predictor, halo_px: int, seamless: bool) -> None:
    whole = nuclei(patch(280, 296))[:, 120:160, 120:176]
    part = nuclei(patch(280, 296)[120 - halo_px : 160 + halo_px, 120 - halo_px : 176 + halo_px])
    core = part[:, halo_px : halo_px + 40, halo_px : halo_px + 56]
    assert bool(np.abs(core - whole).max() <= 1e-5) is seamless


def test_bfloat16_stays_close(nuclei: Predictor) -> None:
    fast = load_predictor(NUCLEI, device="cpu", precision="bfloat16")
    assert np.abs(fast(patch(64, 64)) - nuclei(patch(64, 64))).mean() < 0.02


def test_wrong_patches_are_refused(nuclei: Predictor) -> None:
    with pytest.raises(ModelError, match="multiples of 8"):
        nuclei(patch(64, 64)[:60])
    with pytest.raises(ModelError, match="uint8"):
        nuclei(patch(64, 64).astype(np.float32))


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(ModelError, match="--device cpu"):
        choose_device("cuda")


def test_unknown_settings_are_refused() -> None:
    assert choose_precision("auto", "cuda") == "bfloat16"
    with pytest.raises(ModelError, match="precision"):
        choose_precision("int4", "cpu")
    with pytest.raises(ModelError, match="device"):
        choose_device("tpu")


def test_without_the_kernels_it_says_so_and_turned_results_agree_within_a_grey_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    def no_compiler(*_: object, **__: object) -> None:
        raise ModelError("no compiler here")

    monkeypatch.setattr(prepare, "freeze", no_compiler)
    # Not caplog: what Dask does to logging in a process that ran a cluster must not decide this test.
    monkeypatch.setattr(prepare.log, "warning", lambda text, *values: said.append(text % values))
    dense = load_predictor(NUCLEI, device="cpu", precision="float32")
    assert any("slower: no compiler here" in text for text in said)
    straight = quantise(dense(patch(64, 72))).astype(int)
    for orientation in Orientation:
        turned = quantise(dense(np.ascontiguousarray(orientation.apply(patch(64, 72))))).astype(int)
        assert np.abs(orientation.undo(turned, axes=(1, 2)) - straight).max() <= 1


def test_a_shifted_image_differs_by_more_than_a_grey_level(nuclei: Predictor) -> None:
    """Sister of the test above: the bound is not one that anything meets."""
    straight = quantise(nuclei(patch(64, 72))).astype(int)
    shifted = quantise(nuclei(np.ascontiguousarray(np.roll(patch(64, 72), 1, axis=0)))).astype(int)
    assert np.abs(np.roll(shifted, -1, axis=1) - straight).max() > 1

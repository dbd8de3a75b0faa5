"""Figures of a network: their content is right, and each writes its file."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from wsipipe.errors import ConfigError, ModelError
from wsipipe.models.certificate.subject import synthetic_tissue
from wsipipe.models.networks.resnet import GMRResNet18
from wsipipe.models.networks.unet import GMRUNet
from wsipipe.training.evaluation.figures import (
    draw_angle_curves,
    draw_embedding,
    draw_kernels,
    draw_rotated_features,
    embeddings,
    features_of,
    rotate_image,
    stages,
)


def unet() -> nn.Module:
    torch.manual_seed(0)
    return GMRUNet(widths=(4, 6), kernel_sizes=(5, 3)).eval()


def tissue(side: int) -> np.ndarray:
    return (255 * synthetic_tissue(side, side)).round().astype(np.uint8)


def has_content(path: Path) -> bool:
    return np.asarray(Image.open(path).convert("L")).std() > 5


def test_a_stage_is_a_new_width_or_kernel_side() -> None:
    names = [name.removesuffix(".conv") for name in stages(unet())]
    assert names == ["down.0.first", "down.1.first", "up.0.first"]
    resnet = GMRResNet18(2, width=4, kernel_sizes=(9, 9, 5, 5))
    assert [name.removesuffix(".conv") for name in stages(resnet)] == [
        "stem",
        "blocks.0.first",
        "blocks.2.first",
        "blocks.4.first",
        "blocks.6.first",
    ]


def test_kernels_of_rings_and_of_plain_convolutions(tmp_path: Path) -> None:
    draw_kernels(unet(), tmp_path / "a.png", per_stage=3)
    draw_kernels(nn.Sequential(nn.Conv2d(3, 2, 3)), tmp_path / "b.png", per_stage=8)
    assert has_content(tmp_path / "a.png")
    assert has_content(tmp_path / "b.png")
    with pytest.raises(ModelError, match="no convolution larger"):
        draw_kernels(nn.Conv2d(3, 2, 1), tmp_path / "c.png")


def test_an_image_turns_counter_clockwise() -> None:
    image = tissue(32)
    np.testing.assert_array_equal(rotate_image(image, 90), np.rot90(image))
    assert (rotate_image(image, 45)[0, 0] == 255).all()


def test_features_of_a_layer_turn_along() -> None:
    image = tissue(32)
    straight = features_of(unet(), "down.1.second", image)
    turned = features_of(unet(), "down.1.second", np.rot90(image))
    np.testing.assert_allclose(np.rot90(turned, -1, axes=(1, 2)), straight, rtol=0, atol=1e-5)
    assert straight.shape == (6, 16, 16)
    with pytest.raises(ModelError, match=r"no layer 'down\.9'"):
        features_of(unet(), "down.9", image)


def test_rotated_features(tmp_path: Path) -> None:
    draw_rotated_features(unet(), tissue(32), ["down.0.second", "head"], tmp_path / "a.png", degrees=(0, 30))
    assert has_content(tmp_path / "a.png")


def test_angle_curves(tmp_path: Path) -> None:
    degrees = range(0, 360, 90)
    draw_angle_curves(
        {"a": np.array([0.9, 0.8, 0.9, 0.8]), "b": np.full(4, 0.7)}, degrees, tmp_path / "a.png"
    )
    assert has_content(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="3 values for 4 angles"):
        draw_angle_curves({"a": np.ones(3)}, degrees, tmp_path / "b.png")


def test_embeddings_do_not_depend_on_orientation() -> None:
    torch.manual_seed(0)
    resnet = GMRResNet18(2, width=4, kernel_sizes=(3, 3, 3, 3)).eval()
    image = tissue(32)
    vectors = embeddings(resnet.features, [image, np.rot90(image), image[::-1], image // 2])
    assert vectors.shape == (4, 32)
    np.testing.assert_allclose(vectors[1:3], vectors[[0, 0]], rtol=1e-4, atol=1e-3)
    assert np.abs(vectors[3] - vectors[0]).max() > 1e-3


def test_embedding(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn absent: pip install 'wsipipe-gmr[train]'")
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    draw_embedding(rng.normal(size=(30, 8)) + 5 * labels[:, None], labels, ["a", "b"], tmp_path / "a.png")
    assert has_content(tmp_path / "a.png")


def test_missing_scikit_learn_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ConfigError, match=r"pip install 'wsipipe-gmr\[train\]'"):
        draw_embedding(np.ones((4, 2)), np.zeros(4), ["a"], tmp_path / "a.png")

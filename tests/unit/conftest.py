"""What unit tests share."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from wsipipe import cli
from wsipipe.geometry import Array
from wsipipe.models.cards.onnx_card import OnnxCard


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Runs the command line in this process: exit code, standard output, standard error."""
    # The root logger of a test must not keep a stream that ends with it.
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def type_(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wsipipe", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return (left.value.code, *capsys.readouterr())

    return type_


@dataclass
class FakeTensor:
    name: str
    shape: Sequence[int | str | None]
    type: str = "tensor(float)"


@dataclass
class FakeSession:
    """A small network with the interface of onnxruntime's session: 7 x 7, ReLU, 1 x 1."""

    seed: int = 0
    channels: int = 2
    stride: int = 1
    change: Callable[[Array], Array] = np.asarray
    inputs: list[FakeTensor] = field(default_factory=lambda: [FakeTensor("image", ["n", 3, "h", "w"])])
    outputs: list[FakeTensor] = field(default_factory=lambda: [FakeTensor("maps", ["n", None, "h", "w"])])
    seen: list[Array] = field(default_factory=list)

    def get_inputs(self) -> list[FakeTensor]:
        return self.inputs

    def get_outputs(self) -> list[FakeTensor]:
        return self.outputs

    def run(self, names: list[str], feed: dict[str, Array]) -> list[Array]:
        assert names == [self.outputs[0].name]
        (image,) = feed[self.inputs[0].name]
        assert image.dtype == np.float32
        self.seen.append(image)
        import torch  # most unit tests do without

        rng = np.random.default_rng(self.seed)
        kernels, mixing = rng.normal(size=(2, 3, 7, 7)), rng.normal(size=(self.channels, 2))
        pixels = torch.from_numpy(image.astype(np.float64))[None]
        hidden = torch.nn.functional.conv2d(pixels, torch.from_numpy(kernels), padding=3)[0].relu().numpy()
        maps = np.einsum("ck,khw->chw", mixing, hidden)[:, :: self.stride, :: self.stride]
        return [self.change(maps[None].astype(np.float32))]


@pytest.fixture
def fake_session() -> type[FakeSession]:
    """A network in place of onnxruntime's: random, and the same in no two orientations."""
    return FakeSession


@pytest.fixture
def onnx_card() -> Callable[..., OnnxCard]:
    """Makes the card of such a network; a field that is ``...`` is left out."""

    def make(**changes: Any) -> OnnxCard:
        content: dict[str, Any] = {
            "name": "peer",
            "mpp": 0.5,
            "halo_px": 4,
            "lattice_px": 4,
            "window_px": 44,
            "normalisation": {"mean": [0.5, 0.6, 0.7], "sd": [0.2, 0.3, 0.4]},
            "outputs": [{"name": "nucleus"}, {"name": "centre"}],
            "activation": "sigmoid",
            "sha256": "0" * 64,
            "data": ["made"],
            "licence": "CC0-1.0",
            "non_commercial": False,
        }
        content = {key: value for key, value in (content | changes).items() if value is not ...}
        return OnnxCard.model_validate(content)

    return make

"""The card of an ONNX network that another tool trained."""

import math
from importlib.util import find_spec
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wsipipe.common.distribution import install_command
from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard, Normalisation

INSTALL = install_command("onnx")
LEAST_CORE_PX = 256
OTHER_METHODS = {
    "np": "HoVer-Net",
    "hv": "HoVer-Net",
    "tp": "HoVer-Net",
    "flow_y": "Cellpose",
    "flow_x": "Cellpose",
    "rays": "StarDist",
    "instances": "InstanSeg",
}
"""Outputs whose nuclei come from a post-processing that wsipipe does not have, and whose it is."""
_NOT_FOR_ONNX: dict[str, object] = {"mode": "radial", "known": None}
Three = tuple[float, float, float]


class ChannelNormalisation(Normalisation):
    """Normalisation of each channel, ((value - offset) / scale - mean) / sd.

    By default values of 0 to 255 become 0 to 1.

    Attributes:
        offset: Offset of the value range, 0 to 255.
        scale: Width of the value range: 255 for values of 0 to 1.
        mean: Mean of each channel after that.
        sd: Standard deviation of each channel.
        channels: Order of the channels that the network takes.
    """

    offset: float = 0.0
    scale: float = Field(default=255.0, gt=0)
    mean: Three = (0.0, 0.0, 0.0)
    sd: Three = (1.0, 1.0, 1.0)
    channels: Literal["RGB", "BGR"] = "RGB"

    @model_validator(mode="after")
    def _positive_sd(self) -> Self:
        if min(self.sd) <= 0:
            raise ValueError("each sd must be above 0")
        return self


class OnnxCard(ModelCard):
    """Card of an ONNX network, ``NAME.json`` in the folder of its file.

    On slides the network always runs on windows of one size, placed symmetrically about the middle of the
    canvas, so its results depend neither on shards nor on patches.

    Attributes:
        architecture: Always ``onnx``.
        arguments: Not used.
        normalisation: Normalisation of the pixels; the card must state it.
        halo_px: Context that an output needs on each side, px of the network's image, a multiple of the
            lattice; the card must state it.
        lattice_px: Divisor of the extents that the network takes.
        values: Whether the outputs are raw ``scores``, to which the activation is applied, or are
            ``probabilities`` already.
        symmetrise: Whether the outputs of the eight orientations are averaged, which makes any network
            exactly invariant at eight times the cost.
        window_px: Side of a window with its halo, px; None for the smallest whose core has 256 px, and twice
            the halo.
        input_tensor: Name of the input; empty where there is one.
        output_tensor: Name of the output that has the channels; empty where there is one.
    """

    architecture: Literal["onnx"] = "onnx"
    arguments: dict[str, Any] = Field(default={}, max_length=0)
    normalisation: ChannelNormalisation
    halo_px: int = Field(ge=0)
    lattice_px: int = Field(default=32, ge=1)
    values: Literal["scores", "probabilities"] = "scores"
    symmetrise: bool = False
    window_px: int | None = Field(default=None, ge=1)
    input_tensor: str = ""
    output_tensor: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, default in _NOT_FOR_ONNX.items():
            if getattr(self, name) != default:
                raise ValueError(f"{name} is not for ONNX networks; remove it")
        for output in self.outputs:
            if output.name in OTHER_METHODS:
                raise ValueError(
                    f"the output {output.name} is one of {OTHER_METHODS[output.name]}, whose nuclei need "
                    "its own "
                    "post-processing, which wsipipe does not have; export maps named nucleus and centre"
                )
        if self.values == "probabilities" and self.temperature != 1:
            raise ValueError("temperature divides scores, but values is probabilities; remove it")
        self._check_sizes()
        return self

    def _check_sizes(self) -> None:
        unit = self.window_unit_px
        if self.stride & (self.stride - 1):
            raise ValueError(f"stride {self.stride} must be a power of two")
        if self.halo_px % unit:
            raise ValueError(
                f"halo_px {self.halo_px} must be a multiple of {unit} (of lattice_px and stride); set "
                f"{-(-self.halo_px // unit) * unit}"
            )
        if self.side_px % unit or self.core_px < 1:
            raise ValueError(
                f"window_px {self.side_px} must be a multiple of {unit} (of lattice_px and stride) and "
                f"larger than twice the halo of {self.halo_px} px"
            )

    @property
    def window_unit_px(self) -> int:
        """Divisor of the side of windows, px."""
        return math.lcm(self.lattice_px, self.stride)

    @property
    def side_px(self) -> int:
        """Side of a window, its halo included, px."""
        if self.window_px is not None:
            return self.window_px
        least = 2 * self.halo_px + max(LEAST_CORE_PX, 2 * self.halo_px)
        return math.ceil(least / self.window_unit_px) * self.window_unit_px

    @property
    def core_px(self) -> int:
        """Side of the part of a window that is kept, px."""
        return self.side_px - 2 * self.halo_px

    @property
    def canvas_unit_px(self) -> int:
        """Divisor of the canvas's sides: its middle is a whole cell; windows need no other lattice."""
        return 2 * self.stride

    def check_runnable(self) -> None:
        """Check that onnxruntime is installed.

        Raises:
            ModelError: It is not.
        """
        if find_spec("onnxruntime") is None:
            raise ModelError(
                f"The network {self.name} cannot run: it needs onnxruntime, which is not installed. Run "
                f"{INSTALL}."
            )

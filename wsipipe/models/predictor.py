"""Inference: RGB patch in, probabilities out.

Weights are folded, precision and device are chosen. The predictor adds no context: the caller reads core +
halo, and crops the core out of the output.
"""

import logging
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import ModelError
from wsipipe.models.activation import activated
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import ONNX_SUFFIX, find_weights
from wsipipe.models.foreign.predictor import OnnxPredictor, load_onnx
from wsipipe.models.kernels.fused import cpu_kind
from wsipipe.models.kernels.ring_layer import RingConv2d
from wsipipe.models.known_features import distance, read_known
from wsipipe.models.networks.registry import load
from wsipipe.models.precision import best_precision, processor_name
from wsipipe.models.prepare import prepare_network, scores_of
from wsipipe.models.streaming.area import Area, Found
from wsipipe.models.streaming.network import BandedNetwork
from wsipipe.models.streaming.predict import BandPredictor

notices = logging.getLogger("wsipipe.notice")
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float64"]
Probabilities = npt.NDArray[np.float32]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


class Predictor:
    """A network ready for inference.

    RGB patch (H, W, 3) uint8 -> probabilities (C, H / stride, W / stride) float32 in [0, 1]. Where the card
    has a ``stain_reference`` the patch must already be normalised to it, see :mod:`wsipipe.stages.stain`.

    Attributes:
        card: Card of the network.
        halo_px: Context a core on the lattice needs on each side, px, a multiple of ``lattice_px``.
        lattice_px: Divisor of the origins and extents of patches.
        stride: Patch px per output px, along y and x.
        outputs: Names of the C maps or classes.
        device: Device of the network.
        precision: Numerical precision.
        by_rings: Whether it uses the ring kernels, whose results are bitwise equal in all orientations.

    The known features (n, F) are given by :func:`load_predictor`, for :meth:`with_unknown`.
    """

    def __init__(
        self,
        network: nn.Module,
        card: ModelCard,
        device: str,
        precision: str,
        known: torch.Tensor | None = None,
    ) -> None:
        self.card = card
        self.halo_px: int = network.halo_px
        self.lattice_px: int = network.lattice_px
        self.stride: int = network.stride
        self.outputs = card.output_names
        self.device, self.precision = device, precision
        self._dtype = DTYPES[precision]
        self._known = None if known is None else known.to(device)
        self._network = prepare_network(network, device, self._dtype)
        self.by_rings = any(isinstance(module, RingConv2d) for module in self._network.modules())
        self._scores = scores_of(self._network)

    def in_words(self) -> str:
        """Return precision, implementation and processor, for the run record."""
        if self.device == "cuda":
            return f"{self.precision}, torch, {torch.cuda.get_device_name()}"
        kind = cpu_kind().removeprefix("cpu").strip() or "portable"
        implementation = f"ring kernels ({kind})" if self.by_rings else "torch"
        return f"{self.precision}, {implementation}, {processor_name()}"

    def __call__(self, patch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probabilities of a patch.

        Args:
            patch: RGB (H, W, 3) uint8.

        Returns:
            Probabilities (C, H / stride, W / stride) float32 in [0, 1].

        Raises:
            ModelError: The patch is not RGB uint8, H or W is no multiple of ``lattice_px``, or the output
                holds NaN.
        """
        return self._checked(self.probabilities(self._normalised(patch))[0])

    def with_unknown(self, patch: npt.NDArray[np.uint8]) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
        """Return the probabilities, and where the features are unknown.

        The mask (H / stride, W / stride) marks features beyond those of the training data. Only for a
        classifier whose card has ``known`` features.

        Raises:
            ModelError: As for a call, or the card has no known features.
        """
        image = self._normalised(patch)
        with torch.inference_mode():
            scores, features = self._network.logit_and_feature_maps(image)
            return self._checked(self._activated(scores)[0]), self._is_unknown(features).cpu().numpy()

    @property
    def in_bands(self) -> bool:
        """Whether :meth:`bands` is possible: all layers are ring kernels on a CPU."""
        return self._banded is not None

    @cached_property
    def _banded(self) -> BandedNetwork | None:
        on_cpu = self.by_rings and self.device == "cpu"
        return BandedNetwork.of(self._network, self.lattice_px) if on_cpu else None

    def bands(self, pixels: npt.NDArray[np.uint8], area: Area, unknown: bool = False) -> Iterator[Found]:
        """Yield the probabilities of the wanted cells of an area, band after band.

        They are those of one call for the whole image, bit for bit.

        Args:
            pixels: RGB (H, W, 3) uint8, the core and its context.
            area: What to compute.
            unknown: Also report where the features are unknown.

        Raises:
            ModelError: As for a call, or the core is off the lattice or lacks context.
        """
        if self._banded is None:
            raise ModelError(f"The network {self.card.name} cannot run in bands here. Call it on patches.")
        how = (self._normalised, self._activated, self._is_unknown)
        for region, found, beyond in BandPredictor(self._network, self._banded, *how).run(
            pixels, area, unknown
        ):
            yield Found(region, self._checked(found), None if beyond is None else beyond.numpy())

    def _is_unknown(self, means: torch.Tensor) -> torch.Tensor:
        """Return where means of features (1, F, h, w) are unknown, (h, w) bool."""
        if self._known is None or self.card.known is None:
            raise ModelError(f"The card of {self.card.name} does not say which features are known.")
        return distance(means, self._known)[0] > self.card.known.limit

    def _checked(self, found: torch.Tensor) -> Probabilities:
        fault_point("model.oom")
        if fault_point("model.nan") or found.isnan().any():
            raise ModelError(
                f"The output of {self.card.name} on a patch is NaN: the weights do not suit "
                f"{self.precision}, or are damaged. Set precision=float32, or restore them."
            )
        return found.cpu().numpy()

    def probabilities(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of normalised images.

        Args:
            image: RGB (B, 3, H, W) in ``precision``.

        Returns:
            Probabilities (B, C, H / stride, W / stride) float32 in [0, 1].
        """
        with torch.inference_mode():
            return self._activated(self._scores(image))

    def _activated(self, scores: torch.Tensor) -> torch.Tensor:
        # In float64, since exp in float32 differs in its last bit between processors, and between the end
        # and the inside of an array.
        return activated(scores.double(), self.card).float()

    def _normalised(self, patch: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Return a patch (H, W, 3) as (1, 3, H, W), with white at 0.

        It is exact even in bfloat16, whose 8 bits hold 0 to 255.
        """
        if patch.dtype != np.uint8 or patch.ndim != 3 or patch.shape[2] != 3:
            raise ModelError(f"The patch is {patch.shape} {patch.dtype}. Give RGB, (H, W, 3) uint8.")
        pixels = torch.from_numpy(np.ascontiguousarray(patch)).to(self.device)
        pixels = pixels.permute(2, 0, 1)[None].to(self._dtype)
        how = self.card.normalisation
        return (pixels - how.offset) / how.scale


AnyPredictor = Predictor | OnnxPredictor


def load_predictor(
    weights: str | Path,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: int = 1,
    unknown: bool = False,
) -> AnyPredictor:
    """Load the predictor of a model name, ``.safetensors`` or ``.onnx`` path.

    An ONNX network always runs on CPUs and in float32.

    Args:
        weights: Model name or path; see :func:`wsipipe.models.cards.weights.find_weights`.
        device: ``cpu`` or ``cuda``; ``auto`` is CUDA where there is one.
        precision: Numerical precision; ``auto`` is bfloat16 on CUDA and on CPUs that multiply it in hardware,
            else float32.
        threads: Number of CPU threads of torch, for the whole process.
        unknown: Load what :meth:`Predictor.with_unknown` needs.

    Raises:
        ModelError: Weights or card are missing, damaged or unfit, or CUDA is requested but not available.
    """
    fault_point("model.load")
    if find_weights(weights).suffix == ONNX_SUFFIX:
        foreign = load_onnx(weights, threads)
        _notice(foreign.card)
        return foreign
    network, card = load(weights)
    _notice(card)
    where = choose_device(device)
    torch.set_num_threads(threads)
    known = read_known(find_weights(weights), card) if unknown else None
    return Predictor(network, card, where, choose_precision(precision, where), known)


def _notice(card: ModelCard) -> None:
    if card.non_commercial:
        notices.warning("The weights %s are for non-commercial research only (%s).", card.name, card.licence)


def choose_device(device: Device) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        ModelError: CUDA is requested but not available, or the name is unknown.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "device cuda is not available: torch finds no GPU. Use --device cpu or --device auto."
        )
    if device not in ("cpu", "cuda"):
        raise ModelError(f"device {device!r} is unknown. Use auto, cpu or cuda.")
    return device


def choose_precision(precision: Precision, device: str) -> str:
    """Return ``float32``, ``bfloat16`` or ``float64``.

    Raises:
        ModelError: The name is none of these.
    """
    if precision == "auto":
        return best_precision(device)
    if precision not in DTYPES:
        raise ModelError(f"precision {precision!r} is unknown. Use auto, {', '.join(DTYPES)}.")
    return precision

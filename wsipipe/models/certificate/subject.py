"""The network under test, and synthetic test images.

Any torch model (B, 3, H, W) -> map or vector can be tested.
"""

import copy
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import Normalisation
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.registry import load
from wsipipe.models.predictor import Predictor
from wsipipe.models.prepare import scores_of

DEFAULT_LATTICE_PX = 32
Image = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NetworkUnderTest:
    """A network ready to be measured.

    Attributes:
        name: Name on the certificate.
        network: Copy in eval mode whose weights take no gradient.
        scores: Function from image (B, 3, H, W) to raw scores (B, C, h, w) or (B, C).
        parameters: Number of trained parameters, before folding.
        lattice_px: Divisor of the extents of patches.
        halo_px: Context that it declares to need; None if it declares none.
        normalisation: Normalisation of pixels of 0 to 255.
        sha256: SHA-256 of the weight file, if any.
        by_rings: Function from image to probabilities with the ring kernels, as on slides; None if they are
            not used.
        independent: True if each channel is decided alone (sigmoid); False if the largest one wins.
    """

    name: str
    network: nn.Module
    scores: Callable[[torch.Tensor], torch.Tensor]
    parameters: int
    lattice_px: int
    halo_px: int | None
    normalisation: Normalisation = field(default_factory=Normalisation)
    sha256: str | None = None
    by_rings: Callable[[torch.Tensor], torch.Tensor] | None = None
    independent: bool = False

    def copied(self, dtype: torch.dtype) -> "NetworkUnderTest":
        """Return this with a copy of the network in another ``dtype``."""
        network = copy.deepcopy(self.network).to(dtype)
        return replace(self, network=network, scores=scores_of(network))

    def tensor(self, image: Image, dtype: torch.dtype) -> torch.Tensor:
        """Normalise an image for the network.

        Args:
            image: Image (H, W, 3) in [0, 1].
            dtype: Numerical precision.

        Returns:
            Tensor (1, 3, H, W).
        """
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return ((255 * pixels - self.normalisation.offset) / self.normalisation.scale).to(dtype)

    def output(self, image: torch.Tensor) -> torch.Tensor:
        """Return raw scores, float32 at least, and finite.

        Raises:
            ModelError: The size is refused, or the output is neither map nor vector, or holds NaN or
                infinity.
        """
        try:
            scores = self.scores(image)
        except ModelError:
            raise
        except (RuntimeError, ValueError, AssertionError) as error:
            size = f"{image.shape[2]} x {image.shape[3]} px"
            raise ModelError(f"{self.name} does not take {size}: {str(error).strip()[:200]}") from error
        if not isinstance(scores, torch.Tensor) or scores.ndim not in (2, 4):
            found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
            raise ModelError(
                f"The output of {self.name} is {found}. Give a model whose output is (B, C, h, w) or (B, C)."
            )
        if not torch.isfinite(scores).all():
            raise ModelError(
                f"The output of {self.name} on an ordinary image holds NaN or infinity. Use other weights."
            )
        return scores.to(torch.promote_types(scores.dtype, torch.float32))


def load_network_under_test(
    model: str | Path | nn.Module, dtype: torch.dtype, lattice_px: int | None = None
) -> NetworkUnderTest:
    """Load the network under test.

    Weights are folded as they are when slides are run. A module is copied; the copy is in eval mode.

    Args:
        model: Name of a shipped model, weight file, ``package.module:factory``, or module.
        dtype: Numerical precision.
        lattice_px: Divisor of the extents that a module takes; None to read it from the module.

    Raises:
        ModelError: There is no such model, or it is not a torch module.
    """
    if isinstance(model, nn.Module):
        return wrap_network(model, type(model).__name__, dtype, lattice_px)
    if ":" in str(model) and not Path(model).exists():
        return wrap_network(_imported(str(model)), str(model), dtype, lattice_px)
    network, card = load(model)
    predictor = Predictor(network, card, "cpu", str(dtype).removeprefix("torch."))
    plain = folded(network.double()).to(dtype).requires_grad_(False)
    return NetworkUnderTest(
        name=card.name,
        network=plain,
        scores=scores_of(plain),
        parameters=_parameters(network),
        lattice_px=card.lattice_px,
        halo_px=card.halo_px,
        normalisation=card.normalisation,
        sha256=card.sha256,
        by_rings=predictor.probabilities if predictor.by_rings else None,
        independent=card.activation == "sigmoid",
    )


def wrap_network(
    network: nn.Module, name: str, dtype: torch.dtype, lattice_px: int | None = None
) -> NetworkUnderTest:
    """Wrap any module as a network under test.

    ``lattice_px`` and ``halo_px`` are read from it where it has them.
    """
    network = copy.deepcopy(network).to(dtype).eval().requires_grad_(False)
    lattice = getattr(network, "lattice_px", DEFAULT_LATTICE_PX) if lattice_px is None else lattice_px
    return NetworkUnderTest(
        name=name,
        network=network,
        scores=scores_of(network),
        parameters=_parameters(network),
        lattice_px=lattice,
        halo_px=getattr(network, "halo_px", None),
    )


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _imported(where: str) -> nn.Module:
    module, _, factory = where.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ModelError(
            f"{where} could not be imported and called without arguments: {error}. Name a function of an "
            "importable module that returns a torch model."
        ) from error
    finally:
        sys.path.pop(0)
    if not isinstance(made, nn.Module):
        raise ModelError(f"{where} returns {type(made).__name__}. It must return a torch.nn.Module.")
    return made


def synthetic_tissue(height: int, width: int, degrees: float = 0.0, seed: int = 0) -> Image:
    """Return a synthetic tissue image (H, W, 3) in [0, 1].

    It shows dark ellipses and waves on a pink disc, white around, rotated exactly: it is a formula of the
    position, not an array that is resampled, so a rotation costs no sharpness. Its edges are as soft as a
    Gaussian of 2 px, so next to nothing in it is finer than 4 px.
    """
    rng = np.random.default_rng(seed)
    y, x = rotated_positions(height, width, degrees)
    radius = 0.42 * min(height, width)
    inside = 1 / (1 + np.exp((np.hypot(y, x) - radius) / 2))
    waves = np.zeros_like(y)
    for _ in range(12):
        frequency, direction, phase = rng.uniform(0.01, 0.12), *rng.uniform(0, 2 * np.pi, 2)
        along = np.cos(direction) * x + np.sin(direction) * y
        waves += np.cos(2 * np.pi * frequency * along + phase) / 12
    dark = np.zeros_like(y)
    for _ in range(max(8, int(radius**2 / 90))):
        place, angle = rng.uniform(-radius, radius, 2), rng.uniform(0, np.pi)
        long, short = rng.uniform(3.5, 6), rng.uniform(2, 3.5)
        dark = np.maximum(dark, _ellipse(y - place[0], x - place[1], angle, long, short))
    eosin, haematoxylin = 0.35 * (1 + waves) * inside, 1.1 * dark * inside
    absorbance = eosin[..., None] * [0.3, 1.1, 0.5] + haematoxylin[..., None] * [1.0, 1.2, 0.45]
    return np.exp(-absorbance)


def rotated_positions(height: int, width: int, degrees: float) -> tuple[Image, Image]:
    """Return the upright positions of the px of a rotated image.

    Positions are (y, x) from the centre.
    """
    y, x = np.meshgrid(
        np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
    )
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return cos * y + sin * x, cos * x - sin * y


def _ellipse(y: Image, x: Image, angle: float, long: float, short: float) -> Image:
    """Return 1 inside an ellipse, with a soft edge.

    Half axes are in px.
    """
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    distance = (np.hypot(along / long, across / short) - 1) * short
    return 1 / (1 + np.exp(np.clip(distance / 1.2, -50, 50)))

"""Inference with an ONNX network: RGB patch in, probabilities out.

``symmetrise`` averages the eight orientations exactly. Rotating a patch permutes the eight runs among each
other. Each run's probabilities become integers before they are rotated back and added, so the sum has the
same bits in any order.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipipe.common.fault_injection import fault_point
from wsipipe.errors import ModelError
from wsipipe.geometry import Array, Orientation
from wsipipe.models.cards.onnx_card import ChannelNormalisation, OnnxCard
from wsipipe.models.cards.weights import find_weights, read_card
from wsipipe.models.foreign.session import OnnxSession, check_session, first_line, open_session
from wsipipe.models.precision import processor_name

ONE = 1 << 24
"""Integer of probability 1: as fine as float32 just below 1; eight of them fit into 32 bits."""
ROUNDING = 1e-4
"""Largest excess of probabilities beyond 0 to 1, as rounding."""


class OnnxPredictor:
    """An ONNX network ready for inference on CPUs, in float32.

    RGB patch (H, W, 3) uint8 -> probabilities (C, H / stride, W / stride) float32 in [0, 1].

    Attributes:
        card: Card of the network.
        halo_px: Context that a core on the lattice needs on each side, px, a multiple of ``lattice_px``.
        lattice_px: Divisor of the extents of patches.
        stride: Patch px per output px, along y and x.
        outputs: Names of the C maps or classes.
        device: Always ``cpu``.
        precision: Always ``float32``.
        by_rings: Always False.
        in_bands: Always False.
    """

    by_rings = in_bands = False
    device, precision = "cpu", "float32"

    def __init__(self, session: OnnxSession, card: OnnxCard, threads: int = 1) -> None:
        """Check the network against its card.

        Args:
            session: The open network.
            card: Its card.
            threads: Number of orientations that run at once.

        Raises:
            ModelError: The network takes or gives anything else than the card says.
        """
        self.card = card
        self.halo_px, self.lattice_px, self.stride = card.halo_px, card.window_unit_px, card.stride
        self.outputs = card.output_names
        self._session, self._threads = session, threads
        self._names = check_session(session, card)
        self._values = pixel_values(card.normalisation)

    def in_words(self) -> str:
        """Return precision, implementation and processor, for the run record."""
        return f"{self.precision}, onnxruntime, {processor_name()}"

    def __call__(self, patch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the probabilities of a patch.

        Args:
            patch: RGB (H, W, 3) uint8.

        Returns:
            Probabilities (C, H / stride, W / stride) float32 in [0, 1].

        Raises:
            ModelError: The patch is not RGB uint8, H or W is no multiple of ``lattice_px``, or the network
                fails, changes the shape, or gives NaN or values beyond its card's.
        """
        self._check_patch(patch)
        if not self.card.symmetrise:
            return self._run(patch).astype(np.float32)
        with ThreadPoolExecutor(self._threads) as pool:
            total = sum(pool.map(partial(self._fixed_point, patch), Orientation))
        return np.divide(total, 8 * ONE, dtype=np.float64).astype(np.float32)

    def of_one_orientation(self) -> "OnnxPredictor":
        """Return the same network without ``symmetrise``."""
        return OnnxPredictor(self._session, self.card.model_copy(update={"symmetrise": False}))

    def with_unknown(self, patch: Array) -> tuple[Array, Array]:
        """Refuse, since an ONNX network gives no features.

        Raises:
            ModelError: Always.
        """
        raise ModelError(f"The card of {self.card.name} does not say which features are known.")

    def _fixed_point(self, patch: Array, orientation: Orientation) -> Array:
        """Return the probabilities of one orientation as integers (C, h, w), rotated back."""
        found = self._run(orientation.apply(patch))
        return orientation.undo(np.rint(found * ONE).astype(np.int32), axes=(1, 2))

    def _run(self, patch: Array) -> Array:
        """Return the probabilities (C, h, w) float64 of one run."""
        image = np.stack([self._values[channel][patch[..., channel]] for channel in range(3)])
        if self.card.normalisation.channels == "BGR":
            image = image[::-1]
        feed = {self._names.input: np.ascontiguousarray(image[None])}
        fault_point("model.oom")
        try:
            (found,) = self._session.run([self._names.output], feed)
        except Exception as error:  # onnxruntime raises classes of its own
            size = f"{patch.shape[0]} x {patch.shape[1]} px"
            raise ModelError(
                f"{self.card.name} failed on an image of {size}: {first_line(error)}. Check its card "
                "(lattice_px "
                f"{self.lattice_px}) and its dynamic axes."
            ) from error
        return self._probabilities(self._checked(np.asarray(found), patch.shape))

    def _checked(self, found: Array, shape: tuple[int, ...]) -> Array:
        expected = (1, len(self.outputs), shape[0] // self.stride, shape[1] // self.stride)
        if found.shape != expected:
            raise ModelError(
                f"{self.card.name} changes the shape: an image of {shape[0]} x {shape[1]} px gave "
                f"{found.shape}, "
                f"but its card promises {expected} (batch, outputs, height / stride, width / stride). "
                "Correct "
                "the card, or export the network with padding."
            )
        if fault_point("model.nan") or not np.isfinite(found).all():
            raise ModelError(
                f"The output of {self.card.name} on a patch holds NaN or infinity. Check the card's "
                "normalisation "
                "and the file."
            )
        return found[0].astype(np.float64)

    def _probabilities(self, found: Array) -> Array:
        if self.card.values == "scores":
            found = found / self.card.temperature
            if self.card.activation == "sigmoid":
                return 0.5 + 0.5 * np.tanh(0.5 * found)
            powers = np.exp(found - found.max(axis=0))
            return powers / powers.sum(axis=0)
        lowest, highest = float(found.min()), float(found.max())
        if lowest < -ROUNDING or highest > 1 + ROUNDING:
            raise ModelError(
                f"The output of {self.card.name} is between {lowest:.3g} and {highest:.3g}, but its card "
                "says "
                'that values are probabilities. Set "values": "scores", or correct the export.'
            )
        return np.clip(found, 0, 1)

    def _check_patch(self, patch: Array) -> None:
        if patch.dtype != np.uint8 or patch.ndim != 3 or patch.shape[2] != 3:
            raise ModelError(f"The patch is {patch.shape} {patch.dtype}. Give RGB, (H, W, 3) uint8.")
        unit = self.lattice_px
        if patch.shape[0] % unit or patch.shape[1] % unit:
            raise ModelError(
                f"{self.card.name} does not take {patch.shape[0]} x {patch.shape[1]} px. Give multiples of "
                f"{unit} px."
            )


def pixel_values(how: ChannelNormalisation) -> npt.NDArray[np.float32]:
    """Return the normalised values (3, 256) float32 of red, green and blue.

    Mean and sd are in the order of the network's channels.
    """
    order = slice(None) if how.channels == "RGB" else slice(None, None, -1)
    mean, sd = np.array(how.mean)[order, None], np.array(how.sd)[order, None]
    return (((np.arange(256) - how.offset) / how.scale - mean) / sd).astype(np.float32)


def load_onnx(weights: str | Path, threads: int = 1) -> OnnxPredictor:
    """Load the predictor of an ONNX file.

    Args:
        weights: Path of the file; its card is in the same folder.
        threads: Number of orientations that run at once.

    Raises:
        ModelError: File or card are missing, damaged or unfit, or onnxruntime is not installed.
    """
    card = read_card(weights)
    if not isinstance(card, OnnxCard):
        raise ModelError(f"{weights} is not an ONNX network. Name a file that ends with .onnx.")
    return OnnxPredictor(open_session(find_weights(weights), card), card, threads)

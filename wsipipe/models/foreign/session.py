"""Open an ONNX file and check it against its card."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wsipipe.errors import ModelError
from wsipipe.geometry import Array
from wsipipe.models.cards.onnx_card import OnnxCard


class Tensor(Protocol):
    """Name, type and shape of an input or output; free extents are names or None."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class OnnxSession(Protocol):
    """The part of ``onnxruntime.InferenceSession`` that is used."""

    def get_inputs(self) -> Sequence[Tensor]:
        """Return the inputs."""
        ...

    def get_outputs(self) -> Sequence[Tensor]:
        """Return the outputs."""
        ...

    def run(self, names: list[str], feed: dict[str, Array], /) -> Sequence[Array]:
        """Return the named outputs for the inputs."""
        ...


class TensorNames(NamedTuple):
    """Names of the tensors that are fed and read."""

    input: str
    output: str


def open_session(path: Path, card: OnnxCard) -> OnnxSession:
    """Open an ONNX file on one CPU thread.

    The graph is loaded from the very bytes whose hash is checked, so it cannot refer to other files.

    Args:
        path: The ONNX file.
        card: Its card.

    Raises:
        ModelError: onnxruntime is not installed, the file is not the one of the card, or it does not open.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., its card says {card.sha256[:12]}...: the file is damaged "
            "or "
            "belongs to another card. Restore both from one source."
        )
    card.check_runnable()
    # An extra, which only runs with such a network need.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread, so that no sum depends on how work is divided.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own
        raise ModelError(
            f"{path} cannot be opened by onnxruntime: {first_line(error)}. Export it again as one file, "
            "without "
            "external data and custom operators."
        ) from error


def check_session(session: OnnxSession, card: OnnxCard) -> TensorNames:
    """Check inputs and outputs against the card.

    Returns:
        Names of the tensors to use.

    Raises:
        ModelError: The network takes or gives anything else than the card says.
    """
    given = _chosen(session.get_inputs(), card.input_tensor, card, "input")
    found = _chosen(session.get_outputs(), card.output_tensor, card, "output")
    _check_tensor(given, card, "input", 3)
    _check_tensor(found, card, "output", len(card.outputs))
    return TensorNames(given.name, found.name)


def _chosen(tensors: Sequence[Tensor], wanted: str, card: OnnxCard, kind: str) -> Tensor:
    names = [tensor.name for tensor in tensors]
    if kind == "input" and len(names) > 1:
        raise ModelError(
            f"{card.name} has {len(names)} inputs ({', '.join(names)}). Export it with the image alone."
        )
    if wanted:
        if wanted not in names:
            raise ModelError(
                f"{card.name} has no {kind} {wanted!r}, which its card names as {kind}_tensor. It has "
                f"{', '.join(names)}; name one of these."
            )
        return tensors[names.index(wanted)]
    if len(names) != 1:
        raise ModelError(
            f"{card.name} has {len(names)} {kind}s: {', '.join(names)}. Name the one to use in the card as "
            f"{kind}_tensor."
        )
    return tensors[0]


def _check_tensor(tensor: Tensor, card: OnnxCard, kind: str, channels: int) -> None:
    shape = [extent if isinstance(extent, int) else None for extent in tensor.shape]
    if tensor.type != "tensor(float)":
        raise ModelError(
            f"The {kind} {tensor.name} of {card.name} is {tensor.type}, not tensor(float). Export it in "
            "float32."
        )
    if len(shape) != 4:
        raise ModelError(
            f"The {kind} {tensor.name} of {card.name} has {len(shape)} axes, not 4: (batch, channels, "
            "height, "
            "width). Export a network that gives a map of the image."
        )
    if shape[1] not in (None, channels):
        of = (
            "RGB"
            if kind == "input"
            else f"the {channels} outputs of its card ({', '.join(card.output_names)})"
        )
        raise ModelError(
            f"The {kind} {tensor.name} of {card.name} has {shape[1]} channels, not {channels} for {of}. "
            "Correct "
            "the card or the export."
        )
    if kind == "input" and (shape[2] is not None or shape[3] is not None):
        raise ModelError(
            f"{card.name} takes images of {shape[2] or 'any'} x {shape[3] or 'any'} px only: its height "
            "and width "
            "are not dynamic. Export it with dynamic axes for both."
        )
    if shape[0] not in (None, 1):
        raise ModelError(
            f"{card.name} takes batches of {shape[0]} only. Export it with a dynamic batch axis."
        )


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, at most 200 characters."""
    lines: list[Any] = str(error).strip().splitlines() or [type(error).__name__]
    return str(lines[0])[:200].rstrip(".")

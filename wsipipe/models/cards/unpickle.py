"""Conversion of pickled weights to safetensors.

``.pt``, ``.pth`` and ``.ckpt`` files are converted once and on request; runs never unpickle.
"""

import logging
from pathlib import Path

import torch
from safetensors.torch import save_file

from wsipipe.errors import ModelError
from wsipipe.models.cards.weights import SUFFIX

log = logging.getLogger(__name__)
_WRAPPERS = ("state_dict", "model", "model_state_dict")


def unpickle(source: Path, target: Path) -> list[str]:
    """Write the tensors of a pickled state dict as safetensors.

    Only tensors are read (``weights_only=True``). That narrows what a hostile file can do, but does not
    prevent it: convert files that you trust, on a machine that you can afford to lose.

    Returns:
        Names of the tensors.

    Raises:
        ModelError: The file is missing, is not a state dict of tensors or holds more than tensors, or the
            target is not a ``.safetensors`` file.
    """
    if target.suffix != SUFFIX:
        raise ModelError(f"The weights cannot be written to {target}: name a {SUFFIX} file.")
    if not source.is_file():
        raise ModelError(f"There is no file {source}; check the path.")
    target.parent.mkdir(parents=True, exist_ok=True)
    log.warning(
        "%s is a pickle, and weights_only=True is not a sandbox. Convert only files that you trust.", source
    )
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile or damaged pickle raises anything
        raise ModelError(
            f"{source} holds more than tensors, or is damaged ({type(error).__name__}). Ask its author for "
            "safetensors."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{source} holds {type(content).__name__}, not named tensors. Save its state_dict.")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if len(tensors) < len(content):
        others = sorted(str(name) for name in content if str(name) not in tensors)
        raise ModelError(
            f"{source} holds {', '.join(others[:3])}, which are not tensors. Save only its state_dict."
        )
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, target)
    return sorted(tensors)

"""Whether a network commutes with the eight orientations, and if not, which of its modules is the first.

The runs are made in float64 on a copy with every parameter shaken and every BatchNorm set from the images:
neither rounding, nor a residual branch that starts at zero, nor vanishing features can then hide or feign a
fault.
"""

import copy

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.layer_outputs import TURNS, answer_error, output_errors, tensors_in

BUDGET = 1e-9
PERTURBATION = 0.1


def first_non_equivariant_layer(model: nn.Module, images: torch.Tensor) -> str | None:
    """Name and kind of the first module that breaks the symmetry; None if the model commutes.

    Args:
        model: Images (B, C, H, W) -> tensors: maps ([B, C, H, W] or [B, H, W]) turn along, the rest stay.
        images: Two or more, H and W multiples of the model's whole stride.

    Raises:
        ModelError: The model does not run on the images, or on the turned ones.
    """
    shaken, images = perturbed_copy(model, images), images.double()
    straight = _answers(shaken, images)
    for turn in TURNS:
        pairs = zip(straight, _answers(shaken, turn(images, (2, 3))), strict=True)
        if any(answer_error(one, other, turn) > BUDGET for one, other in pairs):
            break
    else:
        return None
    with torch.no_grad():
        leaves = output_errors(shaken, shaken, images)
    broken = next((leaf for leaf in leaves if leaf.error > BUDGET), None)
    if broken is None:
        return f"the forward of {type(model).__name__} itself"
    return f"{broken.name} ({broken.kind})"


def perturbed_copy(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Copy in float64 and eval mode, parameters moved by about their own size, norms set from ``images``."""
    model = copy.deepcopy(model).double().eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        size = float(parameter.data.abs().mean())
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.device)
        parameter.data += noise * (size if size > 1e-3 else PERTURBATION)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    _answers(model, images.double())
    return model.eval()


def _answers(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    try:
        with torch.no_grad():
            return list(tensors_in(model(images)))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"The model does not run on images {tuple(images.shape)}: {error}") from error

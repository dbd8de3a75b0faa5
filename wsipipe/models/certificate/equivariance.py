"""Check equivariance and find the first layer that breaks it.

The runs are in float64 on a copy whose parameters are perturbed and whose BatchNorm statistics come from the
images: neither rounding, nor a residual branch that starts at zero, nor vanishing features can then hide or
feign a fault.
"""

import copy

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.layer_outputs import TURNS, equivariance_error, output_errors, tensors_in

BUDGET = 1e-9
PERTURBATION = 0.1


def first_non_equivariant_layer(model: nn.Module, images: torch.Tensor) -> str | None:
    """Return the first layer that breaks equivariance.

    Args:
        model: Images (B, C, H, W) -> tensors: maps ([B, C, H, W] or [B, H, W]) must rotate along, the rest
            must not change.
        images: Two or more images, H and W multiples of the model's total stride.

    Returns:
        Name and kind of the layer; None if the model is equivariant.

    Raises:
        ModelError: The model does not run on the images, or on the rotated ones.
    """
    perturbed, images = perturbed_copy(model, images), images.double()
    upright = _outputs(perturbed, images)
    for turn in TURNS:
        pairs = zip(upright, _outputs(perturbed, turn(images, (2, 3))), strict=True)
        if any(equivariance_error(one, other, turn) > BUDGET for one, other in pairs):
            break
    else:
        return None
    with torch.no_grad():
        errors = output_errors(perturbed, perturbed, images)
    broken = next((layer for layer in errors if layer.error > BUDGET), None)
    if broken is None:
        return f"the forward of {type(model).__name__} itself"
    return f"{broken.name} ({broken.kind})"


def perturbed_copy(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Return a copy with perturbed parameters, in float64 and eval mode.

    Parameters move by about their own size; BatchNorm statistics are those of ``images``.
    """
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
    _outputs(model, images.double())
    return model.eval()


def _outputs(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    try:
        with torch.no_grad():
            return list(tensors_in(model(images)))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"The model does not run on images {tuple(images.shape)}: {error}") from error

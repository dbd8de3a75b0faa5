"""Whether a network commutes with the eight orientations, and if not, which of its modules is the first.

A quarter turn and a mirror generate all eight, so three runs decide. They are made in float64 on a copy with
every parameter shaken and every BatchNorm set from the images: neither rounding, nor a residual branch that
starts at zero, nor vanishing features can then hide or feign a fault.
"""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import nn

from wsipipe.errors import ModelError

BUDGET = 1e-9
SHAKE = 0.1
Turn = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
TURNS: tuple[Turn, Turn] = (lambda x, axes: torch.rot90(x, 1, axes), lambda x, axes: x.flip(axes[1]))


def first_broken(model: nn.Module, images: torch.Tensor) -> str | None:
    """Name and kind of the first module that breaks the symmetry; None if the model commutes.

    Args:
        model: Images (B, C, H, W) -> tensors: maps ([B, C, H, W] or [B, H, W]) turn along, the rest stay.
        images: Two or more, H and W multiples of the model's whole stride.

    Raises:
        ModelError: The model does not run on the images, or on the turned ones.
    """
    shaken = _shaken(model, images.double())
    straight = _outputs(shaken, images.double())
    for turn in TURNS:
        turned = _outputs(shaken, turn(images.double(), (2, 3)))
        if not all(_follows(a, b, turn, strict=True) for a, b in zip(straight[""], turned[""], strict=True)):
            return _first(shaken, straight, turned, turn)
    return None


def _first(
    model: nn.Module,
    straight: dict[str, list[torch.Tensor]],
    turned: dict[str, list[torch.Tensor]],
    turn: Turn,
) -> str:
    """First leaf, in the order of the run, whose outputs follow the turn in no arrangement of axes."""
    for name in straight:
        pairs = zip(straight[name], turned.get(name, []), strict=False)
        if name and not all(_follows(a, b, turn, strict=False) for a, b in pairs):
            return f"{name} ({type(model.get_submodule(name)).__name__})"
    return f"the forward of {type(model).__name__} itself"


def _follows(straight: torch.Tensor, turned: torch.Tensor, turn: Turn, strict: bool) -> bool:
    """True if the turned image's output is the turned output, or the same where it has no positions.

    Inside a network (not ``strict``) axes may be arranged otherwise, and rows of tokens be in another order.
    """
    if straight.ndim == 3 and not strict:
        straight, turned = straight.sort(1).values, turned.sort(1).values
    expected = [turn(straight, axes) for axes in _map_axes(straight.ndim, strict)]
    if straight.ndim < 4 or not strict:
        expected.append(straight)
    limit = BUDGET * float(straight.abs().amax()) if straight.numel() else 0.0
    return any(one.shape == turned.shape and bool(((one - turned).abs() <= limit).all()) for one in expected)


def _map_axes(ndim: int, strict: bool) -> list[tuple[int, int]]:
    """Axes that may be y and x: of (B, H, W), (B, C, H, W) and inside a network (B, H, W, C)."""
    inside = [] if strict else [(1, 2)]
    return {3: [(1, 2)], 4: [(2, 3), *inside]}.get(ndim, [])


def _shaken(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Copy in float64 and eval mode, parameters moved by about their own size, norms set from ``images``."""
    model = copy.deepcopy(model).double().eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        size = float(parameter.data.abs().mean())
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.device)
        parameter.data += noise * (size if size > 1e-3 else SHAKE)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    _outputs(model, images)
    return model.eval()


def _outputs(model: nn.Module, images: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    """Output tensors of each leaf in the order of the run, and of the whole under the empty name."""
    found: dict[str, list[torch.Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda _module, _args, out: found.setdefault(name, []).extend(_tensors(out))

    leaves = [(name, module) for name, module in model.named_modules() if not any(module.children())]
    hooks = [module.register_forward_hook(note(name)) for name, module in leaves if name]
    try:
        with torch.no_grad():
            found[""] = list(_tensors(model(images)))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"The model does not run on images {tuple(images.shape)}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _tensors(out: object) -> Iterator[torch.Tensor]:
    """Every floating tensor in tuples, lists and dicts, copied where a later layer may write in place."""
    if isinstance(out, torch.Tensor) and out.is_floating_point():
        yield out.clone()
    elif isinstance(out, dict):
        yield from (tensor for value in out.values() for tensor in _tensors(value))
    elif isinstance(out, list | tuple):
        yield from (tensor for value in out for tensor in _tensors(value))

"""Where a training runs and in what it computes."""

from contextlib import AbstractContextManager

import torch

from wsipipe.errors import DeviceError
from wsipipe.models.precision import best_precision


def pick_device(name: str) -> torch.device:
    """Device of ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DeviceError: CUDA was asked for and there is none, or the name is none of these.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device {name!r} is unknown; use auto, cpu or cuda.")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise DeviceError(
            "device cuda was asked for, but torch finds none. Use --device cpu, or install a driver and a "
            "torch that has CUDA."
        )
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Computes in bfloat16 if ``precision`` is that, or ``auto`` on a device that has it in hardware."""
    chosen = best_precision(device.type) if precision == "auto" else precision
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen == "bfloat16")

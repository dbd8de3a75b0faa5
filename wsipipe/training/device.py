"""Device and numerical precision of a training."""

from contextlib import AbstractContextManager

import torch

from wsipipe.errors import DeviceError
from wsipipe.models.precision import best_precision


def pick_device(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DeviceError: CUDA is requested but absent, or the name is unknown.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"Device {name!r} is unknown. Use auto, cpu or cuda.")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise DeviceError(
            "Device cuda is not available: torch finds no CUDA device. Use --device cpu, or install a driver "
            "and a torch with CUDA."
        )
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return an autocast context for the device and precision.

    It computes in bfloat16 if ``precision`` is ``bfloat16``, or ``auto`` on a device that has it in hardware.
    """
    chosen = best_precision(device.type) if precision == "auto" else precision
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen == "bfloat16")

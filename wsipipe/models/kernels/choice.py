"""Choice of the fastest implementation, from measurements.

The table ``choice.json`` is written by ``benchmarks/gmr.py --choose``:

    device kind -> "inference float32" -> kernel side -> [[from input channels, implementation], ...]

A kind of CPU that was not measured takes the row of ``default``; a dtype or side that was not, the dense way.
GPUs use the dense way unless the benchmark was run on one.
"""

import functools
import json
from pathlib import Path
from typing import Literal

import torch

from wsipipe.models.kernels import fused
from wsipipe.models.kernels.rings import Rings

TABLE = Path(__file__).with_name("choice.json")
Implementation = Literal["dense", "two_step", "fused"]
Rows = list[tuple[int, Implementation]]
DENSE: Rows = [(0, "dense")]


@functools.cache
def table() -> dict[str, dict[str, dict[str, Rows]]]:
    """Return the measured table, as described in the module."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


def device_kind(device: torch.device) -> str:
    """Return the row of the table for a device.

    It is the result of :func:`fused.cpu_kind`, or ``cuda``.
    """
    return fused.cpu_kind() if device.type == "cpu" else device.type


def choose(rings: Rings, device: torch.device, dtype: torch.dtype, training: bool) -> Implementation:
    """Return the fastest implementation measured for such a layer.

    It always covers the layer.
    """
    if rings.groups > 1:
        return "dense"
    purpose = f"{'training' if training else 'inference'} {str(dtype).removeprefix('torch.')}"
    kinds = table()
    sides = kinds.get(device_kind(device), kinds["default"]).get(purpose, {})
    rows = sides.get(str(rings.kernel_size), DENSE) if rings.dims == 2 else DENSE
    chosen = [name for least, name in rows if rings.weight.shape[1] >= least][-1]
    return "dense" if chosen == "fused" and not fused.supports(rings, device, dtype) else chosen

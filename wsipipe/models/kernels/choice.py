"""The measured choice of implementation, ``choice.json``, written by ``benchmarks/gmr.py --choose``.

    device kind -> "inference float32" -> kernel side -> [[from input channels, implementation], ...]

A kind of CPU that was not measured takes the row of ``default``; a dtype or side that was not, the dense
way. GPUs go the dense way until the benchmark was run on one.
"""

import functools
import json
from pathlib import Path
from typing import Literal

import torch

from wsipipe.models.kernels import fused
from wsipipe.models.kernels.rings import Rings

TABLE = Path(__file__).with_name("choice.json")
Way = Literal["dense", "two_step", "fused"]
Rows = list[tuple[int, Way]]
DENSE: Rows = [(0, "dense")]


@functools.cache
def table() -> dict[str, dict[str, dict[str, Rows]]]:
    """The measured table, as its module describes."""
    return json.loads(TABLE.read_text())


def device_kind(device: torch.device) -> str:
    """Name of the row that applies: as :func:`fused.cpu_kind` says, or ``cuda``."""
    return fused.cpu_kind() if device.type == "cpu" else device.type


def choose(rings: Rings, device: torch.device, dtype: torch.dtype, training: bool) -> Way:
    """The fastest implementation measured for such a layer; always one that covers it."""
    if rings.groups > 1:
        return "dense"
    purpose = f"{'training' if training else 'inference'} {str(dtype).removeprefix('torch.')}"
    kinds = table()
    sides = kinds.get(device_kind(device), kinds["default"]).get(purpose, {})
    rows = sides.get(str(rings.kernel_size), DENSE) if rings.dims == 2 else DENSE
    chosen = [name for least, name in rows if rings.weight.shape[1] >= least][-1]
    return "dense" if chosen == "fused" and not fused.supports(rings, device, dtype) else chosen

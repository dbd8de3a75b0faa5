"""Processor name, instruction sets and best numerical precision."""

import platform
from functools import cache

from wsipipe.common.machine import cpu_info, processor_brand

CPU_FLAGS = ("amx_bf16", "avx512_bf16")
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd")


@cache
def cpu_multiplies_bfloat16() -> bool:
    """Return True if this CPU multiplies bfloat16 in hardware.

    That is AMX or AVX512-bf16, on Linux; elsewhere it is not known, so False.
    """
    return any(flag in cpu_info() for flag in CPU_FLAGS)


def best_precision(device: str) -> str:
    """Return the precision that ``auto`` selects.

    It is bfloat16 on CUDA and on CPUs that multiply it in hardware, else float32.
    """
    return "bfloat16" if device == "cuda" or cpu_multiplies_bfloat16() else "float32"


@cache
def processor_name() -> str:
    """Return name and instruction sets, as ``AMD EPYC (avx2)``."""
    lines = [line.partition(":") for line in cpu_info().splitlines()]
    facts = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    words = facts.get("flags", facts.get("Features", "")).split()
    sets = [name for name in INSTRUCTION_SETS if name in words]
    name = facts.get("model name") or processor_brand() or platform.machine()
    return f"{name} ({', '.join(sets)})" if sets else name

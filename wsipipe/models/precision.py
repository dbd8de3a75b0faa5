"""Which number formats this processor multiplies in hardware; known without torch."""

from functools import cache
from pathlib import Path

CPU_FLAGS = ("amx_bf16", "avx512_bf16")


@cache
def cpu_multiplies_bfloat16() -> bool:
    """True if this CPU has AMX or AVX512-bf16 (Linux; elsewhere not known, so False)."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and any(flag in info.read_text(encoding="utf-8") for flag in CPU_FLAGS)


def best_precision(device: str) -> str:
    """What ``auto`` means: bfloat16 on CUDA and on CPUs that multiply it in hardware, else float32."""
    return "bfloat16" if device == "cuda" or cpu_multiplies_bfloat16() else "float32"

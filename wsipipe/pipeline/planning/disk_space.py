"""Estimate and check the disk space of a slide."""

import math
import shutil
from pathlib import Path

from wsipipe.errors import StorageFullError
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.stage import Kind
from wsipipe.store.layout import ArraySpec

RESERVE = 1.3
_SHARE: dict[Kind, float] = {"image": 0.86, "label": 0.17, "probability": 0.47, "scratch": 0.29}
"""Largest compressed bytes per raw byte on slides full of tissue; see ``benchmarks/soak.py disk``."""
_JPEG_SHARE = 0.25
_SIDE_FILES_BYTES = 1 << 20
_BYTES_PER_NUCLEUS = 700
_NUCLEI_PER_MM2 = 8000


def estimate_bytes(plan: Plan) -> int:
    """Return the bytes of result and scratch, at most."""
    arrays = sum(
        _array_bytes(spec, write.kind)
        for stage in plan.stages
        for spec, write in zip(plan.specs(stage), stage.writes, strict=True)
    )
    grid = plan.facts.grid
    area_mm2 = math.prod(grid.shape) * grid.mpp**2 / 1e6
    has_nuclei = any(stage.nuclei_rows for stage in plan.stages)
    nuclei = area_mm2 * _NUCLEI_PER_MM2 * _BYTES_PER_NUCLEUS * 2 if has_nuclei else 0
    return round(arrays + nuclei + _SIDE_FILES_BYTES)


def _array_bytes(spec: ArraySpec, kind: Kind) -> float:
    raw = math.prod(spec.shape) * {"uint8": 1, "uint32": 4}.get(spec.dtype, 8)
    return raw * (_JPEG_SHARE if spec.codec.startswith("jpeg") else _SHARE[kind])


def check_space(out: Path, plan: Plan, used_bytes: int) -> None:
    """Check that a slide fits on the disk.

    Args:
        out: Folder of the results; it or a folder above it exists.
        plan: Plan of the slide.
        used_bytes: Bytes that an earlier run of the plan has written already.

    Raises:
        StorageFullError: It does not fit; names the space to free.
    """
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    needed = round(RESERVE * max(0, estimate_bytes(plan) - used_bytes))
    if free < needed:
        raise StorageFullError(
            f"{plan.slide.path} needs about {needed / 1e9:.2f} GB at {existing}, where only "
            f"{free / 1e9:.2f} GB are free. Free {(needed - free) / 1e9:.2f} GB, choose another --out, "
            "or set --image jpeg:85 or --image none."
        )

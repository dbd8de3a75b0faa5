"""Count the nuclei of a slide by type and by positivity."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsipipe.pipeline.execution.nuclei_part import nucleus_types
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.nuclei.positivity import h_score

NO_TYPE = "no type"
INTENSITIES = ("negative", "1+", "2+", "3+")


def summarise_nuclei(plan: Plan, table: Path, tissue_mm2: float) -> dict[str, Any]:
    """Count the nuclei of a finished slide.

    Args:
        plan: Plan of the slide.
        table: The nuclei table.
        tissue_mm2: Area of the tissue, mm2.

    Returns:
        ``types`` with ``nuclei`` and ``per_mm2`` of tissue by type, where there are types; ``positivity``
        with ``nuclei`` by intensity, ``positive_percent`` and ``h_score``, where it was measured; and
        ``tissue_mm2``. Empty where there is neither.
    """
    names = list(nucleus_types(plan))
    found: dict[str, Any] = {}
    if names:
        found["types"] = _by_type(table, names, tissue_mm2)
    if plan.workflow.measure.positivity:
        found["positivity"] = _positivity(table)
    return found | {"tissue_mm2": round(tissue_mm2, 6)} if found else {}


def _by_type(table: Path, names: list[str], tissue_mm2: float) -> dict[str, dict[str, float | None]]:
    column = pq.read_table(table, columns=["type"])["type"].fill_null(NO_TYPE)
    counts = {item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist()}
    listed = [*names, *([NO_TYPE] if NO_TYPE in counts else [])]
    return {
        name: {
            "nuclei": counts.get(name, 0),
            "per_mm2": round(counts.get(name, 0) / tissue_mm2, 2) if tissue_mm2 else None,
        }
        for name in listed
    }


def _positivity(table: Path) -> dict[str, Any]:
    column = pq.read_table(table, columns=["dab_class"])["dab_class"].drop_null()
    counts = np.bincount(column.to_numpy(), minlength=len(INTENSITIES))
    total = int(counts.sum())
    return {
        "nuclei": dict(zip(INTENSITIES, counts.tolist(), strict=True)),
        "positive_percent": round(float(100 * counts[1:].sum() / total), 2) if total else None,
        "h_score": round(h_score(counts), 2) if total else None,
    }

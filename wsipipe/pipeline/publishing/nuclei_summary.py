"""Count the nuclei of a slide by type and by positivity."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wsipipe.pipeline.execution.nuclei_part import nucleus_types
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.nuclei_counts import count_positivity, count_types

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
    column = pq.read_table(table, columns=["type"])["type"]
    counts = count_types(column, names)
    counts |= {NO_TYPE: column.null_count} if column.null_count else {}
    return {
        name: {"nuclei": count, "per_mm2": round(count / tissue_mm2, 2) if tissue_mm2 else None}
        for name, count in counts.items()
    }


def _positivity(table: Path) -> dict[str, Any]:
    found = count_positivity(pq.read_table(table, columns=["dab_class"])["dab_class"])
    return {
        "nuclei": dict(zip(INTENSITIES, found.counts.tolist(), strict=True)),
        "positive_percent": None if found.percent is None else round(found.percent, 2),
        "h_score": None if found.score is None else round(found.score, 2),
    }

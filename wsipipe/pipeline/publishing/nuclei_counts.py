"""Count nuclei by type and by intensity of DAB."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.positivity import h_score


class Positivity(NamedTuple):
    """Nuclei by intensity of DAB.

    Attributes:
        counts: Numbers of nuclei (4,) that are negative, 1+, 2+ and 3+.
        percent: Percentage of positive nuclei; None without nuclei.
        score: H-score, 0 to 300; None without nuclei.
    """

    counts: Array
    percent: float | None
    score: float | None


def count_types(types: pa.ChunkedArray, names: list[str]) -> dict[str, int]:
    """Count the nuclei of each type, also of those that none has.

    Args:
        types: Type of each nucleus; null for none.
        names: Types of the weights.
    """
    found = {item["values"]: item["counts"] for item in pc.value_counts(types).to_pylist()}
    return {name: found.get(name, 0) for name in names}


def count_positivity(classes: pa.ChunkedArray) -> Positivity:
    """Count the nuclei of each intensity.

    Args:
        classes: 0 (negative) to 3 (3+) of each nucleus; null where DAB was not measured.
    """
    counts = np.bincount(classes.drop_null().to_numpy(), minlength=4)
    total = int(counts.sum())
    if not total:
        return Positivity(counts, None, None)
    return Positivity(counts, float(100 * counts[1:].sum() / total), h_score(counts))

"""Differences that ``wsipipe compare`` found, as places to review."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsipipe.geometry import Array
from wsipipe.store.names import COMPARISON, COMPARISONS

SIDES = ("missed", "extra")
MEANINGS = {"missed": "in the reference alone", "extra": "in the result alone"}


@dataclass(frozen=True)
class Differences:
    """Nuclei that only one side of a comparison has.

    Attributes:
        name: Name of the comparison.
        side: ``missed`` (in the reference alone) or ``extra`` (in the result alone).
        ids: Ids (n,) int64 in the reference, or in the result.
        y: Rows (n,) of the centroids, in px of the nuclei.
        x: Columns (n,) of the centroids, in px of the nuclei.
    """

    name: str
    side: str
    ids: Array
    y: Array
    x: Array

    @property
    def title(self) -> str:
        """Name of its queue and its layer."""
        return f"{self.side}: {self.name}"


def read_differences(folder: Path, plan: str, affine: tuple[float, float, float]) -> tuple[Differences, ...]:
    """Read the comparisons in ``OUT/SLIDE/comparisons``.

    One that is damaged, or of another plan, is left out with a warning.

    Args:
        folder: ``OUT/SLIDE``.
        plan: Plan of the result.
        affine: Transform from px of the nuclei to level-0 px: offset y, offset x, step.
    """
    found: list[Differences] = []
    for path in sorted((folder / COMPARISONS).glob(f"*/{COMPARISON}")):
        try:
            content = json.loads(path.read_bytes())
            if content["plan"] != plan:
                raise ValueError("it is of an earlier result")
            found += [_differences(path.parent.name, side, content[side], affine) for side in SIDES]
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(
                f"{path} is not shown: {error}. Compare again with wsipipe compare --overwrite.", stacklevel=2
            )
    return tuple(one for one in found if one.ids.size)


def _differences(
    name: str, side: str, rows: list[dict[str, float]], affine: tuple[float, float, float]
) -> Differences:
    ids, y, x = (np.array([row[key] for row in rows], float) for key in ("id", "y", "x"))
    offset_y, offset_x, step = affine
    return Differences(name, side, ids.astype(np.int64), (y - offset_y) / step, (x - offset_x) / step)

"""Count the overlaps of two maps of nuclei, tile by tile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.training.evaluation.instance_metrics import MATCH_IOU, Overlaps

TILE_PX = 2048
ReadIds = Callable[[Region], Array]


@dataclass(frozen=True)
class Instances:
    """The nuclei of one map.

    Attributes:
        ids: (n,) ids, ascending.
        areas: (n,) px.
        y: (n,) mean row of the px, of px centres.
        x: (n,) mean column.
    """

    ids: Array
    areas: Array
    y: Array
    x: Array


@dataclass(frozen=True)
class Tally:
    """Nuclei of two maps, and the pairs that overlap.

    Attributes:
        true: Nuclei of the reference.
        found: Nuclei of the result.
        pairs: Overlapping pairs, as indices of both.
    """

    true: Instances
    found: Instances
    pairs: Overlaps

    @property
    def matches(self) -> tuple[Array, Array]:
        """Indices (m,) of the true and of the found nuclei that match, IoU > 0.5."""
        matched = self.pairs.iou > MATCH_IOU
        return self.pairs.true[matched], self.pairs.found[matched]

    def subset(self, true: Array, found: Array) -> Overlaps:
        """Return the pairs of some nuclei only.

        Args:
            true: Mask (t,) of the true nuclei.
            found: Mask (f,) of the found ones.
        """
        pairs = self.pairs
        kept = true[pairs.true] & found[pairs.found]
        places_true, places_found = np.cumsum(true) - 1, np.cumsum(found) - 1
        return Overlaps(
            pairs.true_areas[true],
            pairs.found_areas[found],
            places_true[pairs.true[kept]],
            places_found[pairs.found[kept]],
            pairs.shared[kept],
        )


def tally(truth: ReadIds, found: ReadIds, region: Region) -> Tally:
    """Count the nuclei of two maps and their overlaps.

    Only one tile of each map is in memory at a time, and a few numbers per nucleus.

    Args:
        truth: Reader of the reference; ids below 2**32.
        found: Reader of the result, likewise.
        region: Part to count; nuclei at its edges count with the px inside.
    """
    true_sums, found_sums, pairs = _Sums(), _Sums(), _Sums()
    for tile in region.blocks(TILE_PX):
        labels, other = truth(tile).astype(np.uint64), found(tile).astype(np.uint64)
        true_sums.add(labels, tile)
        found_sums.add(other, tile)
        codes = (labels << np.uint64(32)) | other
        codes[(labels == 0) | (other == 0)] = 0
        pairs.add(codes, tile)
    true, seen, both = true_sums.instances(), found_sums.instances(), pairs.instances()
    partners = (
        np.searchsorted(true.ids, both.ids >> np.uint64(32)),
        np.searchsorted(seen.ids, both.ids & np.uint64(2**32 - 1)),
    )
    return Tally(true, seen, Overlaps(true.areas, seen.areas, *partners, both.areas))


class _Sums:
    """Areas and sums of coordinates by id, over several tiles."""

    def __init__(self) -> None:
        self._parts: list[tuple[Array, Array]] = []

    def add(self, labels: Array, tile: Region) -> None:
        y, x = np.nonzero(labels)
        if not y.size:
            return
        ids, place, counts = np.unique(labels[y, x], return_inverse=True, return_counts=True)
        sums = (np.bincount(place, along + start) for along, start in ((y, tile.y), (x, tile.x)))
        self._parts.append((ids, np.stack([counts.astype(float), *sums])))

    def instances(self) -> Instances:
        if not self._parts:
            none = np.zeros(0, np.int64)
            return Instances(none.astype(np.uint64), none, none.astype(float), none.astype(float))
        ids, place = np.unique(np.concatenate([part for part, _ in self._parts]), return_inverse=True)
        sums = np.concatenate([part for _, part in self._parts], axis=1)
        areas, y, x = (np.bincount(place, each) for each in sums)
        # Sums of whole numbers are exact in float64 below 2**53.
        return Instances(ids, areas.astype(np.int64), y / areas + 0.5, x / areas + 0.5)

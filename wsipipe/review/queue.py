"""A slide -> the things a person should look at first: nucleus or place, with a reason."""

from dataclasses import dataclass

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.review.published import Source
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import PROBABILITY_MAX

KINDS = ("uncertain", "uncertain tissue", "orientation", "seams", "random")
CLASS_PREFIX = "class: "
DISAGREEMENT = "disagreement"
"""Name of a stored probability that says how much the eight orientations differ, where a run made it."""
_BLOCK_PX = 2048
_CELL_PX = 256


@dataclass(frozen=True)
class Item:
    """One thing to look at.

    Attributes:
        kind: Of the queue.
        identity: Nucleus, 0 for a mere place.
        region: Where, in px of the nuclei.
        why: Reason, for people.
    """

    kind: str
    identity: int
    region: Region
    why: str


def queue_kinds(source: Source) -> tuple[str, ...]:
    """The queues that a slide can give."""
    probabilities = source.result.probabilities
    kinds = []
    if source.nuclei.ids.size:
        kinds += ["uncertain", "seams", "random"]
    if "tissue_class" in probabilities:
        kinds.append("uncertain tissue")
    if DISAGREEMENT in probabilities:
        kinds.append("orientation")
    return (*kinds, *(f"{CLASS_PREFIX}{name}" for name in source.nuclei.class_names if name))


def make_queue(source: Source, kind: str, count: int, seed: int = 0) -> list[Item]:
    """The first ``count`` things of a kind; the same for the same seed.

    Args:
        source: The slide.
        kind: ``uncertain`` (nuclei of the lowest probability), ``uncertain tissue`` (class map cells whose
            best class is least sure), ``orientation`` (where turned copies disagree most), ``seams`` (nuclei
            across shard borders), ``random``, or ``class: NAME`` (a random sample of one class).
        count: At most so many.
        seed: Of the random samples.

    Raises:
        ConfigError: The slide has no such queue.
    """
    if kind not in queue_kinds(source):
        raise ConfigError(
            f"{source.slide_id} has no queue {kind!r}; it has {', '.join(queue_kinds(source)) or 'none'}."
        )
    if kind == "uncertain tissue":
        return _uncertain_tissue(source, count)
    if kind == "orientation":
        return _disagreeing(source, count)
    return [_nucleus(source, kind, int(row)) for row in _rows(source, kind, count, seed)]


def _rows(source: Source, kind: str, count: int, seed: int) -> Array:
    nuclei = source.nuclei
    rng = np.random.default_rng(seed)
    if kind == "uncertain":
        return np.argsort(nuclei.probability, kind="stable")[:count]
    if kind == "random":
        return _sample(np.arange(nuclei.ids.size), count, rng)
    if kind == "seams":
        return _sample(np.flatnonzero(_across(nuclei.boxes(), _shard_px(source))), count, rng)
    wanted = nuclei.class_names.index(kind.removeprefix(CLASS_PREFIX))
    return _sample(np.flatnonzero(nuclei.class_index == wanted), count, rng)


def _sample(rows: Array, count: int, rng: np.random.Generator) -> Array:
    return rng.permutation(rows)[:count]


def _across(boxes: Array, shard_px: int) -> Array:
    """Which boxes (n, 4) touch two shards, or end at a border: (n,) bool."""
    return ((boxes[:, :2] - 1) // shard_px != boxes[:, 2:] // shard_px).any(axis=1)


def _shard_px(source: Source) -> int:
    return int(source.result.labels["nuclei"][0].shards[-1])


def _nucleus(source: Source, kind: str, row: int) -> Item:
    nuclei = source.nuclei
    name = nuclei.class_names[nuclei.class_index[row]]
    why = f"nucleus {nuclei.ids[row]}: p {nuclei.probability[row]:.2f}" + (f", {name}" if name else "")
    # Place and area stand in the quick part of the table; its outline is read when it is acted on.
    side = 2 * int(np.ceil(np.sqrt(nuclei.area_px[row]))) + 1
    region = Region(int(nuclei.y[row]) - side // 2, int(nuclei.x[row]) - side // 2, side, side)
    return Item(kind, int(nuclei.ids[row]), region, why)


def _uncertain_tissue(source: Source, count: int) -> list[Item]:
    array = source.result.probabilities["tissue_class"]
    found: list[tuple[int, int, int]] = []
    for block in Region(0, 0, *array.shape[-2:]).blocks(_BLOCK_PX):
        stored = read_region(array, block, 255)
        best = np.where((stored > PROBABILITY_MAX).any(0), 255, stored.max(0)).astype(np.int64)
        found += _lowest(best, block, count)
    factor = source.class_downsample
    return [
        Item(
            "uncertain tissue",
            0,
            Region(y, x, 1, 1).scaled(factor),
            f"best class p {value / PROBABILITY_MAX:.2f}",
        )
        for value, y, x in sorted(found)[:count]
        if value <= PROBABILITY_MAX
    ]


def _lowest(values: Array, block: Region, count: int) -> list[tuple[int, int, int]]:
    """The ``count`` smallest values of a block with their places."""
    y, x = np.divmod(np.argsort(values, axis=None, kind="stable")[:count], block.width)
    return [(int(values[i, j]), int(i) + block.y, int(j) + block.x) for i, j in zip(y, x, strict=True)]


def _disagreeing(source: Source, count: int) -> list[Item]:
    array = source.result.probabilities[DISAGREEMENT]
    factor = source.shape[0] // array.shape[-2]
    cell = max(1, _CELL_PX // factor)
    found: list[tuple[float, int, int]] = []
    for block in Region(0, 0, *array.shape[-2:]).blocks(_BLOCK_PX):
        stored = read_region(array, block, 255).reshape(-1, *block.shape)[0].astype(float)
        stored[stored > PROBABILITY_MAX] = 0
        for y in range(0, block.height, cell):
            for x in range(0, block.width, cell):
                mean = float(stored[y : y + cell, x : x + cell].mean()) / PROBABILITY_MAX
                found.append((-mean, block.y + y, block.x + x))
    return [
        Item(
            "orientation", 0, Region(y, x, cell, cell).scaled(factor), f"orientations differ by {-value:.3f}"
        )
        for value, y, x in sorted(found)[:count]
        if value < 0
    ]

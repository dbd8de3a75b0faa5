"""Queues of nuclei and places to review first, with reasons."""

from dataclasses import dataclass, replace

import numpy as np

from wsipipe.errors import ConfigError
from wsipipe.geometry import Array, Region
from wsipipe.review.differences import MEANINGS, Differences
from wsipipe.review.published import PublishedSlide
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import PROBABILITY_MAX
from wsipipe.store.names import DISAGREEMENT

KINDS = ("uncertain", "uncertain tissue", "orientation", "seams", "random")
CLASS_PREFIX = "class: "
_BLOCK_PX = 2048
_CELL_PX = 256
_PLACE_PX = 24


@dataclass(frozen=True)
class QueueItem:
    """One nucleus or place to review.

    Attributes:
        kind: Kind of the queue.
        identity: Id of the nucleus; 0 for a place.
        region: Region in px of the nuclei.
        why: Reason, as text.
    """

    kind: str
    identity: int
    region: Region
    why: str


def queue_kinds(published: PublishedSlide) -> tuple[str, ...]:
    """Return the kinds of queues of a slide."""
    probabilities = published.result.arrays.probabilities
    kinds = []
    if published.nuclei.ids.size:
        kinds += ["uncertain", "seams", "random"]
    if "tissue_class" in probabilities:
        kinds.append("uncertain tissue")
    if DISAGREEMENT in probabilities:
        kinds.append("orientation")
    kinds += [differences.title for differences in published.differences]
    return (*kinds, *(f"{CLASS_PREFIX}{name}" for name in published.nuclei.class_names if name))


def make_queue(published: PublishedSlide, kind: str, count: int, seed: int = 0) -> list[QueueItem]:
    """Return the first items of a queue.

    They are the same for the same seed.

    Args:
        published: The slide.
        kind: ``uncertain`` (nuclei of the lowest probability), ``uncertain tissue`` (class map cells whose
            best class has the lowest probability), ``orientation`` (places where nuclei change most at 45
            degrees, see ``wsipipe certify --slide --angles``), ``seams`` (nuclei across shard borders),
            ``random``, ``missed: NAME`` or ``extra: NAME`` (of a comparison, in raster order), or
            ``class: NAME`` (a random sample of one class).
        count: Largest number of items.
        seed: Seed of the random samples.

    Raises:
        ConfigError: The slide has no such queue.
    """
    if kind not in queue_kinds(published):
        raise ConfigError(
            f"{published.slide_id} has no queue {kind!r}; it has "
            f"{', '.join(queue_kinds(published)) or 'none'}."
        )
    if kind == "uncertain tissue":
        return _uncertain_tissue(published, count)
    if kind == "orientation":
        return _disagreeing(published, count)
    for differences in published.differences:
        if kind == differences.title:
            return _differing(published, differences)
    return [_nucleus(published, kind, int(row)) for row in _rows(published, kind, count, seed)]


def _rows(published: PublishedSlide, kind: str, count: int, seed: int) -> Array:
    nuclei = published.nuclei
    rng = np.random.default_rng(seed)
    if kind == "uncertain":
        return np.argsort(nuclei.probability, kind="stable")[:count]
    if kind == "random":
        return _sample(np.arange(nuclei.ids.size), count, rng)
    if kind == "seams":
        return _sample(np.flatnonzero(_across(nuclei.boxes(), _shard_px(published))), count, rng)
    wanted = nuclei.class_names.index(kind.removeprefix(CLASS_PREFIX))
    return _sample(np.flatnonzero(nuclei.class_index == wanted), count, rng)


def _sample(rows: Array, count: int, rng: np.random.Generator) -> Array:
    return rng.permutation(rows)[:count]


def _across(boxes: Array, shard_px: int) -> Array:
    """Return which boxes touch two shards, (n,) bool.

    Boxes (n, 4) that end at a border count.
    """
    return ((boxes[:, :2] - 1) // shard_px != boxes[:, 2:] // shard_px).any(axis=1)


def _shard_px(published: PublishedSlide) -> int:
    return int(published.result.arrays.labels["nuclei"][0].shards[-1])


def _nucleus(published: PublishedSlide, kind: str, row: int) -> QueueItem:
    nuclei = published.nuclei
    name = nuclei.class_names[nuclei.class_index[row]]
    why = f"nucleus {nuclei.ids[row]}: p {nuclei.probability[row]:.2f}" + (f", {name}" if name else "")
    # Place and area are in the quick part of the table; the outline is read when the nucleus is edited.
    side = 2 * int(np.ceil(np.sqrt(nuclei.area_px[row]))) + 1
    region = Region(int(nuclei.y[row]) - side // 2, int(nuclei.x[row]) - side // 2, side, side)
    return QueueItem(kind, int(nuclei.ids[row]), region, why)


def _differing(published: PublishedSlide, differences: Differences) -> list[QueueItem]:
    """Return all differences, since each is to be judged."""
    items = []
    for identity, y, x in zip(
        *(a.tolist() for a in (differences.ids, differences.y, differences.x)), strict=True
    ):
        row = published.nuclei.row(identity) if differences.side == "extra" else None
        place = Region(int(y) - _PLACE_PX // 2, int(x) - _PLACE_PX // 2, _PLACE_PX, _PLACE_PX)
        why = f"{differences.side}: {MEANINGS[differences.side]}"
        found = None if row is None else _nucleus(published, differences.title, row)
        items.append(
            QueueItem(differences.title, 0, place, why)
            if found is None
            else replace(found, why=f"{why}; {found.why}")
        )
    return items


def _uncertain_tissue(published: PublishedSlide, count: int) -> list[QueueItem]:
    array = published.result.arrays.probabilities["tissue_class"]
    found: list[tuple[int, int, int]] = []
    for block in Region(0, 0, *array.shape[-2:]).blocks(_BLOCK_PX):
        stored = read_region(array, block, 255)
        best = np.where((stored > PROBABILITY_MAX).any(0), 255, stored.max(0)).astype(np.int64)
        found += _lowest(best, block, count)
    factor = published.class_downsample
    return [
        QueueItem(
            "uncertain tissue",
            0,
            Region(y, x, 1, 1).scaled(factor),
            f"best class p {value / PROBABILITY_MAX:.2f}",
        )
        for value, y, x in sorted(found)[:count]
        if value <= PROBABILITY_MAX
    ]


def _lowest(values: Array, block: Region, count: int) -> list[tuple[int, int, int]]:
    """Return the smallest values of a block with their places."""
    y, x = np.divmod(np.argsort(values, axis=None, kind="stable")[:count], block.width)
    return [(int(values[i, j]), int(i) + block.y, int(j) + block.x) for i, j in zip(y, x, strict=True)]


def _disagreeing(published: PublishedSlide, count: int) -> list[QueueItem]:
    array = published.result.arrays.probabilities[DISAGREEMENT]
    factor = published.shape[0] // array.shape[-2]
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
        QueueItem(
            "orientation", 0, Region(y, x, cell, cell).scaled(factor), f"orientations differ by {-value:.3f}"
        )
        for value, y, x in sorted(found)[:count]
        if value < 0
    ]

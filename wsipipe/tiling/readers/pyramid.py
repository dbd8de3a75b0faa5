"""Determine the downsamples of the levels of a slide."""

import math

from wsipipe.geometry import Level
from wsipipe.tiling.readers.base import Facts

_LARGEST_SKEW = 0.02
_WHOLE_SLACK = 1e-3


def levels_of(facts: Facts, mpp: float) -> tuple[Level, ...]:
    """Return the levels of a slide, finest first.

    Shapes that are no reduction of the first are left out.

    Args:
        facts: Properties of the slide.
        mpp: Micrometres per px of the finest level.
    """
    full = facts.shapes[0]
    step = _step(facts.shapes)
    levels = []
    for index, shape in enumerate(facts.shapes):
        own = facts.scales[index] if facts.scales else None
        down = _downsample(full, shape, (own, float(step**index)))
        if down is not None:
            origin = _origin(facts, shape, down)
            levels.append(Level(index, *shape, mpp=mpp * down, downsample=down, origin=origin))
    return tuple(sorted(levels, key=lambda level: level.downsample))


def _origin(facts: Facts, shape: tuple[int, int], down: float) -> tuple[float, float]:
    """Return the start of a level in level-0 px, (y, x)."""
    y, x = (whole - down * part for whole, part in zip(facts.shapes[0], shape, strict=True))
    return y if facts.ends_aligned[0] else 0.0, x if facts.ends_aligned[1] else 0.0


def _downsample(
    full: tuple[int, int], shape: tuple[int, int], stated: tuple[float | None, float]
) -> float | None:
    """Return the level-0 px per px of a level.

    Several integers explain the shape of a small level. The first of these that does is used: the integer
    stated by the file, that of a regular pyramid, a power of two, the number stated by the file, the nearest
    integer. If none does, it is the mean ratio if both sides agree.

    Args:
        full: (height, width) of level 0.
        shape: (height, width) of the level.
        stated: Number stated by the file, or None, and that of a regular pyramid.

    Returns:
        Downsample; None if the level is no reduction of level 0.
    """
    if 0 in shape:
        return None
    ratios = [whole / part for whole, part in zip(full, shape, strict=True)]
    mean = sum(ratios) / 2
    own, regular = stated
    own_whole = float(round(own)) if own and abs(own - round(own)) <= _WHOLE_SLACK * own else None
    for down in (own_whole, regular, _power_of_two(mean), own, float(round(mean))):
        if down and _explains(down, full, shape):
            return down
    return mean if abs(ratios[0] - ratios[1]) <= _LARGEST_SKEW * mean else None


def _explains(down: float, full: tuple[int, int], shape: tuple[int, int]) -> bool:
    """Return whether a downsample explains a shape.

    A cropped or padded border is allowed.
    """
    return all(abs(whole / down - part) < 1 for whole, part in zip(full, shape, strict=True))


def _power_of_two(ratio: float) -> float:
    """Return the nearest power of two, at least 1."""
    return float(2 ** round(math.log2(max(ratio, 1.0))))


def _step(shapes: tuple[tuple[int, int], ...]) -> int:
    """Return the integer downsample of the second level.

    It is a power of two if one explains the shape, else the nearest integer; 1 for none.
    """
    if len(shapes) < 2 or 0 in shapes[1]:
        return 1
    down = _downsample(shapes[0], shapes[1], (None, 0.0))
    return int(down) if down and down.is_integer() else 1

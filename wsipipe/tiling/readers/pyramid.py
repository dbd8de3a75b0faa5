"""Shapes of a file's levels -> levels with a downsample."""

from wsipipe.geometry import Level

_LARGEST_SKEW = 0.02


def levels_of(shapes: tuple[tuple[int, int], ...], mpp: float) -> tuple[Level, ...]:
    """Levels, finest first; shapes that are no reduction of the first are left out.

    Args:
        shapes: (height, width) of each level, the finest first.
        mpp: Um per px of the finest.
    """
    levels = []
    for index, shape in enumerate(shapes):
        down = _downsample(shapes[0], shape)
        if down is not None:
            levels.append(Level(index, *shape, mpp=mpp * down, downsample=down))
    return tuple(sorted(levels, key=lambda level: level.downsample))


def _downsample(full: tuple[int, int], shape: tuple[int, int]) -> float | None:
    """The whole number that explains the shape but for a cut-off border, or the mean ratio, or None."""
    if 0 in shape:
        return None
    ratios = [whole / part for whole, part in zip(full, shape, strict=True)]
    mean = sum(ratios) / 2
    nearest = round(mean)
    if all(abs(whole / nearest - part) < 1 for whole, part in zip(full, shape, strict=True)):
        return float(nearest)
    return mean if abs(ratios[0] - ratios[1]) <= _LARGEST_SKEW * mean else None

"""Halos of networks, from the receptive fields of their layers."""

from collections.abc import Sequence
from math import prod

Span = tuple[int, int]
"""First and last px along an axis."""
Step = tuple[int, int]
"""Kernel side and stride of a layer, px."""
POOL: Step = (2, 2)


def before(span: Span, step: Step) -> Span:
    """Return the first and last px that a layer reads for ``span``.

    The layer has (kernel side, stride).
    """
    side, stride = step
    return span[0] * stride - (side - 1) // 2, span[1] * stride + side // 2


def before_upsample(span: Span) -> Span:
    """Return the first and last px that bilinear 2x up-sampling reads for ``span``."""
    return (span[0] - 1) // 2, (span[1] - 1) // 2 + 1


def halo_of(span: Span, cell_px: int) -> int:
    """Return the halo of a cell of ``cell_px`` at the origin, px.

    It is the context needed on each side, rounded up to whole cells.
    """
    halo_px = max(-span[0], span[1] - cell_px + 1)
    return -(-halo_px // cell_px) * cell_px


def dense_halo(steps: Sequence[Step], window: int) -> int:
    """Return the halo of a dense pass, px.

    ``steps`` are followed backwards from a window of ``window`` cells along a side.
    """
    span = before((0, 0), (window, 1))
    for step in reversed(steps):
        span = before(span, step)
    return halo_of(span, prod(stride for _, stride in steps))

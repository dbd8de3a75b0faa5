"""Pixels of every layer that a cell of the output needs."""

from collections.abc import Sequence
from typing import NamedTuple

from wsipipe.models.kernels.layer_input import POOLED, UPSAMPLED, Scale
from wsipipe.models.networks.halo import POOL, Span, before, before_upsample
from wsipipe.models.streaming.graph import IMAGE, Layer


class Reach(NamedTuple):
    """What a layer (or the image) gives for the cell of the output at the origin.

    Attributes:
        cell_px: Side of the cell, in px of the layer.
        first: First px needed, along y and x.
        last: Last px needed.
    """

    cell_px: int
    first: int
    last: int

    def span(self, first_cell: int, end_cell: int) -> Span:
        """Return the first px needed for a run of cells, and the first after them."""
        return first_cell * self.cell_px + self.first, (end_cell - 1) * self.cell_px + self.last + 1

    @property
    def cells(self) -> Span:
        """First and last cell that hold needed px, relative to the cell of the output."""
        return self.first // self.cell_px, self.last // self.cell_px


def reaches(layers: Sequence[Layer], cell_px: int, window: int) -> list[Reach]:
    """Return what image and layers give for a cell, followed backwards.

    Args:
        layers: Layers of the network.
        cell_px: Side of a cell in image px; every layer's stride divides it.
        window: Odd side of a window of the last layer's px that is averaged after it; 1 for none.
    """
    sides = [cell_px, *(cell_px // layer.stride for layer in layers)]
    spans: list[Span] = [(side, -1) for side in sides]
    spans[-1] = before((0, sides[-1] - 1), (window, 1))
    for number in reversed(range(1, len(spans))):
        layer = layers[number - 1]
        for source in layer.sources:
            read = read_span(spans[number], layer.side, source.scale)
            spans[source.layer] = _union(spans[source.layer], read)
        if layer.residual is not None:
            spans[layer.residual] = _union(spans[layer.residual], spans[number])
    return [Reach(side, *span) for side, span in zip(sides, spans, strict=True)]


def read_span(span: Span, side: int, scale: Scale) -> Span:
    """Return the first and last px of a source that a layer reads for ``span``.

    Args:
        span: First and last px of the layer's result.
        side: Kernel side of the layer.
        scale: How it reads the source.
    """
    read = before(span, (side, 1))
    if scale == POOLED:
        return before(read, POOL)
    return before_upsample(read) if scale == UPSAMPLED else read


def halo_px(reach: Sequence[Reach]) -> int:
    """Return the context of a core that the image must hold on each side, px."""
    image = reach[IMAGE]
    return max(-image.first, image.last - image.cell_px + 1, 0)


def _union(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])

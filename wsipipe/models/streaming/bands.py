"""Execution of a network over an area, layer by layer, in bands of rows.

Every layer computes each needed pixel once: rows that the next band needs again are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from wsipipe.geometry import Region
from wsipipe.models.kernels.layer_input import AS_IS, POOLED, UPSAMPLED
from wsipipe.models.kernels.parts import KernelPart, Needed, resample_part, run_parts
from wsipipe.models.networks.halo import Span
from wsipipe.models.streaming.graph import IMAGE, Layer, Source
from wsipipe.models.streaming.lines import Lines
from wsipipe.models.streaming.reach import Reach, read_span

ReadImage = Callable[[Region], torch.Tensor]
"""Image px (h, w, 3) of a region; (0, 0) is the first px of the core."""


@dataclass(frozen=True)
class Band:
    """Features of a band of the core.

    Attributes:
        cells: Cells of the output that the band holds.
        features: (h, w, F), with the context on each side that one cell of the last layer needs.
    """

    cells: Region
    features: torch.Tensor


def cell_bands(wanted: torch.Tensor, band_cells: int) -> list[Region]:
    """Return the bands of cells that cover all wanted cells, top to bottom.

    Args:
        wanted: (rows, columns) bool.
        band_cells: Rows of cells in a band.
    """
    rows, columns = (torch.nonzero(wanted.any(axis)).flatten() for axis in (1, 0))
    if not len(rows):
        return []
    left, width = int(columns[0]), int(columns[-1] - columns[0]) + 1
    whole = Region(int(rows[0]), left, int(rows[-1] - rows[0]) + 1, width)
    return list(whole.blocks(band_cells, width))


def needed_cells(wanted: torch.Tensor, reach: Reach) -> torch.Tensor:
    """Return the cells of a layer that wanted cells of the output need.

    Args:
        wanted: (h, w) bool.
        reach: Reach of one cell of the output.

    Returns:
        (h + n, w + n) uint8; its first cell is the first that the first cell of the output needs.
    """
    grown = wanted.to(torch.uint8)
    first, last = reach.cells
    for axis in (0, 1):
        shape = list(grown.shape)
        shape[axis] += last - first
        out = grown.new_zeros(shape)
        for shift in range(last - first + 1):
            out.narrow(axis, shift, grown.shape[axis]).bitwise_or_(grown)
        grown = out
    return grown.contiguous()


class BandRun:
    """One run of a network over the wanted cells of a core.

    Args:
        layers: Layers of the network.
        reach: Reach of the image and of each layer.
        read: Reads the image.
        wanted: Cells of the output to compute, (rows, columns) bool.
        bands: Bands of cells, see :func:`cell_bands`.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        reach: Sequence[Reach],
        read: ReadImage,
        wanted: torch.Tensor,
        bands: Sequence[Region],
    ) -> None:
        self._layers, self._reach, self._read, self._bands = layers, reach, read, bands
        first = bands[0]
        self._needed = [needed_cells(wanted, each) for each in reach]
        dtype = next(layer.conv.packed.dtype for layer in layers if layer.conv is not None)
        channels = [3, *(layer.channels for layer in layers)]
        self._lines = [
            Lines(each.span(first.y, first.end_y)[0], each.span(first.x, first.end_x), count, dtype)
            for each, count in zip(reach, channels, strict=True)
        ]
        self._readers: list[list[int]] = [[] for _ in self._lines]
        for number, layer in enumerate(layers, 1):
            for read_number in _read_by(layer):
                self._readers[read_number].append(number)

    def __iter__(self) -> Iterator[Band]:
        """Compute the bands, top to bottom."""
        self._lead_in(self._bands[0])
        last = self._lines[-1]
        for band in self._bands:
            self._advance(band.end_y)
            start, _ = self._reach[-1].span(band.y, band.end_y)
            # A copy: the memory of the rows is used again.
            yield Band(band, last.rows[start - last.start :].clone())
            last.drop_before(self._reach[-1].span(band.end_y, band.end_y)[0])

    def _lead_in(self, first: Region) -> None:
        """Compute the context above the first band.

        It is done in steps of a band, so that it takes no more memory.
        """
        image = self._reach[IMAGE]
        context_cells = -(-(image.last - image.first + 1) // image.cell_px)
        for above in reversed(range(1, context_cells // first.height + 1)):
            self._advance(first.end_y - above * first.height)

    def _advance(self, end_cell: int) -> None:
        """Compute what the cells above ``end_cell`` need, and drop what nothing reads any more."""
        self._extend_image(end_cell)
        for number, layer in enumerate(self._layers, 1):
            self._extend(number, end_cell)
            for read_number in _read_by(layer):
                if max(self._readers[read_number]) == number:
                    self._lines[read_number].drop_before(self._kept_from(read_number))

    def _new_rows(self, number: int, end_cell: int) -> Region:
        """Return the rows of a layer that are still to compute.

        Cells above ``end_cell`` need them.
        """
        lines = self._lines[number]
        _, end = self._reach[number].span(end_cell, end_cell)
        return Region(lines.end, lines.left, max(end - lines.end, 0), lines.columns)

    def _extend_image(self, end_cell: int) -> None:
        region = self._new_rows(IMAGE, end_cell)
        if not region.height:
            return
        new = self._lines[IMAGE].grow(region.end_y)
        if self._needed_in(IMAGE, region).cells.any():
            new.copy_(self._read(region))

    def _extend(self, number: int, end_cell: int) -> None:
        layer, region = self._layers[number - 1], self._new_rows(number, end_cell)
        if not region.height:
            return
        new, needed = self._lines[number].grow(region.end_y), self._needed_in(number, region)
        if not needed.cells.any():
            return
        parts = [self._part(source, layer.side, region) for source in layer.sources]
        if layer.conv is None:
            resample_part(parts[0], new)
            return
        residual = None if layer.residual is None else self._part(Source(layer.residual, AS_IS), 1, region)
        run_parts(parts, layer.conv.packed, new, residual, layer.relu, needed)

    def _part(self, source: Source, side: int, region: Region) -> KernelPart:
        lines, half = self._lines[source.layer], side // 2
        top, left = region.y - half, region.x - half
        if source.scale == POOLED:
            return KernelPart(lines.rows, 2 * top - lines.start, 2 * left - lines.left, source.scale)
        memory = 2 if source.scale == UPSAMPLED else 1
        return KernelPart(lines.rows, top - memory * lines.start, left - memory * lines.left, source.scale)

    def _needed_in(self, number: int, region: Region) -> Needed:
        """Return the needed cells of a layer in the rows of a region."""
        reach = self._reach[number]
        side, (first, _) = reach.cell_px, reach.cells
        from_row = region.y // side - first
        end_row = -(-region.end_y // side) - first
        top = region.y - (from_row + first) * side
        return Needed(self._needed[number][from_row:end_row], side, top, region.x - first * side)

    def _kept_from(self, number: int) -> int:
        """Return the first row of a layer that its readers need for their next row."""
        starts = []
        for reader in self._readers[number]:
            layer, row = self._layers[reader - 1], self._lines[reader].end
            next_row: Span = (row, row)
            starts += [
                read_span(next_row, layer.side, source.scale)[0]
                for source in layer.sources
                if source.layer == number
            ]
            starts += [row] if layer.residual == number else []
        return min(starts)


def _read_by(layer: Layer) -> set[int]:
    """Return the numbers of the layers that a layer reads."""
    numbers = {source.layer for source in layer.sources}
    return numbers if layer.residual is None else numbers | {layer.residual}

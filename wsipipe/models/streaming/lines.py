"""Rows of a layer's features that later layers still read."""

import torch


class Lines:
    """Rows of one layer, which grow at the end and are dropped at the start.

    Attributes:
        start: Number of the first row held, in px of the layer; 0 is the first row of the core.
        left: Number of the first column.
        rows: Features (rows, columns, C), contiguous.
    """

    def __init__(self, start: int, columns: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
        self.start, self.left = start, columns[0]
        self.rows = torch.empty((0, columns[1] - columns[0], channels), dtype=dtype)

    @property
    def end(self) -> int:
        """Number of the first row after those held."""
        return self.start + len(self.rows)

    def grow(self, end: int) -> torch.Tensor:
        """Return the new rows up to ``end``, of undefined values."""
        held = len(self.rows)
        # No zeros: what is not written is never read for a needed pixel, and zeros cost time.
        longer = self.rows.new_empty((end - self.start, *self.rows.shape[1:]))
        longer[:held] = self.rows
        self.rows = longer
        return longer[held:]

    def drop_before(self, row: int) -> None:
        """Drop the rows before ``row``."""
        row = min(max(row, self.start), self.end)
        self.rows = self.rows[row - self.start :].clone()
        self.start = row

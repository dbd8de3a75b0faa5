"""Rows of a layer's features that later layers still read."""

import torch


class Lines:
    """Rows of one layer, which grow at the end and are dropped at the start.

    They lie in one piece of memory that is somewhat larger, so that most rows are never moved. Views of rows
    hold undefined values after the next growth.

    Attributes:
        start: Number of the first row held, in px of the layer; 0 is the first row of the core.
        end: Number of the first row after those held.
        left: Number of the first column.
        columns: Number of columns.
    """

    def __init__(self, start: int, columns: tuple[int, int], channels: int, dtype: torch.dtype) -> None:
        self.start = self.end = start
        self.left, self.columns = columns[0], columns[1] - columns[0]
        self._memory = torch.empty((0, self.columns, channels), dtype=dtype)
        self._first = 0  # row of the memory that holds the first row

    @property
    def rows(self) -> torch.Tensor:
        """Features (rows, columns, C), contiguous."""
        return self._memory[self._first : self._first + self.end - self.start]

    def grow(self, end: int) -> torch.Tensor:
        """Return the new rows up to ``end``, of undefined values."""
        held, count = self.end - self.start, end - self.start
        if self._first + count > len(self._memory):
            self._move(held, count)
        self.end = end
        # No zeros: what is not written is never read for a needed pixel, and zeros cost time.
        return self._memory[self._first + held : self._first + count]

    def _move(self, held: int, count: int) -> None:
        """Move the rows to the front of the memory.

        It is larger memory if the present one cannot hold ``count`` rows.
        """
        rows, target = self.rows, self._memory
        if count > len(target) or held > self._first:
            target = self._memory.new_empty((count + count // 2, *self._memory.shape[1:]))
        target[:held] = rows
        self._memory, self._first = target, 0

    def drop_before(self, row: int) -> None:
        """Drop the rows before ``row``."""
        row = min(max(row, self.start), self.end)
        self._first += row - self.start
        self.start = row

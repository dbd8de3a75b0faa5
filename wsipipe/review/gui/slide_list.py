"""List of the results in a folder."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget

from wsipipe.review.journal.journal_file import SUFFIX, count_edits
from wsipipe.review.journals import reviews_folder
from wsipipe.review.published import open_published, slides_of

_HEIGHT_PX = 58


class SlideList(QListWidget):
    """Results with the number of each reviewer's edits in force.

    Attributes:
        slide_chosen: Emitted with the path of a result when its row is chosen.
    """

    slide_chosen = Signal(Path)

    def __init__(self) -> None:
        super().__init__()
        self._slides: list[Path] = []
        self._names: list[str] = []
        self._edits: list[dict[str, int]] = []
        self.setMaximumHeight(_HEIGHT_PX)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.currentRowChanged.connect(self._row_changed)

    def show_folder(self, path: Path, reviews: Path | None) -> int:
        """List results, choose the first, and return their number.

        Args:
            path: ``OUT``, ``OUT/SLIDE`` or its ``slide.zarr``.
            reviews: Folder of journals, if not that of the result.
        """
        self._slides = slides_of(path) if path.suffix != ".zarr" else [path]
        self._names, self._edits = [], []
        for slide in self._slides:
            published = open_published(slide)
            journals = sorted(reviews_folder(published, reviews).glob(f"*{SUFFIX}"))
            self._names.append(published.slide_id)
            self._edits.append({journal.stem: count_edits(journal) for journal in journals})
        self.clear()
        self.addItems([self._text(row) for row in range(len(self._slides))])
        self.setCurrentRow(0)
        return len(self._slides)

    def show_edits(self, user: str, count: int) -> None:
        """Show the number of a reviewer's edits of the chosen slide."""
        item, row = self.currentItem(), self.currentRow()
        if item is not None and (count or user in self._edits[row]):
            self._edits[row][user] = count
            item.setText(self._text(row))

    def _text(self, row: int) -> str:
        edits = [f"{user} {count}" for user, count in self._edits[row].items()]
        return f"{', '.join(edits) + ' edits' if edits else 'no edits'} · {self._names[row]}"

    def _row_changed(self, row: int) -> None:
        if row >= 0:
            self.slide_chosen.emit(self._slides[row])

"""List of the results in a folder."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QListWidget

from wsipipe.review.journal.journal_file import SUFFIX
from wsipipe.review.journals import reviews_folder
from wsipipe.review.published import open_published, slides_of


class SlideList(QListWidget):
    """Results with the number of entries in each journal.

    Attributes:
        slide_chosen: Emitted with the path of a result when its row is chosen.
    """

    slide_chosen = Signal(Path)

    def __init__(self) -> None:
        super().__init__()
        self._slides: list[Path] = []
        self.setMaximumHeight(60)
        self.currentRowChanged.connect(self._row_changed)

    def show_folder(self, path: Path, reviews: Path | None) -> int:
        """List results, choose the first, and return their number.

        Args:
            path: ``OUT``, ``OUT/SLIDE`` or its ``slide.zarr``.
            reviews: Folder of journals, if not that of the result.
        """
        self._slides = slides_of(path) if path.suffix != ".zarr" else [path]
        self.clear()
        self.addItems([_status(slide, reviews) for slide in self._slides])
        self.setCurrentRow(0)
        return len(self._slides)

    def _row_changed(self, row: int) -> None:
        if row >= 0:
            self.slide_chosen.emit(self._slides[row])


def _status(slide: Path, reviews: Path | None) -> str:
    published = open_published(slide)
    journals = sorted(reviews_folder(published, reviews).glob(f"*{SUFFIX}"))
    counts = [f"{path.stem}: {max(0, path.read_bytes().count(b'\n') - 1)} entries" for path in journals]
    return f"{published.slide_id}\n{', '.join(counts) or 'not reviewed'}"

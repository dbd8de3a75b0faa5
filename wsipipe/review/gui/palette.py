"""Numbers, colours and counts of classes."""

from collections import Counter

import numpy as np

from wsipipe.common.colours import NUCLEUS, Rgb, further, on_slide
from wsipipe.geometry import Array
from wsipipe.review.slide import ReviewedSlide

NO_CLASS = "no class"


class Palette:
    """Classes numbered in the order of the legend.

    Numbers start from 1, which is ``no class``.

    Args:
        slide: The review; call :meth:`refresh` after each edit.

    Attributes:
        hidden: Names of hidden classes.
        names: Names of the classes.
    """

    def __init__(self, slide: ReviewedSlide) -> None:
        self._slide = slide
        self.hidden: set[str] = set()
        self.names: list[str] = [NO_CLASS]
        self._overrides: dict[int, int] = {}
        self._stamps: dict[int, tuple[int, int, int]] = {}
        nuclei = slide.published.nuclei
        self._ids = nuclei.ids
        self._contiguous = bool(nuclei.ids.size) and nuclei.highest_id == nuclei.ids.size
        self._changed: Array | None = None
        self._published: Array | None = None
        self.refresh()

    def refresh(self) -> None:
        """Update classes and nuclei after edits."""
        for name in self._slide.class_names:
            if name not in self.names:
                self.names.append(name)
        if self._published is None or self._changed is not self._slide.changed_tissue:
            self._changed = self._slide.changed_tissue
            self._published = self._of_table()
        stamps = {identity: self._stamp(identity) for identity in self._slide.history.touched}
        kept = {i: number for i, number in self._overrides.items() if stamps.get(i) == self._stamps[i]}
        fresh = {i: self.number(self._slide.class_of(i)) for i in stamps.keys() - kept.keys()}
        self._overrides, self._stamps = kept | fresh, stamps

    def _of_table(self) -> Array | None:
        """Return the class number (n,) uint8 of each published nucleus.

        In changed tissue it is that of the tissue, unless nuclei have types.
        """
        nuclei = self._slide.published.nuclei
        if not nuclei.ids.size:
            return None
        numbers = np.array([self.number(name) for name in nuclei.class_names], np.uint8)[nuclei.class_index]
        if self._changed is None or self._slide.published.nucleus_types:
            return numbers
        cells = self._slide.cells(nuclei.y, nuclei.x)
        of_value = np.ones(256, np.uint8)
        for item in self._slide.published.classes:
            of_value[item.value] = self.number(item.name)
        return np.where(self._changed[cells], of_value[self._slide.tissue()[cells]], numbers)

    def _stamp(self, identity: int) -> tuple[int, int, int]:
        """Return a value that changes with the class."""
        entries = self._slide.history.entries_of(identity)
        tissue = len(self._slide.tissue_labels.boxes()) if self._slide.has_tissue else 0
        return len(entries), entries[-1].number, tissue

    def number(self, name: str) -> int:
        """Return the number of a class; an empty name is ``no class``."""
        if name and name not in self.names:
            self.names.append(name)
        return self.names.index(name or NO_CLASS) + 1

    def colour(self, name: str) -> Rgb:
        """Return the colour of a class."""
        published = self._slide.published
        known = {item.name: item.rgb for item in published.classes}
        known |= {one: on_slide(one, rgb) for one, rgb in published.nucleus_types.items()}
        if name in known:
            return known[name]
        return NUCLEUS if name == NO_CLASS else further(self.names.index(name))

    def outline_colour(self, name: str) -> Rgb:
        """Return the colour of the outlines of a class.

        It is that of nuclei without a class where the class is that of the tissue: the pink, purple and grey
        of tissue classes are not seen on the slide.
        """
        is_tissue = name in {item.name for item in self._slide.published.classes}
        return NUCLEUS if is_tissue and name not in self._slide.published.nucleus_types else self.colour(name)

    def shown_numbers(self, ids: Array) -> Array:
        """Return class numbers (n,) uint8, 0 for hidden classes."""
        numbers = self.numbers(ids)
        hidden = [self.number(name) for name in self.hidden]
        return np.where(np.isin(numbers, hidden), 0, numbers).astype(np.uint8)

    def numbers(self, ids: Array) -> Array:
        """Return the class numbers (n,) uint8 of ids (n,)."""
        found = np.ones(ids.shape, np.uint8)
        if self._published is not None:
            last = self._ids.size - 1
            rows = ids.astype(np.int64) - 1 if self._contiguous else np.searchsorted(self._ids, ids)
            rows = np.clip(rows, 0, last)
            found = np.where(self._ids[rows] == ids, self._published[rows], found)
        overrides = self._overrides
        for at in np.flatnonzero(np.isin(ids, list(overrides))):
            found[at] = overrides[int(ids[at])]
        return found

    def counts(self) -> Counter[str]:
        """Return the current number of nuclei of each class."""
        counts: Counter[str] = Counter()
        if self._published is not None:
            totals = np.bincount(self._published, minlength=len(self.names) + 1)
            counts.update({name: int(totals[number]) for number, name in enumerate(self.names, start=1)})
        for identity, number in self._overrides.items():
            row = self._slide.published.nuclei.row(identity)
            if row is not None and self._published is not None:
                counts[self.names[int(self._published[row]) - 1]] -= 1
            if self._slide.area_px(identity) > 0:
                counts[self.names[number - 1]] += 1
        return counts

"""Paintable layer of the visible field.

Each stroke is recorded as an edit.

The field is a napari Labels layer at full resolution. Ids are numbered from 1 within the field, so that any
id, however high, has a colour and a brush of its own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QTimer

from wsipipe.errors import WsipipeError
from wsipipe.geometry import Array, Region
from wsipipe.review.gui.palette import Palette
from wsipipe.review.session import Session

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels
    from napari.utils.colormaps import DirectLabelColormap
    from napari.utils.events import Event

MAX_SIDE_PX = 2048
OPACITY = 0.45


class PaintLayer:
    """A field that can be painted.

    Args:
        viewer: A napari viewer.
        session: Session that records the strokes.
        palette: Colours of the classes.
        after_stroke: Called after each stroke that was recorded.
        show_message: Called with the error of a stroke that was refused.

    Attributes:
        region: The field, in px of the nuclei.
        layer: The napari layer; None while closed.
    """

    def __init__(
        self,
        viewer: "napari.Viewer",
        session: Session,
        palette: Palette,
        after_stroke: Callable[[], None],
        show_message: Callable[[str], None],
    ) -> None:
        self._viewer, self._session, self._palette = viewer, session, palette
        self._after_stroke, self._show_message = after_stroke, show_message
        self.region = Region(0, 0, 0, 0)
        self.layer: Labels | None = None
        self._ids: Array = np.zeros(1, np.uint32)
        self._labels: Array = np.zeros((0, 0), np.uint32)
        self._writing = False

    def open(self, region: Region) -> None:
        """Show a region for painting."""
        self.region = region.clipped(self._session.shape)
        self._labels = self._session.labels(self.region).copy()
        self._show()
        self._session.visit(self.region)

    def close(self) -> None:
        """Remove the layer."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def sync(self) -> None:
        """Show edits made elsewhere."""
        if self.layer is not None:
            self._labels = self._session.labels(self.region).copy()
            self._show()

    def set_mode(self, mode: str) -> None:
        """Set the napari mode: ``paint``, ``erase`` or ``polygon``."""
        if self.layer is not None:
            self.layer.mode = mode

    def choose(self, identity: int) -> None:
        """Choose the nucleus that is painted; 0 for a new one."""
        if self.layer is None:
            return
        found = np.flatnonzero(self._ids == identity)
        known = bool(identity) and bool(found.size)
        self.layer.selected_label = int(found[0]) if known else len(self._ids)

    @property
    def chosen(self) -> int:
        """Nucleus that is painted; 0 for a new one."""
        number = int(self.layer.selected_label) if self.layer is not None else 0
        return int(self._ids[number]) if number < len(self._ids) else 0

    def _show(self) -> None:
        ids, at = np.unique(np.append(np.uint32(0), self._labels.ravel()), return_inverse=True)
        chosen = self.chosen
        self._ids = ids
        numbers = at[1:].reshape(self._labels.shape).astype(np.uint16)
        mpp = self._session.published.mpp
        place = {"scale": (mpp, mpp), "translate": (self.region.y * mpp, self.region.x * mpp)}
        if self.layer is None:
            units = ("micrometer", "micrometer")
            self.layer = self._viewer.add_labels(numbers, name="field", opacity=OPACITY, units=units, **place)
            self.layer.events.paint.connect(self._stroke_started)
            self.layer.brush_size = 8
        else:
            self._writing = True
            self.layer.data = numbers
            self.layer.translate = place["translate"]
            self._writing = False
        self.layer.colormap = self._colours()
        self.choose(chosen)

    def _colours(self) -> "DirectLabelColormap":
        from napari.utils.colormaps import DirectLabelColormap

        numbers = self._palette.numbers(self._ids)
        colours: dict[int | None, tuple[float, ...]] = {0: (0, 0, 0, 0), None: (1, 1, 0, 1)}
        for local, number in enumerate(numbers[1:].tolist(), start=1):
            colours[local] = tuple(
                part / 255 for part in self._palette.colour(self._palette.names[number - 1])
            )
        return DirectLabelColormap(color_dict=colours)

    def _stroke_started(self, event: "Event | None" = None) -> None:
        # napari emits the event of a polygon before it fills it.
        if not self._writing:
            QTimer.singleShot(0, self._painted)

    def _painted(self) -> None:
        """Record a stroke and show the labels that follow from it."""
        if self.layer is None:
            return
        numbers = np.asarray(self.layer.data)
        ids = np.append(self._ids, np.uint32(self._session.next_id))
        wanted = ids[np.minimum(numbers, len(self._ids))]
        differ = wanted != self._labels
        if not differ.any():
            return
        box = _box(differ)
        kind, painted = self._kind(wanted[differ])
        region = Region(self.region.y + box.y, self.region.x + box.x, *box.shape)
        try:
            if kind == "draw":
                entry = self._session.redraw(region, wanted[box.slices], painted[0], tool="brush")
            else:
                entry = self._session.repaint(region, wanted[box.slices], kind, painted)
        except WsipipeError as error:
            self._show_message(str(error))
            self._show()
            return
        if entry.edit.diff:
            entry.edit.diff.apply(self._labels, self.region)
        if kind == "draw" or (self._labels != wanted).any():
            self._palette.refresh()
            self._show()
        if kind == "draw":
            self.choose(painted[0])
        self._after_stroke()

    def _kind(self, painted: Array) -> tuple[str, list[int]]:
        """Return kind and nuclei of an edit from painted ids."""
        ids = [int(identity) for identity in np.unique(painted) if identity]
        if not ids:
            return "erase", []
        return ("draw", ids[-1:]) if ids[-1] >= self._session.next_id else ("paint", ids)


def _box(mask: Array) -> Region:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Region(
        int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    )

"""Layers, visible field and mouse tools of a session."""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QTimer

from wsipipe.errors import WsipipeError
from wsipipe.geometry import Region
from wsipipe.review.gui.paint_layer import MAX_SIDE_PX, PaintLayer
from wsipipe.review.gui.palette import Palette
from wsipipe.review.gui.review_layers import ReviewLayers
from wsipipe.review.gui.tools import CUT, PAINT, PAINT_MODES, SELECT, TISSUE
from wsipipe.review.session import Session

if TYPE_CHECKING:
    import napari
    from napari.utils.events import Event

_MARGIN = 6
CONTEXT_UM = 120.0
"""Least side of the field around an item of a queue."""
_CLICK_PX = 3
"""A click may move the pointer by up to this many px of the window."""


class SlideView:
    """One session in a viewer.

    Args:
        viewer: A napari viewer; :meth:`close` removes the layers.
        session: The review.
        after_edit: Called after each edit with a mouse tool.
        show_message: Called with a message for the reviewer.

    Attributes:
        layers: Layers of the slide.
        paint_layer: The paintable layer.
        palette: Colours of the classes.
        tool: The chosen tool.
        selected: Ids of the selected nuclei.
    """

    def __init__(
        self,
        viewer: "napari.Viewer",
        session: Session,
        after_edit: Callable[[], None],
        show_message: Callable[[str], None],
    ) -> None:
        self._viewer, self._session = viewer, session
        self._after_edit, self._show_message = after_edit, show_message
        self.palette = Palette(session)
        self.paint_layer = PaintLayer(viewer, session, self.palette, self._after_stroke, show_message)
        self.tool = SELECT
        self.selected: list[int] = []
        self.layers = ReviewLayers(viewer, session, self.palette)
        if "tissue_class" in self.layers:
            # napari emits the event of a polygon before it fills it.
            self.layers["tissue_class"].events.paint.connect(
                lambda event: QTimer.singleShot(0, self._tissue_painted)
            )
        viewer.mouse_drag_callbacks.append(self._pressed)

    def refresh(self) -> None:
        """Show the current state; call it after edits made elsewhere."""
        self.palette.refresh()
        self.paint_layer.sync()
        self.layers.refresh()
        self.select([i for i in self.selected if self._session.area_px(i) > 0])

    def close(self) -> None:
        """Remove all layers."""
        self.set_tool(SELECT)
        self._viewer.mouse_drag_callbacks.remove(self._pressed)
        self.layers.remove()

    # Visible field

    @property
    def visible(self) -> Region:
        """The visible field in px of the nuclei.

        It may extend beyond the slide.
        """
        camera, mpp = self._viewer.scene.camera, self._session.published.mpp
        height, width = (side / camera.zoom / mpp for side in self._viewer.canvas.size)
        y, x = (centre / mpp + 0.5 for centre in camera.center[-2:])
        return Region(int(y - height / 2), int(x - width / 2), int(height), int(width))

    @property
    def is_close(self) -> bool:
        """Whether the visible field is small enough to be painted."""
        return max(self.visible.shape) <= MAX_SIDE_PX

    def go_to(self, region: Region) -> None:
        """Show a region with its surroundings."""
        camera, mpp = self._viewer.scene.camera, self._session.published.mpp
        side_um = max(CONTEXT_UM, _MARGIN * max(region.shape) * mpp)
        self.centre_on(region.y + region.height / 2 - 0.5, region.x + region.width / 2 - 0.5)
        camera.zoom = min(self._viewer.canvas.size) / side_um
        if self.tool in PAINT_MODES:
            self.paint_layer.open(self.visible)

    def centre_on(self, y: float, x: float) -> None:
        """Centre the visible field, in px of the nuclei."""
        mpp = self._session.published.mpp
        self._viewer.scene.camera.center = (y * mpp, x * mpp)

    # Mouse tools

    def select(self, ids: Sequence[int]) -> None:
        """Select nuclei; edits apply to them."""
        self.selected = list(ids)
        self.layers.show_selection([self._session.box(identity).grown(1) for identity in self.selected])
        if self.tool == PAINT and len(self.selected) == 1:
            self.paint_layer.choose(self.selected[0])

    def set_tool(self, tool: str) -> None:
        """Choose a tool, named as in :data:`wsipipe.review.gui.tools.TOOLS`.

        Painting opens the visible field at full resolution.
        """
        if tool in PAINT_MODES and not self.is_close:
            self._show_message(f"Zoom in: {tool} works on a field of at most {MAX_SIDE_PX} px per side.")
            tool = SELECT
        self.tool = tool
        self._viewer.scene.camera.mouse_pan = tool != CUT
        if tool in PAINT_MODES:
            self._open_paint_layer(tool)
        else:
            self.paint_layer.close()
        if tool == TISSUE:
            self._viewer.layers.selection.active = self.layers["tissue_class"]
            self.layers["tissue_class"].mode = "polygon"
        elif "tissue_class" in self.layers:
            self.layers["tissue_class"].mode = "pan_zoom"
        if tool in (SELECT, CUT):
            self.layers.activate_base()

    def _open_paint_layer(self, tool: str) -> None:
        self.paint_layer.open(self.visible)
        self._viewer.layers.selection.active = self.paint_layer.layer
        self.paint_layer.set_mode(PAINT_MODES[tool])
        self.paint_layer.choose(self.selected[0] if tool == PAINT and len(self.selected) == 1 else 0)

    def set_tissue_class(self, name: str) -> None:
        """Set the class that tissue is painted with."""
        value = {item.name: item.value for item in self._session.published.classes}[name]
        self.layers["tissue_class"].selected_label = value

    def _pressed(self, viewer: "napari.Viewer", event: "Event") -> Generator[None]:
        """Select on a click, split along a drag.

        With Shift a click adds to the selection. A drag splits with the cut tool only.
        """
        if self.tool not in (SELECT, CUT):
            return
        path, start, moved = [self._pixel(event.position)], np.asarray(event.pos), 0.0
        yield
        while event.type == "mouse_move":
            path.append(self._pixel(event.position))
            moved = max(moved, float(np.abs(event.pos - start).max()))
            yield
        # napari passes on one move every 5 ms: the end of a quick drag is known from the release alone.
        path.append(self._pixel(event.position))
        moved = max(moved, float(np.abs(event.pos - start).max()))
        if self.tool == CUT:
            self._cut(path)
        elif moved <= _CLICK_PX:
            self._click(path[0], "Shift" in event.modifiers)

    def _pixel(self, position: Sequence[float]) -> tuple[float, float]:
        mpp = self._session.published.mpp
        return position[-2] / mpp + 0.5, position[-1] / mpp + 0.5

    def _click(self, place: tuple[float, float], add: bool) -> None:
        if not self._session.has_nuclei:
            return
        found = self._session.nucleus_at(*place)
        kept = self.selected if add else []
        self.select([*(i for i in kept if i != found), *([found] if found else [])])

    def _cut(self, path: list[tuple[float, float]]) -> None:
        if len(self.selected) != 1 or path[0] == path[-1]:
            self._show_message("Select one nucleus, then draw a line right across it.")
            return
        self._try(lambda: self._session.split(self.selected[0], path, "line"))

    def _tissue_painted(self) -> None:
        layer = self.layers["tissue_class"]
        if layer not in self._viewer.layers:
            return
        wanted = np.asarray(layer.data)
        region = Region(0, 0, *wanted.shape)
        names = {item.value: item.name for item in self._session.published.classes}
        name = names.get(int(layer.selected_label), "")
        self._try(lambda: self._session.retissue(region, wanted, name, "polygon"))

    def _try(self, edit: Callable[[], object]) -> None:
        try:
            edit()
        except WsipipeError as error:
            self._show_message(str(error))
        self.refresh()
        self._after_edit()

    def _after_stroke(self) -> None:
        self.palette.refresh()
        self.layers.refresh_nuclei()
        self.select(self.selected)
        self._after_edit()

"""A session in a napari viewer: its layers, where the eye is, and what the mouse does."""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer

from wsipipe.errors import WsipipeError
from wsipipe.geometry import Array, Region
from wsipipe.review import reviewed_store
from wsipipe.review.gui.layers import CLASS_OPACITY, TRANSPARENT, placed, result_layers
from wsipipe.review.gui.lazy_arrays import Read, class_outlines
from wsipipe.review.gui.paint_layer import MOST_PX, Field
from wsipipe.review.gui.palette import Palette
from wsipipe.review.session import Session
from wsipipe.store.arrays import read_region

LOOK, PAINT, ERASE, DRAW, CUT, TISSUE = TOOLS = ("look", "paint", "erase", "draw", "cut", "tissue")
_MODES = {PAINT: "paint", ERASE: "erase", DRAW: "polygon"}
_MARGIN = 6
_LEAST_FIELD_PX = 120
_CLICK_PX = 3
"""A hand that presses a button moves the pointer by up to this many px of the window."""


class Canvas:
    """Layers of one session.

    Args:
        viewer: A napari viewer; emptied by :meth:`close`.
        session: The review.
        acted: Called after each act that came from the canvas.
        told: Called with a text for the person.
    """

    def __init__(
        self, viewer: Any, session: Session, acted: Callable[[], None], told: Callable[[str], None]
    ) -> None:
        self.viewer, self.session = viewer, session
        self._acted, self._told = acted, told
        self.palette = Palette(session)
        self.field = Field(viewer, session, self.palette, self._after_stroke, told)
        self.tool = LOOK
        self.selected: list[int] = []
        self.layers: dict[str, Any] = {}
        self._coloured = 0
        self._add_layers()
        viewer.mouse_drag_callbacks.append(self._pressed)

    # Layers

    def _add_layers(self) -> None:
        for data, settings, kind in result_layers(self.session.source.result):
            if settings["name"] not in ("nuclei", "tissue_class"):
                self._add(kind, data, **settings)
        if self.session.has_tissue:
            self._add_tissue()
        if self.session.has_nuclei:
            self._add_nuclei()
        where = {"scale": (self.session.source.mpp,) * 2, "units": ("micrometer", "micrometer")}
        self._add(
            "shapes",
            None,
            name="selected",
            ndim=2,
            face_color="transparent",
            edge_color="yellow",
            edge_width=1.5,
            **where,
        )
        self._add("points", None, name="comments", ndim=2, size=24, face_color="cyan", symbol="star", **where)
        self.viewer.canvas.overlays.scale_bar.visible = True
        self._show_comments()
        self._activate_base()

    def _add(self, kind: str, data: Any, **settings: Any) -> None:
        self.layers[settings["name"]] = getattr(self.viewer, f"add_{kind}")(data, **settings)

    def _add_tissue(self) -> None:
        where = placed(self.session.source.result, "labels/tissue_class") | {"multiscale": False}
        tissue = self.session.tissue().copy()
        self._add("labels", tissue, name="tissue_class", opacity=CLASS_OPACITY, **where)
        self._colour_tissue()
        self.layers["tissue_class"].events.paint.connect(
            lambda event: QTimer.singleShot(0, self._tissue_painted)
        )

    def _add_nuclei(self) -> None:
        where = placed(self.session.source.result, "labels/nuclei")
        self._add("labels", self._nuclei_levels(), name="nuclei", **where)
        self._colour_nuclei()

    def _nuclei_levels(self) -> list[Any]:
        arrays = reviewed_store.reviewed_levels(self.session, "nuclei")
        reads: list[Read] = [self.session.labels, *(partial(_read, array) for array in arrays[1:])]
        return [
            class_outlines(array.shape, read, self.palette.shown_numbers)
            for array, read in zip(arrays, reads, strict=True)
        ]

    def _colour_nuclei(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[int | None, Any] = {0: TRANSPARENT, None: TRANSPARENT}
        self._coloured = len(self.palette.names)
        for number, name in enumerate(self.palette.names, start=1):
            colours[number] = (*(part / 255 for part in self.palette.colour(name)), 1.0)
        self.layers["nuclei"].colormap = DirectLabelColormap(color_dict=colours)

    def _colour_tissue(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[int | None, Any] = {0: TRANSPARENT, None: TRANSPARENT}
        for item in self.session.source.classes:
            shown = item.name not in self.palette.hidden
            colours[item.value] = (*(part / 255 for part in item.rgb), 1.0 if shown else 0.0)
        self.layers["tissue_class"].colormap = DirectLabelColormap(color_dict=colours)

    def refresh(self) -> None:
        """Shows what stands now; call it after every act that came from elsewhere."""
        self.palette.refresh()
        self.field.sync()
        self._refresh_tissue()
        self._refresh_nuclei()
        self.select([i for i in self.selected if self.session.area_px(i) > 0])
        self._show_comments()

    def show_coarse_levels(self) -> None:
        """Takes up coarse levels that were derived meanwhile."""
        if "nuclei" in self.layers:
            self.layers["nuclei"].data = self._nuclei_levels()

    def show_classes(self) -> None:
        """Takes up ``palette.hidden``."""
        if "tissue_class" in self.layers:
            self._colour_tissue()
        self._refresh_nuclei()

    def _refresh_nuclei(self) -> None:
        if "nuclei" not in self.layers:
            return
        if self._coloured != len(self.palette.names):
            self._colour_nuclei()
        self.layers["nuclei"].refresh(thumbnail=False, extent=False)

    def _refresh_tissue(self) -> None:
        if "tissue_class" not in self.layers:
            return
        layer, tissue = self.layers["tissue_class"], self.session.tissue()
        if not np.array_equal(layer.data, tissue):
            layer.data = tissue.copy()

    def _show_comments(self) -> None:
        places = [(place.y, place.x) for place, _, _ in self.session.state.comments]
        if len(places) != len(self.layers["comments"].data):
            self.layers["comments"].data = np.array(places).reshape(-1, 2)

    def close(self) -> None:
        """Takes all layers away."""
        self.set_tool(LOOK)
        self.viewer.mouse_drag_callbacks.remove(self._pressed)
        for layer in self.layers.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    # Where the eye is

    @property
    def visible(self) -> Region:
        """What the window shows, in px of the nuclei; may reach beyond the slide."""
        camera, mpp = self.viewer.scene.camera, self.session.source.mpp
        height, width = (side / camera.zoom / mpp for side in self.viewer.canvas.size)
        y, x = (centre / mpp + 0.5 for centre in camera.center[-2:])
        return Region(int(y - height / 2), int(x - width / 2), int(height), int(width))

    @property
    def is_close(self) -> bool:
        """Whether the window shows few enough px to edit all of them."""
        return max(self.visible.shape) <= MOST_PX

    def go_to(self, region: Region) -> None:
        """Shows a region with its surroundings."""
        mpp = self.session.source.mpp
        side = max(_LEAST_FIELD_PX, _MARGIN * max(region.shape))
        camera = self.viewer.scene.camera
        camera.center = (
            (region.y + region.height / 2 - 0.5) * mpp,
            (region.x + region.width / 2 - 0.5) * mpp,
        )
        camera.zoom = min(self.viewer.canvas.size) / (side * mpp)
        if self.tool in _MODES:
            self.field.open(self.visible)

    # What the mouse does

    def select(self, ids: Sequence[int]) -> None:
        """Marks nuclei; acts apply to them."""
        self.selected = list(ids)
        boxes = [self.session.box(identity).grown(1) for identity in self.selected]
        corners = [
            np.array([(b.y, b.x), (b.y, b.end_x), (b.end_y, b.end_x), (b.end_y, b.x)]) - 0.5 for b in boxes
        ]
        layer = self.layers["selected"]
        # Other data, or a layer hidden, have napari slice and list every layer anew.
        layer.opacity = 1.0 if corners else 0.0
        if corners and not _same(layer.data, corners):
            layer.data = []
            layer.add_rectangles(corners, edge_color="yellow", face_color="transparent", edge_width=1.5)
        if self.tool == PAINT and len(self.selected) == 1:
            self.field.choose(self.selected[0])

    def set_tool(self, tool: str) -> None:
        """Takes a tool in hand: look, paint, erase, draw, cut or tissue.

        Painting opens the visible field at full resolution.
        """
        if tool in _MODES and not self.is_close:
            self._told(f"Zoom in: {tool} works on a field of at most {MOST_PX} px a side.")
            tool = LOOK
        self.tool = tool
        self.viewer.scene.camera.mouse_pan = tool != CUT
        if tool in _MODES:
            self._edit_field(tool)
        else:
            self.field.close()
        if tool == TISSUE:
            self.viewer.layers.selection.active = self.layers["tissue_class"]
            self.layers["tissue_class"].mode = "polygon"
        elif "tissue_class" in self.layers:
            self.layers["tissue_class"].mode = "pan_zoom"
        if tool in (LOOK, CUT):
            self._activate_base()

    def _edit_field(self, tool: str) -> None:
        self.field.open(self.visible)
        self.viewer.layers.selection.active = self.field.layer
        self.field.layer.mode = _MODES[tool]
        self.field.choose(self.selected[0] if tool == PAINT and len(self.selected) == 1 else 0)

    def set_tissue_class(self, name: str) -> None:
        """The class that tissue is painted with."""
        value = {item.name: item.value for item in self.session.source.classes}[name]
        self.layers["tissue_class"].selected_label = value

    def _activate_base(self) -> None:
        base = self.layers.get("image") or next(iter(self.layers.values()))
        self.viewer.layers.selection.active = base

    def _pressed(self, viewer: Any, event: Any) -> Generator[None]:
        """A click selects (with Shift one more); in hand with the knife, a drag cuts the selected nucleus."""
        if self.tool not in (LOOK, CUT):
            return
        path, began, moved = [self._pixel(event.position)], np.asarray(event.pos), 0.0
        yield
        while event.type == "mouse_move":
            path.append(self._pixel(event.position))
            moved = max(moved, float(np.abs(event.pos - began).max()))
            yield
        # napari passes on a move every 5 ms only: the end of a quick drag is known from the release alone.
        path.append(self._pixel(event.position))
        moved = max(moved, float(np.abs(event.pos - began).max()))
        if self.tool == CUT:
            self._cut(path)
        elif moved <= _CLICK_PX:
            self._click(path[0], "Shift" in event.modifiers)

    def _pixel(self, position: Sequence[float]) -> tuple[float, float]:
        mpp = self.session.source.mpp
        return position[-2] / mpp + 0.5, position[-1] / mpp + 0.5

    def _click(self, place: tuple[float, float], more: bool) -> None:
        if not self.session.has_nuclei:
            return
        found = self.session.nucleus_at(*place)
        kept = self.selected if more else []
        self.select([*(i for i in kept if i != found), *([found] if found else [])])

    def _cut(self, path: list[tuple[float, float]]) -> None:
        if len(self.selected) != 1 or path[0] == path[-1]:
            self._told("Select one nucleus, then draw a line right across it.")
            return
        self._try(lambda: self.session.split(self.selected[0], path, "line"))

    def _tissue_painted(self) -> None:
        """Of a polygon napari tells before it fills it, hence the wait until it has."""
        if self.layers["tissue_class"] not in self.viewer.layers:
            return
        wanted = np.asarray(self.layers["tissue_class"].data)
        whole = Region(0, 0, *wanted.shape)
        value = int(self.layers["tissue_class"].selected_label)
        names = {item.value: item.name for item in self.session.source.classes}
        self._try(lambda: self.session.retissue(whole, wanted, names.get(value, ""), "polygon"))

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except WsipipeError as error:
            self._told(str(error))
        self.refresh()
        self._acted()

    def _after_stroke(self) -> None:
        self.palette.refresh()
        self._refresh_nuclei()
        self.select(self.selected)
        self._acted()


def _same(one: Sequence[Array], other: Sequence[Array]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _read(array: Any, region: Region) -> Array:
    return read_region(array, region, 0)

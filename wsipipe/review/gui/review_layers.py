"""napari layers of a session."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wsipipe.geometry import Array, Region
from wsipipe.review.gui.layers import CLASS_OPACITY, TRANSPARENT, placed, result_layers
from wsipipe.review.gui.lazy_arrays import LazyArray, Read, class_outlines
from wsipipe.review.gui.palette import Palette
from wsipipe.review.reviewed_store import reviewed_levels
from wsipipe.review.session import Session
from wsipipe.store.arrays import read_region

if TYPE_CHECKING:
    import napari
    import zarr
    from napari.layers import Layer


class ReviewLayers:
    """Image, probabilities, tissue, nuclei, selection and comments in napari.

    Args:
        viewer: A napari viewer.
        session: The review.
        palette: Colours of the classes.
    """

    def __init__(self, viewer: "napari.Viewer", session: Session, palette: Palette) -> None:
        self._viewer, self._session, self._palette = viewer, session, palette
        self._layers: dict[str, Layer] = {}
        self._coloured = 0
        for data, settings, kind in result_layers(session.published.result):
            if settings["name"] not in ("nuclei", "tissue_class"):
                self._add(kind, data, **settings)
        if session.has_tissue:
            self._add_tissue()
        if session.has_nuclei:
            self._add_nuclei()
        self._add_marks()
        viewer.canvas.overlays.scale_bar.visible = True
        self.activate_base()

    def __getitem__(self, name: str) -> "Layer":
        return self._layers[name]

    def __contains__(self, name: str) -> bool:
        return name in self._layers

    def _add(self, kind: str, data: object, **settings: object) -> None:
        self._layers[str(settings["name"])] = getattr(self._viewer, f"add_{kind}")(data, **settings)

    def _add_tissue(self) -> None:
        where = placed(self._session.published.result, "labels/tissue_class") | {"multiscale": False}
        tissue = self._session.tissue().copy()
        self._add("labels", tissue, name="tissue_class", opacity=CLASS_OPACITY, **where)
        self._colour_tissue()

    def _add_nuclei(self) -> None:
        where = placed(self._session.published.result, "labels/nuclei")
        self._add("labels", self._nuclei_levels(), name="nuclei", **where)
        self._colour_nuclei()

    def _add_marks(self) -> None:
        where = {
            "ndim": 2,
            "scale": (self._session.published.mpp,) * 2,
            "units": ("micrometer", "micrometer"),
        }
        edges = {"face_color": "transparent", "edge_color": "yellow", "edge_width": 1.5}
        self._add("shapes", None, name="selected", **edges, **where)
        self._add("points", None, name="comments", size=24, face_color="cyan", symbol="star", **where)
        self._show_comments()

    def _nuclei_levels(self) -> list[LazyArray]:
        arrays = reviewed_levels(self._session, "nuclei")
        reads: list[Read] = [self._session.labels, *(partial(_read, array) for array in arrays[1:])]
        return [
            class_outlines(array.shape, read, self._palette.shown_numbers)
            for array, read in zip(arrays, reads, strict=True)
        ]

    def _colour_nuclei(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[int | None, tuple[float, ...]] = {0: TRANSPARENT, None: TRANSPARENT}
        self._coloured = len(self._palette.names)
        for number, name in enumerate(self._palette.names, start=1):
            colours[number] = (*(part / 255 for part in self._palette.colour(name)), 1.0)
        self._layers["nuclei"].colormap = DirectLabelColormap(color_dict=colours)

    def _colour_tissue(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[int | None, tuple[float, ...]] = {0: TRANSPARENT, None: TRANSPARENT}
        for item in self._session.published.classes:
            shown = item.name not in self._palette.hidden
            colours[item.value] = (*(part / 255 for part in item.rgb), 1.0 if shown else 0.0)
        self._layers["tissue_class"].colormap = DirectLabelColormap(color_dict=colours)

    def refresh(self) -> None:
        """Show the current labels and comments."""
        if "tissue_class" in self:
            layer, tissue = self["tissue_class"], self._session.tissue()
            if not np.array_equal(layer.data, tissue):
                layer.data = tissue.copy()
        self.refresh_nuclei()
        self._show_comments()

    def refresh_nuclei(self) -> None:
        """Show the current nuclei and classes."""
        if "nuclei" not in self:
            return
        if self._coloured != len(self._palette.names):
            self._colour_nuclei()
        self["nuclei"].refresh(thumbnail=False, extent=False)

    def show_coarse_levels(self) -> None:
        """Show the coarse levels that were written meanwhile."""
        if "nuclei" in self:
            self["nuclei"].data = self._nuclei_levels()

    def show_classes(self) -> None:
        """Show or hide classes as in ``palette.hidden``."""
        if "tissue_class" in self:
            self._colour_tissue()
        self.refresh_nuclei()

    def fade(self, name: str, opacity: float) -> None:
        """Set the opacity of a layer; ``p`` stands for all probabilities."""
        for key, layer in self._layers.items():
            if key == name or (name == "p" and key.startswith("p(")):
                layer.opacity = opacity
                layer.visible = opacity > 0

    def show_selection(self, boxes: Sequence[Region]) -> None:
        """Frame the selected nuclei."""
        corners = [
            np.array([(b.y, b.x), (b.y, b.end_x), (b.end_y, b.end_x), (b.end_y, b.x)]) - 0.5 for b in boxes
        ]
        layer = self["selected"]
        # If the data change or the layer is hidden, napari slices and lists every layer again.
        layer.opacity = 1.0 if corners else 0.0
        if corners and not _same(layer.data, corners):
            layer.data = []
            layer.add_rectangles(corners, edge_color="yellow", face_color="transparent", edge_width=1.5)

    def _show_comments(self) -> None:
        places = [(place.y, place.x) for place, _, _ in self._session.history.comments]
        if len(places) != len(self["comments"].data):
            self["comments"].data = np.array(places).reshape(-1, 2)

    def activate_base(self) -> None:
        """Make the image the active layer, or the lowest one."""
        base = self._layers.get("image") or next(iter(self._layers.values()))
        self._viewer.layers.selection.active = base

    def remove(self) -> None:
        """Remove all layers from the viewer."""
        for layer in self._layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)


def _same(one: Sequence[Array], other: Sequence[Array]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _read(array: "zarr.Array", region: Region) -> Array:
    return read_region(array, region, 0)

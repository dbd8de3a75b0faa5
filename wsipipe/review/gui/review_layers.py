"""napari layers of a session."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wsipipe.common.colours import EXTRA, MISSED, RIM, Rgb
from wsipipe.geometry import Array, Region
from wsipipe.review.gui.layers import CLASS_OPACITY, TRANSPARENT, LayerData, placed, result_layers
from wsipipe.review.gui.lazy_arrays import LazyArray, Read
from wsipipe.review.gui.outlines import RIM_NUMBER, outline_levels, outlines_placed
from wsipipe.review.gui.palette import Palette
from wsipipe.review.gui.reference import Reference, add_reference
from wsipipe.review.reviewed_store import reviewed_levels
from wsipipe.review.session import Session
from wsipipe.store.arrays import read_region

if TYPE_CHECKING:
    import napari
    import zarr
    from napari.layers import Layer


_RING_UM = 18.0


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
        self._probabilities: list[LayerData] = []
        self._coloured = 0
        for data, settings, kind in result_layers(session.published.result):
            if str(settings["name"]).startswith("p("):
                # A layer takes a tenth of a second: these wait until someone wants to see them.
                self._probabilities.append((data, settings, kind))
            elif settings["name"] not in ("nuclei", "tissue_class"):
                self._add(kind, data, **settings)
        if session.has_tissue:
            self._add_tissue()
        if session.has_nuclei:
            self._add_nuclei()
        self._add_differences()
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
        where = outlines_placed(placed(self._session.published.result, "labels/nuclei"))
        self._add("labels", self._nuclei_levels(), name="nuclei", opacity=1.0, **where)
        self._colour_nuclei()

    def _add_differences(self) -> None:
        """Add a ring around each difference of the comparisons; of several, all are hidden at first."""
        found = self._session.published.differences
        is_shown = len({one.name for one in found}) == 1
        for one in found:
            self._add(
                "points",
                np.stack([one.y, one.x], axis=1) - 0.5,
                name=one.title,
                visible=is_shown,
                size=_RING_UM / self._session.published.mpp,
                face_color="transparent",
                border_color=[_shares({"missed": MISSED, "extra": EXTRA}[one.side])],
                border_width=0.12,
                **self._in_px(),
            )

    def add_reference(self, reference: Reference) -> None:
        """Add the outlines of other nuclei of the slide."""
        self._layers[reference.name] = add_reference(self._viewer, self._session.published, reference)
        self.activate_base()

    def _in_px(self) -> dict[str, object]:
        mpp = self._session.published.mpp
        return {"ndim": 2, "scale": (mpp, mpp), "units": ("micrometer", "micrometer")}

    def _add_marks(self) -> None:
        where = self._in_px()
        edges = {"face_color": "transparent", "edge_color": "yellow", "edge_width": 1.5}
        self._add("shapes", None, name="selected", **edges, **where)
        self._show_comments()

    def _nuclei_levels(self) -> list[LazyArray]:
        arrays = reviewed_levels(self._session, "nuclei")
        reads: list[Read] = [self._session.labels, *(partial(_read, array) for array in arrays[1:])]
        shapes = [(int(array.shape[0]), int(array.shape[1])) for array in arrays]
        return outline_levels(shapes, reads, self._palette.shown_numbers, self._session.published.mpp)

    def _colour_nuclei(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[int | None, tuple[float, ...]] = {0: TRANSPARENT, None: TRANSPARENT}
        self._coloured = len(self._palette.names)
        for number, name in enumerate(self._palette.names, start=1):
            colours[number] = _shares(self._palette.outline_colour(name))
        colours[RIM_NUMBER] = _shares(RIM)
        self._layers["nuclei"].colormap = DirectLabelColormap(color_dict=colours)

    def _colour_tissue(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[int | None, tuple[float, ...]] = {0: TRANSPARENT, None: TRANSPARENT}
        for item in self._session.published.classes:
            shown = item.name not in self._palette.hidden
            colours[item.value] = _shares(item.rgb) if shown else TRANSPARENT
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

    def show_class(self, name: str, shown: bool) -> None:
        """Show or hide the tissue and the nuclei of a class."""
        (self._palette.hidden.discard if shown else self._palette.hidden.add)(name)
        if "tissue_class" in self:
            self._colour_tissue()
        self.refresh_nuclei()

    def fade(self, name: str, opacity: float) -> None:
        """Set the opacity of a layer; ``p`` stands for all probabilities, which are then added."""
        if name == "p" and opacity > 0:
            self._add_probabilities()
        for key, layer in self._layers.items():
            if key == name or (name == "p" and key.startswith("p(")):
                layer.opacity = opacity
                layer.visible = opacity > 0

    def _add_probabilities(self) -> None:
        active = self._viewer.layers.selection.active
        for data, settings, kind in self._probabilities:
            self._add(kind, data, **settings)
            self._viewer.layers.move(len(self._viewer.layers) - 1, "image" in self)
        if self._probabilities:
            self._viewer.layers.selection.active = active
        self._probabilities = []

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
        if places and "comments" not in self:
            active = self._viewer.layers.selection.active
            marks = {"size": 24, "face_color": "cyan", "symbol": "star"}
            self._add("points", None, name="comments", **marks, **self._in_px())
            self._viewer.layers.selection.active = active
        if "comments" in self and len(places) != len(self["comments"].data):
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


def _shares(rgb: Rgb) -> tuple[float, ...]:
    return (*(part / 255 for part in rgb), 1.0)


def _same(one: Sequence[Array], other: Sequence[Array]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _read(array: "zarr.Array", region: Region) -> Array:
    return read_region(array, region, 0)

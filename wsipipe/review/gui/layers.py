"""napari layers of results and slide files.

Pixels are read when they are shown.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from wsipipe.common.colours import NUCLEUS
from wsipipe.geometry import Array, Region
from wsipipe.review.gui.lazy_arrays import LazyArray, outlined, plane, rgb, thinned
from wsipipe.review.slide import ReviewedSlide
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.store.result import Result
from wsipipe.tiling.slide import open_slide

if TYPE_CHECKING:
    import napari
    from napari.utils.colormaps import DirectLabelColormap

LayerData = tuple[LazyArray | list[LazyArray], dict[str, Any], str]
"""Data, settings and kind of a layer, as napari's readers return them."""
NUCLEUS_COLOUR = (*(part / 255 for part in NUCLEUS), 1.0)
CLASS_OPACITY = 0.25
TRANSPARENT = (0.0, 0.0, 0.0, 0.0)
_LONGEST_PX = 1024


def result_layers(result: Result, outlines: bool = False) -> list[LayerData]:
    """Return the layers of a result, lowest first.

    These are the image, probabilities (hidden), tissue (hidden), tissue classes and nuclei.

    Args:
        result: An opened result.
        outlines: Nuclei as outlines in the data, for layers whose contour cannot be set.
    """
    layers = [_image(result)] if result.arrays.image else []
    for name in result.arrays.probabilities:
        layers += _probabilities(result, name)
    known = result.arrays.labels
    others = [name for name in known if name not in ("tissue", "nuclei")]
    for name in ("tissue", *others, "nuclei"):
        if name in known:
            layers.append(_labels(result, name, known[name], outlines and name == "nuclei"))
    return layers


def slide_layers(path: Path) -> list[LayerData]:
    """Return the layer of a slide file with all levels.

    Raises:
        SlideError: The file does not open.
    """
    slide = open_slide(path)
    levels = []
    for level in slide.levels:
        mpp = slide.mpp * level.downsample
        shape = (int(slide.bounds.height / level.downsample), int(slide.bounds.width / level.downsample), 3)
        levels.append(LazyArray(shape, "uint8", lambda region, mpp=mpp: slide.read(region, mpp)))
    settings = {
        "name": path.stem,
        "rgb": True,
        "multiscale": True,
        "scale": (slide.mpp, slide.mpp),
        "units": ("micrometer", "micrometer"),
    }
    return [(levels, settings, "image")]


def placed(result: Result, group: str) -> dict[str, object]:
    """Return scale and position in µm, for a multiscale layer."""
    scale_y, scale_x, shift_y, shift_x = result.scale_um(group)
    return {
        "multiscale": True,
        "scale": (scale_y, scale_x),
        "translate": (shift_y, shift_x),
        "units": ("micrometer", "micrometer"),
    }


def _image(result: Result) -> LayerData:
    settings = {"rgb": True, "name": "image", **placed(result, "")}
    return [rgb(level) for level in result.arrays.image], settings, "image"


def _labels(result: Result, name: str, arrays: list[zarr.Array], outlines: bool) -> LayerData:
    group = f"labels/{name}"
    about = _attributes(result, group)["image-label"]
    settings = {
        "name": name,
        "visible": name not in ("tissue", "quality"),
        "opacity": 1.0 if name == "nuclei" else CLASS_OPACITY,
        "colormap": _colours(about),
        "features": _names(about),
        **placed(result, group),
    }
    return [_outlines(array) if outlines else plane(array) for array in arrays], settings, "labels"


def _outlines(array: zarr.Array) -> LazyArray:
    def read(region: Region) -> Array:
        return read_region(array, region, 0)

    return outlined(array.shape, read, array.dtype)


def _colours(label: dict[str, Any]) -> "DirectLabelColormap":
    """Return the colours of an OME ``image-label``.

    Without classes all ids have one colour.
    """
    from napari.utils.colormaps import DirectLabelColormap

    colours = {item["label-value"]: [part / 255 for part in item["rgba"]] for item in label.get("colors", [])}
    rest = TRANSPARENT if colours else NUCLEUS_COLOUR
    return DirectLabelColormap(color_dict={0: TRANSPARENT, **colours, NOT_COMPUTED: TRANSPARENT, None: rest})


def _names(label: dict[str, Any]) -> dict[str, list[Any]]:
    """Return class names for the status bar."""
    named = label.get("properties", [])
    if not named:
        return {}
    return {"index": [item["label-value"] for item in named], "class": [item["name"] for item in named]}


def _probabilities(result: Result, name: str) -> list[LayerData]:
    group = f"probabilities/{name}"
    array = result.arrays.probabilities[name]
    channels = range(array.shape[0]) if array.ndim == 3 else [None]
    described = _attributes(result, group).get("omero", {}).get("channels", [])
    names = [f"p({channel['label']})" for channel in described] or [f"p({name})"]
    settings = {
        "visible": False,
        "blending": "additive",
        "contrast_limits": (0, PROBABILITY_MAX),
        **placed(result, group),
    }
    return [
        (thinned(_known(array, channel), _LONGEST_PX), {"name": shown, **settings}, "image")
        for channel, shown in zip(channels, names, strict=True)
    ]


def _known(array: zarr.Array, channel: int | None) -> LazyArray:
    """Return probabilities, 0 where not computed or unreadable."""
    stored = plane(array, channel)

    def read(region: Region) -> Array:
        pixels = stored[region.slices].copy()
        pixels[pixels > PROBABILITY_MAX] = 0
        return pixels

    return LazyArray(stored.shape, stored.dtype, read)


def _attributes(result: Result, group: str) -> dict[str, Any]:
    ome: Any = zarr.open_group(result.store / group, mode="r").attrs["ome"]
    return dict(ome)


def take_layers(viewer: "napari.Viewer") -> Path | None:
    """Remove layers of opened results; return the first result."""
    plain = [layer for layer in viewer.layers if "wsipipe" in layer.metadata]
    for layer in plain:
        viewer.layers.remove(layer)
    return Path(plain[0].metadata["wsipipe"]) if plain else None


def thumbnail(slide: ReviewedSlide) -> Array:
    """Return a thumbnail (h, w, 3) uint8.

    Without an image it is the class map.
    """
    image = slide.published.result.arrays.image
    if image:
        return np.moveaxis(np.asarray(image[-1][...]), 0, 2)
    if slide.has_tissue:
        return np.repeat(slide.tissue()[..., None], 3, axis=2)
    return np.full((64, 64, 3), 255, np.uint8)

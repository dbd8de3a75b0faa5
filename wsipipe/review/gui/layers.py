"""A finished slide, or a slide's file -> what napari adds as layers, nothing read yet."""

from pathlib import Path
from typing import Any

import zarr

from wsipipe.geometry import Region
from wsipipe.review.gui.lazy_arrays import Lazy, outlined, plane, rgb, thinned
from wsipipe.store.arrays import read_region
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.store.result import Result
from wsipipe.tiling.slide import open_slide

LayerData = tuple[Any, dict[str, Any], str]
NUCLEUS_COLOUR = (0.0, 0.9, 0.2, 1.0)
"""Green, the colour that neither haematoxylin nor eosin has."""
CLASS_OPACITY = 0.25
TRANSPARENT = (0.0, 0.0, 0.0, 0.0)
_LONGEST_PX = 1024


def result_layers(result: Result, outlines: bool = False) -> list[LayerData]:
    """Image, probabilities (hidden), tissue (hidden), tissue classes, nuclei; lowest first.

    Args:
        result: An opened slide.
        outlines: Nuclei as outlines in the data, for layers whose contour cannot be set.
    """
    layers = [_image(result)] if result.image else []
    for name in result.probabilities:
        layers += _probabilities(result, name)
    known = result.labels
    others = [name for name in known if name not in ("tissue", "nuclei")]
    for name in ("tissue", *others, "nuclei"):
        if name in known:
            layers.append(_labels(result, name, known[name], outlines and name == "nuclei"))
    return layers


def slide_layers(path: Path) -> list[LayerData]:
    """A slide's own file, every level of it, decoded where it is shown.

    Raises:
        SlideError: It does not open.
    """
    slide = open_slide(path)
    levels = []
    for level in slide.levels:
        mpp = slide.mpp * level.downsample
        shape = (int(slide.bounds.height / level.downsample), int(slide.bounds.width / level.downsample), 3)
        levels.append(Lazy(shape, "uint8", lambda region, mpp=mpp: slide.read(region, mpp)))
    settings = {
        "name": path.stem,
        "rgb": True,
        "multiscale": True,
        "scale": (slide.mpp, slide.mpp),
        "units": ("micrometer", "micrometer"),
    }
    return [(levels, settings, "image")]


def placed(result: Result, group: str) -> dict[str, Any]:
    """Scale and place of a group in um, for a multiscale layer."""
    scale_y, scale_x, shift_y, shift_x = result.scale_um(group)
    return {
        "multiscale": True,
        "scale": (scale_y, scale_x),
        "translate": (shift_y, shift_x),
        "units": ("micrometer", "micrometer"),
    }


def _image(result: Result) -> LayerData:
    settings = {"rgb": True, "name": "image", **placed(result, "")}
    return [rgb(level) for level in result.image], settings, "image"


def _labels(result: Result, name: str, arrays: list[Any], outlines: bool) -> LayerData:
    group = f"labels/{name}"
    about = _attributes(result, group)["image-label"]
    settings = {
        "name": name,
        "visible": name != "tissue",
        "opacity": 1.0 if name == "nuclei" else CLASS_OPACITY,
        "colormap": _colours(about),
        "features": _names(about),
        **placed(result, group),
    }
    return [_outlines(array) if outlines else plane(array) for array in arrays], settings, "labels"


def _outlines(array: Any) -> Lazy:
    def read(region: Region) -> Any:
        return read_region(array, region, 0)

    return outlined(array.shape, read, array.dtype)


def _colours(label: dict[str, Any]) -> Any:
    """OME ``image-label`` -> napari colours; without classes every id has one colour."""
    from napari.utils.colormaps import DirectLabelColormap

    colours = {item["label-value"]: [part / 255 for part in item["rgba"]] for item in label.get("colors", [])}
    rest = TRANSPARENT if colours else NUCLEUS_COLOUR
    return DirectLabelColormap(color_dict={0: TRANSPARENT, **colours, NOT_COMPUTED: TRANSPARENT, None: rest})


def _names(label: dict[str, Any]) -> dict[str, list[Any]]:
    """What the status bar says of the label under the pointer."""
    named = label.get("properties", [])
    if not named:
        return {}
    return {"index": [item["label-value"] for item in named], "class": [item["name"] for item in named]}


def _probabilities(result: Result, name: str) -> list[LayerData]:
    group = f"probabilities/{name}"
    array = result.probabilities[name]
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


def _known(array: Any, channel: int | None) -> Lazy:
    """Not computed and unreadable add nothing."""
    stored = plane(array, channel)

    def read(region: Region) -> Any:
        pixels = stored[region.slices].copy()
        pixels[pixels > PROBABILITY_MAX] = 0
        return pixels

    return Lazy(stored.shape, stored.dtype, read)


def _attributes(result: Result, group: str) -> dict[str, Any]:
    ome: Any = zarr.open_group(result.store / group, mode="r").attrs["ome"]
    return dict(ome)

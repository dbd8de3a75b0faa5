"""A finished slide -> napari layers in um: image, probabilities, labels; lazy, read only where shown."""

import os
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import zarr

from wsipipe.errors import ConfigError
from wsipipe.notice import NOTICE
from wsipipe.quantise import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.results import Result, open_result

NUCLEUS_COLOUR = (0.0, 0.9, 0.2, 1.0)
"""Green, the colour that neither haematoxylin nor eosin has."""
CONTOUR_PX = 1
CLASS_OPACITY = 0.25
TRANSPARENT = (0.0, 0.0, 0.0, 0.0)


def view_result(path: Path) -> None:
    """Opens a finished slide in napari and returns when its window is closed.

    Args:
        path: ``OUT/SLIDE`` or its ``slide.zarr``.

    Raises:
        StorageError: There is no finished slide.
        ConfigError: napari is not installed, or there is no display; names what to do.
    """
    result = open_result(path)
    try:
        import napari
    except ImportError as error:
        raise ConfigError(
            f"Viewing {result.folder} needs napari, which is not installed; run "
            f"pip install 'wsipipe[review]' and try again."
        ) from error
    _need_display()
    viewer = napari.Viewer(title=title(result))
    add_layers(viewer, result)
    viewer.reset_view()
    napari.run()


def title(result: Result) -> str:
    """The window's title: which slide, and what a person has to know."""
    return f"{result.attributes['slide_id']} - {NOTICE}"


def add_layers(viewer: Any, result: Result) -> list[Any]:
    """Adds a slide's layers to a napari viewer: image, probabilities, tissue, tissue classes, nuclei.

    Nothing is read but what the canvas shows. A slide without image gives its labels alone.

    Args:
        viewer: A ``napari.Viewer``, or its model without a window.
        result: An opened slide.

    Returns:
        The layers added, lowest first.
    """
    layers = [_add_image(viewer, result)] if result.image else []
    for name in result.probabilities:
        layers += _add_probability(viewer, result, name)
    known = result.labels
    ordered = [name for name in ("tissue", "tissue_class", "nuclei") if name in known]
    layers += [_add_labels(viewer, result, name, known[name]) for name in ordered]
    viewer.canvas.overlays.scale_bar.visible = True
    return layers


def _add_image(viewer: Any, result: Result) -> Any:
    levels = [da.from_zarr(level).transpose(1, 2, 0) for level in result.image]
    return viewer.add_image(levels, rgb=True, name="image", **_multiscale(result, ""))


def _add_labels(viewer: Any, result: Result, name: str, arrays: list[Any]) -> Any:
    group = f"labels/{name}"
    layer = viewer.add_labels(
        [da.from_zarr(array) for array in arrays],
        name=name,
        visible=name != "tissue",
        opacity=1.0 if name == "nuclei" else CLASS_OPACITY,
        colormap=_label_colours(_attributes(result, group)["image-label"]),
        features=_label_names(_attributes(result, group)["image-label"]),
        **_multiscale(result, group),
    )
    layer.contour = CONTOUR_PX if name == "nuclei" else 0
    return layer


def _label_colours(label: dict[str, Any]) -> Any:
    """OME ``image-label`` -> napari colours; without classes every id has one colour."""
    from napari.utils.colormaps import DirectLabelColormap

    colours = {item["label-value"]: [part / 255 for part in item["rgba"]] for item in label.get("colors", [])}
    rest = TRANSPARENT if colours else NUCLEUS_COLOUR
    return DirectLabelColormap(color_dict={0: TRANSPARENT, **colours, NOT_COMPUTED: TRANSPARENT, None: rest})


def _label_names(label: dict[str, Any]) -> dict[str, list[Any]]:
    """What the status bar says of the label under the pointer."""
    named = label.get("properties", [])
    if not named:
        return {}
    return {"index": [item["label-value"] for item in named], "class": [item["name"] for item in named]}


def _add_probability(viewer: Any, result: Result, name: str) -> list[Any]:
    group = f"probabilities/{name}"
    stored = da.from_zarr(result.probabilities[name])
    known = da.where(stored > PROBABILITY_MAX, 0, stored).astype(stored.dtype)
    planes = known if known.ndim == 3 else known[None]
    channels = _attributes(result, group).get("omero", {}).get("channels", [])
    names = [f"p({channel['label']})" for channel in channels] or [f"p({name})"]
    return [
        viewer.add_image(
            _thinned(plane),
            name=shown,
            visible=False,
            blending="additive",
            contrast_limits=(0, PROBABILITY_MAX),
            **_multiscale(result, group),
        )
        for plane, shown in zip(planes, names, strict=True)
    ]


def _thinned(plane: Any) -> list[Any]:
    """Levels of an array that has no pyramid: every second px of the level before, down to one chunk."""
    levels = [plane]
    while max(levels[-1].shape) > max(plane.chunksize):
        levels.append(levels[-1][::2, ::2])
    return levels


def _multiscale(result: Result, group: str) -> dict[str, Any]:
    scale_y, scale_x, shift_y, shift_x = result.scale_um(group)
    return {
        "multiscale": True,
        "scale": (scale_y, scale_x),
        "translate": (shift_y, shift_x),
        "units": ("micrometer", "micrometer"),
    }


def _attributes(result: Result, group: str) -> dict[str, Any]:
    ome = zarr.open_group(result.store / group, mode="r").attrs["ome"]
    return dict(ome)


def _need_display() -> None:
    """Qt ends the whole process where it finds no display; an error says more."""
    places = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(place) for place in places):
        raise ConfigError(
            "napari was asked to open a window, but this machine has no display (neither DISPLAY nor "
            "WAYLAND_DISPLAY is set); copy the result to a machine that has one, or log in with ssh -X."
        )

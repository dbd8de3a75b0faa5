"""A result, an OUT folder or a slide -> a napari window, with the review panel where it fits."""

import os
import sys
from pathlib import Path
from typing import Any

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.errors import ConfigError, NoResultError, SlideError
from wsipipe.store.result import Result

CONTOUR_PX = 1


def view(path: Path, user: str | None = None, reviews: Path | None = None, review: bool = True) -> None:
    """Opens something in napari and returns when the window is closed.

    Args:
        path: ``OUT``, ``OUT/SLIDE``, its ``slide.zarr``, or any slide file.
        user: Name of the reviewer; default the login name.
        reviews: Another folder for journals than that of the result.
        review: False shows a result without the review panel.

    Raises:
        NoResultError: There is nothing of ours.
        ConfigError: napari is not installed, or there is no display; names what to do.
    """
    from wsipipe.review.published import open_source, slides_of

    results = slides_of(path) if path.is_dir() and path.suffix != ".zarr" else [path]
    if not (path.is_dir() and results):
        _view_slide(path)
        return
    result = open_source(results[0]).result
    napari = need_napari(path)
    viewer = napari.Viewer(title=f"{result.attributes['slide_id']} - {RESEARCH_USE_NOTICE}")
    panel = None
    if review:
        from wsipipe.review.gui.widget import ReviewWidget

        panel = ReviewWidget(viewer, user=user, reviews=reviews)
        viewer.window.add_dock_widget(panel, name="review", area="right")
        panel.open_folder(path)
    else:
        add_layers(viewer, result)
    viewer.reset_view()
    napari.run()
    if panel:
        panel.release()


def _view_slide(path: Path) -> None:
    from wsipipe.review.gui.layers import slide_layers

    try:
        layers = slide_layers(path)
    except SlideError as error:
        if not path.is_dir():
            raise
        raise NoResultError(
            f"{path} holds no result of wsipipe and is no slide; name OUT, OUT/SLIDE or a slide."
        ) from error
    napari = need_napari(path)
    viewer = napari.Viewer(title=f"{path.name} - {RESEARCH_USE_NOTICE}")
    _add(viewer, layers)
    viewer.reset_view()
    napari.run()


def need_napari(path: Path) -> Any:
    """napari, imported, able to open a window; layers are fetched off the window's thread.

    Raises:
        ConfigError: It is not installed, or there is no display.
    """
    os.environ.setdefault("NAPARI_ASYNC", "1")
    try:
        import napari
    except ImportError as error:
        raise ConfigError(
            f"Viewing {path} needs napari, which is not installed; run pip install 'wsipipe[review]' and try "
            f"again."
        ) from error
    _need_display()
    return napari


def add_layers(viewer: Any, result: Result) -> list[Any]:
    """Adds a slide's layers to a napari viewer: image, probabilities, tissue, tissue classes, nuclei.

    Nothing is read but what the canvas shows. A slide without image gives its labels alone.

    Args:
        viewer: A ``napari.Viewer``, or its model without a window.
        result: An opened slide.

    Returns:
        The layers added, lowest first.
    """
    from wsipipe.review.gui.layers import result_layers

    layers = _add(viewer, result_layers(result))
    for layer in layers:
        if layer.name == "nuclei":
            layer.contour = CONTOUR_PX
    return layers


def _add(viewer: Any, layers: list[Any]) -> list[Any]:
    added = [getattr(viewer, f"add_{kind}")(data, **settings) for data, settings, kind in layers]
    viewer.canvas.overlays.scale_bar.visible = True
    return added


def _need_display() -> None:
    """Qt ends the whole process where it finds no display; an error says more."""
    places = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(place) for place in places):
        raise ConfigError(
            "napari was asked to open a window, but this machine has no display (neither DISPLAY nor "
            "WAYLAND_DISPLAY is set); copy the result to a machine that has one, or log in with ssh -X."
        )

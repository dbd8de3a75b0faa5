"""Open results and slides in a napari window."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.common.distribution import install_command
from wsipipe.errors import ConfigError, NoResultError, SlideError
from wsipipe.store.result import Result

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from wsipipe.review.gui.layers import LayerData
    from wsipipe.review.gui.reference import Reference

CONTOUR_PX = 1


def view(
    path: Path,
    user: str | None = None,
    reviews: Path | None = None,
    review: bool = True,
    reference: "Reference | None" = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Open results or a slide in napari.

    Return when the window is closed.

    Args:
        path: ``OUT``, ``OUT/SLIDE``, its ``slide.zarr``, or a slide file.
        user: Name of the reviewer; the login name by default.
        reviews: Folder of journals, if not that of the result.
        review: Whether to show the review panel.
        reference: Other nuclei of the slide, shown as a layer of their own.
        say: Called with what is being done, before it is done.

    Raises:
        NoResultError: There is no result or slide.
        ConfigError: napari is not installed, or there is no display.
    """
    from wsipipe.review.published import open_published, slides_of

    results = slides_of(path) if path.is_dir() and path.suffix != ".zarr" else [path]
    if not (path.is_dir() and results):
        _view_slide(path)
        return
    published = open_published(results[0])
    say("Starting napari ...")
    napari = need_napari(path)
    say("Opening the window ...")
    viewer = napari.Viewer(title=f"{published.slide_id} - {RESEARCH_USE_NOTICE}")
    panel = None
    if review:
        from wsipipe.review.gui.widget import ReviewWidget

        panel = ReviewWidget(viewer, user=user, reviews=reviews, reference=reference)
        viewer.window.add_dock_widget(panel, name="review", area="right")
        panel.open_soon(path)
    else:
        add_layers(viewer, published.result)
        if reference:
            from wsipipe.review.gui.reference import add_reference

            add_reference(viewer, published, reference)
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
            f"{path} cannot be viewed: it holds no result of wsipipe and is no slide. Name OUT, OUT/SLIDE or "
            "a slide."
        ) from error
    napari = need_napari(path)
    viewer = napari.Viewer(title=f"{path.name} - {RESEARCH_USE_NOTICE}")
    _add(viewer, layers)
    viewer.reset_view()
    napari.run()


def need_napari(path: Path) -> ModuleType:
    """Import napari for a window.

    Layers are read in a thread of their own.

    Raises:
        ConfigError: napari is not installed, or there is no display.
    """
    os.environ.setdefault("NAPARI_ASYNC", "1")
    try:
        import napari
    except ImportError as error:
        raise ConfigError(
            f"{path} cannot be viewed: napari is not installed. Run {install_command('review')} "
            "and try again."
        ) from error
    _need_display()
    return napari


def add_layers(viewer: "ViewerModel", result: Result) -> list["Layer"]:
    """Add the layers of a result to a napari viewer.

    These are the image (if stored), probabilities, tissue, tissue classes and nuclei. Only what the canvas
    shows is read.

    Args:
        viewer: A ``napari.Viewer``, or its model without a window.
        result: An opened result.

    Returns:
        The layers, lowest first.
    """
    from wsipipe.review.gui.layers import result_layers

    layers = _add(viewer, result_layers(result))
    for layer in layers:
        if layer.name == "nuclei":
            layer.contour = CONTOUR_PX
    return layers


def _add(viewer: "ViewerModel", layers: list["LayerData"]) -> list["Layer"]:
    added = [getattr(viewer, f"add_{kind}")(data, **settings) for data, settings, kind in layers]
    viewer.canvas.overlays.scale_bar.visible = True
    return added


def _need_display() -> None:
    """Check that there is a display.

    Without one, Qt would end the process.
    """
    places = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(place) for place in places):
        raise ConfigError(
            "napari cannot open a window: this machine has no display (neither DISPLAY nor WAYLAND_DISPLAY "
            "is set). Copy the result to a machine that has one, or log in with ssh -X."
        )

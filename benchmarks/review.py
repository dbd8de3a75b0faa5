"""Measure looking at and correcting a large result: first picture, panning, memory, edits.

    python benchmarks/review.py --store DIR --make 65536      makes a synthetic store (links: little disk)
    python benchmarks/review.py --store DIR                    measures the review panel on it
    python benchmarks/review.py --store DIR --plain FOLDER     measures napari-ome-zarr, installed in FOLDER

Needs a display (xvfb-run will do). Times are wall-clock, on whatever else the machine does.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

JUMPS = 200
EDITS = 20
MPP = 0.25


def main() -> None:
    """Parses, makes or measures, prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--make", type=int)
    parser.add_argument("--plain", type=Path)
    options = parser.parse_args()
    if options.make:
        from review_store import make_store

        began = time.perf_counter()
        result = make_store(options.store, options.make)
        print(json.dumps({"made_s": time.perf_counter() - began, "nuclei": len(result.nuclei())}))
        return
    folder = options.store / "result"
    measured = _plain(folder, options.plain) if options.plain else _review(folder)
    print(json.dumps(measured, indent=1))


def _review(folder: Path) -> dict[str, Any]:
    os.environ["NAPARI_ASYNC"] = "1"
    os.environ["NAPARI_CONFIG"] = str(folder.parent / "settings.yaml")
    began = time.perf_counter()
    import napari

    from wsipipe.review.widget import ReviewWidget

    viewer = napari.Viewer()
    viewer.window.resize(1240, 960)
    up = time.perf_counter()
    panel = ReviewWidget(viewer, user="bench")
    viewer.window.add_dock_widget(panel, name="review", area="right")
    panel.open_folder(folder)
    _settled(viewer)
    shown = time.perf_counter()
    measured = {"napari_s": up - began, "first_picture_s": shown - up, "process_to_picture_s": shown - began}
    measured |= _moves(viewer)
    measured |= _edits(viewer, panel)
    panel.close_session()
    viewer.close()
    return measured


def _plain(folder: Path, installed: Path) -> dict[str, Any]:
    sys.path.append(str(installed))
    os.environ["NAPARI_CONFIG"] = str(folder.parent / "settings.yaml")
    began = time.perf_counter()
    import napari
    from napari_ome_zarr import napari_get_reader

    viewer = napari.Viewer()
    viewer.window.resize(1240, 960)
    up = time.perf_counter()
    store = str(folder / "slide.zarr")
    for data, settings, kind in napari_get_reader(store)(store):
        added = getattr(viewer, f"add_{kind}")(data, **settings)
        for layer in added if isinstance(added, list) else [added]:
            layer.visible = True
    _settled(viewer)
    shown = time.perf_counter()
    measured = {"napari_s": up - began, "first_picture_s": shown - up, "process_to_picture_s": shown - began}
    measured |= _moves(viewer)
    viewer.close()
    return measured


def _moves(viewer: Any) -> dict[str, float]:
    """Pans of half a field at level 0, then jumps anywhere."""
    camera = viewer.scene.camera
    side_um = 65536 * MPP
    rng = np.random.default_rng(0)
    camera.zoom = 1 / MPP
    camera.center = (side_um / 3, side_um / 3)
    _settled(viewer)
    pans = [
        _timed(
            viewer, lambda: setattr(camera, "center", (camera.center[-2], camera.center[-1] + 100 * MPP * 4))
        )
        for _ in range(60)
    ]
    before = _rss_mb()
    jumps = []
    for _ in range(JUMPS):
        place = tuple(rng.uniform(0.05, 0.95, 2) * side_um)
        jumps.append(_timed(viewer, lambda place=place: setattr(camera, "center", place)))
    return {
        "pan_blocks_ms_p95": _p95([blocked for blocked, _ in pans]),
        "pan_shown_ms_p95": _p95([shown for _, shown in pans]),
        "jump_blocks_ms_p95": _p95([blocked for blocked, _ in jumps]),
        "jump_shown_ms_p95": _p95([shown for _, shown in jumps]),
        "rss_before_jumps_mb": before,
        "rss_after_jumps_mb": _rss_mb(),
        "rss_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _edits(viewer: Any, panel: Any) -> dict[str, float]:
    """Rejecting with the button, item after item: to the journal, to the screen, to the labels."""
    from wsipipe.review.replay import derive

    journal: list[float] = []
    record = panel.session.record

    def timed_record(act: Any) -> Any:
        began = time.perf_counter()
        entry = record(act)
        journal.append(time.perf_counter() - began)
        return entry

    panel.session.record = timed_record
    screens, disks = [], []
    for _ in range(EDITS):
        panel.step(1)
        _settled(viewer)
        journal.clear()
        began = time.perf_counter()
        panel.buttons["reject"].click()
        _settled(viewer)
        screens.append(time.perf_counter() - began)
        disks.append(journal[-1])
    panel._idle.stop()
    derive(panel.session)
    panel.step(1)
    panel.reject()
    panel._idle.stop()
    began = time.perf_counter()
    derive(panel.session)
    return {
        "edit_to_journal_ms_p95": _p95(disks),
        "edit_to_screen_ms_p50": float(np.median(screens)) * 1000,
        "edit_to_screen_ms_p95": _p95(screens),
        "edit_to_reviewed_labels_s": time.perf_counter() - began,
    }


def _timed(viewer: Any, move: Callable[[], None]) -> tuple[float, float]:
    """How long a move holds up the window, and how long until all is shown."""
    from qtpy.QtWidgets import QApplication

    began = time.perf_counter()
    move()
    QApplication.processEvents()
    blocked = time.perf_counter() - began
    _settled(viewer)
    return blocked, time.perf_counter() - began


def _settled(viewer: Any) -> None:
    """Waits until every visible layer has its pixels and the window has drawn them."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
    while not all(layer.loaded for layer in viewer.layers if layer.visible):
        QApplication.processEvents()
        time.sleep(0.001)
    viewer.window._qt_viewer.canvas.native.repaint()
    QApplication.processEvents()


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _p95(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 95)) * 1000


if __name__ == "__main__":
    main()

"""Measure the review panel on a large result: first picture, panning, memory, edits.

    python benchmarks/review.py --store DIR --make 65536      make a synthetic store (links: little disk)
    python benchmarks/review.py --store DIR                    measure the review panel on it
    python benchmarks/review.py --store DIR --plain FOLDER     measure napari-ome-zarr, installed in FOLDER

It needs a display, for example that of xvfb-run. Each time is given twice: as clock time, which depends on
other processes, and as processor time of this process with all its threads, which does not.
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
PANS = 40
EDITS = 10
MPP = 0.25


def main() -> None:
    """Make a store, or measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--make", type=int)
    parser.add_argument("--plain", type=Path)
    options = parser.parse_args()
    if options.make:
        from review_store import make_store

        began = time.perf_counter()
        result = make_store(options.store, options.make)
        print(json.dumps({"made_s": time.perf_counter() - began, "nuclei": len(result.nuclei)}))
        return
    folder = options.store / "result"
    measured = _plain(folder, options.plain) if options.plain else _review(folder)
    print(json.dumps(measured, indent=1))


class Watch:
    """Clock time and processor time since its creation, in seconds."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return (clock, processor)."""
        return time.perf_counter() - self._clock, time.process_time() - self._processor


def _review(folder: Path) -> dict[str, Any]:
    os.environ["NAPARI_ASYNC"] = "1"
    for journal in folder.glob("reviews/bench.journal"):
        journal.unlink()  # nuclei rejected by an earlier measurement cannot be rejected again

    def show(viewer: Any) -> Any:
        from wsipipe.review.gui.widget import ReviewWidget

        panel = ReviewWidget(viewer, user="bench")
        viewer.window.add_dock_widget(panel, name="review", area="right")
        panel.open_folder(folder)
        return panel

    viewer, panel, measured = _open(folder, show)
    for more in (lambda: _edits(viewer, panel), lambda: _moves(viewer)):
        measured |= more()
        print(json.dumps(measured), file=sys.stderr, flush=True)
    panel.close_session()
    viewer.close()
    return measured


def _plain(folder: Path, installed: Path) -> dict[str, Any]:
    sys.path.append(str(installed))

    def show(viewer: Any) -> None:
        from napari_ome_zarr import napari_get_reader

        store = str(folder / "slide.zarr")
        for data, settings, kind in napari_get_reader(store)(store):
            added = getattr(viewer, f"add_{kind}")(data, **settings)
            for layer in added if isinstance(added, list) else [added]:
                layer.visible = True

    viewer, _, measured = _open(folder, show)
    print(json.dumps(measured), file=sys.stderr, flush=True)
    measured |= _moves(viewer)
    viewer.close()
    return measured


def _open(folder: Path, show: Callable[[Any], Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Open a napari window, then the slide in it, and wait until it is drawn."""
    os.environ["NAPARI_CONFIG"] = str(folder.parent / "settings.yaml")
    watch = Watch()
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1240, 960)
    measured = {"napari_s": watch.read()}
    watch = Watch()
    shown = show(viewer)
    _settled(viewer)
    return viewer, shown, measured | {"first_picture_s": watch.read()}


def _moves(viewer: Any) -> dict[str, Any]:
    """Measure pans of half a field at level 0, then random jumps."""
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
        for _ in range(PANS)
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
    }


def _edits(viewer: Any, panel: Any) -> dict[str, Any]:
    """Measure rejections by the button: to the journal, the screen and the labels."""
    from wsipipe.review.reviewed_store import write_reviewed_labels

    journal: list[tuple[float, float]] = []
    record = panel.session.record

    def timed_record(edit: Any) -> Any:
        watch = Watch()
        entry = record(edit)
        journal.append(watch.read())
        return entry

    panel.session.record = timed_record
    screens, disks = [], []
    for _ in range(EDITS):
        panel.step(1)
        _settled(viewer)
        journal.clear()
        watch = Watch()
        panel.buttons["reject"].click()
        _drawn(viewer)
        screens.append(watch.read())
        _settled(viewer)
        disks.append(journal[-1])
    panel.writer.cancel()
    write_reviewed_labels(panel.session)
    panel.step(1)
    panel.edit("reject")
    panel.writer.cancel()
    watch = Watch()
    write_reviewed_labels(panel.session)
    return {
        "edit_to_journal_ms_p95": _p95(disks),
        "edit_to_screen_ms_p95": _p95(screens),
        "edit_to_reviewed_labels_s": watch.read(),
    }


def _timed(viewer: Any, move: Callable[[], None]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Measure how long a move blocks the window, and how long until all is shown."""
    from qtpy.QtWidgets import QApplication

    watch = Watch()
    move()
    QApplication.processEvents()
    blocked = watch.read()
    _drawn(viewer)
    shown = watch.read()
    _settled(viewer)
    return blocked, shown


def _settled(viewer: Any) -> None:
    """Wait until the window is idle."""
    from qtpy.QtWidgets import QApplication

    _drawn(viewer)
    QApplication.processEvents()


def _drawn(viewer: Any) -> None:
    """Wait until the window has drawn every visible layer."""
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()
    while not all(layer.loaded for layer in viewer.layers if layer.visible):
        QApplication.processEvents()
        time.sleep(0.001)
    viewer.window._qt_viewer.canvas.native.repaint()


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _p95(times: list[tuple[float, float]]) -> list[float]:
    """Return the 95th percentile in ms, (clock, processor)."""
    return (np.percentile(np.array(times), 95, axis=0) * 1000).round(1).tolist()


if __name__ == "__main__":
    main()

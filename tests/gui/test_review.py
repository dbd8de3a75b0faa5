"""The panel with real clicks and drags: files on the disk agree with the edits.

``WSIPIPE_REVIEW_RESULT`` takes a real result (OUT/SLIDE) instead of the synthetic one;
``WSIPIPE_SCREENSHOTS`` keeps the pictures.
"""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.reviewed_store import reviewed_levels
from wsipipe.store.result import open_result

pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)


ALBUM = os.environ.get("WSIPIPE_SCREENSHOTS")
WINDOW_PX = (1240, 960) if ALBUM else (900, 640)
"""Small, since each drawing takes time in proportion to the window."""


@pytest.fixture
def result(finished, tmp_path):
    """A result for one test."""
    given = Path(os.environ.get("WSIPIPE_REVIEW_RESULT", finished.folder))
    return open_result(
        shutil.copytree(given, tmp_path / "OUT" / "slide", ignore=shutil.ignore_patterns("reviews"))
    )


class Person:
    """A person at a napari window with the review panel."""

    def __init__(self, panel, result):
        self.panel, self.viewer = panel, panel.viewer
        self.panel.open_folder(result.folder.parent)
        self.settle()

    def settle(self):
        """Let the window handle what was done."""
        from qtpy.QtWidgets import QApplication

        for _ in range(3):
            QApplication.processEvents()
            time.sleep(0.002)

    def look(self, name):
        """Save the window as a picture, where someone wants to see it."""
        self.settle()
        if ALBUM:
            Path(ALBUM).mkdir(parents=True, exist_ok=True)
            Image.fromarray(self.pixels(canvas_only=False)).save(Path(ALBUM) / f"{name}.png")

    def pixels(self, canvas_only=True):
        """Return the pixels of the canvas, or of the window."""
        return self.viewer.screenshot(canvas_only=canvas_only, flash=False)[..., :3]

    def click(self, name):
        """Click a button of the panel."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(self.panel.buttons[name], Qt.MouseButton.LeftButton)
        self.settle()

    def press(self, key):
        """Press a key on the canvas."""
        from qtpy.QtTest import QTest

        QTest.keyClick(self._canvas, key)
        self.settle()

    @property
    def _canvas(self):
        return self.viewer.window._qt_viewer.canvas.native

    def at(self, y, x):
        """Return the place on the canvas of a place in px of the nuclei."""
        from qtpy.QtCore import QPoint

        camera, mpp = self.viewer.scene.camera, self.panel.session.published.mpp
        height, width = self.viewer.canvas.size
        down = ((y - 0.5) * mpp - camera.center[-2]) * camera.zoom + height / 2
        right = ((x - 0.5) * mpp - camera.center[-1]) * camera.zoom + width / 2
        return QPoint(round(right), round(down))

    def drag(self, places, between_s=0.02):
        """Drag with the left button from the first place to the last.

        napari passes on a move every 5 ms: a hand is slower, so each of its moves is seen.
        """
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        points = [QPointF(self.at(*place)) for place in places]
        steps = [
            (QEvent.Type.MouseMove, points[0], none, none),
            (QEvent.Type.MouseButtonPress, points[0], left, left),
        ]
        steps += [(QEvent.Type.MouseMove, point, none, left) for point in points[1:]]
        steps.append((QEvent.Type.MouseButtonRelease, points[-1], left, none))
        for kind, point, button, buttons in steps:
            seen_from = QPointF(self._canvas.mapToGlobal(point.toPoint()))
            QApplication.sendEvent(
                self._canvas,
                QMouseEvent(kind, point, seen_from, button, buttons, Qt.KeyboardModifier.NoModifier),
            )
            QApplication.processEvents()
            time.sleep(between_s)
            QApplication.processEvents()
        self.settle()

    def leave(self):
        """Close the slide."""
        self.panel.close_session()
        assert self.panel.session is None
        assert not len(self.viewer.layers)


@pytest.fixture(scope="module")
def window(display):
    """napari on the virtual display."""
    import napari

    viewer = napari.Viewer(title="review")
    viewer.window.resize(*WINDOW_PX)
    yield viewer
    viewer.close()


@pytest.fixture(scope="module")
def shared_panel(window):
    """The panel, docked once; each test opens its own result."""
    from wsipipe.review.gui.widget import ReviewWidget

    panel = ReviewWidget(window, user="ann")
    window.window.add_dock_widget(panel, name="review", area="right")
    return panel


@pytest.fixture
def person(shared_panel, result):
    """Ann at the panel."""
    someone = Person(shared_panel, result)
    yield someone
    someone.leave()


def centre(region):
    return region.y + region.height / 2, region.x + region.width / 2


def test_ten_items_rejecting_splitting_painting_and_relabelling(person, result) -> None:
    panel, session = person.panel, person.panel.session
    whole = Region(0, 0, *session.shape)
    published = session.labels(whole).copy()
    tissue = session.tissue().copy()
    person.look("00_opened")
    assert panel.legend.boxes
    judged = {}
    for step in range(1, 11):
        person.press("N") if step % 2 else person.click("next")
        identity = panel.queue.items[panel.queue.position].identity
        assert panel.queue.position == step - 1
        assert panel.view.selected == [identity]
        if step in (2, 5):
            person.click("reject")
            judged[identity] = "rejected"
        elif step == 3:
            person.click("split")
            judged[identity] = "changed"
        elif step == 4:
            person.click("paint")
            y, x = centre(session.box(identity))
            person.drag([(y, x), (y + 8, x + 4), (y + 14, x + 8)])
            person.click("select")
            judged[identity] = "changed"
        elif step == 6:
            person.click("accept")
            judged[identity] = "accepted"
        person.look(f"{step:02d}_item")
    assert {i: session.decision(i).status for i in judged} == judged
    acts = [entry.edit.kind for entry in session.history.done]
    assert acts == ["reject", "split", "paint", "reject", "accept"]
    person.viewer.reset_view()
    panel.class_box.setCurrentText(session.published.classes[0].name)
    person.click("tissue")
    height, width = session.shape
    corners = [(0.55, 0.55), (0.9, 0.55), (0.9, 0.9), (0.55, 0.9)]
    for y, x in corners:
        person.drag([(y * height, x * width)])
    person.press("\r")
    person.look("11_tissue")
    assert [entry.edit.kind for entry in session.history.done][-1] == "tissue"
    person.click("select")
    after, tissue_after = session.labels(whole).copy(), session.tissue().copy()
    assert person.panel.slide_list.item(0).text() == f"ann 6 edits · {session.published.slide_id}"
    person.leave()

    assert open_result(result.folder).damaged() == []
    with Session.open(result.folder, "ann") as again:
        np.testing.assert_array_equal(again.labels(whole), after)
        derived = reviewed_levels(again, "nuclei")[0][...]
        np.testing.assert_array_equal(derived, after)
        np.testing.assert_array_equal(reviewed_levels(again, "tissue_class")[0][...], tissue_after)
        changed = np.zeros(published.shape, bool)
        for entry in again.history.done:
            if entry.edit.diff and entry.edit.diff.array == "nuclei":
                y, x, _ = entry.edit.diff.positions()
                changed[y, x] = True
        np.testing.assert_array_equal(derived != published, changed)
        assert 0 < changed.sum() < 0.01 * changed.size + 2000
        assert (tissue_after != tissue).any()
    reopened = Person(panel, result)
    assert [entry.edit.kind for entry in reopened.panel.session.history.done] == [*acts, "tissue"]
    for _ in range(2):
        reopened.click("next")
    reopened.look("12_reopened")
    assert "rejected" in reopened.panel.queue_label.text()


def test_clicking_cutting_drawing_and_undoing(person) -> None:
    panel, session = person.panel, person.panel.session
    whole = Region(0, 0, *session.shape)
    published = session.labels(whole).copy()
    person.click("next")
    (first,) = panel.view.selected
    box = session.box(first)
    y, x = np.argwhere(session.labels(box) == first)[0] + (box.y + 0.5, box.x + 0.5)
    panel.view.select([])
    person.drag([(y, x)])
    assert panel.view.selected == [first]
    person.click("cut")
    middle = centre(box)[0]
    line = [(middle, box.x - 6), (middle, box.x + 2), (middle, box.end_x - 2), (middle, box.end_x + 6)]
    person.drag(line)
    assert session.history.done[-1].edit.kind == "split", panel.message.text()
    person.look("20_cut")
    person.click("erase")
    person.drag([centre(box), (middle, box.end_x)])
    assert session.history.done[-1].edit.kind == "erase"
    person.look("21_erased")
    person.click("draw")
    for corner in (
        (box.y - 25, box.x),
        (box.y - 25, box.x + 14),
        (box.y - 10, box.x + 14),
        (box.y - 10, box.x),
    ):
        person.drag([corner])
    person.press("\r")
    person.look("22_drawn")
    assert session.history.done[-1].edit.kind == "draw"
    person.click("select")
    last = session.labels(whole).copy()
    for _ in range(3):
        person.click("undo")
    np.testing.assert_array_equal(session.labels(whole), published)
    for _ in range(3):
        person.click("redo")
    np.testing.assert_array_equal(session.labels(whole), last)
    panel.writer.start()
    panel.writer.wait()
    person.settle()
    coarse = reviewed_levels(session, "nuclei")[1]
    assert coarse.store_path.store.root.is_relative_to(session.folder)
    shown = panel.view.layers["nuclei"].data[-1]
    assert shown.shape == coarse.shape
    assert 0 < (shown[:, :] > 0).sum() < (coarse[...] > 0).sum()


def test_a_drag_too_quick_for_napari_cuts_and_a_trembling_hand_selects(person) -> None:
    panel, session = person.panel, person.panel.session
    person.click("next")
    (first,) = panel.view.selected
    box = session.box(first)
    (middle, _), (y, x) = centre(box), np.argwhere(session.labels(box) == first)[0]
    person.click("cut")
    line = [(middle, box.x - 6), (middle, box.x - 5), (middle, box.x - 4), (middle, box.end_x + 6)]
    person.drag(line, between_s=0)
    assert [entry.edit.kind for entry in session.history.done] == ["split"], panel.message.text()
    person.click("undo")
    person.click("select")
    here = (box.y + y + 0.5, box.x + x + 0.5)
    panel.view.select([])
    person.drag([here, (here[0] - 20, here[1])])
    assert panel.view.selected == []
    person.drag([here, (here[0] + 0.3, here[1]), here])
    assert panel.view.selected == [first]


def test_legend_hides_classes_and_sliders_fade(person) -> None:
    panel = person.panel
    person.click("next")
    name = panel.session.class_of(panel.queue.items[0].identity)
    shown = person.pixels()
    for box in panel.legend.boxes.values():
        box.setChecked(False)
    panel.opacities.sliders["tissue_class"].setValue(0)
    person.look("31_no_classes")
    hidden = person.pixels()
    assert (shown != hidden).any()
    native = panel.view.layers["nuclei"].data[-2]
    assert not native[:, :].any()
    panel.legend.boxes[name].setChecked(True)
    assert native[:, :].any()
    assert not panel.view.layers["tissue_class"].visible


def test_probabilities_are_added_when_they_are_wanted(person) -> None:
    panel, names = person.panel, [layer.name for layer in person.viewer.layers]
    assert not any(name.startswith("p(") for name in names)
    panel.opacities.sliders["p"].setValue(40)
    more = [layer.name for layer in person.viewer.layers]
    assert [name for name in more if not name.startswith("p(")] == names
    assert sorted(more[1:4]) == ["p(gland)", "p(nucleus)", "p(stroma)"]
    assert {layer.opacity for layer in person.viewer.layers if layer.name.startswith("p(")} == {0.4}
    panel.opacities.sliders["p"].setValue(0)
    assert not any(layer.visible for layer in person.viewer.layers if layer.name.startswith("p("))


def test_counts_of_classes_and_edits_follow_at_once(person) -> None:
    panel = person.panel
    person.click("next")
    name = panel.session.class_of(panel.view.selected[0])
    count = panel.view.palette.counts()[name]
    assert panel.legend.boxes[name].text() == f"{name}  {count}"
    assert panel.slide_list.item(0).text().startswith("no edits")
    person.click("reject")
    assert panel.legend.boxes[name].text() == f"{name}  {count - 1}"
    assert panel.slide_list.item(0).text().startswith("ann 1 edits")
    person.click("undo")
    assert panel.legend.boxes[name].text() == f"{name}  {count}"
    assert panel.slide_list.item(0).text().startswith("ann 0 edits")


def test_an_item_is_shown_with_its_surroundings(person) -> None:
    person.click("next")
    mpp = person.panel.session.published.mpp
    assert min(person.panel.view.visible.shape) * mpp == pytest.approx(120, abs=2)
    (box,) = (person.panel.session.box(one) for one in person.panel.view.selected)
    middle = centre(person.panel.view.visible)
    assert middle == pytest.approx(centre(box), abs=max(box.shape))


def test_differences_are_stepped_through(shared_panel, result) -> None:
    from wsipipe.review.published import open_published
    from wsipipe.store.names import COMPARISON, COMPARISONS

    folder = result.folder / COMPARISONS / "bob"
    folder.mkdir(parents=True)
    extra, missed = {"id": 3, "y": 300.0, "x": 500.0}, {"id": 1, "y": 200.0, "x": 400.0}
    found = {"plan": open_published(result.folder).plan, "missed": [missed], "extra": [extra]}
    (folder / COMPARISON).write_text(json.dumps(found))
    person = Person(shared_panel, result)
    panel = person.panel
    layer = panel.view.layers["missed: bob"]
    # Level 0 has two px per px, and napari counts from the middle of the first px.
    assert layer.data.tolist() == [[99.5, 199.5]]
    assert layer.visible
    panel.queue_kind.setCurrentText("missed: bob")
    person.click("next")
    assert centre(panel.view.visible) == pytest.approx((100, 200), abs=2)
    assert panel.view.selected == []
    panel.queue_kind.setCurrentText("extra: bob")
    person.click("next")
    assert panel.view.selected == [3]
    person.look("50_differences")
    person.leave()


def test_other_nuclei_are_a_layer_of_their_own(shared_panel, result) -> None:
    from wsipipe.review.gui.outlines import RIM_NUMBER
    from wsipipe.review.gui.reference import Reference

    labels = np.zeros((512, 512), np.uint8)
    labels[100:120, 200:220] = 1
    shared_panel._reference = Reference("reference: bob", lambda region: labels[region.slices])
    person = Person(shared_panel, result)
    shared_panel._reference = None
    layer = person.panel.view.layers["reference: bob"]
    native = layer.data[2][:, :]
    assert set(np.unique(native)) == {0, 1, RIM_NUMBER}
    assert (native == 1).sum() == 20**2 - 16**2
    assert np.allclose(layer.data_to_world((0, 0)), person.panel.view.layers["nuclei"].data_to_world((0, 0)))
    person.leave()
    assert not len(person.viewer.layers)


def test_the_panel_fits_a_window_of_900_px(person) -> None:
    from qtpy.QtWidgets import QScrollArea

    scroll = person.panel.findChild(QScrollArea)
    assert scroll.widget().minimumSizeHint().height() <= 900 - 90


def test_mistakes_are_told_and_nothing_is_recorded(person) -> None:
    panel = person.panel
    panel.view.select([])
    person.click("reject")
    assert "Select a nucleus" in panel.message.text()
    person.click("next")
    person.click("merge")
    person.click("undo")
    person.click("undo")
    assert "nothing to undo" in panel.message.text()
    assert not panel.session.history.done


def test_the_overview_takes_one_there_and_shows_what_was_seen(person) -> None:
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    panel = person.panel
    person.click("next")
    before = panel.overview.pixmap().toImage()
    QTest.mouseClick(panel.overview, Qt.MouseButton.LeftButton, pos=QPoint(20, 20))
    person.look("40_overview")
    field = panel.view.visible
    assert centre(field) == pytest.approx(
        (20 / before.height() * panel.session.shape[0], 20 / before.width() * panel.session.shape[1]), abs=3
    )
    assert panel.overview.pixmap().toImage() != before
    assert len(panel.session.history.visited) >= 2


def test_a_comment_is_asked_for_and_shown(person, monkeypatch) -> None:
    from wsipipe.review.gui import dialogs

    monkeypatch.setattr(dialogs.QInputDialog, "getText", lambda *_: ("fold?", True))
    person.click("next")
    person.click("comment")
    assert [text for _, text, _ in person.panel.session.history.comments] == ["fold?"]
    assert len(person.panel.view.layers["comments"].data) == 1


def test_ids_above_what_float32_holds_are_painted_exactly(person) -> None:
    session, field = person.panel.session, person.panel.view.paint_layer
    high = 2**24 + 1
    field._labels = np.zeros((4, 4), np.uint32)
    field._labels[0, :2], field._labels[0, 2:] = high, high + 1
    field.region = Region(0, 0, 4, 4)
    field._show()
    assert np.unique(field.layer.data).tolist() == [0, 1, 2]
    assert field._ids.tolist() == [0, high, high + 1]
    numbers = person.panel.view.palette.numbers(np.array([high, high + 1, 1], np.uint32))
    assert numbers[:2].tolist() == [1, 1]
    assert numbers[2] == person.panel.view.palette.number(session.class_of(1))


def test_a_panel_for_another_reviewer_at_once_is_refused_with_words(shared_panel, result) -> None:
    with Session.open(result.folder, "ann"):
        shared_panel.open_folder(result.folder)
    assert "another window" in shared_panel.message.text()
    assert shared_panel.session is None


def test_the_panel_takes_up_a_result_that_napari_opened(window, result) -> None:
    from wsipipe.review.gui.reader import read_result
    from wsipipe.review.gui.widget import ReviewWidget

    for data, settings, kind in read_result(str(result.folder)):
        getattr(window, f"add_{kind}")(data, **settings)
    panel = ReviewWidget(window, user="ann")
    assert panel.session.published.folder == result.folder
    assert [layer.name for layer in window.layers].count("image") == 1
    panel.close_session()
    assert not len(window.layers)


def test_a_store_without_manifest_is_shown_but_not_edited(window, result) -> None:
    from wsipipe.review.gui.widget import ReviewWidget

    (result.store / "manifest.json").unlink()
    panel = ReviewWidget(window, user="ann")
    with pytest.warns(UserWarning, match="read-only"):
        panel.open_folder(result.folder)
    panel.buttons["next"].click()
    for name in ("reject", "paint"):
        panel.buttons[name].click()
        assert "read-only" in panel.message.text()
    panel.close_session()
    assert not (result.folder / "reviews").exists()


def test_reader_takes_what_is_ours_and_nothing_else(display, finished, tmp_path) -> None:
    import zarr

    from wsipipe.review.gui.reader import get_reader, sample

    assert get_reader(str(finished.folder))
    assert get_reader(str(finished.store))
    zarr.create_group(tmp_path / "other.zarr")
    (tmp_path / "file.txt").write_text("x")
    for other in (tmp_path, tmp_path / "other.zarr", tmp_path / "file.txt", tmp_path / "absent"):
        assert get_reader(str(other)) is None
    assert get_reader([str(finished.folder)]) is None
    layers = get_reader(str(finished.folder))(str(finished.folder))
    assert layers[0][1]["name"] == "image"
    outlines = layers[-1][0][0][:, :]
    published = finished.arrays.labels["nuclei"][0][...]
    assert 0 < (outlines > 0).sum() < (published > 0).sum()
    assert set(np.unique(outlines)) == set(np.unique(published))
    assert len(sample()) == len(layers)


def test_a_slide_file_opens_lazily(display, small_slide) -> None:
    from wsipipe.review.gui.reader import get_reader

    ((levels, settings, kind),) = get_reader(str(small_slide))(str(small_slide))
    assert kind == "image"
    assert settings["scale"] == (0.25, 0.25)
    assert levels[0].shape == (1024, 1024, 3)
    assert levels[0][100:110, 200:230].shape == (10, 30, 3)


def test_the_manifest_is_valid() -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2 is absent: pip install 'wsipipe-gmr[review]'")
    import wsipipe.review

    manifest = npe2.PluginManifest.from_file(Path(wsipipe.review.__file__).with_name("napari.yaml"))
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        assert command.python_name

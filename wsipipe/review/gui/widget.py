"""The review panel that docks in napari: slides, queue, tools, classes, overview."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog

from wsipipe.errors import WsipipeError
from wsipipe.review.gui import slide_view as hand
from wsipipe.review.gui.panel import Panel
from wsipipe.review.gui.slide_view import Canvas
from wsipipe.review.journal.journal import SUFFIX
from wsipipe.review.published import open_source, slides_of
from wsipipe.review.queue import Item, queue_kinds
from wsipipe.review.reviewed_store import derive
from wsipipe.review.session import Session
from wsipipe.review.slide import reviews_folder

QUEUE_COUNT = 50
DERIVE_AFTER_MS = 2000


class ReviewWidget(Panel):
    """Review of the results in one folder.

    Args:
        napari_viewer: The window's viewer.
        user: Name of the reviewer; default the login name.
        reviews: Another folder for journals than that of the result.
    """

    derived = Signal(str)
    """Told by the thread that derives labels when it ends: a complaint, or nothing."""

    def __init__(self, napari_viewer: Any, user: str | None = None, reviews: Path | None = None) -> None:
        super().__init__(napari_viewer)
        self._user, self._reviews = user, reviews
        self.session: Session | None = None
        self.canvas: Canvas | None = None
        self.items: list[Item] = []
        self.position = -1
        self._slides: list[Path] = []
        self._deriving: threading.Thread | None = None
        self.derived.connect(self._was_derived)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.timeout.connect(self.derive_now)
        self._watch = QTimer(self)
        self._watch.setInterval(400)
        self._watch.timeout.connect(self._show_places)
        self._take_over()

    # Opening

    def _take_over(self) -> None:
        """A result that napari opened already is reviewed in place of its plain layers."""
        plain = [layer for layer in self.viewer.layers if "wsipipe" in layer.metadata]
        for layer in plain:
            self.viewer.layers.remove(layer)
        if plain:
            self.open_folder(Path(plain[0].metadata["wsipipe"]))

    def open_folder(self, path: Path) -> None:
        """Lists the results of ``OUT`` (or one result) and opens the first."""
        self._slides = slides_of(path) if path.suffix != ".zarr" else [path]
        self.slide_list.clear()
        if not self._slides:
            self.tell(f"{path} holds no result of wsipipe.")
            return
        self.slide_list.addItems([self._status(slide) for slide in self._slides])
        self.slide_list.setCurrentRow(0)

    def open_slide(self, row: int) -> None:
        """Opens one of the listed slides; the one before is closed."""
        if row < 0:
            return
        self.close_session()
        session = Session.open(self._slides[row], self._user, self._reviews)
        self.session = session
        self.canvas = Canvas(self.viewer, session, self._after_act, self.tell)
        self.overview.set_image(_thumbnail(session))
        self.legend.clear()
        self.queue_kind.blockSignals(True)
        self.queue_kind.clear()
        self.queue_kind.addItems(list(queue_kinds(session.source)))
        self.queue_kind.blockSignals(False)
        self.viewer.reset_view()
        self._show_all()
        self._watch.start()
        if self.queue_kind.count():
            self.load_queue(self.queue_kind.currentText())
        self.tell(f"{session.source.slide_id}, {session.user}: {len(session.state.done)} acts")

    def close_session(self) -> None:
        """Takes the slide off the window and lets go of it; acts are on disk already."""
        self._watch.stop()
        self._idle.stop()
        if self.canvas:
            self.canvas.close()
        self.release()

    def release(self) -> None:
        """Derives what is open and lets go of it; needs no window, which may be gone already."""
        session, self.session, self.canvas = self.session, None, None
        self.items, self.position = [], -1
        if session is None:
            return
        if self._deriving:
            self._deriving.join()
        if session.writable and session.state.done:
            derive(session)
        session.close()

    def closeEvent(self, event: Any) -> None:
        """Lets go of the journal."""
        self.close_session()
        super().closeEvent(event)

    def _ask_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of results")
        if chosen:
            self.open_folder(Path(chosen))

    def _status(self, slide: Path) -> str:
        """Name of a slide, and how many entries each reviewer's journal has."""
        source = open_source(slide)
        journals = sorted(reviews_folder(source, self._reviews).glob(f"*{SUFFIX}"))
        said = [f"{path.stem}: {max(0, path.read_bytes().count(b'\n') - 1)} entries" for path in journals]
        return f"{source.slide_id}\n{', '.join(said) or 'not reviewed'}"

    # The queue

    def load_queue(self, kind: str) -> None:
        """Fills the queue; nothing is shown until :meth:`step`."""
        session, _ = self._open()
        self.items = session.queue(kind, QUEUE_COUNT) if kind else []
        self.position = -1
        self.queue_label.setText(f"{len(self.items)} to look at; next is N, previous is H")

    def step(self, by: int) -> None:
        """Goes to the next or previous thing of the queue and selects it."""
        session, canvas = self._open()
        if not self.items:
            return
        self.position = min(max(self.position + by, 0), len(self.items) - 1)
        item = self.items[self.position]
        canvas.go_to(item.region)
        there = item.identity and session.area_px(item.identity) > 0
        canvas.select([item.identity] if there else [])
        if session.writable:
            session.visit(canvas.visible)
        self._show_places()
        self._show_item()

    def _show_item(self) -> None:
        if self.session is None or self.position < 0:
            return
        item = self.items[self.position]
        verdict = self.session.verdict(item.identity) if item.identity else None
        said = f"{verdict.status} {verdict.class_name}" if verdict else "not judged"
        self.queue_label.setText(f"{self.position + 1} of {len(self.items)}: {item.why}; {said}")

    # Acts

    def accept(self) -> None:
        """The selected nuclei are right."""
        self._on_selected(lambda session, ids: session.accept(ids, "button"))

    def reject(self) -> None:
        """The selected nuclei are none."""
        self._on_selected(lambda session, ids: session.reject(ids, "button"))

    def delete(self) -> None:
        """Takes the selected nuclei away."""
        self._on_selected(lambda session, ids: session.delete(ids, "button"))

    def relabel(self) -> None:
        """The selected nuclei are of the class in the box."""
        self._on_selected(lambda session, ids: session.relabel(ids, self.class_box.currentText(), "button"))

    def split(self) -> None:
        """Cuts the selected nucleus across its longest axis."""
        self._on_selected(lambda session, ids: session.split(ids[0], None, "button"))

    def merge(self) -> None:
        """Makes the selected nuclei one."""
        self._on_selected(lambda session, ids: session.merge(ids, "button"))

    def undo(self) -> None:
        """Takes the last act back."""
        session, _ = self._open()
        last = session.undo()
        self._refresh()
        self.tell(f"undone: {last.act.kind}" if last else "There is nothing to undo.")

    def redo(self) -> None:
        """Does again what was undone last."""
        session, _ = self._open()
        last = session.redo()
        self._refresh()
        self.tell(f"redone: {last.act.kind}" if last else "There is nothing to redo.")

    def comment(self) -> None:
        """Asks for a note on what is in the middle of the window."""
        session, canvas = self._open()
        text, given = QInputDialog.getText(self, "Comment", "Note on this place:")
        if given and text:
            field = canvas.visible
            session.comment(field.y + field.height / 2, field.x + field.width / 2, text, "button")
            self._refresh()

    def set_tool(self, tool: str) -> None:
        """Takes a tool in hand."""
        session, canvas = self._open()
        if tool != hand.LOOK and not session.writable:
            self.tell("This slide is open for looking only.")
            tool = hand.LOOK
        canvas.set_tool(tool)
        for name in hand.TOOLS:
            self.buttons[name].setChecked(name == canvas.tool)
        self._class_chosen(self.class_box.currentText())

    def _on_selected(self, act: Callable[[Session, list[int]], object]) -> None:
        session, canvas = self._open()
        if not canvas.selected:
            self.tell("Select a nucleus first: click it, or step through the queue.")
            return
        act(session, list(canvas.selected))
        self._refresh()

    def _class_chosen(self, name: str) -> None:
        if self.canvas and self.session and name in {item.name for item in self.session.source.classes}:
            self.canvas.set_tissue_class(name)

    # Showing

    def derive_now(self) -> None:
        """Brings ``reviewed.zarr`` up to date without holding up the window."""
        session, canvas = self.session, self.canvas
        if session is None or canvas is None or (self._deriving and self._deriving.is_alive()):
            return
        self._deriving = threading.Thread(target=self._derive, args=(session,), daemon=True)
        self._deriving.start()

    def _derive(self, session: Session) -> None:
        try:
            derive(session)
        except WsipipeError as error:
            # Acts are safe in the journal; the labels follow when the disk lets them.
            self.derived.emit(str(error))
        else:
            self.derived.emit("")

    def _was_derived(self, complaint: str) -> None:
        if complaint:
            self.tell(complaint)
        elif self.canvas:
            self.canvas.show_coarse_levels()

    def _refresh(self) -> None:
        _, canvas = self._open()
        canvas.refresh()
        self._after_act()

    def _after_act(self) -> None:
        self._show_all()
        if self.session:
            self.tell(
                f"{self.session.source.slide_id}, {self.session.user}: {len(self.session.state.done)} acts"
            )
        if self.session and self.session.writable:
            self._idle.start(DERIVE_AFTER_MS)

    def _show_all(self) -> None:
        session, canvas = self._open()
        palette = canvas.palette
        self.legend.show_counts({name: palette.colour(name) for name in palette.names}, palette.counts())
        known = [self.class_box.itemText(number) for number in range(self.class_box.count())]
        if known != list(session.class_names):
            chosen = self.class_box.currentText()
            self.class_box.clear()
            self.class_box.addItems(session.class_names)
            self.class_box.setCurrentText(chosen or (session.class_names or ("",))[0])
        self._show_places()
        self._show_item()

    def _show_places(self) -> None:
        if self.session and self.canvas:
            visited, shape = self.session.state.visited, self.session.shape
            self.overview.show_places(visited, self.canvas.visible, shape)

    def _toggled(self, name: str, shown: bool) -> None:
        if self.canvas:
            (self.canvas.palette.hidden.discard if shown else self.canvas.palette.hidden.add)(name)
            self.canvas.show_classes()

    def _faded(self, name: str, opacity: float) -> None:
        for key, layer in (self.canvas.layers if self.canvas else {}).items():
            if key == name or (name == "p" and key.startswith("p(")):
                layer.opacity = opacity
                layer.visible = opacity > 0

    def _went(self, y: float, x: float) -> None:
        session, canvas = self._open()
        mpp = session.source.mpp
        self.viewer.scene.camera.center = (y * session.shape[0] * mpp, x * session.shape[1] * mpp)
        if canvas.is_close and session.writable:
            session.visit(canvas.visible)
        self._show_places()

    def _open(self) -> tuple[Session, Canvas]:
        if self.session is None or self.canvas is None:
            raise WsipipeError("No slide is open; open a folder of results first.")
        return self.session, self.canvas


def _thumbnail(session: Session) -> Any:
    """(h, w, 3) uint8 of the slide; its tissue map where no image was stored."""
    image = session.source.result.image
    if image:
        return np.moveaxis(np.asarray(image[-1][...]), 0, 2)
    if session.has_tissue:
        return np.repeat(session.tissue()[..., None], 3, axis=2)
    return np.full((64, 64, 3), 255, np.uint8)

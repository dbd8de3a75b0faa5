"""The review panel that docks in napari."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from wsipipe.errors import WsipipeError
from wsipipe.review.gui.button_edits import SELECTION_EDITS, TOOL
from wsipipe.review.gui.dialogs import ask_comment, ask_folder
from wsipipe.review.gui.label_writer import LabelWriter
from wsipipe.review.gui.layers import take_layers, thumbnail
from wsipipe.review.gui.panel import Panel
from wsipipe.review.gui.queue_cursor import QueueCursor
from wsipipe.review.gui.reference import Reference
from wsipipe.review.gui.slide_view import SlideView
from wsipipe.review.gui.tools import SELECT
from wsipipe.review.queue import queue_kinds
from wsipipe.review.session import Session

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QCloseEvent

QUEUE_COUNT = 50
_DRAWN_MS = 50
"""Time in which the window is drawn, before a slide is opened."""


class ReviewWidget(Panel):
    """Review of the results in one folder.

    Args:
        napari_viewer: The viewer of the window.
        user: Name of the reviewer; the login name by default.
        reviews: Folder of journals, if not that of the result.
        reference: Other nuclei of the slide, for a folder of one slide.
    """

    def __init__(
        self,
        napari_viewer: "napari.Viewer",
        user: str | None = None,
        reviews: Path | None = None,
        reference: Reference | None = None,
    ) -> None:
        super().__init__(napari_viewer)
        self._user, self._reviews, self._reference = user, reviews, reference
        self.session: Session | None = None
        self.view: SlideView | None = None
        self.queue = QueueCursor()
        self.writer = LabelWriter()
        self.writer.finished.connect(self._labels_written)
        self._watch = QTimer(self)
        self._watch.setInterval(400)
        self._watch.timeout.connect(self._show_places)
        self._connect()
        if opened := take_layers(napari_viewer):
            self.open_folder(opened)

    def _connect(self) -> None:
        for signal, slot in (
            (self.folder_requested, self._ask_folder),
            (self.folder_chosen, self.open_folder),
            (self.slide_list.slide_chosen, self.open_slide),
            (self.queue_kind.currentTextChanged, self.load_queue),
            (self.step_requested, self.step),
            (self.edit_requested, self.edit),
            (self.tool_requested, self.set_tool),
            (self.class_box.currentTextChanged, self._choose_class),
            (self.legend.toggled, self._show_class),
            (self.opacities.faded, self._fade),
            (self.overview.clicked, self._go_to),
        ):
            self.connect_slot(signal, slot)

    def open_soon(self, path: Path) -> None:
        """Open a folder when the window has been drawn, which says so meanwhile."""
        self.show_message(f"Opening {path} ...")
        QTimer.singleShot(_DRAWN_MS, lambda: self.folder_chosen.emit(path))

    def open_folder(self, path: Path) -> None:
        """List the results in a folder and open the first."""
        if not self.slide_list.show_folder(path, self._reviews):
            self.show_message(f"{path} holds no result of wsipipe.")

    def open_slide(self, path: Path) -> None:
        """Open a result and close the previous one."""
        self.close_session()
        session = Session.open(path, self._user, self._reviews)
        self.session = session
        self.view = SlideView(self.viewer, session, self._after_edit, self.show_message)
        if self._reference:
            self.view.layers.add_reference(self._reference)
        self.overview.set_image(thumbnail(session))
        self.legend.clear()
        self.show_queues(queue_kinds(session.published))
        self.viewer.reset_view()
        self._show_all()
        self._watch.start()
        self.load_queue(self.queue_kind.currentText())
        self._show_edit_count(session)

    def close_session(self) -> None:
        """Remove the slide from the window and close it."""
        self._watch.stop()
        self.writer.cancel()
        if self.view:
            self.view.close()
        self.release()

    def release(self) -> None:
        """Write the reviewed labels and close the session.

        It needs no window, which may be closed already.
        """
        session, self.session, self.view = self.session, None, None
        self.queue = QueueCursor()
        if session:
            self.writer.finish(session)
            session.close()

    def closeEvent(self, event: "QCloseEvent") -> None:
        """Close the session."""
        self.close_session()
        super().closeEvent(event)

    def _ask_folder(self) -> None:
        if chosen := ask_folder(self):
            self.open_folder(chosen)

    def load_queue(self, kind: str) -> None:
        """Fill the queue; :meth:`step` shows the first item."""
        session, _ = self._current()
        self.queue = QueueCursor(session.queue(kind, QUEUE_COUNT) if kind else ())
        self.queue_label.setText(self.queue.text(session))

    def step(self, by: int) -> None:
        """Show and select the next or previous item."""
        session, view = self._current()
        item = self.queue.step(by)
        if item is None:
            return
        view.go_to(item.region)
        exists = item.identity and session.area_px(item.identity) > 0
        view.select([item.identity] if exists else [])
        if session.writable:
            session.visit(view.visible)
        self._show_places()
        self.queue_label.setText(self.queue.text(session))

    def edit(self, name: str) -> None:
        """Carry out an edit, named as in :data:`wsipipe.review.gui.panel.EDITS`."""
        if name in SELECTION_EDITS:
            self._edit_selected(name)
        elif name == "comment":
            self._comment()
        else:
            self._undo_or_redo(name)

    def _edit_selected(self, name: str) -> None:
        session, view = self._current()
        if not view.selected:
            self.show_message("Select a nucleus first: click it, or step through the queue.")
            return
        SELECTION_EDITS[name](session, list(view.selected), self.class_box.currentText())
        self._refresh()

    def _undo_or_redo(self, name: str) -> None:
        session, _ = self._current()
        entry = session.undo() if name == "undo" else session.redo()
        self._refresh()
        self.show_message(f"{name}: {entry.edit.kind}" if entry else f"There is nothing to {name}.")

    def _comment(self) -> None:
        session, view = self._current()
        if text := ask_comment(self):
            field = view.visible
            session.comment(field.y + field.height / 2, field.x + field.width / 2, text, TOOL)
            self._refresh()

    def set_tool(self, tool: str) -> None:
        """Choose a mouse tool."""
        session, view = self._current()
        if tool != SELECT and not session.writable:
            self.show_message("This slide is open read-only.")
            tool = SELECT
        view.set_tool(tool)
        self.show_tool(view.tool)
        self._choose_class(self.class_box.currentText())

    def _choose_class(self, name: str) -> None:
        if self.view and self.session and name in {item.name for item in self.session.published.classes}:
            self.view.set_tissue_class(name)

    def _labels_written(self, error: str) -> None:
        if error:
            self.show_message(error)
        elif self.view:
            self.view.layers.show_coarse_levels()

    def _refresh(self) -> None:
        _, view = self._current()
        view.refresh()
        self._after_edit()

    def _after_edit(self) -> None:
        self._show_all()
        if self.session:
            self._show_edit_count(self.session)
        if self.session and self.session.writable:
            self.writer.schedule(self.session)

    def _show_edit_count(self, session: Session) -> None:
        count = len(session.history.done)
        self.slide_list.show_edits(session.user, count)
        self.show_message(f"{session.published.slide_id}, {session.user}: {count} edits")

    def _show_all(self) -> None:
        session, view = self._current()
        palette = view.palette
        self.legend.show_counts({name: palette.colour(name) for name in palette.names}, palette.counts())
        self.show_classes(session.class_names)
        self._show_places()
        self.queue_label.setText(self.queue.text(session))

    def _show_places(self) -> None:
        if self.session and self.view:
            self.overview.show_places(self.session.history.visited, self.view.visible, self.session.shape)

    def _show_class(self, name: str, shown: bool) -> None:
        if self.view:
            self.view.layers.show_class(name, shown)

    def _fade(self, name: str, opacity: float) -> None:
        if self.view:
            self.view.layers.fade(name, opacity)

    def _go_to(self, y: float, x: float) -> None:
        """Go to a place in shares of height and width."""
        session, view = self._current()
        view.centre_on(y * session.shape[0], x * session.shape[1])
        if view.is_close and session.writable:
            session.visit(view.visible)
        self._show_places()

    def _current(self) -> tuple[Session, SlideView]:
        if self.session is None or self.view is None:
            raise WsipipeError("No slide is open; open a folder of results first.")
        return self.session, self.view

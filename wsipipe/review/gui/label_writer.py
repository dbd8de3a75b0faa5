"""Write reviewed labels in the background."""

import threading

from qtpy.QtCore import QObject, QTimer, Signal

from wsipipe.errors import WsipipeError
from wsipipe.review.reviewed_store import write_reviewed_labels
from wsipipe.review.session import Session

DELAY_MS = 2000


class LabelWriter(QObject):
    """Writes the reviewed labels of a session in a thread.

    Attributes:
        finished: Emitted with the message of an error, or an empty text.
    """

    finished = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self._thread: threading.Thread | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.start)

    def schedule(self, session: Session) -> None:
        """Start writing when there was no edit for a while."""
        self._session = session
        self._timer.start(DELAY_MS)

    def cancel(self) -> None:
        """Cancel what is scheduled."""
        self._timer.stop()

    def start(self) -> None:
        """Start writing now, unless it is in progress."""
        if self._session is None or (self._thread and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._write, args=(self._session,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until writing has ended; forget the session."""
        self._session = None
        if self._thread:
            self._thread.join()

    def finish(self, session: Session) -> None:
        """Wait until writing has ended, then write the labels of a changed session.

        Raises:
            WsipipeError: The labels cannot be written.
        """
        self.wait()
        if session.writable and session.history.done:
            write_reviewed_labels(session)

    def _write(self, session: Session) -> None:
        try:
            write_reviewed_labels(session)
        except WsipipeError as error:
            # The edits are safe in the journal; the labels are written when the disk permits.
            self.finished.emit(str(error))
        else:
            self.finished.emit("")

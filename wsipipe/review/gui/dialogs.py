"""Questions that the review panel asks in a window of their own."""

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QInputDialog, QWidget


def ask_folder(parent: QWidget) -> Path | None:
    """Ask for a folder of results; return None if none was chosen."""
    chosen = QFileDialog.getExistingDirectory(parent, "Folder of results")
    return Path(chosen) if chosen else None


def ask_comment(parent: QWidget) -> str:
    """Ask for a comment on a place; return an empty text if none was given."""
    text, given = QInputDialog.getText(parent, "Comment", "Note on this place:")
    return text if given else ""

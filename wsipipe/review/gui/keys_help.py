"""List of the keys and mouse actions of the review."""

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget

KEY = "F1"
_MEANINGS = {
    "next": "show the next item of the queue",
    "previous": "show the previous item",
    "accept": "accept the selected nuclei as they are",
    "reject": "reject them: no nuclei, become background",
    "relabel": "give them the class in the box",
    "delete": "delete them without a judgement",
    "split": "split the nucleus across its longest axis",
    "merge": "join the selected nuclei that touch",
    "comment": "write a note at this place",
    "undo": "undo the last edit, also of an earlier session",
    "redo": "redo what was undone",
}
_MOUSE = {
    "click": "select a nucleus; with Shift add it to the selection",
    "drag": "move the slide",
    "wheel": "zoom",
    "Enter": "close the outline that is drawn (tools draw and tissue)",
    "click on the overview": "go there",
}


def keys_text(keys: Mapping[str, str]) -> str:
    """Return the list as HTML.

    Args:
        keys: Key of each button, by the name of the button.
    """
    rows = [(_shown(keys[name]), meaning) for name, meaning in _MEANINGS.items()]
    rows += [*_MOUSE.items(), (KEY, "show this list")]
    lines = [f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{meaning}</td></tr>" for key, meaning in rows]
    return f"<table>{''.join(lines)}</table><p>Keys work while the pointer is over the slide.</p>"


def show_keys(parent: QWidget, keys: Mapping[str, str]) -> QMessageBox:
    """Show the list in a window that does not block the review."""
    box = QMessageBox(parent)
    box.setWindowTitle("Keys of the review")
    box.setTextFormat(Qt.TextFormat.RichText)
    box.setText(keys_text(keys))
    box.setModal(False)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.show()
    return box


def _shown(key: str) -> str:
    return key.replace("Control", "Ctrl")

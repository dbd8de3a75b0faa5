"""Parts of the review panel: lists, buttons, keys, legend and overview."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from wsipipe.errors import WsipipeError
from wsipipe.review.gui import keys_help
from wsipipe.review.gui.legend import Legend, Opacities, OverviewMap
from wsipipe.review.gui.slide_list import SlideList
from wsipipe.review.gui.tools import TOOLS

if TYPE_CHECKING:
    import napari
    from qtpy.QtCore import SignalInstance

EDITS = {
    "accept": "A",
    "reject": "R",
    "relabel": "C",
    "delete": "D",
    "split": "S",
    "merge": "J",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "comment": "K",
}
"""Key of each edit."""
STEPS = {"previous": (-1, "H"), "next": (1, "N")}
KEYS = {name: key for name, (_, key) in STEPS.items()} | EDITS
"""Key of each button that has one."""
HELP = "keys"
_MARGINS_PX, _SPACING_PX = (4, 2, 4, 2), 3


class Panel(QWidget):
    """The review panel; it emits signals and edits nothing.

    Its lists, legend and overview have signals of their own.

    Args:
        napari_viewer: Viewer that gets the key bindings.

    Attributes:
        folder_requested: Emitted by the button for another folder.
        folder_chosen: Emitted with the folder to open.
        step_requested: Emitted with 1 for the next item of the queue, -1 for the previous one.
        edit_requested: Emitted with a name in :data:`EDITS`.
        tool_requested: Emitted with a name in :data:`wsipipe.review.gui.tools.TOOLS`.
    """

    folder_requested = Signal()
    folder_chosen = Signal(Path)
    step_requested = Signal(int)
    edit_requested = Signal(str)
    tool_requested = Signal(str)

    def __init__(self, napari_viewer: "napari.Viewer") -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.buttons: dict[str, QPushButton] = {}
        self._build()
        for name, key in (KEYS | {HELP: keys_help.KEY}).items():
            napari_viewer.bind_key(key, self._pressing(name), overwrite=True)

    def connect_slot(self, signal: "SignalInstance", slot: Callable[..., None]) -> None:
        """Connect a signal; show errors as messages."""

        def guarded(*values: object) -> None:
            try:
                slot(*values)
            except WsipipeError as error:
                self.show_message(str(error))

        signal.connect(guarded)

    def show_message(self, text: str) -> None:
        """Show a message at the foot of the panel."""
        self.message.setText(text)

    def show_classes(self, names: tuple[str, ...]) -> None:
        """Offer classes for relabelling; keep the chosen one."""
        known = tuple(self.class_box.itemText(number) for number in range(self.class_box.count()))
        if known != names:
            chosen = self.class_box.currentText()
            self.class_box.clear()
            self.class_box.addItems(names)
            self.class_box.setCurrentText(chosen or (names or ("",))[0])

    def show_queues(self, kinds: tuple[str, ...]) -> None:
        """Offer queues, without a signal."""
        self.queue_kind.blockSignals(True)
        self.queue_kind.clear()
        self.queue_kind.addItems(kinds)
        self.queue_kind.blockSignals(False)

    def show_tool(self, tool: str) -> None:
        """Check the button of a tool."""
        for name in TOOLS:
            self.buttons[name].setChecked(name == tool)

    def _build(self) -> None:
        self.message = QLabel("Open a folder of results.")
        self.message.setWordWrap(True)
        self.legend, self.opacities, self.overview = Legend(), Opacities(), OverviewMap()
        inside = QWidget()
        layout = QVBoxLayout(inside)
        for title, part in (
            ("slides", self._slides_part()),
            ("queue", self._queue_part()),
            ("edit the selected nuclei", self._edits_part()),
            ("tools", self._tools_part()),
            ("overview and opacity", _row(self.overview, self.opacities)),
            ("classes", self.legend),
        ):
            group = QGroupBox(title)
            box = QVBoxLayout(group)
            box.setContentsMargins(*_MARGINS_PX)
            box.addWidget(part)
            layout.addWidget(group)
        layout.addStretch()
        layout.setSpacing(_SPACING_PX)
        layout.setContentsMargins(*_MARGINS_PX)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        panel = QVBoxLayout(self)
        panel.setContentsMargins(0, 0, 0, 0)
        panel.setSpacing(_SPACING_PX)
        panel.addWidget(scroll)
        panel.addWidget(self.message)
        self.setMinimumWidth(300)

    def _slides_part(self) -> QWidget:
        self.slide_list = SlideList()
        buttons = _row(
            self._button("open folder", self.folder_requested.emit),
            self._button(HELP, lambda: keys_help.show_keys(self, KEYS), keys_help.KEY),
        )
        return _column(self.slide_list, buttons)

    def _queue_part(self) -> QWidget:
        self.queue_kind, self.queue_label = QComboBox(), QLabel("")
        self.queue_label.setWordWrap(True)
        steps = [
            self._button(name, lambda by=by: self.step_requested.emit(by), key)
            for name, (by, key) in STEPS.items()
        ]
        return _column(self.queue_kind, _row(*steps), self.queue_label)

    def _edits_part(self) -> QWidget:
        self.class_box = QComboBox()
        self.class_box.setEditable(True)
        buttons = {
            name: self._button(name, lambda name=name: self.edit_requested.emit(name), key)
            for name, key in EDITS.items()
        }
        return _column(_row(QLabel("class:"), self.class_box), _grid(buttons))

    def _tools_part(self) -> QWidget:
        buttons = {
            tool: self._button(tool, lambda tool=tool: self.tool_requested.emit(tool)) for tool in TOOLS
        }
        for button in buttons.values():
            button.setCheckable(True)
        return _grid(buttons)

    def _button(self, name: str, clicked: Callable[[], None], key: str = "") -> QPushButton:
        shown = key.replace("Control", "Ctrl").replace("Shift", "⇧")
        button = QPushButton(f"{name}  {shown}" if key else name)
        button.setToolTip(f"{name} ({key})" if key else name)
        button.clicked.connect(lambda: clicked())
        self.buttons[name] = button
        return button

    def _pressing(self, name: str) -> Callable[["napari.Viewer"], None]:
        """Return a key binding that clicks a button."""
        return lambda _: self.buttons[name].click()


def _row(*parts: QWidget) -> QWidget:
    return _boxed(QHBoxLayout, parts)


def _column(*parts: QWidget) -> QWidget:
    return _boxed(QVBoxLayout, parts)


def _boxed(kind: type[QHBoxLayout | QVBoxLayout], parts: tuple[QWidget, ...]) -> QWidget:
    box = QWidget()
    layout = kind(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(_SPACING_PX)
    for part in parts:
        layout.addWidget(part)
    return box


def _grid(buttons: Mapping[str, QPushButton]) -> QWidget:
    box = QWidget()
    layout = QGridLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(_SPACING_PX)
    for number, button in enumerate(buttons.values()):
        layout.addWidget(button, number // 3, number % 3)
    return box

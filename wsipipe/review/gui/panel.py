"""The looks of the review panel: lists, buttons, keys, legend, map; what they do is the widget's."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from wsipipe.errors import WsipipeError
from wsipipe.review.gui import slide_view as hand
from wsipipe.review.gui.legend import Legend, OverviewMap

_ACTS = {
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
_MOVES = {"next": "N", "previous": "H"}


class Panel(QWidget):
    """Parts and keys; a button calls the method of its name.

    Args:
        napari_viewer: Gets the keys.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self._build()
        self._bind_keys()

    def tell(self, text: str) -> None:
        """Says something at the foot of the panel."""
        self.message.setText(text)

    def _build(self) -> None:
        self.slide_list, self.message = QListWidget(), QLabel("Open a folder of results.")
        self.slide_list.setMaximumHeight(60)
        self.slide_list.currentRowChanged.connect(lambda row: self._guarded(lambda: self.open_slide(row)))
        self.message.setWordWrap(True)
        self.buttons: dict[str, QPushButton] = {}
        self.legend = Legend(self._toggled, self._faded)
        self.overview = OverviewMap(self._went)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        for title, part in (
            ("slides", self._slides_part()),
            ("queue", self._queue_part()),
            ("act on what is selected", self._acts_part()),
            ("tools", self._tools_part()),
            ("overview", self.overview),
            ("classes", self.legend),
        ):
            group = QGroupBox(title)
            box = QVBoxLayout(group)
            box.setContentsMargins(4, 4, 4, 4)
            box.addWidget(part)
            layout.addWidget(group)
        layout.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        whole.addWidget(self.message)
        self.setMinimumWidth(300)

    def _slides_part(self) -> QWidget:
        return _column(self._button("open folder", self._ask_folder), self.slide_list)

    def _queue_part(self) -> QWidget:
        self.queue_kind, self.queue_label = QComboBox(), QLabel("")
        self.queue_label.setWordWrap(True)
        self.queue_kind.currentTextChanged.connect(lambda kind: self._guarded(lambda: self.load_queue(kind)))
        moves = _row(
            self._button("previous", lambda: self.step(-1), _MOVES["previous"]),
            self._button("next", lambda: self.step(1), _MOVES["next"]),
        )
        return _column(self.queue_kind, moves, self.queue_label)

    def _acts_part(self) -> QWidget:
        part = QWidget()
        grid = QGridLayout(part)
        grid.setContentsMargins(0, 0, 0, 0)
        self.class_box = QComboBox()
        self.class_box.setEditable(True)
        self.class_box.currentTextChanged.connect(self._class_chosen)
        for number, (name, key) in enumerate(_ACTS.items()):
            button = self._button(name, getattr(self, name), key)
            grid.addWidget(button, number // 3, number % 3)
        return _column(_row(QLabel("class:"), self.class_box), part)

    def _tools_part(self) -> QWidget:
        part = QWidget()
        grid = QGridLayout(part)
        grid.setContentsMargins(0, 0, 0, 0)
        for number, tool in enumerate(hand.TOOLS):
            button = self._button(tool, lambda tool=tool: self.set_tool(tool))
            button.setCheckable(True)
            grid.addWidget(button, number // 3, number % 3)
        return part

    def _button(self, name: str, act: Callable[[], object], key: str = "") -> QPushButton:
        button = QPushButton(name)
        button.setToolTip(f"{name} ({key})" if key else name)
        button.clicked.connect(lambda: self._guarded(act))
        self.buttons[name] = button
        return button

    def _bind_keys(self) -> None:
        for name, key in (_ACTS | _MOVES).items():
            self.viewer.bind_key(key, self._key(name), overwrite=True)

    def _key(self, name: str) -> Callable[[Any], None]:
        def pressed(_: Any) -> None:
            self.buttons[name].click()

        return pressed

    def _guarded(self, act: Callable[[], object]) -> None:
        """Does something for the person; what goes wrong on purpose is told, not raised."""
        try:
            act()
        except WsipipeError as error:
            self.tell(str(error))


def _row(*parts: QWidget) -> QWidget:
    return _boxed(QHBoxLayout, parts)


def _column(*parts: QWidget) -> QWidget:
    return _boxed(QVBoxLayout, parts)


def _boxed(kind: Any, parts: tuple[QWidget, ...]) -> QWidget:
    whole = QWidget()
    layout = kind(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)
    return whole

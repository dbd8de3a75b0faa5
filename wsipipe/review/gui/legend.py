"""Legend of the classes, sliders of opacity, and overview map of the slide."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QVBoxLayout, QWidget

from wsipipe.common.colours import RIM, Rgb
from wsipipe.geometry import Array, Region

if TYPE_CHECKING:
    from qtpy.QtGui import QMouseEvent

_SWATCH_PX = 12
_SLIDERS = (("nuclei", "nuclei", 100), ("tissue_class", "tissue", 25), ("p", "probabilities", 0))


class Legend(QWidget):
    """Colour, visibility and count of each class.

    Attributes:
        toggled: Emitted with a class and whether it is shown.
    """

    toggled = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QCheckBox] = {}
        self._rows = QGridLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setVerticalSpacing(0)

    def show_counts(self, colours: Mapping[str, Rgb], counts: Mapping[str, int]) -> None:
        """Update the rows; add rows of new classes."""
        for name, colour in colours.items():
            if name not in self.boxes:
                self._add_row(name, colour)
            self.boxes[name].setText(f"{name}  {counts.get(name, 0):,}")

    def clear(self) -> None:
        """Remove all rows."""
        for box in self.boxes.values():
            self._rows.removeWidget(box)
            box.deleteLater()
        self.boxes.clear()

    def _add_row(self, name: str, colour: Rgb) -> None:
        box = QCheckBox(name)
        swatch = QPixmap(_SWATCH_PX, _SWATCH_PX)
        swatch.fill(QColor(*RIM))
        painter = QPainter(swatch)
        painter.fillRect(1, 1, _SWATCH_PX - 2, _SWATCH_PX - 2, QColor(*colour))
        painter.end()
        box.setIcon(QIcon(swatch))
        box.setChecked(True)
        box.setToolTip(f"show or hide {name}")
        box.toggled.connect(lambda shown, name=name: self.toggled.emit(name, shown))
        self._rows.addWidget(box, *divmod(len(self.boxes), 2))
        self.boxes[name] = box


class Opacities(QWidget):
    """Sliders of opacity.

    Attributes:
        faded: Emitted with ``nuclei``, ``tissue_class`` or ``p`` and an opacity in [0, 1].
    """

    faded = Signal(str, float)

    def __init__(self) -> None:
        super().__init__()
        self.sliders: dict[str, QSlider] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for name, shown, start in _SLIDERS:
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(0, 100)
            slider.setValue(start)
            slider.valueChanged.connect(lambda value, name=name: self.faded.emit(name, value / 100))
            self.sliders[name] = slider
            layout.addWidget(QLabel(shown))
            layout.addWidget(slider)
        layout.addStretch()


class OverviewMap(QLabel):
    """Thumbnail with the visited fields and the visible field.

    Attributes:
        clicked: Emitted with a place (y, x), as shares of the slide's height and width.
    """

    clicked = Signal(float, float)
    WIDTH_PX = 150
    MAX_HEIGHT_PX = 150

    def __init__(self) -> None:
        super().__init__()
        self._thumbnail = QPixmap()

    def set_image(self, rgb: Array) -> None:
        """Set the thumbnail, (h, w, 3) uint8."""
        pixels = np.ascontiguousarray(rgb)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self._thumbnail = QPixmap.fromImage(image).scaled(
            self.WIDTH_PX,
            self.MAX_HEIGHT_PX,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )

    def show_places(self, visited: list[Region], field: Region, shape: tuple[int, int]) -> None:
        """Draw the visited fields and the visible field.

        Args:
            visited: Visited fields.
            field: The visible field.
            shape: (height, width) of the slide, in the px of the regions.
        """
        shown = QPixmap(self._thumbnail)
        painter = QPainter(shown)
        scale_y, scale_x = shown.height() / shape[0], shown.width() / shape[1]

        def drawn(region: Region) -> QRectF:
            return QRectF(
                region.x * scale_x, region.y * scale_y, region.width * scale_x, region.height * scale_y
            )

        for region in visited:
            painter.fillRect(drawn(region), QColor(255, 220, 0, 70))
        painter.setPen(QPen(QColor(255, 0, 0), 2))
        painter.drawRect(drawn(field))
        painter.end()
        self.setPixmap(shown)

    def mousePressEvent(self, event: "QMouseEvent") -> None:
        """Emit the clicked place."""
        place: QPointF = event.position()
        pixmap = self.pixmap()
        if pixmap is not None and pixmap.width() and pixmap.height():
            self.clicked.emit(place.y() / pixmap.height(), place.x() / pixmap.width())

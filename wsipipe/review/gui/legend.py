"""Qt parts of the review panel: class legend, and the overview map with what was seen."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QSlider, QVBoxLayout, QWidget

from wsipipe.geometry import Array, Region

RGB = tuple[int, int, int]


class Legend(QWidget):
    """A row a class: colour, whether it is shown, how many nuclei; and sliders of opacity.

    Args:
        toggled: Called with a class and whether it is shown.
        faded: Called with ``nuclei``, ``tissue_class`` or ``p`` and an opacity in [0, 1].
    """

    def __init__(self, toggled: Callable[[str, bool], None], faded: Callable[[str, float], None]) -> None:
        super().__init__()
        self._toggled = toggled
        self.boxes: dict[str, QCheckBox] = {}
        self.sliders: dict[str, QSlider] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._rows = QVBoxLayout()
        layout.addLayout(self._rows)
        sliders = QFormLayout()
        for name, shown, start in (
            ("nuclei", "nuclei", 100),
            ("tissue_class", "tissue", 25),
            ("p", "probabilities", 0),
        ):
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(0, 100)
            slider.setValue(start)
            slider.valueChanged.connect(lambda value, name=name: faded(name, value / 100))
            self.sliders[name] = slider
            sliders.addRow(f"{shown}:", slider)
        layout.addLayout(sliders)

    def show_counts(self, colours: Mapping[str, RGB], counts: Mapping[str, int]) -> None:
        """Brings the rows up to date."""
        for name, colour in colours.items():
            if name not in self.boxes:
                self._add_row(name, colour)
            self.boxes[name].setText(f"{name}  ({counts.get(name, 0):,})")

    def clear(self) -> None:
        """Takes all rows away."""
        for box in self.boxes.values():
            self._rows.removeWidget(box)
            box.deleteLater()
        self.boxes.clear()

    def _add_row(self, name: str, colour: RGB) -> None:
        box = QCheckBox(name)
        swatch = QPixmap(12, 12)
        swatch.fill(QColor(*colour))
        box.setIcon(_icon(swatch))
        box.setChecked(True)
        box.toggled.connect(lambda shown, name=name: self._toggled(name, shown))
        self.boxes[name] = box
        self._rows.addWidget(box)


def _icon(pixmap: QPixmap) -> Any:
    from qtpy.QtGui import QIcon

    return QIcon(pixmap)


class OverviewMap(QLabel):
    """The whole slide, small; what was seen is lit, the field is framed, a click goes there.

    Args:
        clicked: Called with a place (y, x), each a share of the slide's height or width.
    """

    WIDTH_PX = 260
    MOST_HEIGHT_PX = 220

    def __init__(self, clicked: Callable[[float, float], None]) -> None:
        super().__init__()
        self._clicked = clicked
        self._thumbnail = QPixmap()

    def set_image(self, rgb: Array) -> None:
        """(h, w, 3) uint8 of the whole slide."""
        pixels = np.ascontiguousarray(rgb)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self._thumbnail = QPixmap.fromImage(image).scaled(
            self.WIDTH_PX,
            self.MOST_HEIGHT_PX,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )

    def show_places(self, visited: list[Region], field: Region, shape: tuple[int, int]) -> None:
        """Draws what was seen and where the eye is, all in px of ``shape``."""
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

    def mousePressEvent(self, event: Any) -> None:
        """Goes there."""
        place: QPointF = event.position()
        pixmap = self.pixmap()
        if pixmap is not None and pixmap.width() and pixmap.height():
            self._clicked(place.y() / pixmap.height(), place.x() / pixmap.width())

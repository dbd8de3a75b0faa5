"""OME-Zarr 0.5 attributes of the store's groups (Source: OME-NGFF 0.5, multiscales, labels, image-label)."""

from collections.abc import Sequence
from dataclasses import dataclass

VERSION = "0.5"


@dataclass(frozen=True)
class LabelClass:
    """One value of a label image: id, name and colour (red, green, blue) with its opacity, 0 to 255."""

    value: int
    name: str
    rgb: tuple[int, int, int]
    alpha: int = 255


def multiscale(
    name: str, levels: int, mpp: float, downsample: int, channels: bool, kind: str
) -> dict[str, object]:
    """``multiscales`` of a group with datasets ``0`` .. ``levels - 1``, each half as fine as the one before.

    Args:
        name: What it shows.
        levels: Datasets.
        mpp: Um per px of the canvas.
        downsample: Canvas px per px of dataset 0.
        channels: Whether a channel axis leads.
        kind: How levels were made: ``mean`` or ``mode``.

    Returns:
        One multiscale. A px's coordinate is its centre, hence the translation of coarse levels.
    """
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    lead = [{"name": "c", "type": "channel"}] if channels else []
    datasets = []
    for level in range(levels):
        factor = downsample << level
        shift = (factor - 1) / 2 * mpp
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0] * len(lead) + [mpp * factor] * 2},
                    {"type": "translation", "translation": [0.0] * len(lead) + [shift] * 2},
                ],
            }
        )
    return {"name": name, "axes": lead + axes, "datasets": datasets, "type": kind}


def image_attributes(
    name: str, scales: dict[str, object], channels: Sequence[LabelClass] = ()
) -> dict[str, object]:
    """Attributes of an image group; ``channels`` adds ``omero`` names and colours."""
    ome: dict[str, object] = {"version": VERSION, "multiscales": [scales]}
    if channels:
        ome["omero"] = {
            "name": name,
            "channels": [
                {
                    "label": channel.name,
                    "color": "{:02X}{:02X}{:02X}".format(*channel.rgb),
                    "active": True,
                    "window": {"min": 0, "max": 255, "start": 0, "end": 255},
                }
                for channel in channels
            ],
        }
    return {"ome": ome}


def label_attributes(scales: dict[str, object], classes: Sequence[LabelClass]) -> dict[str, object]:
    """Attributes of a label group; a million nuclei stand in the table instead of here."""
    label: dict[str, object] = {"version": VERSION, "source": {"image": "../../"}}
    if classes:
        label["colors"] = [{"label-value": item.value, "rgba": [*item.rgb, item.alpha]} for item in classes]
        label["properties"] = [{"label-value": item.value, "name": item.name} for item in classes]
    return {"ome": {"version": VERSION, "multiscales": [scales], "image-label": label}}


def labels_attributes(names: Sequence[str]) -> dict[str, object]:
    """Attributes of the ``labels`` group: the label images in it."""
    return {"ome": {"version": VERSION, "labels": list(names)}}


TISSUE_CLASS = LabelClass(1, "tissue", (255, 200, 0))
NOT_COMPUTED_CLASS = LabelClass(255, "not computed", (0, 0, 0), alpha=0)
RGB_CHANNELS = (
    LabelClass(0, "red", (255, 0, 0)),
    LabelClass(1, "green", (0, 255, 0)),
    LabelClass(2, "blue", (0, 0, 255)),
)

"""OME-Zarr 0.5 attributes of the groups of a store.

Source: OME-NGFF 0.5, sections multiscales, labels and image-label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

VERSION = "0.5"


@dataclass(frozen=True)
class LabelClass:
    """A value of a label image with its name and colour.

    Attributes:
        value: Value of the pixels.
        name: Name of the class.
        rgb: Red, green and blue, 0 to 255.
        alpha: Opacity, 0 to 255.
    """

    value: int
    name: str
    rgb: tuple[int, int, int]
    alpha: int = 255


def multiscale(
    name: str, levels: int, mpp: float, downsample: int, channels: bool, kind: str
) -> dict[str, object]:
    """Return the ``multiscales`` entry of a group.

    The datasets are named ``0`` .. ``levels - 1``; each has half the resolution of the one before.

    Args:
        name: Name of the image.
        levels: Number of datasets.
        mpp: Micrometres per px of the canvas.
        downsample: Canvas px per px of dataset 0.
        channels: Whether the first axis is the channel.
        kind: Method of downsampling: ``mean``, ``mode`` or ``none``.

    Returns:
        One multiscale. Coordinates are those of pixel centres, hence the translation of coarse levels.
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
    """Return the attributes of an image group.

    Args:
        name: Name of the image.
        scales: Entry of :func:`multiscale`.
        channels: Names and colours of the channels for ``omero``.
    """
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
    """Return the attributes of a label group.

    Args:
        scales: Entry of :func:`multiscale`.
        classes: Classes of the pixels; empty for nuclei, which are listed in the nuclei table.
    """
    label: dict[str, object] = {"version": VERSION, "source": {"image": "../../"}}
    if classes:
        label["colors"] = [{"label-value": item.value, "rgba": [*item.rgb, item.alpha]} for item in classes]
        label["properties"] = [{"label-value": item.value, "name": item.name} for item in classes]
    return {"ome": {"version": VERSION, "multiscales": [scales], "image-label": label}}


def labels_attributes(names: Sequence[str]) -> dict[str, object]:
    """Return the attributes of the ``labels`` group.

    They list its label images.
    """
    return {"ome": {"version": VERSION, "labels": list(names)}}


NOT_COMPUTED_CLASS = LabelClass(255, "not computed", (0, 0, 0), alpha=0)

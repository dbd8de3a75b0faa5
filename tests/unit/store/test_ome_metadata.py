"""Attributes are what OME-Zarr 0.5 asks for, and levels lie on top of each other."""

import pytest
from ome_zarr_models.v05.image import ImageAttrs
from ome_zarr_models.v05.image_label import ImageLabelAttrs

from wsipipe.store import ome_metadata

CLASSES = [
    ome_metadata.LabelClass(1, "tissue", (255, 200, 0)),
    ome_metadata.LabelClass(255, "not computed", (0, 0, 0)),
]


def test_image_is_valid() -> None:
    scales = ome_metadata.multiscale("image", 3, 0.5, 1, channels=True, kind="mean")
    attributes = ome_metadata.image_attributes("image", scales, CLASSES)
    ImageAttrs.model_validate(attributes["ome"])
    assert [axis["name"] for axis in scales["axes"]] == ["c", "y", "x"]
    assert attributes["ome"]["omero"]["channels"][0]["color"] == "FFC800"


@pytest.mark.parametrize("classes", [CLASSES, []])
def test_label_is_valid(classes: list[ome_metadata.LabelClass]) -> None:
    scales = ome_metadata.multiscale("tissue", 2, 0.5, 16, channels=False, kind="mode")
    attributes = ome_metadata.label_attributes(scales, classes)
    ImageLabelAttrs.model_validate(attributes["ome"])


@pytest.mark.parametrize("downsample", [1, 16])
def test_all_levels_begin_at_the_canvas_corner(downsample: int) -> None:
    mpp = 0.25
    for dataset in ome_metadata.multiscale("x", 4, mpp, downsample, channels=False, kind="mean")["datasets"]:
        scale, shift = (list(t.values())[1] for t in dataset["coordinateTransformations"])
        # The first px's centre less half a px: half a canvas px before the canvas's first centre.
        assert shift[0] - scale[0] / 2 == pytest.approx(-mpp / 2)

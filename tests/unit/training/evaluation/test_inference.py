"""A field as a small slide: the pipeline's pixels, truth on the same grid, rotated to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Orientation
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.training.evaluation.inference import FieldCanvas, field_canvas, instances, stored_maps
from wsipipe.training.evaluation.instance_metrics import instance_scores
from wsipipe.training.sampling.targets import centre_map

ORIENTATIONS = st.sampled_from(list(Orientation))


def picture(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 255, (height, width, 3)).astype(np.uint8),
        rng.integers(0, 90, (height, width)).astype(np.int32),
    )


class Darkness:
    """A network that gives the darkness, and 1 where the patch ends: it shows how much context it got."""

    halo_px, lattice_px, stride = 16, 8, 1

    def __call__(self, patch: np.ndarray) -> np.ndarray:
        assert not (np.array(patch.shape[:2]) % self.lattice_px).any()
        prediction = 1 - patch.mean(axis=2, dtype=np.float32) / 255
        prediction[[0, -1]] = prediction[:, [0, -1]] = 1
        return np.stack([prediction, prediction])


def test_own_mpp_is_a_plain_copy_on_white() -> None:
    image, labels = picture(21, 30)
    got = field_canvas(image[:20], labels[:20], 0.25, 0.252, 8)
    assert got.image.shape == (24, 32, 3)
    assert got.mpp == 0.25
    assert (got.image[got.inside.slices] == image[:20]).all()
    assert (got.labels[got.inside.slices] == labels[:20]).all()
    outside = np.ones(got.labels.shape, bool)
    outside[got.inside.slices] = False
    assert (got.image[outside] == 255).all()
    assert not got.labels[outside].any()


def test_half_the_resolution_is_the_mean_of_four() -> None:
    image, labels = picture(40, 32)
    got = field_canvas(image, labels, 0.25, 0.5, 8)
    assert (got.image[got.inside.slices] == block_mean(image)).all()
    assert got.inside.shape == (20, 16)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 40), st.integers(5, 40), st.sampled_from([0.25, 0.31, 0.5, 0.77]), ORIENTATIONS)
def test_a_rotated_field_rotates_the_canvas(h: int, w: int, mpp: float, orientation: Orientation) -> None:
    image, labels = picture(h, w)
    straight = field_canvas(image, labels, mpp, 0.5, 8)
    turned = field_canvas(orientation.apply(image), orientation.apply(labels), mpp, 0.5, 8)
    assert (turned.image == orientation.apply(straight.image)).all()
    assert (turned.labels == orientation.apply(straight.labels)).all()


def test_labels_lie_where_their_nuclei_do() -> None:
    """A white-on-dark picture of the labels, resampled as an image, agrees with the labels resampled."""
    labels = np.zeros((61, 47), np.int32)
    labels[10:30, 8:25], labels[40:55, 20:40] = 1, 2
    image = np.repeat(np.where(labels > 0, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    for mpp in (0.25, 0.36, 0.9):
        got = field_canvas(image, labels, mpp, 0.5, 8)
        share = ((got.image[..., 0] < 128) == (got.labels > 0)).mean()
        assert share > 0.985, mpp


def test_maps_are_those_of_the_field_with_the_whole_reach_as_context() -> None:
    image, labels = picture(20, 36)
    maps = stored_maps(Darkness(), field_canvas(image, labels, 0.5, 0.5, 8))
    assert maps.shape == (2, 20, 36)
    assert np.abs(maps[0] / 250 - (1 - image.mean(axis=2) / 255)).max() <= 1 / 250


def test_too_little_context_would_show() -> None:
    predict = Darkness()
    predict.halo_px = 0
    image, labels = picture(24, 40)
    maps = stored_maps(predict, field_canvas(image, labels, 0.5, 0.5, 8))
    assert (maps[0][0] == 250).all()


@settings(max_examples=20, deadline=None)
@given(ORIENTATIONS, st.integers(0, 1000))
def test_instances_turn_along(orientation: Orientation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, 251, (2, 40, 44)).astype(np.uint8)
    straight = instances(*maps, InstanceParams(min_area_um2=1), 0.5)
    turned = instances(*orientation.apply(maps, (1, 2)), InstanceParams(min_area_um2=1), 0.5)
    assert instance_scores(orientation.apply(straight), turned)["aji"] == 1


def test_true_maps_give_the_true_nuclei() -> None:
    labels = np.zeros((40, 40), np.int32)
    for label, (y, x) in enumerate([(2, 2), (2, 10), (20, 4), (28, 28)], start=1):
        labels[y : y + 8, x : x + 8] = label
    nucleus = np.where(labels > 0, 250, 0).astype(np.uint8)
    centre = np.rint(centre_map(labels) * 250).astype(np.uint8)
    found = instances(nucleus, centre, InstanceParams(), 0.5)
    assert instance_scores(labels, found)["pq"] == pytest.approx(1)
    too_large = InstanceParams(min_area_um2=17)
    assert not instances(nucleus, centre, too_large, 0.5).any()


def test_a_scene_is_plain_data() -> None:
    got = field_canvas(*picture(8, 8), 0.5, 0.5, 1)
    assert isinstance(got, FieldCanvas)
    assert got.inside.shape == (8, 8)

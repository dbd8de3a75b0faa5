import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipipe.errors import InternalError
from wsipipe.geometry import Array, Orientation
from wsipipe.stages.nuclei.outline import outlines

FEW = settings(max_examples=100, deadline=None)


def noise(seed: int, share: float, shape: tuple[int, int], values: int) -> tuple[Array, int]:
    """4-connected labels full of pinches and holes, touching one another."""
    painted = np.random.default_rng(seed).choice(values + 1, shape, p=[1 - share] + [share / values] * values)
    labels, count = np.zeros(shape, np.int32), 0
    for value in range(1, values + 1):
        own, found = ndimage.label(painted == value)
        labels[own > 0] = own[own > 0] + count
        count += found
    return labels, count


shape = st.tuples(st.integers(1, 40), st.integers(1, 40))
any_labels = st.builds(noise, st.integers(0, 2**31), st.floats(0.05, 1), shape, st.integers(1, 3))


@FEW
@given(any_labels)
def test_every_polygon_is_valid_and_holds_its_own_pixel_centres_alone(case):
    labels, count = case
    polygons, lengths = outlines(labels, count)
    assert len(polygons) == len(lengths) == count
    assert shapely.is_valid(polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    y, x = np.indices(labels.shape) + 0.5
    for number, polygon in enumerate(polygons, start=1):
        assert isinstance(polygon, shapely.Polygon)
        np.testing.assert_array_equal(shapely.contains_xy(polygon, x, y), labels == number)


@FEW
@given(any_labels, st.sampled_from(Orientation))
def test_lengths_and_areas_are_the_same_in_every_orientation(case, orientation):
    labels, count = case
    polygons, lengths = outlines(labels, count)
    turned, turned_lengths = outlines(np.ascontiguousarray(orientation.apply(labels)), count)
    np.testing.assert_array_equal(lengths, turned_lengths)
    np.testing.assert_array_equal(shapely.area(polygons), shapely.area(turned))


def test_diagonal_pixels_joined_would_touch_themselves():
    pinched = shapely.Polygon([(0, 0), (2, 0), (2, 2), (1, 1), (0, 2), (1, 1)])
    assert not pinched.is_valid
    labels = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], np.int32)
    assert shapely.is_valid(outlines(labels, 1)[0]).all()


def test_a_square_has_its_corners_cut_and_no_needless_points():
    polygons, _ = outlines(np.pad(np.ones((2, 3), np.int32), 1), 1)
    corners = [(1, 1.5), (1.5, 1), (3.5, 1), (4, 1.5), (4, 2.5), (3.5, 3), (1.5, 3), (1, 2.5)]
    assert set(polygons[0].exterior.coords) == set(corners)
    assert polygons[0].area == 6 - 0.5


@pytest.mark.parametrize("radius", [6, 10, 20])
def test_the_length_of_a_disc_is_right_within_3_percent(radius: int):
    y, x = np.indices((2 * radius + 5,) * 2) - radius - 2
    _, lengths = outlines((y**2 + x**2 <= radius**2).astype(np.int32), 1)
    assert lengths[0] == pytest.approx(2 * np.pi * (radius + 0.25), rel=0.03)


def test_no_labels_no_polygons():
    polygons, lengths = outlines(np.zeros((3, 3), np.int32), 0)
    assert len(polygons) == len(lengths) == 0


def test_a_missing_label_is_a_defect():
    with pytest.raises(InternalError, match="Outlines of 2 labels were requested, but the patch has 1"):
        outlines(np.array([[1]], np.int32), 2)

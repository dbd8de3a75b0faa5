import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from wsipipe.geometry import Orientation
from wsipipe.stages.nuclei.shape import circularity, classes_at, eccentricity, mean_colours, shapes

FEW = settings(max_examples=50, deadline=None)


def blob(seed: int):
    return (np.random.default_rng(seed).random((9, 14)) > 0.4).astype(np.int32)


@FEW
@given(st.integers(0, 2**31))
def test_moments_are_those_of_scikit_image(seed):
    labels = blob(seed)
    shape, expected = shapes(labels, 1), regionprops(labels)[0]
    assert shape.area[0] == expected.area
    np.testing.assert_allclose((shape.centroid_y[0] - 0.5, shape.centroid_x[0] - 0.5), expected.centroid)
    # scikit-image takes a pixel for a point; the variance of a square of side 1 is 1/12
    np.testing.assert_allclose(shape.major_axis[0] ** 2 - 16 / 12, expected.axis_major_length**2)
    np.testing.assert_allclose(shape.minor_axis[0] ** 2 - 16 / 12, expected.axis_minor_length**2)


@FEW
@given(st.integers(0, 2**31), st.sampled_from(Orientation))
def test_axes_are_the_same_to_the_last_bit_in_every_orientation(seed, orientation):
    straight, turned = shapes(blob(seed), 1), shapes(orientation.apply(blob(seed)), 1)
    assert (straight.major_axis, straight.minor_axis) == (turned.major_axis, turned.minor_axis)


def test_a_line_of_pixels_is_long():
    shape = shapes(np.ones((1, 30), np.int32), 1)
    assert shape.major_axis[0] > 30
    assert eccentricity(shape)[0] > 0.99


def test_circularity_ends_at_one():
    assert circularity(np.array([1.0]), np.array([1.0]))[0] == 1
    assert circularity(np.array([4.0]), np.array([8.0]))[0] == pytest.approx(np.pi / 4)


def test_colours_are_means_by_label():
    image = np.array(
        [[[10, 20, 30], [30, 20, 10], [255, 255, 255]], [[1, 2, 3], [9, 9, 9], [9, 9, 9]]], np.uint8
    )
    colours = mean_colours(np.array([[1, 1, 0], [2, 0, 0]]), image, 2)
    np.testing.assert_array_equal(colours, [[20, 1], [20, 2], [20, 3]])


def test_the_class_is_that_of_the_pixel_and_the_smaller_one_on_a_line():
    classes = np.array([[3, 1], [2, 255]], np.uint8)
    y, x = np.array([0.5, 0.5, 1.0, 1.5, 0.0, -1.0, 1.5]), np.array([0.5, 1.0, 0.5, 1.5, 0.0, 0.5, 9.0])
    np.testing.assert_array_equal(classes_at(classes, y, x), [3, 1, 2, 255, 3, 255, 255])

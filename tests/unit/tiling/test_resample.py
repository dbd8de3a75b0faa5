import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Orientation
from wsipipe.tiling.resample import Axis, resample, taps

STEPS = st.one_of(st.sampled_from([1.0, 2.0, 4.0, 1.37, 0.5]), st.floats(0.3, 9.0), st.floats(0.9999, 1.0001))
LAW = settings(deadline=None, max_examples=60)


def padded(source, rows, columns):
    """The part of ``source`` that the taps span, white outside."""
    (y, end_y), (x, end_x) = rows.span, columns.span
    out = np.full((end_y - y, end_x - x, source.shape[2]), 255, np.uint8)
    top, left = max(y, 0), max(x, 0)
    part = source[top : max(end_y, 0), left : max(end_x, 0)]
    out[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
    return out


def sampled(source, step, shape, part=None, off_centre=0.0):
    """The samples of a centred lattice of ``shape``, or a (y, end_y, x, end_x) part of them."""
    y, end_y, x, end_x = part or (0, shape[0], 0, shape[1])
    rows = taps(Axis(step, source.shape[0] / 2 + off_centre, shape[0] / 2), y, end_y)
    columns = taps(Axis(step, source.shape[1] / 2, shape[1] / 2), x, end_x)
    return resample(padded(source, rows, columns), rows, columns)


def noise(seed, height, width):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@LAW
@example(0, 1, 2, 0.99999, Orientation.R90)
@given(st.integers(0, 9), st.integers(1, 40), st.integers(1, 40), STEPS, st.sampled_from(Orientation))
def test_resampling_commutes_bitwise_with_the_eight_orientations(seed, height, width, step, orientation):
    source = noise(seed, height, width)
    shape = (2 + height // 2 * 2, 2 + width // 2 * 2)
    turned = orientation.apply(source)
    turned_shape = shape if orientation.value[0] % 2 == 0 else shape[::-1]
    np.testing.assert_array_equal(
        sampled(turned, step, turned_shape), orientation.apply(sampled(source, step, shape))
    )


def test_sister_off_the_centre_mirrors_differ():
    source = noise(0, 21, 20)
    straight = sampled(source, 2.0, (12, 12), off_centre=0.25)
    mirrored = sampled(source[::-1], 2.0, (12, 12), off_centre=0.25)
    assert (mirrored[::-1] != straight).any()


@LAW
@given(st.integers(0, 9), STEPS, st.data())
def test_any_part_alone_has_the_bits_of_the_whole(seed, step, data):
    source, shape = noise(seed, 37, 30), (20, 16)
    y, x = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 15))
    end_y, end_x = data.draw(st.integers(y + 1, 20)), data.draw(st.integers(x + 1, 16))
    whole = sampled(source, step, shape)
    np.testing.assert_array_equal(sampled(source, step, shape, (y, end_y, x, end_x)), whole[y:end_y, x:end_x])


def test_sister_a_lattice_of_its_own_for_each_part_differs():
    source = noise(0, 37, 30)
    whole, part = sampled(source, 1.37, (20, 16)), sampled(source[:18], 1.37, (10, 16))
    assert (part != whole[:10]).any()


@LAW
@given(STEPS, st.floats(0, 50), st.integers(-5, 5))
def test_weights_add_up_and_a_flat_image_stays_flat(step, centre, start):
    along = taps(Axis(step, centre, 8.0), start, start + 9)
    assert (along.weights.sum(axis=1) == 1 << along.bits).all()
    length = along.span[1] - along.span[0]
    flat = np.full((length, length, 3), 201, np.uint8)
    assert (resample(flat, along, along) == 201).all()


@LAW
@given(st.integers(0, 9), st.floats(1.0, 40.0))
def test_area_weights_are_within_one_grey_level_of_the_exact_mean(seed, step):
    line = noise(seed, 200, 1)[:, 0, 0]
    along = taps(Axis(step, 100.0, 2.0), 0, 4)
    one = taps(Axis(1.0, 0.5, 0.5), 0, 1)
    edges = np.arange(201)
    means = []
    for low in 100 + (np.arange(4) - 2) * step:
        overlap = np.clip(np.minimum(edges[1:], low + step) - np.maximum(edges[:-1], low), 0, None)
        means.append((overlap * line).sum() / step)
    got = resample(padded(line[:, None, None], along, one), along, one)[:, 0, 0]
    assert np.abs(got - np.array(means)).max() < 1.0


def test_aligned_whole_steps_are_copies_and_plain_means():
    source = noise(3, 32, 48)
    np.testing.assert_array_equal(sampled(source, 1.0, (32, 48)), source)
    np.testing.assert_array_equal(sampled(source, 2.0, (16, 24)), block_mean(source))


def test_half_a_pixel_between_is_the_cubic_of_four_neighbours():
    source = noise(3, 8, 4).astype(int)
    shifted = sampled(source.astype(np.uint8), 1.0, (9, 4))
    want = (-source[:-3] + 9 * source[1:-2] + 9 * source[2:-1] - source[3:] + 8) >> 4
    np.testing.assert_array_equal(shifted[2:7], want.clip(0, 255))


def test_half_a_pixel_between_is_sharper_than_a_mean_and_never_overflows():
    edge = np.zeros((9, 8, 3), np.uint8)
    edge[5:] = 255
    moved = sampled(edge, 1.0, (10, 8))
    assert moved[:, 0, 0].tolist() == [128, 0, 0, 0, 0, 128, 255, 255, 255, 255]
    stripes = np.zeros((9, 8, 3), np.uint8)
    stripes[4] = 160
    assert sampled(stripes, 1.0, (10, 8))[4:6, 0, 0].tolist() == [90, 90]

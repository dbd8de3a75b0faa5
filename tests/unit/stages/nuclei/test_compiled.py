"""Compiled code for nuclei has the bits of NumPy, SciPy and shapely."""

import shutil
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipipe.geometry import Region
from wsipipe.stages.nuclei import compiled_instances, compiled_outlines
from wsipipe.stages.nuclei.grow import grow_instances
from wsipipe.stages.nuclei.join import grow_tables, join_seeds
from wsipipe.stages.nuclei.number import merge_instances
from wsipipe.stages.nuclei.outline import outer_lengths, polygon_column, polygons_of, solidity, trace
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import relabel
from wsipipe.stages.nuclei.seeds import find_seeds
from wsipipe.stages.nuclei.shape import mean_colours, shapes
from wsipipe.stages.nuclei.stains import EOSIN, mean_densities
from wsipipe.stages.nuclei.table import measure
from wsipipe.stages.nuclei.texture import textures

FEW = settings(max_examples=40, deadline=None)
PARAMS = InstanceParams(grow_um=2, min_seed_um2=0, min_area_um2=0, min_seedless_um2=1)
shapes_px = st.tuples(st.integers(1, 40), st.integers(1, 40))


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    if shutil.which("g++") is None:
        pytest.skip("LOUD SKIP: there is no g++; compiled code for nuclei is NOT tested")
    # With a compiler a build that fails is a defect, not a reason to skip.
    assert compiled_instances.library() is not None
    assert compiled_outlines.library() is not None


def both_ways(function: Any) -> tuple[Any, Any]:
    """What a function returns with and without compiled code."""
    fast = function()
    with pytest.MonkeyPatch.context() as patch:
        for module in (compiled_instances, compiled_outlines):
            patch.setattr(module, "library", lambda: None)
        return fast, function()


def assert_same(fast: Any, slow: Any) -> None:
    """Compare nested results to the last bit and dtype."""
    if isinstance(fast, dict):
        assert fast.keys() == slow.keys()
        fast, slow = [*fast.values()], [*slow.values()]
    if isinstance(fast, tuple | list):
        for one, other in zip(fast, slow, strict=True):
            assert_same(one, other)
    else:
        assert fast.dtype == slow.dtype
        np.testing.assert_array_equal(fast, slow)


def maps(seed: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (2, *shape), np.uint8)
    return np.maximum(coarse[0], 100), coarse[1]


def labelled(seed: int, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Labels full of pinches, holes and neighbours."""
    painted = np.random.default_rng(seed).choice(3, shape, p=(0.4, 0.35, 0.25))
    labels, count = np.zeros(shape, np.int32), 0
    for value in (1, 2):
        own, found = ndimage.label(painted == value)
        labels[own > 0] = own[own > 0] + count
        count += found
    return labels, count


@FEW
@given(st.integers(0, 2**31), shapes_px)
def test_seeds_growth_and_ids(seed, shape):
    nucleus, centre = maps(seed, shape)
    core = Region(0, 0, *shape)

    def instances() -> list[Any]:
        labels, partial = find_seeds(nucleus, centre, PARAMS)
        joined = join_seeds({(0, 0): partial}, (1, 1), 64, 0.5, PARAMS)
        found, sums = grow_instances(labels, nucleus, core, core, grow_tables(joined, (0, 0)), 4)
        merged = merge_instances([sums], joined["rank"].size - 1, 0.5, PARAMS)
        return [labels, partial, found, sums, relabel(found, merged["final"])]

    assert_same(*both_ways(instances))


@FEW
@given(st.integers(0, 2**31), st.integers(1, 5))
def test_ties_of_ranks(seed, ranks):
    """Few ranks, so that rivals of one rank meet in all ways."""
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([0, 1, 2, 3, 4, 9], np.uint32), (12, 14), p=[0.2, *[0.05] * 4, 0.6])
    table = np.arange(10, dtype=np.uint32)
    table[9] = 0
    rank = np.where(table > 0, random.integers(1, ranks + 1, 10), 0).astype(np.uint32)
    starts = np.full((3, 3), -1)
    starts[1, 1] = starts[0, 1] = 0
    core, tables = Region(5, 0, 9, 14), {"seed": table, "rank": rank, "starts": starts}
    nucleus = random.integers(0, 251, core.shape, np.uint8)
    patch = Region(2, 0, 12, 14)
    assert_same(*both_ways(lambda: grow_instances(labels, nucleus, core, patch, tables, 3)))


@FEW
@given(st.integers(0, 2**31), shapes_px)
def test_rings_and_polygons(seed, shape):
    labels, count = labelled(seed, shape)

    def traced() -> list[Any]:
        rings = trace(labels, count)
        points = shapely.get_coordinates(polygons_of(rings))
        return [*rings, points, outer_lengths(rings), solidity(rings) if count else points]

    fast, slow = both_ways(traced)
    np.testing.assert_array_equal(fast[0], slow[0])
    assert_same(fast[-2:], slow[-2:])
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(one, other)
    columns = both_ways(lambda: polygon_column(trace(labels, count), (7, 9), (3.3, -1.7, 0.99)))
    assert columns[0].to_pylist() == columns[1].to_pylist()


@FEW
@given(st.integers(0, 2**31), shapes_px)
def test_moments_colours_and_texture(seed, shape):
    labels, count = labelled(seed, shape)
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    assert_same(*both_ways(lambda: tuple(shapes(labels, count, (5, 6)))))
    assert_same(*both_ways(lambda: mean_colours(labels, image, count)))
    assert_same(*both_ways(lambda: mean_densities(labels, image, count, EOSIN)))
    assert_same(*both_ways(lambda: tuple(textures(labels, image, count))))


def test_rows_of_the_table():
    labels, count = labelled(3, (60, 70))
    own = labels.astype(np.uint32) + 40 * (labels > 0)
    ids = np.arange(42, 41 + count)
    rows = {"id": ids, "area": np.bincount(own.ravel())[42 : 41 + count], "nucleus": 200 * ids}
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    patch = Region(30, 20, 60, 70)
    fast, slow = both_ways(lambda: measure(own, rows, patch, (0.1, 0.2, 1.98), 0.5, image))
    assert fast.equals(slow)
    assert fast.num_rows == count - 1


def test_a_label_outside_its_table_is_an_error():
    table = np.arange(3, dtype=np.uint32)
    for way in both_ways(lambda: _refused(table)):
        assert way == "IndexError"


def _refused(table: np.ndarray) -> str:
    try:
        relabel(np.array([[1, 3]], np.uint32), table)
    except IndexError as error:
        return type(error).__name__
    return ""


def test_labels_beyond_the_count_are_left_to_numpy():
    labels = np.array([[0, 3]], np.int32)
    assert compiled_outlines.moment_sums(labels, 2) is None
    assert compiled_outlines.colour_sums(labels, np.zeros((1, 2, 3), np.uint8), 2) is None


@pytest.mark.parametrize("module", [compiled_instances, compiled_outlines])
def test_compiled_code_is_in_use(monkeypatch, module):
    """Sister: without it, both ways would be one."""
    monkeypatch.setattr(module, "library", lambda: pytest.fail("the compiled code was asked for"))
    labels, count = labelled(0, (9, 9))
    uses = {compiled_instances: lambda: find_seeds(*maps(0, (4, 4)), PARAMS)}
    uses[compiled_outlines] = lambda: trace(labels, count)
    with pytest.raises(pytest.fail.Exception, match="asked for"):
        uses[module]()

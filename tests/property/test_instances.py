"""Laws of nucleus instances: no tiling and no orientation changes them; and each law can fail."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipipe.geometry import Array, Orientation, Region
from wsipipe.stages.nuclei import compiled_instances, grow
from wsipipe.stages.nuclei.grow import grow_instances
from wsipipe.stages.nuclei.join import grow_tables, join_seeds
from wsipipe.stages.nuclei.number import merge_instances
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import relabel
from wsipipe.stages.nuclei.seeds import find_seeds

MPP = 0.5
PARAMS = InstanceParams(grow_um=4, min_area_um2=1, min_seedless_um2=2, min_seed_um2=0.5)
FEW = settings(max_examples=100, deadline=None)
KINDS = ("blobs", "snakes", "checkerboard", "noise", "even noise")


def run_tiled(nucleus: Array, centre: Array, shard_px: int, halo_px: int | None = None) -> tuple[Array, dict]:
    """What the runner does, in one process: labels of the whole map and the table of nuclei."""
    shape = nucleus.shape
    grid = -(-shape[0] // shard_px), -(-shape[1] // shard_px)
    cores = {
        (row, column): Region(row * shard_px, column * shard_px, shard_px, shard_px).clipped(shape)
        for row, column in product(*map(range, grid))
    }
    seeds, grown = np.zeros((2, *shape), np.uint32)
    found, partials = {}, []
    for shard, core in cores.items():
        seeds[core.slices], found[shard] = find_seeds(nucleus[core.slices], centre[core.slices], PARAMS)
    joined = join_seeds(found, grid, shard_px, MPP, PARAMS)
    steps = PARAMS.grow_px(MPP)
    for shard, core in cores.items():
        patch = core.grown(steps if halo_px is None else halo_px).clipped(shape)
        tables = grow_tables(joined, shard)
        grown[core.slices], partial = grow_instances(
            seeds[patch.slices], nucleus[core.slices], core, patch, tables, steps
        )
        partials.append(partial)
    merged = merge_instances(partials, joined["rank"].size - 1, MPP, PARAMS)
    return relabel(grown, merged["final"]), merged


def run_untiled(nucleus: Array, centre: Array) -> tuple[Array, dict]:
    return run_tiled(nucleus, centre, max(nucleus.shape))


def renamed(labels: Array) -> Array:
    """Labels by raster order of their first pixel, as the pipeline gives them."""
    ids, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(ids == 0, -1, first)))
    return (order + (ids[0] != 0))[inverse].reshape(labels.shape)


def maps(kind: str, seed: int, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Stored nucleus and centre maps of a kind that is hard in its own way."""
    rng = np.random.default_rng(seed)
    noise = rng.random((2, *shape))
    if kind == "blobs":
        nucleus = ndimage.gaussian_filter(noise[0], 2.5) > 0.49
        centre = ndimage.gaussian_filter(noise[0], 2) > 0.53
    elif kind == "snakes":
        nucleus = ndimage.gaussian_filter(noise[0], 1) > 0.48
        centre = ndimage.gaussian_filter(noise[0], 1) > 0.56
    elif kind == "checkerboard":
        nucleus = (np.indices(shape).sum(axis=0) % 2 == 0) | (noise[0] > 0.7)
        centre = noise[1] > 0.9
    else:
        nucleus, centre = noise[0] > 0.3, noise[1] > 0.9
    levels = rng.integers(125, 140, (2, *shape)) if kind != "even noise" else np.full((2, *shape), 200)
    stored = np.where(np.stack([nucleus, centre]), levels, 90).astype(np.uint8)
    stored[:, rng.random(shape) < 0.01] = rng.choice([254, 255])
    return stored[0], stored[1]


any_maps = st.builds(
    maps,
    st.sampled_from(KINDS),
    st.integers(0, 2**31),
    st.tuples(st.integers(17, 90), st.integers(17, 90)),
)


@FEW
@given(any_maps, st.integers(PARAMS.grow_px(MPP), 60))
def test_any_shard_size_gives_the_same_labels_and_table(pair, shard_px):
    whole, whole_table = run_untiled(*pair)
    labels, table = run_tiled(*pair, shard_px)
    np.testing.assert_array_equal(labels, whole)
    for name in set(table) - {"final"}:
        np.testing.assert_array_equal(table[name], whole_table[name])


@FEW
@given(any_maps, st.sampled_from(Orientation))
def test_turned_maps_give_turned_nuclei(pair, orientation):
    labels, _ = run_untiled(*pair)
    turned, _ = run_tiled(*(orientation.apply(one) for one in pair), 24)
    np.testing.assert_array_equal(turned, renamed(orientation.apply(labels)))


@FEW
@given(any_maps)
def test_ids_have_no_gaps_and_every_nucleus_is_one_piece_of_its_table_row(pair):
    labels, table = run_tiled(*pair, 32)
    count = table["id"].size
    np.testing.assert_array_equal(np.unique(labels[labels > 0]), np.arange(1, count + 1))
    np.testing.assert_array_equal(labels, renamed(labels))
    np.testing.assert_array_equal(table["area"], np.bincount(labels.ravel(), minlength=count + 1)[1:])
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels.astype(int))):
        assert ndimage.label(labels[rows, columns] == number + 1)[1] == 1
        bounds = rows.start, rows.stop - 1, columns.start, columns.stop - 1
        assert bounds == tuple(table[name][number] for name in ("min_y", "max_y", "min_x", "max_x"))


def test_without_halo_seams_show():
    pair = maps("blobs", 0, (80, 80))
    assert (run_tiled(*pair, 20, halo_px=0)[0] != run_untiled(*pair)[0]).any()
    assert (run_tiled(*pair, 20)[0] == run_untiled(*pair)[0]).all()


def test_halo_one_px_short_shows():
    differs = [
        (run_tiled(*pair, 20, halo_px=PARAMS.grow_px(MPP) - 1)[0] != run_untiled(*pair)[0]).any()
        for pair in (maps("noise", seed, (90, 90)) for seed in range(20))
    ]
    assert any(differs)


def test_ties_by_raster_order_break_under_turns(monkeypatch: pytest.MonkeyPatch):
    # The rule is replaced in NumPy's way, which has the bits of the compiled one.
    monkeypatch.setattr(compiled_instances, "library", lambda: None)
    pair = maps("even noise", 3, (60, 60))
    turned = [Orientation.R180.apply(one) for one in pair]

    def disagreement() -> int:
        there = Orientation.R180.apply(run_untiled(*pair)[0])
        return np.count_nonzero(renamed(there) != run_untiled(*turned)[0])

    assert disagreement() == 0
    monkeypatch.setattr(grow, "_winners", lambda rivals, ranks: rivals.max(axis=0))
    assert disagreement() > 0


def test_the_maps_hold_ties_and_nuclei_across_many_shards():
    snakes, table = run_tiled(*maps("snakes", 1, (90, 90)), 16)
    assert (table["max_x"] - table["min_x"]).max() > 16
    assert snakes.max() > 20

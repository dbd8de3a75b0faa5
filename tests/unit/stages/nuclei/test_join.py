import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.stages.nuclei import join
from wsipipe.stages.nuclei.join import check_count, grow_tables, join_seeds
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.seeds import find_seeds

MPP = 0.5
PARAMS = InstanceParams(grow_um=0.5, min_seed_um2=0.5, min_seedless_um2=0.75)


def table(nucleus: list[list[int]], centre: list[list[int]]):
    return find_seeds(np.array(nucleus, np.uint8), np.array(centre, np.uint8), PARAMS)[1]


def joined(*columns, params: InstanceParams = PARAMS):
    """Shards side by side in one row."""
    partials = {(0, i): column for i, column in enumerate(columns) if column is not None}
    return join_seeds(partials, (1, len(columns)), 2, MPP, params)


def test_a_seed_over_a_face_is_one_seed():
    result = joined(table([[0, 250], [0, 0]], [[0, 250], [0, 0]]), table([[250, 0]] * 2, [[250, 0], [0, 0]]))
    # nodes: background, seed, foreground; background, seed, foreground
    np.testing.assert_array_equal(result["seed"], [0, 1, 0, 0, 1, 0])
    assert result["rank"].size == 2


def test_corners_of_shards_do_not_join():
    low, high = [[0, 0], [0, 250]], [[250, 0], [0, 0]]
    params = InstanceParams(grow_um=0.5, min_seed_um2=0.25)
    result = join_seeds({(0, 0): table(low, low), (1, 1): table(high, high)}, (2, 2), 2, MPP, params)
    assert result["rank"].size == 3


def test_a_component_without_seed_counts_by_its_whole_area():
    half = table([[250, 250], [0, 0]], [[0, 0], [0, 0]])
    assert joined(half)["rank"].size == 1
    np.testing.assert_array_equal(joined(half, half)["seed"], [0, 1, 0, 1])


def test_a_speck_is_no_seed_but_belongs_to_its_component():
    speck = table([[250, 250], [250, 250]], [[250, 0], [0, 0]])
    np.testing.assert_array_equal(joined(speck)["seed"], [0, 1, 1])


def test_a_seed_elsewhere_in_the_component_leaves_no_second_nucleus():
    seeded = table([[250, 250], [250, 250]], [[250, 0], [250, 0]])
    bare = table([[250, 250], [250, 250]], [[0, 0], [0, 0]])
    result = joined(seeded, bare)
    assert result["rank"].size == 2
    np.testing.assert_array_equal(result["seed"], [0, 1, 0, 0, 0])


def test_ranks_follow_area_then_nucleus_then_centre_and_equal_seeds_share_one():
    def pair(nucleus: int, centre: int):
        return table([[0, nucleus], [0, nucleus]], [[0, centre], [0, centre]])

    result = joined(pair(200, 240), pair(210, 130), pair(200, 250), pair(200, 240))
    np.testing.assert_array_equal(result["rank"], [0, 1, 3, 2, 1])


def test_the_nine_tables_of_a_shard_hold_what_lies_there():
    full = table([[250] * 2] * 2, [[250] * 2] * 2)
    result = joined(None, full, full)
    tables = grow_tables(result, (0, 1))
    np.testing.assert_array_equal(tables["starts"], [[-1, -1, -1], [-1, 0, 3], [-1, -1, -1]])
    # node 2 is the rest of the component, of which nothing is left
    np.testing.assert_array_equal(tables["seed"], [0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(tables["rank"], [0, 1, 0, 0, 1, 0])


def test_a_slide_without_any_shard_has_no_seeds():
    result = join_seeds({}, (2, 3), 2, MPP, PARAMS)
    assert result["seed"].size == 0
    np.testing.assert_array_equal(result["rank"], [0])
    assert grow_tables(result, (0, 0))["seed"].size == 0


def test_growing_beyond_a_shard_is_refused():
    with pytest.raises(ConfigError, match="Lower grow_um or raise the shard size"):
        join_seeds({}, (1, 1), 8, MPP, InstanceParams(grow_um=8))


def test_too_many_nuclei_are_refused(monkeypatch: pytest.MonkeyPatch):
    check_count(2**31 - 1)
    with pytest.raises(ConfigError, match="nucleus_threshold"):
        check_count(2**31)
    monkeypatch.setattr(join, "MAX_ID", 0)
    with pytest.raises(ConfigError, match="1 nuclei were found"):
        joined(table([[250] * 2] * 2, [[250] * 2] * 2))

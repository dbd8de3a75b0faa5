"""A shard is ready when what it reads is finished, and never before."""

from dataclasses import replace

import pytest

from wsipipe.geometry import Region
from wsipipe.pipeline.planning.shard_graph import ShardGraph
from wsipipe.pipeline.planning.stage_order import ranks, waited_for_whole
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.stages.workflow import NetworkParams

GRID = CanvasGrid((1024, 1536), 0.5, (0.0, 0.0), 1.0)
EVERY = (True, False)


def kernel(_: ShardInput) -> ShardOutput:
    return ShardOutput()


def no_reduce(*_: object) -> dict[str, object]:
    return {}


def stage(name: str, *reads: Read, downsample: int = 1, side: int = 512, **more: object) -> Stage:
    """A stage that writes one array of its name."""
    return Stage(
        name, downsample, side, reads, (Write(f"scratch/{name}", "scratch", "uint8", 0),), kernel, **more
    )


def read(name: str, downsample: int = 1, halo: int = 0, **more: bool) -> Read:
    return Read(f"scratch/{name}", downsample, halo, **more)


TILE = stage("tile", Read("canvas", 1))
NETWORK = stage("network", read("tile", halo=16), network=NetworkParams(weights="x"))
SEEDS = stage("seeds", read("network"), reduce=no_reduce)
GROW = stage("grow", read("seeds", halo=8))
HALF = stage("half", read("tile"), downsample=2)
FLOW = (TILE, HALF, NETWORK, SEEDS, GROW)


def taken(graph: ShardGraph, networks: tuple[bool, ...] = EVERY) -> list[tuple[str, tuple[int, int]]]:
    """All shards that are ready, in their order."""
    found = []
    while (shard := graph.take(networks)) is not None:
        found.append((shard[0].name, shard[1]))
    return found


def test_a_shard_waits_for_the_neighbours_in_its_halo() -> None:
    graph = ShardGraph((TILE, NETWORK), GRID, {})
    assert taken(graph) == [("tile", (y, x)) for y in range(2) for x in range(3)]
    for index in [(0, 0), (0, 1), (1, 0)]:
        graph.finish("tile", index)
    assert taken(graph) == []
    graph.finish("tile", (1, 1))
    assert taken(graph) == [("network", (0, 0)), ("network", (1, 0))]
    graph.finish("tile", (0, 2))
    assert taken(graph) == []
    graph.finish("tile", (1, 2))
    assert taken(graph) == [("network", (y, x)) for y in (0, 1) for x in (1, 2)]


def test_sister_without_the_halo_it_would_start_too_early() -> None:
    graph = ShardGraph((TILE, replace(NETWORK, reads=(read("tile"),))), GRID, {})
    taken(graph)
    graph.finish("tile", (0, 0))
    assert taken(graph) == [("network", (0, 0))]


@pytest.mark.parametrize("halo", [0, 1, 63, 64, 65, 300, 600])
@pytest.mark.parametrize(("downsample", "side"), [(1, 512), (2, 192), (4, 64), (8, 192)])
def test_every_shard_is_ready_exactly_when_its_patch_is_written(
    halo: int, downsample: int, side: int
) -> None:
    """Against a plain search of all shards, for grids that do not fit each other."""
    later = stage("later", read("tile", halo=halo), downsample=downsample, side=side)
    graph = ShardGraph((TILE, later), GRID, {})
    rows, columns = later.grid_shape(GRID)
    every = [(row, column) for row in range(rows) for column in range(columns)]
    tiles = taken(graph)
    done: list[Region] = []
    ready: set[tuple[int, int]] = set()
    for _, index in reversed(tiles):
        graph.finish("tile", index)
        done.append(TILE.core(GRID, index))
        ready |= {index for _, index in taken(graph)}
        patches = {key: later.patch_region(later.reads[0], later.core(GRID, key)) for key in every}
        expected = {
            key
            for key, patch in patches.items()
            if sum(patch.intersection(core).area_px for core in done) == patch.clipped(GRID.shape).area_px
        }
        assert ready == expected
    assert len(ready) == len(every)


def test_tables_are_waited_for() -> None:
    graph = ShardGraph(FLOW, GRID, {name: every(part) for name, part in kept(TILE, HALF, NETWORK)})
    assert {name for name, _ in taken(graph)} == {"seeds"}
    for index in sorted(every(SEEDS)):
        assert graph.to_join() is None
        graph.finish("seeds", index)
    assert taken(graph) == []
    assert graph.to_join() is SEEDS
    graph.joined("seeds")
    assert graph.to_join() is None
    assert [name for name, _ in taken(graph)] == ["grow"] * 6


def every(part: Stage) -> set[tuple[int, int]]:
    rows, columns = part.grid_shape(GRID)
    return {(row, column) for row in range(rows) for column in range(columns)}


def kept(*parts: Stage) -> list[tuple[str, Stage]]:
    return [(part.name, part) for part in parts]


def test_kept_shards_are_not_computed_and_count_as_finished() -> None:
    graph = ShardGraph((TILE, NETWORK), GRID, {"tile": every(TILE) - {(1, 2)}, "network": {(0, 0)}})
    assert taken(graph) == [("network", (1, 0)), ("tile", (1, 2))]


def test_an_array_that_is_read_anywhere_is_waited_for() -> None:
    table = stage("table", read("tile", anywhere=True))
    graph = ShardGraph((TILE, table), GRID, {"tile": every(TILE) - {(1, 2)}})
    assert taken(graph) == [("tile", (1, 2))]
    graph.finish("tile", (1, 2))
    assert len(taken(graph)) == 6


def test_networks_and_others_are_taken_apart() -> None:
    graph = ShardGraph((TILE, NETWORK, HALF), GRID, {"tile": every(TILE)})
    assert graph.next_of(NETWORK, 1) == (0, 0)
    assert graph.next_of(NETWORK, 7) is None
    assert {name for name, _ in taken(graph, (True,))} == {"network"}
    assert graph.next_of(NETWORK, 1) is None
    assert {name for name, _ in taken(graph, (False,))} == {"half"}


def test_what_others_wait_for_comes_first() -> None:
    assert waited_for_whole(FLOW)["grow"] == {"seeds"}
    assert waited_for_whole(FLOW)["seeds"] == set()
    assert ranks(FLOW) == {"seeds": 0, "network": 1, "tile": 2, "grow": 3, "half": 4}


def test_one_task_for_the_whole_slide_reads_and_is_read() -> None:
    first = stage("first", Read("overview", 16), downsample=16, single_task=True)
    graph = ShardGraph((first, stage("second", read("first", 16))), GRID, {})
    assert taken(graph) == [("first", (0, 0))]
    graph.finish("first", (0, 0))
    assert len(taken(graph)) == 6


def test_stages_that_wait_for_each_other_are_named() -> None:
    graph = ShardGraph((TILE, stage("a", read("b")), stage("b", read("a"))), GRID, {"tile": every(TILE)})
    assert taken(graph) == []
    assert graph.unfinished() == ["a", "b"]
    assert ShardGraph((TILE,), GRID, {"tile": every(TILE)}).unfinished() == []

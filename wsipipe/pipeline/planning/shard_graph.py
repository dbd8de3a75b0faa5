"""Order in which the shards of a slide are computed.

A shard is ready when the shards that it reads are finished: those under its patch, halo included, all shards
of an earlier stage whose ``reduce`` joins them, and all of an array that its kernel reads anywhere.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wsipipe.geometry import Region
from wsipipe.pipeline.planning.stage_order import ranks, waited_for_whole
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Stage
from wsipipe.store.ledger import Key


class ShardGraph:
    """Shards of all stages of a slide, and which of them are ready.

    What a shard waits for follows from the declarations of the stages, so only the finished shards are
    stored.

    Args:
        stages: The stages in the order of the flow.
        grid: The canvas.
        kept: Shards that are finished already, by stage.
    """

    def __init__(self, stages: Sequence[Stage], grid: CanvasGrid, kept: Mapping[str, set[Key]]) -> None:
        self._grid = grid
        self._stages = {stage.name: stage for stage in stages}
        self._writers = {write.name: stage for stage in stages for write in stage.writes}
        self._wholes = waited_for_whole(stages)
        self._ranks = ranks(stages)
        self._done = {stage.name: set(kept.get(stage.name, ())) for stage in stages}
        self._queued = {name: set(done) for name, done in self._done.items()}
        self._joined: set[str] = set()
        # The network's shards have workers of their own where there are GPUs.
        self._ready: dict[bool, list[tuple[int, Key, str]]] = {True: [], False: []}
        for stage in stages:
            self._queue(stage, self._all(stage))

    def rank(self, stage: str) -> int:
        """Return the place of a stage in the order of ready shards; lower ones come first."""
        return self._ranks[stage]

    def take(self, with_network: Iterable[bool]) -> tuple[Stage, Key] | None:
        """Remove and return the first ready shard; None if there is none.

        Args:
            with_network: Whether the stage has a network; both values allow either.
        """
        heaps = [self._ready[each] for each in with_network if self._ready[each]]
        if not heaps:
            return None
        _, index, name = heapq.heappop(min(heaps, key=lambda heap: heap[0]))
        return self._stages[name], index

    def next_of(self, stage: Stage, distance: int) -> Key | None:
        """Return the ready shard ``distance`` places from the front, if it is of this stage."""
        coming = heapq.nsmallest(distance, self._ready[stage.network is not None])
        return coming[-1][1] if len(coming) == distance and coming[-1][2] == stage.name else None

    def finish(self, name: str, index: Key) -> None:
        """Mark a shard as finished; the shards that read it may become ready."""
        self._done[name].add(index)
        finished = self._stages[name]
        if self._is_closed(finished):
            self._queue_all_that_wait_for(name)
        core = finished.core(self._grid, index)
        written = {write.name for write in finished.writes}
        for stage in self._stages.values():
            if any(read.name in written for read in stage.reads):
                self._queue(stage, self._readers_of(stage, written, core, finished.downsample))

    def to_join(self) -> Stage | None:
        """Return a stage whose shards wait for its ``reduce``; None if there is none."""
        for stage in self._stages.values():
            if stage.reduce is None or stage.name in self._joined:
                continue
            if self._is_full(stage) and self._opens(stage):
                return stage
        return None

    def joined(self, name: str) -> None:
        """Mark the ``reduce`` of a stage as finished."""
        self._joined.add(name)
        self._queue_all_that_wait_for(name)

    def unfinished(self) -> list[str]:
        """Return the names of stages that are not finished."""
        return [name for name, stage in self._stages.items() if not self._is_closed(stage)]

    def _queue_all_that_wait_for(self, name: str) -> None:
        for stage in self._stages.values():
            if name in self._wholes[stage.name]:
                self._queue(stage, self._all(stage))

    def _queue(self, stage: Stage, indices: Iterable[Key]) -> None:
        """Make those shards ready that are not yet and wait for nothing."""
        if not self._opens(stage):
            return
        queued, heap = self._queued[stage.name], self._ready[stage.network is not None]
        for index in indices:
            if index not in queued and self._has_inputs(stage, index):
                queued.add(index)
                heapq.heappush(heap, (self._ranks[stage.name], index, stage.name))

    def _opens(self, stage: Stage) -> bool:
        return all(self._is_closed(self._stages[name]) for name in self._wholes[stage.name])

    def _is_closed(self, stage: Stage) -> bool:
        """Return whether the whole stage is finished, its ``reduce`` included."""
        return self._is_full(stage) and (stage.reduce is None or stage.name in self._joined)

    def _is_full(self, stage: Stage) -> bool:
        rows, columns = stage.grid_shape(self._grid)
        return len(self._done[stage.name]) == rows * columns

    def _all(self, stage: Stage) -> list[Key]:
        rows, columns = stage.grid_shape(self._grid)
        return [(row, column) for row in range(rows) for column in range(columns)]

    def _has_inputs(self, stage: Stage, index: Key) -> bool:
        core = stage.core(self._grid, index)
        return all(
            source in self._done[writer.name]
            for read in stage.reads
            if (writer := self._writers.get(read.name)) is not None
            for source in self._under(writer, stage.patch_region(read, core))
        )

    def _readers_of(self, stage: Stage, written: set[str], core: Region, downsample: int) -> Iterator[Key]:
        """Yield the shards of a stage that may read a core of other arrays."""
        for read in stage.reads:
            if read.name in written:
                # One px more, since the borders of a patch are rounded outwards.
                around = core.grown(read.halo_px + 1)
                yield from self._under(stage, around.scaled(downsample, stage.downsample))

    def _under(self, stage: Stage, region: Region) -> Iterator[Key]:
        """Yield the shards of a stage that a region touches, in px of its arrays."""
        inside = region.clipped(self._grid.shape_at(stage.downsample))
        if stage.single_task:
            yield 0, 0
            return
        if not inside.area_px:
            return
        side = stage.shard_px
        for row in range(inside.y // side, -(-inside.end_y // side)):
            for column in range(inside.x // side, -(-inside.end_x // side)):
                yield row, column

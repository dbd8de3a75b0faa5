"""Relabel seed numbers to the published ids."""

from collections.abc import Mapping, Sequence

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.compiled_instances import looked_up
from wsipipe.stages.nuclei.grow import GROWN
from wsipipe.stages.nuclei.number import NUMBERED
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write

NUCLEI = "labels/nuclei/0"


def nuclei_stage(downsample: int, shard_px: int, types: Sequence[Mapping[str, object]] = ()) -> Stage:
    """Declare the stage that writes the published labels.

    Args:
        downsample: Canvas px per label px.
        shard_px: Side of a shard, label px.
        types: Name and colour of the types of nuclei, which are published with the labels.
    """
    about = {"types": list(types)} if types else {}

    def kernel(shard: ShardInput) -> ShardOutput:
        return ShardOutput({NUCLEI: relabel(shard.read(GROWN).pixels, shard.tables[NUMBERED]["final"])})

    return Stage(
        "nuclei",
        downsample,
        shard_px,
        (Read(GROWN, downsample),),
        (Write(NUCLEI, "label", "uint32", 0, about=about),),
        kernel,
    )


def relabel(grown: Array, final: Array) -> Array:
    """Return the labels (H, W) uint32 of seed numbers: 0 background, 1..n final ids.

    Args:
        grown: Seed numbers (H, W) uint32, see :func:`wsipipe.stages.nuclei.grow.grow_instances`.
        final: Id of each seed number, ``merge_instances(...)["final"]``.
    """
    found = looked_up(final, grown)
    return final[grown] if found is None else found

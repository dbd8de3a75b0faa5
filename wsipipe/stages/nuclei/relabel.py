"""One shard of seed numbers in; the published labels of that shard out."""

from wsipipe.geometry import Array


def relabel(grown: Array, final: Array) -> Array:
    """Seed numbers (H, W) uint32 -> labels (H, W) uint32: 0 background, 1..n final ids.

    Args:
        grown: Of :func:`wsipipe.stages.nuclei.grow.grow_instances`.
        final: Id of each seed number, ``merge_instances(...)["final"]``.
    """
    return final[grown]

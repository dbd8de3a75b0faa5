"""Stored arrays as Dask arrays, which are read when they are computed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dask.array
    import zarr


def lazy(array: "zarr.Array") -> "dask.array.Array":
    """Return an array that reads one shard for each of its chunks.

    Args:
        array: Array of the store; reading a missing shard is an error.
    """
    # Dask takes half a second to import, so it is imported only here.
    import dask.array

    return dask.array.from_zarr(array, chunks=array.shards or array.chunks)

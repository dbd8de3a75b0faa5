"""Describe the arrays and files of a store, without the library that reads them."""

from dataclasses import asdict, dataclass

SCHEMA = 1
RESULT = "result"
"""Folder of the work directory that is published; the rest is scratch."""


@dataclass(frozen=True)
class ArraySpec:
    """Specification of one array of the store.

    Attributes:
        name: ``image/0``, ``labels/nuclei/0``, ``probabilities/nucleus/0``, ``scratch/seeds``, ...
        shape: (y, x), or (channel, y, x).
        dtype: numpy dtype name.
        fill: Value of pixels without a shard; a published array has all shards.
        shard_px: Side of a shard.
        chunk_px: Side of an inner chunk; divides ``shard_px``.
        codec: ``zstd`` or ``jpeg:QUALITY`` (three channels only).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    fill: int
    shard_px: int
    chunk_px: int
    codec: str = "zstd"

    @property
    def plane(self) -> tuple[int, int]:
        """(height, width)."""
        return self.shape[-2], self.shape[-1]


@dataclass(frozen=True)
class ShardFile:
    """Path, size and hashes of one durable file.

    Attributes:
        path: Path relative to the work directory.
        size_bytes: Size of the file.
        sha256: Hash of the file.
        pixels_sha256: Hash of the decoded pixels in C order; empty for files other than shards.
    """

    path: str
    size_bytes: int
    sha256: str
    pixels_sha256: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the fields as written to the ledger."""
        return asdict(self)


def array_path(name: str) -> str:
    """Return the path of an array in the work directory.

    The image is the root multiscale of ``slide.zarr``.
    """
    if name.startswith("scratch/"):
        return f"scratch.zarr/{name.removeprefix('scratch/')}"
    return f"{RESULT}/slide.zarr/{name.removeprefix('image/')}"
